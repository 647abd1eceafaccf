#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a get is on the fabric: commands and bytes, counted on the path's disk; and how fast, beside fio."""
import json
import os

from fleet import Fleet, expect, main, note, passed, tally

KIB, MIB = 1 << 10, 1 << 20
SIZES = (64 * KIB, 1 * MIB, 2 * MIB, 4 * MIB)
COUNT = 8
SPEED_MS = 6000


def served(host):
    """(reads completed, of them merged before, bytes) of the one path's hidden disk: each is a command on the fabric"""
    words = [int(word) for word in host.run("cat /sys/block/nvme0c0n1/stat").split()]
    return words[0], words[1], words[2] * 512


def count(host, device, size):
    """The same blocks in a handle without a follower, so that nothing else reads."""
    writer = host.pool(1, device, "rw", size)
    for seed in range(COUNT):
        expect(writer.ask(f"put {size + seed} 1").startswith("ok "), f"put of {size}")
    writer.quit()
    reader = host.pool(2, device, "ro", size)
    before = served(host)
    for seed in range(COUNT):
        expect(reader.ask(f"get {size + seed}").startswith("1 "), f"get of {size}")
    after = served(host)
    reader.quit()
    commands, merged, moved = (after[i] - before[i] for i in range(3))
    least = -(-size // MIB)
    note(f"get of {size // KIB} KiB: {commands / COUNT:.2f} commands ({merged / COUNT:.2f} merged), {moved / COUNT / KIB:.2f} KiB; "
         f"payload and header are {(size + 4096) // KIB} KiB, at least {least} commands of 1 MiB")
    return commands / COUNT, moved / COUNT


def beside_fio(host, device):
    """One get of 4 MiB after the other beside fio, whose reads are as large, as many, and on the same device."""
    size = 4 * MIB
    reader = host.pool(2, device, "ro", size)
    hits, misses, wrong, _ = tally(reader.ask(f"watch {size} {COUNT} {SPEED_MS}"))
    reader.quit()
    expect(misses == 0 and wrong == 0, f"{misses} misses, {wrong} wrong")
    ours = hits * size / (SPEED_MS / 1000)
    status, output = host.status("command -v fio")
    if status:
        note(f"gets of 4 MiB, one at a time: {ours / 1e9:.3f} GB/s; there is no fio on this machine to compare with")
        return
    job = (f"fio --name=raw --filename={device} --readonly --rw=randread --bs=4M --iodepth=1 --direct=1 --ioengine=io_uring "
           f"--runtime={SPEED_MS // 1000} --time_based --output-format=json --thread")
    output = host.run(job + " 2>/tmp/fio.err", 120)
    raw = json.loads(output[output.index("{"):])["jobs"][0]["read"]["bw_bytes"]
    note(f"gets of 4 MiB, one at a time, bytes compared word by word: {ours / 1e9:.3f} GB/s; fio: {raw / 1e9:.3f} GB/s; emulated processors")


def scenario():
    with Fleet("target", "hosta") as fleet:
        fleet.guests["target"].memory = "768M"
        if os.path.exists(os.environ["LAB_INITRAMFS"] + ".fio"):
            fleet.guests["hosta"].initramfs += ".fio"
            fleet.guests["hosta"].memory = "1G"
        target, a = fleet.boot()
        target.run("ram_disk 400")
        target.serve("/dev/ram0")
        device = a.connect(target)
        queue = a.run("cd /sys/block/nvme0n1/queue; echo $(cat max_sectors_kb max_hw_sectors_kb max_segments nr_requests)").split()
        note(f"the host's limits: max_sectors_kb {queue[0]}, max_hw_sectors_kb {queue[1]}, max_segments {queue[2]}")
        a.run(f"run memkv pool create {device} --max-block 4M")
        for size in SIZES:
            commands, moved = count(a, device, size)
            # header, payload, the block with the entry, whose life word tells whether the block was removed, and, for
            # who does not write there, the table's header: was the segment opened anew?  Those two may lie side by side
            expect(moved == size + 4096 + 2 * 4096, f"a get of {size} moved {moved} bytes")
            expect(commands <= -(-size // MIB) + 2, f"a get of {size} took {commands} commands")
        beside_fio(a, device)
        passed("a reader's get moves header, payload and two blocks of 4 KiB of the table, nothing else")


if __name__ == "__main__":
    main(scenario)
