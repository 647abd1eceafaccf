#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A device that hangs: its I/O neither ends nor fails, as that of a namespace whose link is cut.

    device_hangs.py MEMKV BLOCK_HAND

verbs   Every verb with --deadline ends by it: a miss (1) of what reads, nothing done or unknown (5) of what changes something; also
        when the device hung before it began.  Afterwards everything is there.
changes A removal, a pin, an unpin and an eviction of which every second write or flush, opening the pool included, hangs in turn:
        each ends by its deadline, says so, and may be asked for once more.
agent   One process, through it all: gets end by their deadline as misses, their memory stays untouched when the device
        is back, those beyond the bound end at once; then it goes on.  A put that was called off is not there, one that is unknown
        is exact or a miss, though its memory was changed at once.
leave   A process that hangs in its I/O closes the pool within its bound.
"""
import json
import os
import subprocess
import sys
import time

from hanging_file import FSYNC, READ, WRITE, HangingDevice
from loop_device import Hand, opened, run, run_each

MIB = 1 << 20
SOON, LONG = 200, 60000  # milliseconds
BLOCKS = 12
PATIENCE = 30


def tool(memkv, *words, stdin=None):
    begin = time.monotonic()
    done = subprocess.run([memkv, *words], input=stdin, capture_output=True, timeout=60)
    return done, time.monotonic() - begin


def eventually(what, test):
    end = time.monotonic() + PATIENCE
    while not test():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s"
        time.sleep(0.01)


def by(hand, line, *wanted):
    """A call with a deadline: its outcome, and that it came in time (twice the deadline on a busy machine, and a second)."""
    outcome, took = hand.ask(line).split()
    assert outcome in wanted, f"{line}: {outcome}, not {' or '.join(wanted)}"
    limit = int(line.split()[2])
    if outcome in ("TIMEDOUT", "UNKNOWN"):
        assert int(took) < limit * 2000 + 1000000, f"{line}: {took} us"
    return outcome, int(took)


def verbs(memkv, folder):
    with HangingDevice(folder, 64 * MIB) as device:
        run(memkv, "pool", "create", device.path)
        run(memkv, "put", device.path, "--name", "a", stdin=b"a" * 100000)
        device.file.hang()
        for verb, code, more in (("get", 1, ()), ("stat", 1, ()), ("match", 1, ()), ("put", 5, ()), ("rm", 5, ()), ("pin", 5, ()),
                                 ("unpin", 5, ()), ("evict", 5, ("--class", "9", "--yes")), ("rm", 5, ("--session", "s", "--yes")),
                                 ("ls", 1, None), ("pins", 1, None), ("host ls", 1, None), ("pool info", 1, None),
                                 ("pool check", 5, None), ("pool check", 5, ("--repair", "--yes"))):
            words = (*verb.split(), device.path, *((more or ("--name", "b" if verb == "put" else "a")) if more is not None else ()))
            done, took = tool(memkv, *words, "--deadline", f"{SOON}ms", stdin=b"b")
            assert done.returncode == code and not done.stdout, f"{words}: {done}"
            assert b"deadline" in done.stderr and done.stderr.count(b"\n") == 1, done.stderr
            assert took < 5, f"{words}: it took {took} s"
            done, _ = tool(memkv, *words, "--deadline", f"{SOON}ms", "--json", *(("-o", "none") if verb == "get" else ()), stdin=b"b")
            assert done.returncode == code and json.loads(done.stdout)["error"]["code"] == "TIMEDOUT", done
        out = os.path.join(folder, "out")
        done, _ = tool(memkv, "get", device.path, "--name", "a", "--deadline", f"{SOON}ms", "--json", "-o", out)
        assert done.returncode == 1 and json.loads(done.stdout)["error"]["code"] == "TIMEDOUT", done
        assert not os.path.exists(out), "a miss left a file"
        device.file.let_go()
        eventually("the device is free", lambda: tool(memkv, "put", device.path, "--name", "b", "--deadline", f"{LONG}ms",
                                                      stdin=b"b" * 100000)[0].returncode == 0)
        for name in "ab":
            done, _ = tool(memkv, "get", device.path, "--name", name, "--deadline", f"{LONG}ms")
            assert done.stdout == name.encode() * 100000, f"{name}: {done.stderr}"
        done, _ = tool(memkv, "get", device.path, "--name", "c", "--deadline", f"{LONG}ms")
        assert done.returncode == 1 and b"no such block" in done.stderr, done
        listings(memkv, device)
        run(memkv, "pool", "check", device.path)
        print("verbs: a device that hangs is a miss, and nothing stored")


def listings(memkv, device):
    """What a verb says by a deadline that it keeps is what it says without; and many of its reads may be the one that hangs."""
    run(memkv, "pin", device.path, "--name", "a")
    for words in (("ls",), ("pins",), ("host", "ls"), ("pool", "info"), ("pool", "check")):
        plain = {}
        for more in ((), ("--json",)):
            plain[more], _ = tool(memkv, *words, device.path, *more)
            done, _ = tool(memkv, *words, device.path, *more, "--deadline", f"{LONG}ms")
            assert done.returncode == 0 and (done.stdout, done.stderr) == (plain[more].stdout, plain[more].stderr), (words, done, plain)
        cut = after = 0
        while True:
            device.file.hang((READ,), after)
            done, took = tool(memkv, *words, device.path, "--deadline", f"{SOON}ms")
            met = device.file.met
            device.file.let_go()
            late = done.returncode == (5 if "check" in words else 1)
            assert took < 5 and (late or done.stdout == plain[()].stdout), (words, done)
            assert not late or (not done.stdout and b"deadline" in done.stderr), (words, done)
            cut += late
            if not met and not late:
                break
            after += 1 + after // 2
        assert cut, f"{words}: it never hung"
    eventually("the pin is taken back", lambda: tool(memkv, "unpin", device.path, "--name", "a")[0].returncode == 0)


def changes(memkv, folder):
    said = []
    with HangingDevice(folder, 64 * MIB) as device:
        run(memkv, "pool", "create", device.path)

        def certain(*words, allowed=(0,)):
            """A verb that is asked for until the device is free: what is late may still have it."""
            def once():
                done, _ = tool(memkv, *words, "--deadline", f"{LONG}ms", stdin=b"c" * 50000)
                assert done.returncode in (*allowed, 5), f"{words}: {done}"
                return done.returncode in allowed
            eventually(words[0], once)

        key = (device.path, "--name", "c")
        for words, before, settled in ((("rm", *key), None, lambda: certain("get", *key, allowed=(1,))),
                                       (("evict", device.path, "--class", "5", "--yes"), None, lambda: certain("get", *key, allowed=(1,))),
                                       (("pin", *key), None, lambda: certain("unpin", *key)),
                                       (("unpin", *key), "pin", lambda: certain("rm", *key))):
            done = None
            for after in range(0, 40, 2):
                certain("put", *key, "--class", "5")
                if before:
                    certain(before, *key)
                device.file.hang((WRITE, FSYNC), after)
                done, took = tool(memkv, *words, "--deadline", f"{SOON}ms")
                met = device.file.met
                device.file.let_go()
                assert done.returncode in (0, 5) and took < 5, (words, done, took)
                assert done.returncode == 0 or b"deadline" in done.stderr, done.stderr
                said.append(done.returncode)
                certain(*words, allowed=(0, 1))  # also when it was done already
                settled()
                if not met and done.returncode == 0:
                    break
            assert done.returncode == 0, f"{words}: it never came to its end"
        run(memkv, "pool", "check", device.path)
        print(f"changes: of {len(said)} calls {said.count(5)} were cut short, and each could be made certain")


def agent(memkv, folder):
    with HangingDevice(folder, 64 * MIB) as device:
        run(memkv, "pool", "create", device.path, "--max-block", "700K")
        hand, reader = opened(device.path, "rw"), opened(device.path, "live")
        for seed in range(BLOCKS):
            by(hand, f"putby {seed} {LONG}", "ok")
            by(hand, f"by {seed} {LONG}", "ok")
            reader.expect(f"fresh {seed}", "ok")
        over = []
        for user in (hand, reader):
            device.file.hang()
            for seed in range(4):
                over.append(by(user, f"by {seed} {SOON}", "TIMEDOUT")[1] - SOON * 1000)
                user.expect("canary", "untouched")
            _, took = by(user, f"by 5 {LONG}", "TIMEDOUT")  # nobody is left to make it
            assert took < LONG * 500, f"it waited for {took} us"
            by(user, f"by 1000 {LONG}", "MISS")
            device.file.let_go()
            eventually("deputies are back", lambda: by(user, f"by 6 {LONG}", "ok", "TIMEDOUT")[0] == "ok")
            for seed in range(BLOCKS):
                eventually("all of them", lambda: by(user, f"by {seed} {LONG}", "ok", "TIMEDOUT")[0] == "ok")
                user.expect(f"get {seed}", "ok")
        outcomes = {}
        for seed in range(2000, 2008):
            device.file.hang()
            outcomes[seed], _ = by(hand, f"putby {seed} {SOON}", "TIMEDOUT", "UNKNOWN")
            assert device.file.met or outcomes[seed] == "TIMEDOUT"
            device.file.let_go()
            # by and by it is there, or is not; and then it can be put
            eventually("a put", lambda: by(hand, f"putby {seed} {LONG}", "ok", "EXISTS", "TIMEDOUT")[0] != "TIMEDOUT")
            hand.expect(f"get {seed}", "ok")
        for seed in list(range(BLOCKS)) + list(outcomes):
            hand.expect(f"get {seed}", "ok")
            reader.expect(f"fresh {seed}", "ok")
        hand.expect("put 3000", "ok")
        hand.quit()
        reader.quit()
        run(memkv, "pool", "check", device.path)
        print(f"agent: overshoot of {len(over)} gets by a deadline of {SOON} ms: {min(over)} to {max(over)} us; "
              f"puts: {sorted(outcomes.values())}")


def leave(memkv, folder):
    with HangingDevice(folder, 64 * MIB) as device:
        run(memkv, "pool", "create", device.path, "--max-block", "700K")
        hand = opened(device.path, "rw")
        hand.expect("put 1", "ok")
        device.file.hang()
        by(hand, f"by 1 {SOON}", "TIMEDOUT")
        hand.tell("quit")
        begin = time.monotonic()
        # the process cannot end before the kernel lets its threads go; that it left close is seen by its last words
        assert hand.process.stdout.readline() == "closed\n"
        took = time.monotonic() - begin
        assert took < 20, f"close took {took} s"
        device.file.let_go()
        assert hand.process.wait(PATIENCE) == 0
        fresh = opened(device.path, "rw")
        fresh.expect("get 1", "ok")
        fresh.expect("put 2", "ok")
        fresh.quit()
        run(memkv, "pool", "check", device.path)
        print(f"leave: closed after {took:.1f} s")


def main():
    memkv, Hand.program = sys.argv[1:]
    run_each(memkv, (verbs, changes, agent, leave))


if __name__ == "__main__":
    main()
