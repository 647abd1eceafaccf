#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A device that becomes smaller under its users: misses and refused puts, no crash, and all is back when it is.

    device_vanish.py MEMKV BLOCK_HAND
"""
import sys
import time

from loop_device import Folder, Hand, LoopDevice, opened, run

MIB = 1 << 20
BLOCKS = 60


def main():
    memkv, Hand.program = sys.argv[1:]
    with Folder() as folder, LoopDevice(folder, 128 * MIB) as device:
        run(memkv, "pool", "create", device.path, "--max-block", "1M")
        writer, reader, follower = (opened(device.path, mode) for mode in ("rw", "ro", "live"))
        for seed in range(BLOCKS):
            writer.expect(f"put {seed}", "ok")
        for hand in (writer, reader, follower):
            hand.expect("fresh 1", "ok")
        device.shrink(1 * MIB)
        time.sleep(2)  # the followers look at the size now and then
        for hand in (writer, reader, follower):
            for seed in range(BLOCKS):
                hand.expect(f"get {seed}", "MISS")
            hand.expect("fresh 1", "failed")
        refused = writer.ask("put 1000")
        assert refused not in ("ok", "EXISTS"), refused
        writer.expect("rm 2", "FAILED", "MISS", "UNKNOWN")
        for hand in (writer, reader, follower):
            hand.quit()
        cut = Hand(device.path, "ro")
        assert cut.greeting.startswith(("DAMAGED", "NOT_A_POOL")), cut.greeting
        cut.kill()


if __name__ == "__main__":
    main()
