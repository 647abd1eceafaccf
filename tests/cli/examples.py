#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples do what they say: the programs as compiled here, and the shell script.

    examples.py MEMKV STORE_AND_FETCH TWO_HOSTS HAND_OVER
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

from cli_tool import ROOT, Scratch, Tool


def run(*words, code=0, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == code, f"{words}: {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return done.stdout


def commands_of(path):
    """The memkv commands that an example's own head tells to run first."""
    with open(path, encoding="utf-8") as f:
        return re.findall(r"^[ *#]*(memkv pool create .*)$", f.read(), flags=re.M)


def readme(tool, folder):
    """What the README tells to type works as it stands there; bench, which takes minutes, and attach, which needs a target, are left out."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    use = re.search(r"^## Use\n\n```sh\n(.*?)```", text, flags=re.S | re.M).group(1)
    lines = [line for line in use.split("\n") if re.match(r"memkv (?!bench|attach)", line)]
    assert len(lines) >= 8, lines
    shutil.copy(os.path.join(ROOT, "README.md"), folder)
    script = "\n".join(re.sub(r"(destroy \S+)", r"\1 --yes", line.split("#")[0]) for line in lines)
    env = {**os.environ, "PATH": os.path.dirname(tool.program) + ":" + os.environ["PATH"], "TMPDIR": folder}
    said = run("bash", "-euo", "pipefail", "-c", script, cwd=folder, env=env)
    for wanted in (hashlib.md5(text.encode()).hexdigest(), "wrong bytes  0", "is destroyed", "room "):
        assert wanted in said, f"{wanted!r} is not in {said}"
    assert os.listdir(folder) == ["README.md"], f"left behind: {os.listdir(folder)}"
    code = re.search(r"^```c\n(.*?)```", text, flags=re.S | re.M).group(1)
    head, body = code.split("\n\n", 1)
    program = f"{head}\nvoid f(void *block, void *buffer, size_t block_bytes);\n" \
              f"void f(void *block, void *buffer, size_t block_bytes)\n{{\n{body}}}\n"
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", os.path.join(ROOT, "include"), "-xc", "-",
        input=program)


def hand_over(tool, program):
    """On memory the block is held in place."""
    if not os.access("/dev/shm", os.W_OK):
        print("not looked at: a hold, for there is no /dev/shm")
        return
    pool = f"/dev/shm/memkv-example-{os.getpid()}.pool"
    try:
        tool.ok("pool", "create", pool, "--size", "64M")
        said = run(program, pool)
        assert "held 262144 bytes" in said and ", valid" in said, said
    finally:
        os.unlink(pool)


def main():
    tool = Tool(sys.argv[1])
    with Scratch() as folder:
        for program, source in zip(sys.argv[2:], ("store_and_fetch.c", "two_hosts.c", "hand_over.c")):
            head = commands_of(os.path.join(ROOT, "examples", source))
            assert len(head) == 1, f"{source} does not tell what to run first"
            pool = os.path.join(folder, source + ".pool")
            words = head[0].split()[1:]
            words[2] = pool
            tool.ok(*words)
            said = run(program, pool)
            assert any(word in said.lower() for word in ("prefill", "found", "done", "copied 262144", "held 262144")), said
            assert tool.json("pool", "check", pool)["blocks"] > 0, f"{source} stored nothing"
            run(program, os.path.join(folder, "nothing"), code=1)
        hand_over(tool, sys.argv[4])
        env = {**os.environ, "PATH": os.path.dirname(tool.program) + ":" + os.environ["PATH"], "TMPDIR": folder}
        said = run("bash", os.path.join(ROOT, "examples", "prefix.sh"), env=env)
        assert "3 of 4 blocks are there" in said, said
        assert not [n for n in os.listdir(folder) if not n.endswith(".c.pool")], f"left behind: {os.listdir(folder)}"
        used = os.path.join(folder, "used")
        os.mkdir(used)
        readme(tool, used)
        drawn = os.path.join(folder, "drawn.svg")
        run(sys.executable, "-B", os.path.join(ROOT, "examples", "record.py"), "--out", drawn, "--", "memkv version",
            "printf 'a <b> & c\\r\\033[Kdone'", env=env)
        text = "".join(ElementTree.parse(drawn).getroot().itertext())
        assert "memkv version" in text and tool.ok("version").strip() in text, "the recording lacks what ran"
        assert "done" in text and "<b>" in text, "the terminal was not understood"
        committed = os.path.join(ROOT, "examples", "replay.svg")
        shown = "".join(ElementTree.parse(committed).getroot().itertext())
        assert "wrong bytes  0" in shown and "1 killed" in shown, "replay.svg is no replay: draw_replay.sh makes it"
    print("the examples do what they say")


if __name__ == "__main__":
    main()
