#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A device that hangs: its I/O neither ends nor fails, as that of a namespace whose link is cut.

    device_hangs.py MEMKV BLOCK_HAND

verbs   get and put with --deadline end by it: a miss (1), nothing stored or unknown (5); also when the device hung before they
        began.  Afterwards everything is there.
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

from hanging_file import HangingDevice
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
        for words, code, error in ((("get", device.path, "--name", "a"), 1, "TIMEDOUT"),
                                   (("put", device.path, "--name", "b"), 5, "TIMEDOUT")):
            done, took = tool(memkv, *words, "--deadline", f"{SOON}ms", stdin=b"b")
            assert done.returncode == code and not done.stdout, f"{words}: {done}"
            assert b"deadline" in done.stderr and done.stderr.count(b"\n") == 1, done.stderr
            assert took < 5, f"{words}: it took {took} s"
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
        run(memkv, "pool", "check", device.path)
        print("verbs: a device that hangs is a miss, and nothing stored")


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
    run_each(memkv, (verbs, agent, leave))


if __name__ == "__main__":
    main()
