#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One target, two hosts: what one puts the other reads, every byte checked; the writing host loses power, the other
carries on.

As two_hosts_share both hosts write: the pool is made with --share, both replay at once, and the survivor gives the other
up and adopts its room.
"""
import json
import time

from fleet import Fleet, acknowledged, expect, main, note, other_agents, passed, shared, tally

MIB = 1 << 20
TRACE = "sessions=8,turns=3,new=2,seed=5"
FIRST_BURST, SECOND_BURST, FLOOD = 0, 100000, 200000
LOST = 200 if shared() else 60  # puts that A does before it loses power
SILENT_S, ADOPTED_S = 120, 1200  # in which B finds A silent; in which it has A's room
LEFT_OPEN = 40  # blocks that fit into the two segments which a host may leave open; those nobody writes to


def replay_command(device):
    return (f"memkv replay {device} --generate {TRACE} --agents 1 --block-size 128K --live --verify --json "
            ">/tmp/replay.json 2>/tmp/replay.err || { cat /tmp/replay.err /tmp/replay.json; false; }; cat /tmp/replay.json")


def replay(host, device):
    report = json.loads(host.run(replay_command(device)).splitlines()[-1])
    expect(report["wrong_bytes"] == 0, f"{host.name}: {report['wrong_bytes']} wrong bytes")
    return report


def replay_together(a, b, device_a, device_b):
    for host, device in ((a, device_a), (b, device_b)):
        host.run(f"{{ {replay_command(device)}; echo $? >/tmp/replay.status; }} >/tmp/replay.out 2>&1 &")
    hits = []
    for host in (a, b):
        host.run("wait_file /tmp/replay.status 500; cat /tmp/replay.out; [ $(cat /tmp/replay.status) = 0 ]")
        report = json.loads(host.run("tail -n 1 /tmp/replay.json"))
        expect(report["wrong_bytes"] == 0, f"{host.name}: {report['wrong_bytes']} wrong bytes")
        hits.append(report["hit_blocks"])
    note(f"both replayed at once: {hits} blocks hit")


def replays(a, b, device_a, device_b):
    if shared():
        replay_together(a, b, device_a, device_b)
    first = replay(a, device_a)
    if not shared():
        expect(first["puts"] > 0, "A's replay put nothing")
    second = replay(b, device_b)
    note(f"A: {first['puts']} puts, {first['hit_blocks']} hits; B: {second['puts']} puts, {second['hit_blocks']} hits")
    expect(second["puts"] == 0 and second["hit_blocks"] == second["block_refs"], "B did not find all that A put")
    passed("a replay on A, then the same on B: B gets every block, exact, and puts none")


def adopt(b, device_b, reader, count):
    """B finds A silent, and writes more than fits: A's blocks go for B's as soon as B owns their segments, and not before."""
    began = time.monotonic()
    while (seen := [state for state, _ in other_agents(b, device_b)]) != ["silent"]:
        expect(time.monotonic() < began + SILENT_S, f"B takes A for {seen}")
        time.sleep(1)
    silent = time.monotonic() - began
    flood = b.pool(3, device_b, "rw", MIB)
    written, left, first_left = 0, count, None
    while left > LEFT_OPEN:
        expect(time.monotonic() < began + ADOPTED_S, f"{left} of A's {count} blocks are still there after {written} MiB")
        flood.tell(f"burst {FLOOD + written} 40")
        expect(len(acknowledged(flood.answer() for _ in range(40))) == 40 and flood.answer() == "done", "B's puts")
        written += 40
        left, _, wrong, _ = tally(reader.ask(f"check {FIRST_BURST} {count}"))
        expect(wrong == 0, f"{wrong} wrong")
        first_left = left if first_left is None else first_left
    flood.quit()
    open_left = other_agents(b, device_b)
    expect(len(open_left) == 1 and open_left[0][0] == "silent" and open_left[0][1] <= 2, f"A's slot: {open_left}")
    passed(f"B found A silent within {silent:.0f} s; {time.monotonic() - began:.0f} s after its end, with {written} MiB written, B had "
           f"adopted its room: {left} of its {count} blocks are left, in the {open_left[0][1]} segments that A left open")


def power_lost(a, b, device_a, device_b):
    reader = b.pool(1, device_b, "live")
    writer = a.pool(1, device_a, "rw")
    writer.tell(f"burst {FIRST_BURST} 100000")
    lines = [writer.answer() for _ in range(LOST)]
    a.power_off()
    lines += writer.channel.rest()
    seeds = acknowledged(lines)
    expect(len(seeds) >= LOST, f"only {len(seeds)} puts were acknowledged: {lines[-3:]}")
    for seed in seeds:
        got = reader.ask(f"fresh {seed}").split()[0]
        expect(got == "1", f"block {seed}, acknowledged by the host that lost power, is {got}")
    passed(f"A lost power in the middle of a put: all {len(seeds)} blocks that it acknowledged are there on B, exact")
    heir = b.pool(2, device_b, "rw")
    expect(heir.ask(f"check {FIRST_BURST} {len(seeds)}").split()[:3] == [str(len(seeds)), "0", "0"], "B, now writing")
    if shared():
        adopt(b, device_b, reader, len(seeds))
    began = time.monotonic()
    heir.tell(f"burst {SECOND_BURST} 200")
    new = acknowledged(heir.answer() for _ in range(200))
    expect(heir.answer() == "done" and len(new) == 200, f"{len(new)} of B's 200 puts were stored")
    note(f"B's 200 puts took {time.monotonic() - began:.1f} s")
    for first, count in ((FIRST_BURST, 0 if shared() else len(seeds)), (SECOND_BURST, 200)):
        hits, _, wrong, _ = tally(reader.ask(f"check {first} {count}"))
        expect(hits == count and wrong == 0, f"{hits} of {count} blocks from {first} on are there, {wrong} wrong")
    heir.quit()
    reader.quit()
    b.run(f"run memkv pool check {device_b}")
    passed("B writes on: 200 puts, its own and A's blocks are there, exact; check finds nothing bad")


def returned(target, a, b, device_b):
    a.boot()
    device_a = a.connect(target)
    reader = a.pool(1, device_a, "ro")
    hits, misses, wrong, _ = tally(reader.ask(f"check {SECOND_BURST} 200"))
    expect((hits, misses, wrong) == (200, 0, 0), f"{hits} hits, {misses} misses, {wrong} wrong on A")
    reader.quit()
    replay(a, device_a)
    b.run(f"run memkv pool check {device_b}")
    passed("A boots anew and attaches: B's blocks are there; it replays and writes again")


def scenario():
    with Fleet("target", "hosta", "hostb") as fleet:
        target, a, b = fleet.boot()
        target.run("ram_disk 160")
        target.serve("/dev/ram0")
        device_a, device_b = a.connect(target), b.connect(target)
        a.run(f"run memkv pool create {device_a} --max-block 1M {'--share' if shared() else ''}")
        replays(a, b, device_a, device_b)
        power_lost(a, b, device_a, device_b)
        returned(target, a, b, device_b)


if __name__ == "__main__":
    main(scenario)
