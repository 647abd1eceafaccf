#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where the output goes: a standard output that is closed, full or read by nobody; names that a terminal would obey.

    output.py MEMKV
"""
import json
import os
import pty
import re
import subprocess

from cli_tool import check_in_folders

KEY = "ef" * 32
ODD = ["plain", "sp ace", "quo\"te'", "new\nline", "\x1b[31mred\x1b[0m", "tab\tbell\x07", "ünïcödé-漢字", "back\\slash",
       "\u009bC1", "--json", "name", "-"]
BROKEN = b"broken-\xff\xc3(\xa0\xa1-utf8"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def run(tool, stdout, *words):
    return subprocess.run([tool.program, *words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                          timeout=60, check=False)


def make(tool, folder, blocks=300):
    pool = os.path.join(folder, "pool")
    tool.ok("pool", "create", pool, "--size", "16M", "--max-block", "64K")
    for i in range(3):
        tool.ok("put", pool, "--name", f"block {i}", stdin=b"payload" * 1000)
    return pool


def commands(pool):
    return [("ls", pool), ("pool", "info", pool), ("get", pool, "--name", "block 1"), ("stat", pool, "--name", "block 1"),
            ("match", pool, KEY), ("version",), ("help",), ("pool", "check", pool), ("pool", "scan", pool),
            ("ls", pool, "--json"), ("stat", pool, KEY, "--json")]


def test_closed(tool, folder):
    """>&-: nothing is written into a file that happens to get the number, and the exit code tells."""
    pool = make(tool, folder)
    with open(pool, "rb") as f:
        before = f.read()
    for words in commands(pool):
        quoted = " ".join("'" + w.replace("'", "'\\''") + "'" for w in (tool.program, *words))
        done = subprocess.run(["bash", "-c", quoted + " >&-"], stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode in (1, 4), f"{words}: {done.returncode}"
        assert b"standard output" in done.stderr, f"{words}: {done.stderr!r}"
        done = subprocess.run(["bash", "-c", quoted + " 2>&- >/dev/null"], timeout=60, check=False)
        assert done.returncode in (0, 1), f"{words} without stderr: {done.returncode}"
    with open(pool, "rb") as f:
        assert f.read() == before, "the pool was written to"


def test_full(tool, folder):
    pool = make(tool, folder)
    for words in commands(pool):
        with open("/dev/full", "wb") as full:
            done = run(tool, full, *words)
        assert done.returncode in (1, 6), f"{words}: {done.returncode}"
        assert b"No space left on device" in done.stderr, f"{words}: {done.stderr!r}"


def test_nobody_reads(tool, folder):
    """A pipe that is closed already; what was to be done is done."""
    pool = make(tool, folder)
    for words in commands(pool) + [("rm", pool, "--name", "block 2"), ("put", pool, KEY, pool, "--json")]:
        ends = os.pipe()
        os.close(ends[0])
        done = run(tool, ends[1], *words)
        os.close(ends[1])
        assert done.returncode in (1, 3, 4), f"{words}: {done.returncode}, {done.stderr!r}"
        assert b"Broken pipe" in done.stderr, f"{words}: {done.stderr!r}"
    tool.ok("stat", pool, "--name", "block 2", code=1)
    made = os.path.join(folder, "made")
    ends = os.pipe()
    os.close(ends[0])
    assert run(tool, ends[1], "pool", "create", made, "--size", "16M").returncode == 4
    os.close(ends[1])
    assert tool.json("pool", "info", made)["segments"]["free"] > 0, "the create was cut off"


def test_odd_names(tool, folder):
    """In paths, pool names, sessions, key names and files: JSON stays JSON, and no terminal gets what it would obey."""
    for name in ODD:
        path = os.path.join(folder, name)
        done = tool.ok("pool", "create", path, "--size", "16M", "--name", name)
        assert not CONTROL.search(done), f"{name!r}: {done!r}"
        assert tool.json("pool", "info", path)["name"] == name
        assert tool.json("pool", "info", path)["path"] == path
        tool.ok("put", path, "--name", name, "--session", name, stdin=b"x")
        shown = tool.ok("stat", path, "--name", name)
        assert not CONTROL.search(shown), f"{name!r}: {shown!r}"
        assert tool.json("stat", path, "--name", name)["session"] == name
        assert tool.json("ls", path, "--session", name)["session"] == name
        out = os.path.join(folder, "out " + name)
        assert tool.json("get", path, "--name", name, "-o", out)["output"] == out
        failed = tool.run("pool", "info", path + "/nothing")
        assert not CONTROL.search(failed.stderr.decode().rstrip("\n")), f"{failed.stderr!r}"
        found = tool.ok("pool", "scan", path)
        assert not CONTROL.search(found) and "16.00 MiB" in found
        tool.ok("pool", "destroy", path, "--yes")


def test_broken_utf8(tool, folder):
    path = os.path.join(os.fsencode(folder), BROKEN)
    for words in ((b"pool", b"create", path, b"--size", b"16M", b"--name", BROKEN), (b"pool", b"info", path)):
        done = tool.run(*words, b"--json")
        assert done.returncode == 0 and "broken-\ufffd" in json.loads(done.stdout.decode())["name"], done
        done = tool.run(*words)
        done.stdout.decode(), done.stderr.decode()  # well-formed, or this raises
        assert b"\\xff" in done.stdout + done.stderr, done
    error = json.loads(tool.run(b"pool", b"info", path + b"\xfe", b"--json").stdout.decode())
    assert error["error"]["code"] == "ENOENT", error


def terminal(tool, *words):
    """Run it with a terminal as stderr; what the terminal got."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([tool.program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs) as p:
        os.close(theirs)
        got = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            got += piece
    os.close(ours)
    assert p.returncode == 0, f"{words}: {p.returncode} {got!r}"
    return got


