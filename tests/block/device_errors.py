#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real errors of real devices and file systems, each of which passes again.

    device_errors.py MEMKV BLOCK_HAND

full     A file pool whose segments lost their space, on an ext4 of its own that is full: puts are refused with ENOSPC or
         stored, what is stored can be got, what was there is there; with space again, puts work through the same handle.
backing  A device whose backing file system is full: its writes end with an error.  The same; a handle whose publish
         failed says FAILED, and goes on by itself when there is space again.
"""
import os
import subprocess
import sys

from loop_device import Hand, LoopDevice, opened, run, run_each, skip

MIB = 1 << 20
BLOCKS = 40

GOOD, REFUSED = ("ok", "EXISTS"), ("ENOSPC", "EIO", "UNKNOWN", "FAILED")


class Mounted:
    """An ext4 on a loop device, which goes with it."""

    def __init__(self, device, folder):
        self.path = os.path.join(folder, "mnt")
        os.mkdir(self.path)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", device.path], check=True)
        if subprocess.run(["mount", device.path, self.path], capture_output=True).returncode:
            skip("nothing can be mounted here")

    def fill(self):
        with open(os.path.join(self.path, "ballast"), "ab", buffering=0) as f:
            for piece in (MIB, 4096, 512):
                try:
                    while True:
                        f.write(b"x" * piece)
                        os.fsync(f.fileno())
                except OSError:
                    pass

    def free(self):
        os.unlink(os.path.join(self.path, "ballast"))
        os.sync()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=False)


def puts(hand, first):
    """Many puts; which were acknowledged, which refused.  What is acknowledged is there."""
    good, refused = [], []
    for seed in range(first, first + BLOCKS):
        answer = hand.ask(f"put {seed}")
        assert answer in GOOD + REFUSED, f"put: {answer}"
        (good if answer in GOOD else refused).append(seed)
        if answer in GOOD:
            hand.expect(f"get {seed}", "ok")
    return good, refused


def puts_until_refused(hand):
    """Puts from 1000 on, until some find no space; which were acknowledged, which of the last refused."""
    good, refused = [], []
    while not refused and len(good) < 20 * BLOCKS:
        more, refused = puts(hand, 1000 + len(good))
        good += more
    assert refused, "every put found space"
    return good, refused


def all_there(hand, seeds, what):
    for seed in seeds:
        answer = hand.ask(f"get {seed}")
        assert answer == "ok", f"{what}: block {seed}: {answer}"


def punch(path, offset, size):
    """Space behind @offset goes, but for the last page: where nothing was written yet."""
    subprocess.run(["fallocate", "-p", "-o", str(offset), "-l", str(size - 4096 - offset), path], check=True)


def full(memkv, folder):
    with LoopDevice(folder, 128 * MIB, "full.img") as device, Mounted(device, folder) as fs:
        pool = os.path.join(fs.path, "pool")
        run(memkv, "pool", "create", pool, "--size", "80M", "--max-block", "1M")
        # what a thin pool is like: its segments have no space of their own but where blocks lie
        hand = opened(pool, "rw")
        for seed in range(BLOCKS // 2):
            hand.expect(f"put {seed}", "ok")
        punch(pool, 40 * MIB, 80 * MIB)
        fs.fill()
        good, refused = puts_until_refused(hand)
        all_there(hand, list(range(BLOCKS // 2)) + good, "on the full file system")
        fs.free()
        hand.expect(f"put {refused[0]}", "ok")
        all_there(hand, [refused[0]], "with space again")
        hand.quit()
        fresh = opened(pool, "rw")
        all_there(fresh, list(range(BLOCKS // 2)) + good + refused[:1], "afterwards")
        fresh.quit()
        run(memkv, "pool", "check", pool)
        print(f"full: {len(good)} puts stored, {len(refused)} refused")


def backing(memkv, folder):
    with LoopDevice(folder, 128 * MIB, "outer.img") as outer, Mounted(outer, folder) as fs:
        with LoopDevice(fs.path, 96 * MIB, "inner.img") as inner:
            run(memkv, "pool", "create", inner.path, "--max-block", "1M")
            hand = opened(inner.path, "rw")
            for seed in range(BLOCKS // 2):
                hand.expect(f"put {seed}", "ok")
            # the segments behind those have no space in the backing file any more
            punch(inner.image, 40 * MIB, 96 * MIB)
            fs.fill()
            good, refused = puts_until_refused(hand)
            all_there(hand, list(range(BLOCKS // 2)) + good, "while writes fail")
            fs.free()
            hand.until("put 5000", "ok")
            all_there(hand, list(range(BLOCKS // 2)) + good, "through the same handle")
            hand.quit()
            fresh = opened(inner.path, "rw")
            all_there(fresh, list(range(BLOCKS // 2)) + good, "afterwards")
            fresh.expect("put 5001", "ok")
            fresh.quit()
            run(memkv, "pool", "check", inner.path)
            print(f"backing: {len(good)} puts stored, {len(refused)} refused; the same handle goes on")


def main():
    memkv, Hand.program = sys.argv[1:]
    run_each(memkv, (full, backing))

if __name__ == "__main__":
    main()
