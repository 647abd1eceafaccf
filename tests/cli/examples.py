#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples do what they say: the programs as compiled here, and the shell script.

    examples.py MEMKV STORE_AND_FETCH TWO_HOSTS
"""
import os
import re
import subprocess
import sys

from cli_tool import ROOT, Scratch, Tool


def run(*words, code=0, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == code, f"{words}: {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return done.stdout


def commands_of(path):
    """The memkv commands that an example's own head tells to run first."""
    with open(path, encoding="utf-8") as f:
        return re.findall(r"^[ *#]*(memkv pool create .*)$", f.read(), flags=re.M)


def main():
    tool = Tool(sys.argv[1])
    with Scratch() as folder:
        for program, source in zip(sys.argv[2:], ("store_and_fetch.c", "two_hosts.c")):
            head = commands_of(os.path.join(ROOT, "examples", source))
            assert len(head) == 1, f"{source} does not tell what to run first"
            pool = os.path.join(folder, source + ".pool")
            words = head[0].split()[1:]
            words[2] = pool
            tool.ok(*words)
            said = run(program, pool)
            assert "prefill" in said.lower() or "found" in said.lower() or "done" in said.lower(), said
            assert tool.json("pool", "check", pool)["blocks"] > 0, f"{source} stored nothing"
            run(program, os.path.join(folder, "nothing"), code=1)
        env = {**os.environ, "PATH": os.path.dirname(tool.program) + ":" + os.environ["PATH"], "TMPDIR": folder}
        said = run("bash", os.path.join(ROOT, "examples", "prefix.sh"), env=env)
        assert "3 of 4 blocks are there" in said, said
        assert not [n for n in os.listdir(folder) if not n.endswith(".c.pool")], f"left behind: {os.listdir(folder)}"
    print("the examples do what they say")


if __name__ == "__main__":
    main()
