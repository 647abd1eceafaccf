# SPDX-License-Identifier: Apache-2.0
"""What the tests of the tool share: a scratch folder, the tool run, failures and skips told apart."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
MIB = 1 << 20
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# under the address sanitizer: what libpmem2 keeps of a mapping for good is not ours to free
os.environ.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions=" +
                      os.path.join(ROOT, "tests", "block", "leaks_of_others.txt"))


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


class Scratch:
    """A folder that goes with the test, on a file system that takes O_DIRECT where possible."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="memkv-cli-", dir=os.environ.get("MEMKV_TEST_DIR", "/var/tmp"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Tool:
    """The tool, by its path; every call is kept in .calls as (words, code)."""

    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.calls = []

    def run(self, *words, stdin=None, env=None, **more):
        done = subprocess.run([self.program, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, **(env or {})}, timeout=120, check=False, **more)
        self.calls.append((words, done.returncode))
        return done

    def ok(self, *words, code=0, **more):
        """Run it; it must end with @code.  Its standard output, as text."""
        done = self.run(*words, **more)
        assert done.returncode == code, \
            f"{words}: exit {done.returncode}, not {code}: {done.stderr.decode(errors='replace')[-800:]}"
        return done.stdout.decode(errors="replace")

    def refused(self, code, names, *words, **more):
        """Run it; it must end with @code, say all of @names on stderr in one line, and print nothing on stdout."""
        done = self.run(*words, **more)
        said = done.stderr.decode(errors="replace")
        assert done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {said[-800:]}"
        for name in names:
            assert name in said, f"{words}: {name!r} is not in {said!r}"
        assert said.count("\n") == 1 and said.startswith("memkv: "), f"{words}: not one sentence: {said!r}"
        assert not done.stdout, f"{words}: {done.stdout!r} on stdout"
        return said

    def json(self, *words, code=0, **more):
        return json.loads(self.ok(*words, "--json", code=code, **more))


def check(tests, *arguments):
    """Run each; say which failed, and end with 1 when one did."""
    failed = 0
    for test in tests:
        try:
            said = test(*arguments)
            print(f"ok      {test.__name__}{': ' + said if said else ''}", flush=True)
        except Missing as why:
            print(f"missing {test.__name__}: {why}", flush=True)
        except AssertionError as wrong:
            failed += 1
            print(f"FAILED  {test.__name__}: {wrong}", flush=True)
    sys.exit(1 if failed else 0)


def check_in_folders(module):
    """What a test program does: each test_...(tool, folder) of @module, its globals(), with the tool that it is given."""
    tool = Tool(sys.argv[1])

    def in_folder(test):
        def run_it(*_):
            with Scratch() as folder:
                return test(tool, folder)
        run_it.__name__ = test.__name__[5:]
        return run_it
    check([in_folder(t) for name, t in list(module.items()) if name.startswith("test_")])


class Missing(Exception):
    """This machine lacks what one part of a test needs."""
