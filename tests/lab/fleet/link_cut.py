#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The host's link is down for 5 s and for 60 s: no wrong byte, nothing acknowledged lost, and the same process goes on."""
import time

from fleet import Fleet, Silent, expect, main, note, passed, tally

OPTIONS = "keep_alive_tmo=5,fast_io_fail_tmo=5,ctrl_loss_tmo=600,reconnect_delay=2"
BLOCKS = 40
# what failed may land that late (75 s by these settings), counted from when the last of it has ended; and some for the rest
REJOINS_WITHIN = 75 + 120
BUSY = ("ok", "UNKNOWN", "FAILED", "EIO", "ENOLINK")


class Timed:
    """What a hand is asked while the link is down, and when it answered."""

    def __init__(self, hand, line):
        self.hand, self.line, self.began, self.said = hand, line, time.monotonic(), None
        hand.tell(line)

    def look(self, seconds):
        """True: it has answered."""
        if self.said is None:
            try:
                self.said = self.hand.answer(seconds)
                self.after = time.monotonic() - self.began
            except Silent:
                return False
        return True

    def word(self):
        return self.said.split()[0]


def all_there(hand, what, first=0, count=BLOCKS):
    hits, misses, wrong, _ = tally(hand.ask(f"check {first} {count}"))
    expect((hits, misses, wrong) == (count, 0, 0), f"{what}: {hits} hits, {misses} misses, {wrong} wrong of {count}")


def cut(host, reader, writer, seconds, seed):
    """A get and a put into a link that is down for so long; then both hands again, as they are."""
    host.link(False)
    began = time.monotonic()
    get, put = Timed(reader, "get 1"), Timed(writer, f"put {seed} 1")
    while time.monotonic() < began + seconds:
        get.look(0.05)
        put.look(0.05)
    early = get.said is not None
    if early:
        again = Timed(reader, "get 2")
        again.look(60)
        note(f"a second get, {seconds} s after the cut: {again.word()} after {again.after:.1f} s")
        expect(again.word() in ("MISS", "1"), f"the second get: {again.said}")
    host.link(True)
    expect(get.look(120) and put.look(120), "a get or a put that began while the link was down never ended")
    note(f"link down for {seconds} s: the get answered {get.word()} after {get.after:.1f} s, the put {put.word()} after {put.after:.1f} s")
    expect(get.word() in ("MISS", "1"), f"the get: {get.said}")
    expect(put.word() in BUSY, f"the put: {put.said}")
    host.run("wait_state live")
    return put.word()


def back(host, reader, writer, put, seed):
    """The link is back: the same processes, the same handles; returns after how long the writer's took a put."""
    began = time.monotonic()
    all_there(reader, "the reader's handle")
    note(f"the reader's handle found all {BLOCKS} blocks within {time.monotonic() - began:.1f} s")
    refused = set()
    while (answer := writer.ask(f"put {seed + 1} 1").split()[0]) != "ok":
        expect(answer in BUSY, f"a put after the link was back: {answer}")
        expect(time.monotonic() < began + REJOINS_WITHIN, f"the writer's handle has not come back by itself: {answer}")
        refused.add(answer)
        time.sleep(1)
    took = time.monotonic() - began
    note(f"the writer's handle took a put {took:.1f} s after the link was back" +
         (f"; before that it said {', '.join(sorted(refused))}" if refused else ""))
    all_there(reader, "the reader, afterwards", seed + 1, 1)
    all_there(writer, "the writer, afterwards")
    got = reader.ask(f"fresh {seed}").split()[0]
    expect(got == "1" or (got == "MISS" and put != "ok"), f"the put into the cut was {put}, and the block is {got}")
    return bool(refused)


def scenario():
    with Fleet("target", "hosta") as fleet:
        target, a = fleet.boot()
        target.run("ram_disk 96")
        target.serve("/dev/ram0")
        device = a.connect(target, OPTIONS)
        a.run(f"run memkv pool create {device} --max-block 512K")
        writer, reader = a.pool(1, device, "rw"), a.pool(2, device, "live")
        for seed in range(BLOCKS):
            expect(writer.ask(f"put {seed} 1").startswith("ok "), f"put {seed}")
        all_there(reader, "before")
        for seconds, seed in ((5, 1000), (60, 2000)):
            put = cut(a, reader, writer, seconds, seed)
            rejoined = back(a, reader, writer, put, seed)
            expect(seconds > 5 or (put == "ok" and not rejoined), "a cut of 5 s should only take time")
            passed(f"link down for {seconds} s and back: {BLOCKS} blocks exact by the same processes, puts go on through the same "
                   "handle" + (", which attached the pool anew by itself" if rejoined else ""))
        a.run(f"run memkv pool check {device}")


if __name__ == "__main__":
    main(scenario)
