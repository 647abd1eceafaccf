#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RDMA (Soft-RoCE) and TCP paths to one namespace at once, by native multipath; each is taken away while blocks are read."""
from fleet import SAFE, Fleet, expect, main, note, passed, tally

BLOCKS = 40
WATCH_MS = 6000


def paths(host):
    """{transport: controller} of those that are live"""
    words = host.run("for c in /sys/class/nvme/nvme*; do echo $(cat $c/transport) ${c##*/} $(cat $c/state); done").split()
    return {words[i]: words[i + 1] for i in range(0, len(words), 3) if words[i + 2] == "live"}


def reads(host, controller):
    """Commands that this path has read with; the namespace's hidden disks are called nvmeScCnN."""
    number = controller.removeprefix("nvme")
    return int(host.run(f"cat /sys/block/nvme*c{number}n1/stat").split()[0])


def without(target, a, reader, transport, remaining):
    """One path goes in the middle of reading; by the target's doing, as when a port of it dies."""
    before = reads(a, paths(a)[remaining])
    reader.tell(f"watch 0 {BLOCKS} {WATCH_MS}")
    number = {"tcp": 1, "rdma": 2}[transport]
    target.run(f"sleep 1; rm /sys/kernel/config/nvmet/ports/{number}/subsystems/*")
    hits, misses, wrong, longest = tally(reader.answer())
    note(f"without {transport}: {hits} gets hit, {misses} missed, {wrong} wrong, the longest took {longest} ms")
    expect(wrong == 0 and misses == 0 and hits > 0, f"{hits} hits, {misses} misses, {wrong} wrong")
    live = paths(a)
    expect(transport not in live and remaining in live, f"live paths are {live}")
    expect(reads(a, live[remaining]) > before, f"nothing was read by {remaining}")
    passed(f"the {transport} path removed in the middle of reading: reads go on by {remaining}, none missed, none wrong")


def restore(target, a, transport, number):
    target.run(f"run ln -s /sys/kernel/config/nvmet/subsystems/$NQN /sys/kernel/config/nvmet/ports/{number}/subsystems/")
    a.run(f"wait_path {transport}")


def scenario():
    with Fleet("target", "hosta") as fleet:
        target, a = fleet.boot()
        target.run("ram_disk 96")
        for guest in (target, a):
            guest.run("load crc32_generic rdma_rxe; run rdma link add rxe0 type rxe netdev eth0")
        target.run("load nvmet_rdma")
        target.serve("/dev/ram0", ("tcp", "rdma"))
        device = a.connect(target, SAFE)
        expect(a.connect(target, SAFE, "rdma") == device, "the second path is a device of its own")
        live = paths(a)
        note(f"{device} by {live}")
        expect(set(live) == {"tcp", "rdma"}, f"live paths are {live}")
        a.run(f"run memkv pool create {device} --max-block 512K")
        writer, reader = a.pool(1, device, "rw"), a.pool(2, device, "live")
        for seed in range(BLOCKS):
            expect(writer.ask(f"put {seed} 1").startswith("ok "), f"put {seed}")
        expect(tally(reader.ask(f"check 0 {BLOCKS}"))[:3] == (BLOCKS, 0, 0), "before")
        without(target, a, reader, "tcp", "rdma")
        restore(target, a, "tcp", 1)
        without(target, a, reader, "rdma", "tcp")
        expect(writer.ask(f"put {BLOCKS} 1").startswith("ok "), "a put by the path that is left")
        a.run(f"run memkv pool check {device}")


if __name__ == "__main__":
    main(scenario)
