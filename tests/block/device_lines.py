#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory that hosts share whose caches are not coherent: one writing agent and its readers, in processes of their own.

    device_lines.py MEMKV BLOCK_HAND

A file in memory stands for it, so that the cache instructions are executed, and whatever they forget does not show:
tests/sim --kind lines is for that.  What is shown here is the rest: the protocol of block devices on such a medium, between
real processes, kills included; and that nobody uses such a pool in any other way.
"""
import json
import os
import shutil
import sys
import tempfile

from device_agents import killed, reclaim, sharing
from device_index import by_index
from loop_device import Folder, Hand, opened, run, skip

SHM = "/dev/shm"


def refusals(memkv, pool, folder):
    """Nobody maps it, holds blocks of it, or takes it for what it is not."""
    info = json.loads(run(memkv, "pool", "info", pool, "--json"))
    assert info["coherent"] is False and info["medium"] == "incoherent memory", info
    elsewhere = os.path.join(folder, "copy.pool")
    shutil.copy(pool, elsewhere)
    said = run(memkv, "pool", "info", elsewhere, code=2)
    assert "--coherent no" in said and "DAX device" in said, said
    os.unlink(elsewhere)
    for words, part in (
        ((elsewhere, "--coherent", "no", "--size", "64M"), "is not memory"),
        ((pool + "2", "--coherent", "perhaps"), "neither yes nor no"),
    ):
        said = run(memkv, "pool", "create", *words, code=2)
        assert part in said, said
        assert not os.path.exists(words[0]), f"{words[0]} was made all the same"
    coherent = pool + "3"
    run(memkv, "pool", "create", coherent, "--size", "16M", "--coherent", "yes")
    info = json.loads(run(memkv, "pool", "info", coherent, "--json"))
    assert info["coherent"] is True and info["medium"] == "memory", info
    os.unlink(coherent)


def travels(memkv, pool, folder):
    """Pins, and the same pool after it was copied from memory to memory."""
    writer = opened(pool, "rw")
    writer.expect("put 9900001", "ok")
    writer.quit()
    copy = pool + "-copy"
    shutil.copy(pool, copy)
    reader = opened(copy, "ro")
    reader.expect("fresh 9900001", "ok")
    reader.quit()
    run(memkv, "pool", "destroy", copy, "--yes")
    assert not os.path.exists(copy)


def main():
    memkv, Hand.program = sys.argv[1:]
    if not os.access(SHM, os.W_OK):
        skip(f"no {SHM} to write to")
    room = os.statvfs(SHM)
    if room.f_bavail * room.f_frsize < 700 << 20:
        skip(f"less than 700 MiB free in {SHM}")
    memory = tempfile.mkdtemp(prefix="memkv-lines-", dir=SHM)
    try:
        with Folder() as folder:
            pool = os.path.join(memory, "a.pool")
            run(memkv, "pool", "create", pool, "--size", "256M", "--max-block", "1M", "--coherent", "no")
            sharing(pool, by_io=False)
            by_index(pool)
            killed(memkv, pool)
            refusals(memkv, pool, folder)
            travels(memkv, pool, folder)
            os.unlink(pool)
            small = os.path.join(memory, "small.pool")
            run(memkv, "pool", "create", small, "--size", "96M", "--coherent", "no")
            reclaim(small)
            report = run(memkv, "pool", "check", small)
            assert "bad             0" in report and "records bad     0" in report, report
    finally:
        shutil.rmtree(memory, ignore_errors=True)


if __name__ == "__main__":
    main()
