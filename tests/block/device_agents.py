#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One writing agent and its readers on a loop device, in processes of their own.

    device_agents.py MEMKV BLOCK_HAND
"""
import random
import sys
import time

from loop_device import Folder, Hand, LoopDevice, opened, run

MIB = 1 << 20
KILLS = 8


def sharing(device, by_io=True):
    writer = opened(device, "rw")
    reader, follower = opened(device, "ro"), opened(device, "live")
    waits = []
    for seed in range(60):
        writer.expect(f"put {seed}", "ok")
        reader.expect(f"fresh {seed}", "ok")  # a fresh look finds what was acknowledged before
        got, waited = follower.ask(f"wait {seed} 5000").split()
        assert got == "ok", f"the follower did not bring block {seed}: {got}"
        waits.append(float(waited))
    print(f"a follower sees a put after {sorted(waits)[30]:.1f} ms (median), {max(waits):.1f} ms at most")
    for seed in range(0, 60, 3):
        writer.expect(f"rm {seed}", "ok")
        follower.expect(f"get {seed}", "MISS")  # without a look at anything but the get itself
        reader.expect(f"get {seed}", "MISS")
        writer.expect(f"get {seed}", "MISS")
    for seed in range(60):
        for hand in (writer, reader, follower):
            hand.expect(f"get {seed}", "MISS" if seed % 3 == 0 else "ok")
    for hand in (writer, reader, follower) if by_io else ():
        direct, buffered = hand.ask("flags").split()[1::2]
        assert int(direct) > 0 and int(buffered) == 0, f"descriptors: {direct} direct, {buffered} buffered"
    second = Hand(device, "rw")
    assert second.greeting.startswith("NO_SLOT") and "another agent writes" in second.greeting, second.greeting
    second.kill()
    for hand in (writer, reader, follower):
        hand.quit()


def reclaim(device):
    """More than fits: segments are opened anew under readers, who see exact bytes or a miss."""
    writer, follower = opened(device, "rw"), opened(device, "live")
    writer.tell("fill 100000 4000")
    rng, seen = random.Random(7), 0
    begin = time.monotonic()
    while time.monotonic() - begin < 4:
        seen += follower.expect(f"get {rng.randrange(100000, 104000)}", "ok", "MISS") == "ok"
    assert writer.answer() == "ok"
    late = [s for s in range(103900, 104000) if follower.ask(f"fresh {s}") != "ok"]
    assert not late, f"the youngest blocks are not there: {late}"
    print(f"{seen} gets hit while segments were opened anew")
    writer.quit()
    follower.quit()


def killed(memkv, device):
    rng = random.Random(11)
    reader = opened(device, "live")
    acknowledged, first = [], 200000
    for kill in range(KILLS):
        writer = opened(device, "rw")
        writer.tell(f"burst {first} 100000")
        time.sleep(0.05 + rng.random() * 0.25)
        for line in writer.kill().splitlines():
            words = line.split()
            if len(words) == 2 and words[1] == "ok" and words[0].isdigit():
                acknowledged.append(int(words[0]))
        first += 100000
        new = acknowledged[-40:]
        after = opened(device, "rw")  # it continues where the dead one stopped
        for seed in new:
            after.expect(f"get {seed}", "ok")
            reader.expect(f"fresh {seed}", "ok")
        after.expect(f"put {first - 1}", "ok")
        reader.expect(f"fresh {first - 1}", "ok")
        after.quit()
    print(f"{KILLS} writers killed, {len(acknowledged)} blocks acknowledged")
    assert len(acknowledged) > KILLS
    reader.quit()
    report = run(memkv, "pool", "check", device)
    assert "bad             0" in report and "records bad     0" in report, report


def main():
    memkv, Hand.program = sys.argv[1:]
    with Folder() as folder:
        with LoopDevice(folder, 512 * MIB) as device:
            run(memkv, "pool", "create", device.path, "--max-block", "1M")
            sharing(device.path)
            killed(memkv, device.path)
        with LoopDevice(folder, 96 * MIB, "small.img") as device:
            run(memkv, "pool", "create", device.path)
            reclaim(device.path)
            report = run(memkv, "pool", "check", device.path)
            assert "bad             0" in report and "records bad     0" in report, report


if __name__ == "__main__":
    main()
