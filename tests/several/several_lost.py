#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A namespace of a pool is lost under its users, and comes back.

    several_lost.py MEMKV BLOCK_HAND files|devices

The pool lies on three of unlike sizes, of which one is taken away: a file is cut or removed, a device has no bytes.  In the
processes that are open: what lies there is a miss, counted as lost; what lies elsewhere is got; puts go on; a removal and a
put that replaces say that they cannot tell.  When it is back all is there again, through the same handles: what was there
before and what was put meanwhile, every byte compared.  Whoever opens the pool meanwhile sees the same.
"""
import sys

from several_tool import MIB, Folder, Hand, Place, info, opened, run, within

BLOCKS, MORE = 240, 120
DENIED = ("EIO", "UNKNOWN", "FAILED")


def used_part(namespace):
    return 1 - namespace["segments_free"] / namespace["segments"]


def look(hand, seeds):
    """Which of them can be got; none may have wrong bytes."""
    there = []
    for seed in seeds:
        if hand.expect(f"get {seed}", "ok", "MISS") == "ok":
            there.append(seed)
    return there


def misses(hand):
    return dict(zip(("absent", "lost", "io", "other"), map(int, hand.ask("misses").split())))


def put_all(hands, seeds):
    """One after the other; in the moment of the loss a put may fail, and is put again."""
    denied = 0
    for seed in seeds:
        for attempt in range(50):
            got = hands[seed % len(hands)].ask(f"put {seed}")
            if got in ("ok", "EXISTS"):
                break
            assert got in DENIED, f"put {seed}: {got}"
            denied += 1
    return denied


def scene(memkv, folder, sort, how):
    sizes = {"home": 96 * MIB, "one": 160 * MIB, "two": 48 * MIB}
    places = {name: Place(sort, folder, f"{how}_{name}", size) for name, size in sizes.items()}
    home, one = places["home"].path, places["one"]
    size = ["--size", "96M"] if sort == "files" else []
    run(memkv, "pool", "create", home, "--max-block", "1M", *size)
    for name in ("one", "two"):
        grown = ["--size", f"{sizes[name] // MIB}M"] if sort == "files" else []
        run(memkv, "pool", "grow", home, places[name].path, *grown)
    # a device has one writer
    writers = [opened(home, "rw") for _ in range(2 if sort == "files" else 1)]
    readers = [opened(home, "live"), opened(home, "ro")]
    hands = writers + readers
    assert put_all(writers, range(BLOCKS)) == 0
    parts = [used_part(n) for n in info(memkv, home)["namespaces"]]
    assert len(parts) == 3 and min(parts) > 0 and max(parts) - min(parts) < 0.25, f"not spread by size: {parts}"
    for hand in hands:
        hand.expect("fresh 1", "ok")
        assert len(look(hand, range(BLOCKS))) == BLOCKS

    one.take_away(how)
    within(10, lambda: info(memkv, home)["degraded"], bool)
    for hand in hands:
        hand.ask("fresh 1")
        within(10, lambda h=hand: (h.ask("fresh 1"), h.expect("rm 1000000", "DEGRADED", "MISS", "READ_ONLY", "UNKNOWN", "EIO"))[1],
               lambda got: got in ("DEGRADED", "READ_ONLY"))
        before = misses(hand)
        there = look(hand, range(BLOCKS))
        after = misses(hand)
        assert 0 < len(there) < BLOCKS, len(there)
        if hand in writers:
            assert after["lost"] - before["lost"] == BLOCKS - len(there), f"{before} {after} {len(there)}"
        assert after["other"] == 0, after
    opener = opened(home, "ro")
    there = look(opener, range(BLOCKS))
    assert 0 < len(there) < BLOCKS
    opener.quit()
    writers[0].expect(f"replace {there[0]}", "EXISTS")
    put_all(writers, range(BLOCKS, BLOCKS + MORE))
    assert put_all(writers, range(BLOCKS + MORE, BLOCKS + MORE + 10)) == 0, "puts still fail"
    assert len(look(writers[0], range(BLOCKS, BLOCKS + MORE + 10))) == MORE + 10
    run(memkv, "pool", "check", home)

    one.give_back(how)
    everything = range(BLOCKS + MORE + 10)
    for hand in hands:
        within(40, lambda h=hand: (h.ask("fresh 1"), len(look(h, everything)))[1], lambda n: n == len(everything))
    within(10, lambda: writers[0].ask("rm 1000000"), lambda got: got == "MISS")
    assert put_all(writers, range(1000, 1100)) == 0
    assert not info(memkv, home)["degraded"]
    for hand in hands:
        hand.ask("fresh 1000")
        assert len(look(hand, range(1000, 1100))) == 100
        hand.expect("rm 3" if hand is writers[0] else "get 4", "ok")
        hand.quit()
    run(memkv, "pool", "check", home)
    after = opened(home, "rw")
    assert len(look(after, [s for s in everything if s != 3])) == len(everything) - 1
    after.expect("get 3", "MISS")
    after.quit()
    if sort == "devices":
        for place in places.values():
            place.close()


def main():
    memkv, Hand.program, sort = sys.argv[1:]
    with Folder() as folder:
        for how in ("cut", "gone") if sort == "files" else ("limit",):
            scene(memkv, folder, sort, how)


if __name__ == "__main__":
    main()
