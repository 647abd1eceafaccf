#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A device that is gone under its users: misses and refused puts, no crash; when it is back the same handles go on.

    device_vanish.py MEMKV BLOCK_HAND

returns  Its end comes before almost all of the pool, and goes away again, twice; a writer, a reader with a follower and one without.
cut      It becomes smaller for good: who opens it then is told.
lazy     Opened before there is a pool on it.
"""
import sys
import time

from loop_device import Hand, LoopDevice, opened, run, run_each

MIB = 1 << 20
BLOCKS = 60
REFUSED = ("ENOSPC", "EIO", "UNKNOWN", "FAILED")


def filled(memkv, device):
    run(memkv, "pool", "create", device.path, "--max-block", "1M")
    hands = [opened(device.path, mode) for mode in ("rw", "ro", "live")]
    for seed in range(BLOCKS):
        hands[0].expect(f"put {seed}", "ok")
    for hand in hands:
        hand.expect("fresh 1", "ok")
    return hands


def expect_gone(hands):
    for hand in hands:
        for seed in range(BLOCKS):
            hand.expect(f"get {seed}", "MISS")
    refused = hands[0].ask("put 1000")
    assert refused in REFUSED, refused
    hands[0].expect("rm 2", "FAILED", "MISS", "UNKNOWN")


def returns(memkv, folder):
    with LoopDevice(folder, 128 * MIB) as device:
        hands = filled(memkv, device)
        for turn in (1, 2):
            device.limit(MIB)
            expect_gone(hands)
            time.sleep(1.5)  # the followers look at the size now and then
            for hand in hands:
                hand.expect("fresh 1", "failed")
            expect_gone(hands)
            device.limit(0)
            hands[0].until(f"put {2000 + turn}", "ok")
            for hand in hands:
                hand.until("fresh 1", "ok")
                for seed in list(range(BLOCKS)) + [2000 + turn]:
                    if seed != 2:
                        hand.expect(f"get {seed}", "ok")
        for hand in hands:
            hand.quit()
        run(memkv, "pool", "check", device.path)
        print("returns: gone and back, the same handles")


def cut(memkv, folder):
    with LoopDevice(folder, 128 * MIB) as device:
        hands = filled(memkv, device)
        device.shrink(MIB)
        time.sleep(1.5)
        expect_gone(hands)
        for hand in hands:
            hand.expect("fresh 1", "failed")
            hand.quit()
        late = Hand(device.path, "ro")
        assert late.greeting.startswith(("DAMAGED", "NOT_A_POOL")), late.greeting
        late.kill()
        print("cut: misses, and a sentence for who comes then")


def lazy(memkv, folder):
    with LoopDevice(folder, 128 * MIB) as device:
        hand = opened(device.path, "lazy")
        hand.expect("get 1", "MISS")
        hand.expect("put 1", "FAILED")
        run(memkv, "pool", "create", device.path, "--max-block", "1M")
        hand.until("put 1", "ok")
        hand.expect("get 1", "ok")
        hand.quit()
        print("lazy: there before its pool")


def main():
    memkv, Hand.program = sys.argv[1:]
    run_each(memkv, (returns, cut, lazy))


if __name__ == "__main__":
    main()
