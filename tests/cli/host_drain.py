#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host drain as an operator meets it: agents of a replay, one of them drained, shown, stopped; and all that is refused.

    host_drain.py MEMKV
"""
import contextlib
import json
import os
import signal
import subprocess
import time

from cli_tool import check_in_folders

TRACE = "sessions=4000,turns=6,prompts=4,system=8,new=5"
LIMIT_S = 60


def hosts(tool, pool):
    return [json.loads(line) for line in tool.ok("host", "ls", pool, "--json").splitlines()]


def wait_for(what, look):
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {LIMIT_S} s")


def state_of(tool, pool, who):
    return {h["id"]: h for h in hosts(tool, pool)}.get(who, {"state": "not shown", "segments": 0})


@contextlib.contextmanager
def agents(tool, folder):
    """A pool, and the ids and processes of two agents that put into it."""
    pool = os.path.join(folder, "pool")
    tool.ok("pool", "create", pool, "--size", "64M", "--max-block", "64K", "--yes")
    with subprocess.Popen([tool.program, "replay", pool, "--generate", TRACE, "--agents", "2", "--block-size", "64K"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as replay:
        try:
            writing = lambda: [h for h in hosts(tool, pool) if h["state"] == "alive" and h["segments"]]
            yield pool, wait_for("two agents that put", lambda: len(writing()) == 2 and writing()), replay
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(replay.pid, signal.SIGKILL)


def test_drained_and_back(tool, folder):
    with agents(tool, folder) as (pool, found, replay):
        who = found[0]["id"]
        assert tool.json("host", "drain", pool, who, "--dry-run") == \
            {"schema": 1, "drained": False, "undone": False, "gone": False, "dry_run": True}
        assert state_of(tool, pool, who)["state"] == "alive"
        assert tool.json("host", "drain", pool, who)["drained"]
        host = state_of(tool, pool, who)
        assert (host["state"], host["segments"]) == ("drained", 0), host
        assert "drained" in tool.ok("host", "ls", pool)
        assert "is drained" in tool.ok("host", "drain", pool, who)  # again: done already
        assert state_of(tool, pool, found[1]["id"])["state"] == "alive" and replay.poll() is None
        assert "puts again" in tool.ok("host", "drain", pool, who, "--undo")
        wait_for("it puts again", lambda: state_of(tool, pool, who)["segments"])
        assert state_of(tool, pool, who)["state"] == "alive"


def test_stopped_with_nothing_left(tool, folder):
    with agents(tool, folder) as (pool, found, _):
        who, pid = found[0]["id"], found[0]["pid"]
        tool.ok("host", "drain", pool, who)
        os.kill(pid, signal.SIGKILL)
        wait_for("its end", lambda: state_of(tool, pool, who)["state"] == "not shown")
        left = [json.loads(line) for line in tool.ok("host", "ls", pool, "--all", "--json").splitlines()]
        assert [h["segments"] for h in left if h["id"] == who] == [0], left
        assert tool.json("host", "drain", pool, who)["gone"]
        assert tool.json("pool", "check", pool)["bad"] == 0


def test_no_answer(tool, folder):
    with agents(tool, folder) as (pool, found, _):
        who, pid = found[0]["id"], found[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        tool.refused(5, [who, str(pid), "does not answer"], "host", "drain", pool, who)
        assert state_of(tool, pool, who)["state"] == "stopped"
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)
        assert state_of(tool, pool, who)["state"] == "alive"


def test_refused(tool, folder):
    pool = os.path.join(folder, "pool")
    tool.ok("pool", "create", pool, "--size", "32M", "--yes")
    tool.refused(1, ["there was no 0@9"], "host", "drain", pool, "0@9")
    tool.refused(1, ["there was no 4000@1"], "host", "drain", pool, "4000@1")
    for words in ((), ("0",), ("0@",), ("@1",), ("0@0",), ("0@1", "0@2")):
        done = tool.run("host", "drain", pool, *words)
        assert done.returncode == 2 and not done.stdout, (words, done)
    tool.refused(4, ["none"], "host", "drain", os.path.join(folder, "none"), "0@1")
    lines = os.path.join("/dev/shm", f"memkv-drain-{os.getpid()}")
    try:
        tool.ok("pool", "create", lines, "--size", "32M", "--coherent", "no", "--yes")
        tool.ok("put", lines, "--name", "x", stdin=b"x")
        who = json.loads(tool.ok("host", "ls", lines, "--all", "--json").splitlines()[0])["id"]
        tool.refused(2, ["one writing agent", "stop the process"], "host", "drain", lines, who)
    finally:
        os.unlink(lines)


if __name__ == "__main__":
    check_in_folders(globals())
