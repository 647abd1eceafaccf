#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a get is on the fabric: commands and bytes, as the host's kernel traces them, by NVMe passthrough and by block I/O;
and how fast, beside fio."""
import json
import os
import re

from fleet import Fleet, expect, main, note, passed, tally

KIB, MIB = 1 << 10, 1 << 20
SIZES = (64 * KIB, 1 * MIB, 2 * MIB, 4 * MIB)
COUNT = 8
SPEED_MS = 6000
SEEDS = {"writes": 0, "all": 1 << 29, "off": 1 << 30}  # MEMKV_PASSTHROUGH, and where its blocks' seeds begin


def commands_of(host, verb, lba):
    """The (blocks of @lba bytes) of each command of that kind since the trace was emptied."""
    lines = host.run(f"grep nvme_cmd_{verb} /sys/kernel/tracing/trace || true").splitlines()
    return [(int(re.search(r"len=(\d+)", line).group(1)) + 1) * lba for line in lines]


def traced(host, hand, verb, commands):
    host.run("echo >/sys/kernel/tracing/trace")
    for command, answer in commands:
        expect(hand.ask(command).startswith(answer), command)
    return commands_of(host, verb, 512)


def count(host, device, size, way):
    """Blocks put, and got by a handle without a follower, so that nothing else reads."""
    writer = host.hand(1, f"env MEMKV_PASSTHROUGH={way} lab_hand pool {device} rw {size}")
    puts = traced(host, writer, "write", [(f"put {SEEDS[way] + size + seed} 1", "ok ") for seed in range(COUNT)])
    writer.quit()
    reader = host.hand(2, f"env MEMKV_PASSTHROUGH={way} lab_hand pool {device} ro {size}")
    gets = traced(host, reader, "read", [(f"get {SEEDS[way] + size + seed}", "1 ") for seed in range(COUNT)])
    reader.quit()
    note(f"{way}: get of {size // KIB} KiB: {len(gets) / COUNT:.2f} commands, {sum(gets) / COUNT / KIB:.2f} KiB, the largest "
         f"{max(gets) // KIB} KiB; put: {len(puts) / COUNT:.2f} commands, {sum(puts) / COUNT / KIB:.2f} KiB")
    return len(gets) / COUNT, sum(gets) / COUNT


def beside_fio(host, device):
    """One get of 4 MiB after the other beside fio, whose reads are as large, as many, and on the same device."""
    size = 4 * MIB
    ours = {}
    for way, first in [(way, SEEDS[way]) for way in ("writes", "all")]:
        reader = host.hand(2, f"env MEMKV_PASSTHROUGH={way} lab_hand pool {device} ro {size}")
        hits, misses, wrong, _ = tally(reader.ask(f"watch {first + size} {COUNT} {SPEED_MS}"))
        reader.quit()
        expect(misses == 0 and wrong == 0, f"{misses} misses, {wrong} wrong")
        ours[way] = hits * size / (SPEED_MS / 1000) / 1e9
    said = f"gets of 4 MiB, one at a time, bytes compared word by word: {ours['writes']:.3f} GB/s, by passthrough {ours['all']:.3f}"
    status, output = host.status("command -v fio")
    if status:
        note(f"{said}; there is no fio on this machine to compare with")
        return
    job = (f"fio --name=raw --filename={device} --readonly --rw=randread --bs=4M --iodepth=1 --direct=1 --ioengine=io_uring "
           f"--runtime={SPEED_MS // 1000} --time_based --output-format=json --thread")
    output = host.run(job + " 2>/tmp/fio.err")
    raw = json.loads(output[output.index("{"):])["jobs"][0]["read"]["bw_bytes"]
    note(f"{said}; fio: {raw / 1e9:.3f}; emulated processors")


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
        a.run("mount -t tracefs tracefs /sys/kernel/tracing && echo 1 >/sys/kernel/tracing/events/nvme/nvme_setup_cmd/enable")
        for size, way in [(size, way) for size in SIZES for way in SEEDS]:
            commands, moved = count(a, device, size, way)
            # header, payload, the block with the entry, whose life word tells whether the block was removed, and, for
            # who does not write there, the table's header: was the segment opened anew?  Those two may lie side by side
            expect(moved == size + 4096 + 2 * 4096, f"a get of {size} moved {moved} bytes")
            expect(commands <= -(-size // MIB) + 2, f"a get of {size} took {commands} commands")
        beside_fio(a, device)
        passed("a reader's get moves header, payload and two blocks of 4 KiB of the table, nothing else")


if __name__ == "__main__":
    main(scenario)