def answered(tool, answer, *words):
    """Run it on a terminal and answer its question; (code, what the terminal showed)."""
    pid, fd = pty.fork()
    if not pid:
        os.execv(tool.program, [tool.program, *words])
    got = b""
    while b"[y/N] " not in got:
        got += os.read(fd, 4096)
    os.write(fd, answer)
    while True:
        try:
            piece = os.read(fd, 4096)
        except OSError:
            break
        if not piece:
            break
        got += piece
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), got.decode(errors="replace")


def test_question(tool, folder):
    """Harm wants a yes; anything else is a no, which changes nothing.  The question names the thing, escaped."""
    pool = os.path.join(folder, "the\x1b[1m pool")
    tool.ok("pool", "create", pool, "--size", "16M")
    tool.ok("put", pool, KEY, "--session", "s", stdin=b"x")
    for words in (("pool", "destroy", pool), ("pool", "create", pool, "--force"), ("rm", pool, "--session", "s")):
        for answer in (b"n\n", b"\n", b"x\n", b"\x04"):
            code, shown = answered(tool, answer, *words)
            assert code == 3 and "not done" in shown, f"{words}: {code} {shown!r}"
            assert "\x1b" not in shown, f"{words}: {shown!r}"
            assert tool.ok("get", pool, KEY) == "x"
    code, shown = answered(tool, b"y\n", "rm", pool, "--session", "s")
    assert code == 0 and "removed 1 block" in shown, shown
    code, shown = answered(tool, b"yes\n", "pool", "destroy", pool)
    assert code == 0 and not os.path.exists(pool), shown


def test_progress(tool, folder):
    """On a terminal long work shows how far it is, and clears the line; elsewhere there is not a byte of it."""
    pool = make(tool, folder)
    got = terminal(tool, "pool", "check", pool, "--max-rate", "20K")  # 21 KB of blocks, and headers: a second
    assert b"\r\x1b[Kchecked segment " in got and got.endswith(b"\r\x1b[K"), got
    done = tool.run("pool", "check", pool, "--max-rate", "20K")
    assert done.stderr == b"" and done.returncode == 0, done


if __name__ == "__main__":
    check_in_folders(globals())
