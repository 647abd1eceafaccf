#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same bytes on every medium: a pool made on a file, copied to /dev/shm and to a device, and back.

    device_image.py MEMKV BLOCK_HAND
"""
import os
import shutil
import sys
import tempfile

from loop_device import Folder, Hand, LoopDevice, copy, opened, run

MIB = 1 << 20
BLOCKS = 80


def all_there(pool, removed, end):
    hand = opened(pool, "ro")
    for seed in range(end):
        hand.expect(f"get {seed}", "MISS" if seed in removed else "ok")
    hand.quit()


def puts(pool, first, end):
    hand = opened(pool, "rw")
    for seed in range(first, end):
        hand.expect(f"put {seed}", "ok")
    return hand


def same(a, b):
    run("cmp", a, b)


def walk(memkv, folder, shm):
    made, back = os.path.join(folder, "made"), os.path.join(folder, "back")
    removed = {5, 17}
    run(memkv, "pool", "create", made, "--size", "128M", "--max-block", "1M")
    hand = puts(made, 0, BLOCKS)
    for seed in removed:
        hand.expect(f"rm {seed}", "ok")
    hand.quit()
    with LoopDevice(folder, 128 * MIB, content=made) as device:
        copy(made, shm)
        for pool in (made, shm, device.path):
            all_there(pool, removed, BLOCKS)
            run(memkv, "pool", "check", pool)
        same(made, device.path)  # readers changed nothing
        puts(device.path, BLOCKS, 2 * BLOCKS).quit()
        copy(device.path, back)
        copy(device.path, shm)
        for pool in (back, shm):
            all_there(pool, removed, 2 * BLOCKS)
            run(memkv, "pool", "check", pool)
        # and on: the file's agent continues the device's segment, the device's agent the memory's
        puts(shm, 2 * BLOCKS, 3 * BLOCKS).quit()
        copy(shm, device.path)
        puts(device.path, 3 * BLOCKS, 3 * BLOCKS + 5).kill()  # no clean leave
        all_there(device.path, removed, 3 * BLOCKS + 5)
        copy(device.path, back)
        puts(back, 3 * BLOCKS + 5, 3 * BLOCKS + 10).quit()
        all_there(back, removed, 3 * BLOCKS + 10)
        run(memkv, "pool", "check", back)


def main():
    memkv, Hand.program = sys.argv[1:]
    with Folder() as folder:
        shm = tempfile.mkdtemp(prefix="memkv-block-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else folder)
        try:
            walk(memkv, folder, os.path.join(shm, "pool"))
        finally:
            shutil.rmtree(shm, ignore_errors=True)


if __name__ == "__main__":
    main()
