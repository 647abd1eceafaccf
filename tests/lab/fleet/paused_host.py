#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The writing host stands still for longer than its connection lives, and goes on: what it acknowledged is readable
meanwhile and afterwards; nothing is wrong.

With LAB_OPTIONS=share another host writes meanwhile, and the paused one is told that it was taken for dead.
"""
import time

from fleet import SAFE, Fleet, Silent, acknowledged, expect, main, note, option, passed, tally

PAUSE_S = 40 if option("share") else 20
BURST, OTHER = 0, 500000


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


def scenario():
    with Fleet("target", "hosta", "hostb") as fleet:
        target, a, b = fleet.boot()
        target.run("ram_disk 160")
        target.serve("/dev/ram0")
        device_a, device_b = a.connect(target, SAFE), b.connect(target, SAFE)
        a.run(f"run memkv pool create {device_a} --max-block 1M {'--share' if option('share') else ''}")
        writer, reader = a.pool(1, device_a, "rw"), b.pool(1, device_b, "live")
        writer.tell(f"burst {BURST} 400")
        lines = [writer.answer() for _ in range(50)]
        a.pause()
        lines += answers_until_silent(writer, 0.5)
        began = time.monotonic()
        before = acknowledged(lines)
        all_there(reader, before, "B, while A stands still")
        passed(f"A stands still in the middle of a put: all {len(before)} blocks that it acknowledged are there on B")
        if option("share"):
            heir = b.pool(2, device_b, "rw")
            heir.tell(f"burst {OTHER} 100")
            expect(len(acknowledged(heir.answer() for _ in range(100))) == 100 and heir.answer() == "done", "B's puts")
        time.sleep(max(0.0, began + PAUSE_S - time.monotonic()))
        a.resume()
        began = time.monotonic()
        lines = []
        while not lines or lines[-1] != "done":
            lines.append(writer.answer(120))
        after = acknowledged(lines)
        refused = [line for line in lines[:-1] if not line.endswith(" ok")]
        note(f"A went on after {PAUSE_S} s: {len(after)} more puts stored, {len(refused)} refused ({sorted(set(r.split()[1] for r in refused))}), "
             f"in {time.monotonic() - began:.1f} s")
        expect(len(after) + len(refused) == 400 - len(before), "answers are missing")
        all_there(reader, before + after, "B, after A went on")
        if option("share"):
            hits, misses, wrong, _ = tally(reader.ask(f"check {OTHER} 100"))
            expect((hits, misses, wrong) == (100, 0, 0), f"B's own: {hits} hits, {misses} misses, {wrong} wrong")
        else:
            expect(not refused, f"nobody else wrote, and A was refused: {refused[:3]}")
        passed(f"A went on after {PAUSE_S} s: all that it acknowledged before and after is there, exact")
        b.run(f"run memkv pool check {device_b}")


if __name__ == "__main__":
    main(scenario)
