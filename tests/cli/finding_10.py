#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A block as large as the pool says it may be fits, whatever the pool's size, with all the metadata there can be, and in as
many copies as the pool says there is room for; one byte more is refused with a sentence that names the limit.

    finding_10.py MEMKV
"""
import os
import sys

from cli_tool import MIB, Scratch, Tool

META = 1024
FORMS = [  # size, further options; what is filled to the last block is small
    (32 * MIB, []),
    (64 * MIB, []),
    (64 * MIB, ["--max-block", "1K"]),
    (256 * MIB, ["--max-block", "1M", "--segment", "1M"]),
    (1024 * MIB, []),
    (1024 * MIB, ["--max-block", "8M"]),
]


def largest(tool, folder, size, options):
    pool, block, meta, got = (os.path.join(folder, n) for n in ("pool", "block", "meta", "got"))
    made = tool.json("pool", "create", pool, "--size", str(size), *options)
    most = made["max_block"]
    with open(meta, "wb") as f:
        f.write(os.urandom(META))
    with open(block, "wb") as f:
        f.write(os.urandom(most))
    tool.ok("put", pool, "--name", "largest", block, "--meta", meta)
    tool.ok("get", pool, "--name", "largest", "-o", got)
    with open(block, "rb") as a, open(got, "rb") as b:
        assert a.read() == b.read(), "other bytes came back"
    assert tool.json("stat", pool, "--name", "largest")["meta_length"] == META
    with open(block, "ab") as f:
        f.write(b"x")
    tool.refused(3, [str(most), "--max-block"], "put", pool, "--name", "one more", block)
    assert tool.json("pool", "info", pool)["used_blocks"] == 1
    os.remove(pool)
    return made


def fill(tool, folder, options):
    """As many blocks as it says: each is there when the last one is."""
    pool = os.path.join(folder, "pool")
    made = tool.json("pool", "create", pool, *options)
    room, most = made["room_blocks"], made["block_size"]
    blocks = [(os.urandom(16) * (most // 16 + 1))[:most] for _ in range(room)]
    for n, block in enumerate(blocks):
        tool.ok("put", pool, "--name", f"block {n}", stdin=block)
    for n, block in enumerate(blocks):
        done = tool.run("get", pool, "--name", f"block {n}")
        assert done.returncode == 0 and done.stdout == block, f"block {n} of {room}: {done.stderr.decode()}"
    os.remove(pool)
    return room


def main():
    tool = Tool(sys.argv[1])
    with Scratch() as folder:
        for size, options in FORMS:
            made = largest(tool, folder, size, options)
            print(f"{size // MIB:5} MiB {' '.join(options):32} largest block {made['max_block']:9}, "
                  f"room of a segment {made['segment_room']:9}")
            assert made["segment_room"] >= made["max_block"]
        for options in (["--size", "32M"], ["--blocks", "100", "--block-size", "64K"], ["--blocks", "70", "--block-size", "20000"]):
            room = fill(tool, folder, options)
            assert room > 10
            print(f"{room} blocks fill a pool of {' '.join(options)}, as it says")


if __name__ == "__main__":
    main()
