#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The writing host stands still for longer than its connection lives, and goes on: what it acknowledged is readable
meanwhile and afterwards; nothing is wrong.  The put that was under way meanwhile is refused, or it is there; and the same
process opens the pool anew where it has to.

As paused_host_share another host writes meanwhile, takes the paused one for silent, and the paused one wakes past its lease.
"""
import time

from fleet import SAFE, Fleet, Silent, acknowledged, expect, main, note, other_agents, passed, shared, tally

PAUSE_S = 40 if shared() else 20  # at least
SILENT_S = 240  # in which B, beside its own writing, takes A for silent
BURST, OTHER = 0, 500000
# what a put may be refused for: it may be there or not; nothing is lost that was acknowledged
REFUSALS = {"UNKNOWN", "FAILED", "FENCED", "EIO", "ENOLINK"}


def answers_until_silent(hand, seconds):
    lines = []
    try:
        while True:
            lines.append(hand.answer(seconds))
    except Silent:
        return lines


def all_there(hand, seeds, what):
    for seed in seeds:
        got = hand.ask(f"fresh {seed}").split()[0]
        expect(got == "1", f"{what}: block {seed} is {got}")


def answers(hand, began_with=()):
    lines = list(began_with)
    while not lines or lines[-1] != "done":
        lines.append(hand.answer())
    return lines[:-1]


def is_ok(line):
    return line.split()[1] in ("ok", "EXISTS")


def goes_on(a, b, writer, reader, before):
    """A wakes: what it was at, what it does then, and, anew where it was refused, the rest."""
    a.resume()
    began = time.monotonic()
    lines = answers(writer)
    first, after = lines[0].split(), acknowledged(lines)
    refused = [line for line in lines if not line.endswith(" ok")]
    kinds = sorted(set(r.split()[1] for r in refused))
    note(f"A went on after {PAUSE_S} s: the put that was under way ended as {first[1]}; {len(after)} more puts stored, "
         f"{len(refused)} refused ({kinds}), in {time.monotonic() - began:.1f} s")
    expect(int(first[0]) == len(before) and len(after) + len(refused) == 400 - len(before), "answers are missing")
    expect(set(kinds) <= REFUSALS, f"refused for {kinds}")
    there = reader.ask(f"fresh {first[0]}").split()[0]
    expect(there == "1" or (there == "MISS" and first[1] != "ok"), f"that put was {first[1]}, and its block is {there}")
    all_there(reader, before + after, "B, after A went on")
    passed(f"that put: {first[1]}, and its block is {'there' if there == '1' else 'not there'}; all that was acknowledged before and after is")
    if refused:
        a.run("wait_state live")
        expect(writer.ask("reopen") == "open", "the same process cannot open the pool anew")
        writer.tell("burst 0 400")
        again = answers(writer)
        expect(len(again) == 400 and all(is_ok(line) for line in again), f"anew: {[x for x in again if not is_ok(x)][:3]}")
        all_there(reader, range(400), "B, after A began anew")
        passed("the same process opened the pool anew, and put what was refused")


def scenario():
    with Fleet("target", "hosta", "hostb") as fleet:
        target, a, b = fleet.boot()
        target.run("ram_disk 160")
        target.serve("/dev/ram0")
        device_a, device_b = a.connect(target, SAFE), b.connect(target, SAFE)
        a.run(f"run memkv pool create {device_a} --max-block 1M {'--share' if shared() else ''}")
        writer, reader = a.pool(1, device_a, "rw"), b.pool(1, device_b, "live")
        writer.tell(f"burst {BURST} 400")
        lines = [writer.answer() for _ in range(50)]
        a.pause()
        lines += answers_until_silent(writer, 0.5)
        began = time.monotonic()
        before = acknowledged(lines)
        all_there(reader, before, "B, while A stands still")
        passed(f"A stands still in the middle of a put: all {len(before)} blocks that it acknowledged are there on B")
        if shared():
            heir = b.pool(2, device_b, "rw")
            heir.tell(f"burst {OTHER} 100")
            expect(len(acknowledged(heir.answer() for _ in range(100))) == 100 and heir.answer() == "done", "B's puts")
        time.sleep(max(0.0, began + PAUSE_S - time.monotonic()))
        if shared():
            while (states := [state for state, _ in other_agents(b, device_b)]) != ["silent"]:
                expect(time.monotonic() < began + SILENT_S, f"B takes A for {states}")
                time.sleep(1)
            note(f"B takes A for silent; it has stood still for {time.monotonic() - began:.0f} s")
        goes_on(a, b, writer, reader, before)
        if shared():
            hits, misses, wrong, _ = tally(reader.ask(f"check {OTHER} 100"))
            expect((hits, misses, wrong) == (100, 0, 0), f"B's own: {hits} hits, {misses} misses, {wrong} wrong")
        b.run(f"run memkv pool check {device_b}")


if __name__ == "__main__":
    main(scenario)
