#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first namespace of a pool is lost, and comes back: its handles go on by themselves.

    several_home.py MEMKV BLOCK_HAND files|devices

Without home no put is taken once that is noticed, and what lies there is a miss, also through a handle that is opened lazily
meanwhile.  When home is back the same handles have every block of either namespace, every byte compared, and take new ones.
Then the same with both gone at once, of which home returns first.

At last an agent is stopped while home, as another file, is given to one that takes all segments: woken it writes nothing any more
to the other namespace, which is the same file still.
"""
import os
import random
import signal
import sys

from several_tool import MIB, Folder, Hand, Place, info, opened, run, within

BLOCKS, MORE = 160, 60


def count_there(hand, seeds):
    return sum(hand.expect(f"get {seed}", "ok", "MISS", "FAILED") == "ok" for seed in seeds)


def everything_by(hand, seeds, seconds=40):
    within(seconds, lambda: (hand.ask("fresh 1"), count_there(hand, seeds))[1], lambda there: there == len(seeds))


def loss(writers, hands, places, seeds, how, draw):
    """All of @places are taken away, found missing by everybody, and given back one after the other."""
    for place in places:
        place.take_away(how)
    for hand in hands:
        within(20, lambda h=hand: (h.ask("fresh 1"), count_there(h, seeds))[1], lambda there: there < len(seeds))
    for hand in writers:
        within(20, lambda h=hand: h.ask(f"put {draw.randrange(10**6, 10**9)}"), lambda said: said == "FAILED")
    lazy = Hand(places[0].path, "lazy")
    assert lazy.greeting == "open" and count_there(lazy, seeds[:10]) == 0
    if places[0].device:
        lazy.quit()  # a device has one writer, and this one might be the first
    places[0].give_back(how)
    if len(places) > 1:
        part = within(40, lambda: (hands[0].ask("fresh 1"), count_there(hands[0], seeds))[1], bool)
        assert part < len(seeds), part
        for place in places[1:]:
            place.give_back(how)
    for hand in hands[1:] + hands[:1]:
        everything_by(hand, seeds)
    return lazy


def scene(memkv, folder, sort, how):
    sizes = {"home": 96 * MIB, "one": 96 * MIB}
    home, one = (Place(sort, folder, f"{how}_{name}", size) for name, size in sizes.items())
    size = ["--size", "96M"] if sort == "files" else []
    run(memkv, "pool", "create", home.path, "--max-block", "1M", *size, "--namespace", one.path)
    writers = [opened(home.path, "rw") for _ in range(2 if sort == "files" else 1)]
    hands = writers + [opened(home.path, "live"), opened(home.path, "ro")]
    seeds, draw = list(range(BLOCKS)), random.Random(1)
    for seed in seeds:
        writers[seed % len(writers)].expect(f"put {seed}", "ok")
    for hand in hands:
        everything_by(hand, seeds)
    for round_, places in enumerate(([home], [home, one])):
        lazy = loss(writers, hands, places, seeds, how, draw)
        more = range(1000 * (round_ + 1), 1000 * (round_ + 1) + MORE)
        for seed in more:
            writers[seed % len(writers)].until(f"put {seed}", "ok", 20)
        seeds += more
        if sort == "files":
            everything_by(lazy, seeds)
            lazy.expect(f"put {seeds[-1] + 100}", "ok")
            lazy.quit()
        for hand in hands:
            everything_by(hand, seeds)
        spread = [1 - n["segments_free"] / n["segments"] for n in info(memkv, home.path)["namespaces"]]
        assert min(spread) > 0 and not info(memkv, home.path)["degraded"], spread
    writers[0].expect("rm 3", "ok")
    for hand in hands:
        hand.quit()
    said = run(memkv, "pool", "check", home.path)
    assert "0 agents" in said or "agent" not in said, said
    after = opened(home.path, "rw")
    after.expect("get 3", "MISS")
    everything_by(after, [seed for seed in seeds if seed != 3])
    after.quit()
    if sort == "devices":
        home.close()
        one.close()


def overtaken(memkv, folder):
    home, one = (Place("files", folder, f"overtaken_{name}", 96 * MIB) for name in ("home", "one"))
    run(memkv, "pool", "create", home.path, "--max-block", "768K", "--size", "96M", "--namespace", one.path)
    stopped = opened(home.path, "rw")
    for seed in range(BLOCKS):
        stopped.expect(f"put {seed}", "ok")
    os.kill(stopped.process.pid, signal.SIGSTOP)
    home.take_away("gone")
    home.give_back("gone")
    other = opened(home.path, "rw")
    seeds = range(10000, 10000 + 2500)  # more than there is room for
    for seed in seeds:
        other.expect(f"put {seed}", "ok")
    there = [seed for seed in seeds if other.expect(f"get {seed}", "ok", "MISS") == "ok"]
    assert BLOCKS < len(there) < len(seeds), len(there)
    os.kill(stopped.process.pid, signal.SIGCONT)
    everything_by(stopped, there)
    everything_by(other, there)
    stopped.expect("put 1", "ok")
    stopped.expect("get 1", "ok")
    other.expect("put 2", "ok")
    stopped.quit()
    other.quit()
    run(memkv, "pool", "check", home.path)


def main():
    memkv, Hand.program, sort = sys.argv[1:]
    with Folder() as folder:
        for how in ("cut", "gone") if sort == "files" else ("limit",):
            scene(memkv, folder, sort, how)
            print("ok ", how)
        if sort == "files":
            overtaken(memkv, folder)
            print("ok  overtaken")


if __name__ == "__main__":
    main()
