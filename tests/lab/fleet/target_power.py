#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The target loses power in the middle of writes, and what its volatile cache held: every durable put is there.

The namespace is a loop device of the target guest on a file there, written through that guest's page cache, on a disk of
the guest.  Killing the guest loses the page cache; what was flushed is on the disk, which is a file of this machine.
(nvmet's own buffered_io fails reads that find only a part in the page cache.)
"""
import json
import os
import time

from fleet import SAFE, Fleet, acknowledged, expect, main, note, passed, tally

MIB = 1 << 20
POOL_MIB, DEVICE_MIB = 128, 144
DURABLE, PLAIN, LATER, UNNOTICED = 0, 10000, 20000, 30000
UNFLUSHED = 700
OPTIONS = SAFE.replace("ctrl_loss_tmo=60", "ctrl_loss_tmo=600")  # on a busy machine the target takes minutes to boot


def serve_file(target, make):
    target.run("load virtio_blk crc32c_generic ext4 loop; mdev -s")
    if make:
        target.run("run mkfs.ext4 -q /dev/vda && run mount -t ext4 /dev/vda /mnt")
        target.run(f"run dd if=/dev/zero of=/mnt/namespace bs=1M count={DEVICE_MIB} && sync")
    else:
        target.run("run mount -t ext4 /dev/vda /mnt")
    target.run("run losetup /dev/loop0 /mnt/namespace")
    target.serve("/dev/loop0")


def control(raw):
    """Two raw writes, one of them flushed: the cache is real when the other is lost."""
    expect(raw.ask(f"write {POOL_MIB * MIB} {MIB} 1").startswith("ok "), "the raw write before")
    expect(raw.ask("flush") == "ok", "the flush")
    expect(raw.ask(f"write {(POOL_MIB + 8) * MIB} {MIB} 2").startswith("ok "), "the raw write that is not flushed")


def controlled(raw):
    flushed = raw.numbers(f"read {POOL_MIB * MIB} {MIB}")[:2]
    other = raw.numbers(f"read {(POOL_MIB + 8) * MIB} {MIB}")[:2]
    expect(flushed == [1, 1], f"what was flushed has stamps {flushed}")
    expect(other != [2, 2], "what was not flushed is there: no cache was lost, so this scenario shows nothing")
    note("a raw write that was acknowledged and not flushed is lost; one that was flushed is there")


def all_there(hand, seeds, what):
    lost = [seed for seed in seeds if hand.ask(f"get {seed}").split()[0] != "1"]
    expect(not lost, f"{what}: {len(lost)} of {len(seeds)} durable blocks are not there: {lost[:5]}, {hand.ask('causes')}")


def power_cut(target, writer, others, burst, wait_for=20):
    """Off in the middle of a burst, and on again; the seeds of the burst's blocks that were acknowledged, and all answers."""
    writer.tell(burst)
    lines = [writer.answer() for _ in range(wait_for)]
    target.power_off()
    off = time.monotonic()
    target.boot()
    serve_file(target, False)
    note(f"the target was away for {time.monotonic() - off:.0f} s")
    for host in others:
        host.run("wait_state live")
    while lines[-1] != "done":
        lines.append(writer.answer())
    return acknowledged(lines), lines[:-1]


def writes_on(writer, lines):
    """The writer's handle, or a new one in the same process when a write of it was refused."""
    refused = [line for line in lines if not line.endswith(" ok")]
    note(f"{len(lines) - len(refused)} puts of the burst were stored, the others refused: {sorted({r.split()[1] for r in refused})}")
    if refused:
        expect(writer.ask("reopen") == "open", "the writer cannot open the pool anew")


def volatile(target, a, b, writer, device_b):
    """Blocks put durably and not, then a burst of the latter cut off."""
    raw, seeds = b.raw(1, device_b), list(range(DURABLE, DURABLE + 30))
    for seed in seeds:
        expect(writer.ask(f"put {seed} 1 d").startswith("ok "), f"put {seed}")
    control(raw)
    plain, lines = power_cut(target, writer, (a, b), f"burst {PLAIN} 400")
    controlled(raw)
    raw.quit()
    reader = b.pool(2, device_b, "ro")
    all_there(reader, seeds, "a fresh reader")
    hits, _, wrong, _ = tally(reader.ask(f"check {PLAIN} 400"))
    expect(wrong == 0, f"{wrong} wrong blocks")
    note(f"of {len(plain)} blocks that were acknowledged in the burst, not durable, {hits} are there")
    reader.quit()
    writes_on(writer, lines)
    all_there(writer, seeds, "the writer")
    passed(f"the target lost power and its cache: all {len(seeds)} durable puts are there, no wrong byte")
    return seeds


def durable(target, a, b, writer, device_b, seeds):
    """A burst of durable puts cut off; then more of them."""
    more, lines = power_cut(target, writer, (a, b), f"burst {LATER} 200 d")
    reader = b.pool(2, device_b, "ro")
    all_there(reader, seeds + more, "a fresh reader")
    writes_on(writer, lines)
    for seed in range(LATER + 500, LATER + 530):
        expect(writer.ask(f"put {seed} 1 d").startswith("ok "), f"put {seed} afterwards")
    all_there(writer, seeds + more, "the writer")
    expect(tally(reader.ask(f"check {LATER + 500} 30"))[:3] == (30, 0, 0), "the new blocks, on B")
    reader.quit()
    passed(f"again, amid durable puts: all {len(more)} that were acknowledged are there, puts go on")


def unnoticed(target, a, b, device_b):
    """Power is lost while nobody writes, after segments were opened that no flush has reached; then durable puts.

    On default settings, and by block I/O, the writer's process only sees that its I/O takes longer; by passthrough a put
    would be refused.  Small blocks, and few of them afterwards:
    their entries lie in other blocks of the table than its header, which is written again now and then.
    """
    a.run("run nvme disconnect-all")
    writer = a.hand(1, f"env MEMKV_PASSTHROUGH=off lab_hand pool {a.connect(target)} rw 8192")
    expect(writer.ask(f"put {UNNOTICED} 1 d").startswith("ok "), "a durable put")
    power_cut(target, writer, (a, b), f"burst {UNNOTICED + 1000} {UNFLUSHED}", UNFLUSHED + 1)
    for seed in range(UNNOTICED + 1, UNNOTICED + 4):
        expect(writer.ask(f"put {seed} 1 d").startswith("ok "), f"put {seed} afterwards")
        reader = b.pool(2, device_b, "ro", 8192)
        all_there(reader, range(UNNOTICED, seed + 1), "a fresh reader")
        reader.quit()
    all_there(writer, range(UNNOTICED, UNNOTICED + 4), "the writer")
    writer.quit()
    passed("power lost unnoticed while nobody writes: durable puts afterwards are there for others as well")


def checked(b, device_b, lost_at_most):
    status, output = b.status(f"memkv pool check {device_b} --json")
    report = json.loads(output.splitlines()[-1])
    note(f"pool check ends with {status}: {report['bad']} blocks bad of {report['blocks']}")
    expect(report["bad"] <= lost_at_most, f"more are bad than were put without durable: {report}")


def scenario():
    with Fleet("target", "hosta", "hostb") as fleet:
        disk = os.path.join(fleet.folder, "disk")
        with open(disk, "wb") as f:
            f.truncate(192 * MIB)
        fleet.guests["target"].devices = ["-drive", f"file={disk},format=raw,if=virtio,cache=writeback"]
        target, a, b = fleet.boot()
        serve_file(target, True)
        device_a, device_b = a.connect(target, OPTIONS), b.connect(target, OPTIONS)
        a.run(f"run memkv pool create {device_a} --size {POOL_MIB}M --max-block 512K")
        writer = a.pool(1, device_a, "rw")
        seeds = volatile(target, a, b, writer, device_b)
        durable(target, a, b, writer, device_b, seeds)
        writer.quit()
        unnoticed(target, a, b, device_b)
        checked(b, device_b, 400 + UNFLUSHED)


if __name__ == "__main__":
    main(scenario)
