#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gets by the index (MEMKV_GET_BY_INDEX): what they return, what they learn of removals and when, and what they read.

    device_index.py MEMKV BLOCK_HAND

The reader has no follower, so it knows what it knew when it looked last, and reads nothing but what its calls read.
"""
import sys

from loop_device import Folder, Hand, LoopDevice, opened, run, skip

MIB = 1 << 20
PAGE = 4096
FIRST, BLOCKS = 700000, 24


def by_index(pool):
    writer, reader = opened(pool, "rw"), opened(pool, "ro")
    seeds = range(FIRST, FIRST + BLOCKS)
    for seed in seeds:
        writer.expect(f"put {seed}", "ok")
    reader.expect(f"index {FIRST}", "MISS")  # it has not looked since
    reader.expect("refresh", "ok")
    for seed in seeds:
        for hand in (reader, writer):
            hand.expect(f"index {seed}", "ok")
    for n, seed in enumerate(seeds):
        if n % 4 == 0:
            writer.expect(f"rm {seed}", "ok")
            writer.expect(f"index {seed}", "MISS")
        elif n % 4 == 1:
            writer.expect(f"other {seed}", "ok")
            writer.expect(f"index {seed}", "other")
    for seed in seeds:  # nothing has told the reader: all is where its index says, byte for byte
        reader.expect(f"index {seed}", "ok")
    reader.expect(f"get {FIRST}", "MISS")  # without the flag it asks, and what it has learnt counts for both
    reader.expect(f"index {FIRST}", "MISS")
    reader.expect("refresh", "ok")
    for n, seed in enumerate(seeds):
        wanted = {0: "MISS", 1: "other"}.get(n % 4, "ok")
        reader.expect(f"index {seed}", wanted)
        writer.expect(f"index {seed}", wanted)
    for hand in (writer, reader):
        hand.quit()


def fetched(hand, line):
    """What a get reads, in bytes."""
    before = int(hand.ask("fetched"))
    hand.expect(line, "ok")
    return int(hand.ask("fetched")) - before


def reads(device):
    """Header and payload, and nothing else."""
    writer = opened(device, "rw")
    seeds = range(FIRST + 1000, FIRST + 1000 + BLOCKS)
    for seed in seeds:
        writer.expect(f"put {seed}", "ok")
    writer.quit()
    reader = opened(device, "ro")
    if not fetched(reader, f"get {seeds[0]}"):
        skip("this kernel does not count what a process reads from storage")
    more = 0
    for seed in seeds:
        length = int(reader.ask(f"length {seed}"))
        block = PAGE + -(-length // PAGE) * PAGE
        got = fetched(reader, f"index {seed}")
        assert got == block, f"block {seed}: a get by the index reads {got} bytes, not {block}"
        more += fetched(reader, f"get {seed}") - block
    assert more >= 2 * PAGE * BLOCKS, f"{BLOCKS} gets without the flag read {more} bytes more, not two pages each"
    print(f"{BLOCKS} gets by the index read header and payload alone; without the flag {more // BLOCKS} bytes more each")
    reader.quit()


def main():
    memkv, Hand.program = sys.argv[1:]
    with Folder() as folder, LoopDevice(folder, 256 * MIB) as device:
        run(memkv, "pool", "create", device.path, "--max-block", "1M")
        by_index(device.path)
        reads(device.path)
        report = run(memkv, "pool", "check", device.path)
        assert "bad             0" in report and "records bad     0" in report, report


if __name__ == "__main__":
    main()
