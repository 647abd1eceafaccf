#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Why nothing goes through the page cache: host A keeps reading old bytes after host B wrote, the pool does not."""
from fleet import Fleet, expect, main, note, passed

MIB = 1 << 20
BLOCKS = 8


def raw_device(a, b, device_a, device_b):
    reader, writer = a.raw(1, device_a), b.raw(1, device_b)
    at = f"{MIB} {MIB}"  # not the first pages: the kernel looks for partitions there
    expect(writer.ask(f"write {at} 1").startswith("ok "), "the first write")
    got = reader.numbers(f"cached {at}")[:2]
    expect(got == [1, 1], f"the first read gave {got}")
    expect(writer.ask(f"write {at} 2").startswith("ok "), "the second write")
    expect(writer.numbers(f"read {at}")[:2] == [2, 2], "what was written is not there")
    stale = reader.numbers(f"cached {at}")[:2]
    direct = reader.numbers(f"read {at}")[:2]
    expect(stale == [1, 1], f"a buffered read gave {stale}: this scenario shows nothing any more")
    expect(direct == [2, 2], f"a direct read gave {direct}")
    reader.quit()
    writer.quit()
    passed("the raw device: after host B wrote, host A's buffered read is still the old bytes, its direct read the new")


def pool(a, b, device_a, device_b):
    b.run(f"run memkv pool create {device_b} --max-block 1M --force --yes")
    writer, reader, follower = b.pool(1, device_b, "rw"), a.pool(1, device_a, "ro"), a.pool(2, device_a, "live")
    for version in range(1, 6):
        for seed in range(BLOCKS):
            expect(writer.ask(f"put {seed} {version} r").startswith("ok "), f"put {seed} {version}")
            got = reader.ask(f"fresh {seed}").split()[0]
            expect(got == str(version), f"block {seed}: acknowledged version {version} on B, a fresh get on A gave {got}")
            got = follower.ask(f"fresh {seed}").split()[0]
            expect(got == str(version), f"block {seed}: version {version}, the follower gave {got}")
    passed(f"the pool: {5 * BLOCKS} replacing puts on B, each there on A, exact, as soon as it was acknowledged")
    for hand in (writer, reader, follower):
        hand.quit()


def scenario():
    with Fleet("target", "hosta", "hostb") as fleet:
        target, a, b = fleet.boot()
        target.run("ram_disk 96")
        target.serve("/dev/ram0")
        device_a, device_b = a.connect(target), b.connect(target)
        note(f"{device_a} on A, {device_b} on B")
        raw_device(a, b, device_a, device_b)
        pool(a, b, device_a, device_b)


if __name__ == "__main__":
    main(scenario)
