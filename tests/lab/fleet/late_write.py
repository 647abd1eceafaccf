#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A write that was issued just before a partition: on nvme connect's own settings it lands over what another host wrote
long afterwards; on safe settings it fails, and never lands."""
import time

from fleet import SAFE, Fleet, Silent, expect, main, note, passed

MIB = 1 << 20
QUARANTINE_S = 30  # keep-alive 5 s, found out 7.5 s after the cut at the latest, fast I/O fail 5 s; the rest is for slow guests
SETTLE_S = 25


def read_stamps(hand):
    low, high, _ = hand.numbers(f"read {MIB} 4096")
    expect(low == high, f"a block of 4096 bytes has stamps {low} to {high}")
    return low


def wait_until(began, seconds):
    time.sleep(max(0.0, began + seconds - time.monotonic()))


def partition(fleet, a, hand_a, hand_b, stamp):
    """Writes stamp, stamp + 1 (on A, into the partition) and stamp + 2 (on B, after the quarantine).

    Returns A's answer, None when it came after the link was back only; how many seconds after the cut; what is there in
    the end.
    """
    expect(hand_a.ask(f"write {MIB} 4096 {stamp}").startswith("ok "), "the write before")
    fleet.cut(a)
    began = time.monotonic()
    hand_a.tell(f"write {MIB} 4096 {stamp + 1}")
    try:
        answer, after = hand_a.answer(QUARANTINE_S), time.monotonic() - began
    except Silent:
        answer, after = None, None
    wait_until(began, QUARANTINE_S)
    expect(read_stamps(hand_b) == stamp, "A's write went through the cut")
    expect(hand_b.ask(f"write {MIB} 4096 {stamp + 2}").startswith("ok "), "B's write")
    fleet.join(a)
    late = None if answer else hand_a.answer()
    if answer:
        a.run("wait_state live")
        time.sleep(SETTLE_S)
    note(f"A's write, {QUARANTINE_S} s before B's: answered '{answer or late}' " +
         (f"{after:.1f} s after the cut" if answer else "when the link was back"))
    return answer or late, read_stamps(hand_b)


def scenario():
    with Fleet("target", "hosta", "hostb") as fleet:
        target, a, b = fleet.boot()
        target.run("ram_disk 64")
        target.serve("/dev/ram0")
        hand_b = b.raw(1, b.connect(target))
        hand_a = a.raw(1, a.connect(target))
        answer, there = partition(fleet, a, hand_a, hand_b, 10)
        expect(answer.startswith("ok "), f"A's write on default settings ended with {answer}")
        expect(there == 11, f"the block has stamp {there}: default settings do not show the late write any more")
        passed("default settings: the write from before the partition landed over what B wrote 30 s later")
        hand_a.quit()
        a.run("run nvme disconnect-all")
        hand_a = a.raw(1, a.connect(target, SAFE))
        answer, there = partition(fleet, a, hand_a, hand_b, 20)
        expect(not answer.startswith("ok "), f"A's write on safe settings ended with {answer}")
        expect(there == 22, f"the block has stamp {there}, B wrote 22")
        expect(hand_a.ask(f"write {MIB} 4096 23").startswith("ok "), "A cannot write with the link back")
        expect(read_stamps(hand_b) == 23, "A's write with the link back is not there")
        passed(f"safe settings ({SAFE}): it failed, B's write stayed; A goes on with the link back")


if __name__ == "__main__":
    main(scenario)
