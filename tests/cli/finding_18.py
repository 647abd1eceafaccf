#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pool that is copied, while an agent writes to it or not: original and copy go their own ways.  What was there before the
copy is in both, byte for byte; what is put or removed afterwards, also under the same key with other bytes, is in one; no
birth is given twice, though slots and epochs repeat; and neither has damage.

    finding_18.py MEMKV
"""
import os
import shutil
import subprocess
import sys

from cli_tool import Scratch, Tool

BLOCKS = 40


def put(tool, pool, name, data, *options):
    tool.ok("put", pool, "--name", name, *options, stdin=data)


def get(tool, pool, name):
    done = tool.run("get", pool, "--name", name)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout if done.returncode == 0 else None


def birth(tool, pool, name):
    return tool.json("stat", pool, "--name", name)["birth"]


def part_ways(tool, original, copy, before):
    """@before: what both must have"""
    mine, theirs = {}, {}
    for n in range(BLOCKS):
        for pool, kept, byte in ((original, mine, b"o"), (copy, theirs, b"c")):
            kept[f"later {n}"] = byte * (1000 + 100 * n) + os.urandom(8)
            put(tool, pool, f"later {n}", kept[f"later {n}"])
    births = [birth(tool, pool, f"later {n}") for pool in (original, copy) for n in range(BLOCKS)]
    assert len(set(births)) == 2 * BLOCKS, "a birth was given twice"
    tool.ok("rm", copy, *sorted(before)[0:1])
    for pool, kept in ((original, mine), (copy, theirs)):
        for name, data in kept.items():
            assert get(tool, pool, name) == data, f"{pool}: {name}"
        for key, data in sorted(before.items())[1:]:
            done = tool.run("get", pool, key)
            assert done.returncode == 0 and done.stdout == data, f"{pool}: {key} {done.stderr.decode()}"
        tool.ok("pool", "check", pool)
    first, data = sorted(before.items())[0]
    assert tool.run("get", original, first).stdout == data
    assert tool.run("get", copy, first).returncode == 1, "removed in the copy, and there"


def at_rest(tool, folder):
    original, copy = os.path.join(folder, "original"), os.path.join(folder, "copy")
    tool.ok("pool", "create", original, "--size", "32M")
    before = {}
    for n in range(BLOCKS):
        data = os.urandom(5000)
        key = tool.json("put", original, "--name", f"before {n}", stdin=data)["key"]
        before[key] = data
    shutil.copyfile(original, copy)
    part_ways(tool, original, copy, before)


def while_written_to(tool, folder):
    original, copy = os.path.join(folder, "live"), os.path.join(folder, "copied live")
    tool.ok("pool", "create", original, "--size", "32M")
    before = {}
    for n in range(BLOCKS):
        data = os.urandom(5000)
        key = tool.json("put", original, "--name", f"before {n}", "--durable", stdin=data)["key"]
        before[key] = data
    with subprocess.Popen([tool.program, "replay", original, "--generate", "--agents", "2"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as writers:
        while writers.poll() is None and tool.json("pool", "info", original)["used_blocks"] <= BLOCKS:
            pass
        shutil.copyfile(original, copy)
        writers.kill()
    # copied while it was written to: blocks may be cut off, and are misses then, but none is wrong
    for key, data in before.items():
        done = tool.run("get", copy, key)
        assert done.returncode in (0, 1) and (done.returncode or done.stdout == data), done.stderr.decode()
    put(tool, copy, "after", b"copy")
    put(tool, original, "after", b"original")
    assert get(tool, copy, "after") == b"copy" and get(tool, original, "after") == b"original"
    assert birth(tool, copy, "after") != birth(tool, original, "after")


def main():
    tool = Tool(sys.argv[1])
    with Scratch() as folder:
        at_rest(tool, folder)
        while_written_to(tool, folder)
    print("each went its own way")


if __name__ == "__main__":
    main()
