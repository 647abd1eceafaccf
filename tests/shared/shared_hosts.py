#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several writing hosts on one block device, as processes that share nothing but the device.

    shared_hosts.py MEMKV BLOCK_HAND SCENE...

Each process has a node of the device of its own, so that no lock tells one of the death of another, as between hosts;
the scenes that want such a proof use the same node.  A machine that stands still for longer than the leases gets answers
UNKNOWN, which promise nothing and break nothing: whoever must have an answer asks again.
"""
import os
import random
import signal
import stat
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "block"))
from loop_device import Folder, Hand, LoopDevice, opened, run  # noqa: E402

MIB = 1 << 20
# beat, self, suspect, quarantine, claim: short, but long enough for two slow cores
BEAT_MS, SUSPECT_S, QUARANTINE_S = 100, 4, 1.5
os.environ["MEMKV_LEASE_MS"] = f"{BEAT_MS},3000,{SUSPECT_S * 1000},{QUARANTINE_S * 1000:.0f},25"


class Nodes:
    """Device nodes of our own: one for each host."""

    def __init__(self, folder, device):
        self.folder, self.number = folder, os.stat(device).st_rdev
        self.made = 0

    def new(self):
        self.made += 1
        path = os.path.join(self.folder, f"node{self.made}")
        os.mknod(path, stat.S_IFBLK | 0o600, self.number)
        return path


class Host:
    """A hand that puts in the background, and what it was promised."""

    def __init__(self, node, first):
        self.hand, self.first = opened(node, "rw"), first
        self.acknowledged, self.refused, self.thread = [], [], None

    def burst(self, count):
        first, self.first = self.first, self.first + count
        self.hand.tell(f"burst {first} {count}")
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self):
        for line in self.hand.process.stdout:
            line = line.strip()
            if line == "done":
                return
            seed, _, outcome = line.partition(" ")
            if outcome in ("ok", "EXISTS"):
                self.acknowledged.append(int(seed))
            elif outcome:
                self.refused.append((int(seed), outcome))

    def wait(self):
        self.thread.join()
        refused = [r for r in self.refused if r[1] != "UNKNOWN"]
        assert not refused, f"{len(refused)} puts were refused: {refused[:5]}"

    def signal(self, number):
        os.kill(self.hand.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()
        self.hand.process.wait(60)


def sure(hand, line, *wanted):
    """Like expect(), but asks again what was UNKNOWN."""
    got = "UNKNOWN"
    while got == "UNKNOWN":
        got = hand.ask(line)
    assert got in wanted, f"{line}: {got!r}, not {' or '.join(wanted)}"
    return got


def all_there(reader, seeds, what):
    missing = [s for s in seeds if reader.ask(f"fresh {s}") != "ok"]
    assert not missing, f"{what}: {len(missing)} of {len(seeds)} acknowledged blocks are not there: {missing[:8]}"


def create(memkv, device, *more):
    run(memkv, "pool", "create", device, "--share", "--max-block", "1M", "--force", "--yes", *more)


def see_each_other(memkv, nodes):
    a, b = opened(nodes.new(), "rw"), opened(nodes.new(), "rw")
    reader, follower = opened(nodes.new(), "ro"), opened(nodes.new(), "live")
    for seed in range(40):
        sure(a if seed % 2 else b, f"put {seed}", "ok", "EXISTS")
        (b if seed % 2 else a).expect(f"fresh {seed}", "ok")
        reader.expect(f"fresh {seed}", "ok")
        assert follower.ask(f"wait {seed} 8000").split()[0] == "ok"
    for seed in range(40):  # the same bytes from the other side
        (b if seed % 2 else a).expect(f"put {seed}", "EXISTS")
    for seed in range(0, 40, 3):  # each removes what the other has put; a get alone must notice
        sure(b if seed % 2 else a, f"rm {seed}", "ok")
        for hand in (follower, a, b, reader):
            hand.expect(f"get {seed}", "MISS")
    for seed in range(0, 40, 3):
        a.expect(f"rm {seed}", "MISS")
        sure(b, f"put {seed}", "ok", "EXISTS")
        for hand in (a, b, reader, follower):
            hand.expect(f"fresh {seed}", "ok")
    for hand in (a, b, reader, follower):
        hand.quit()


def all_at_once(memkv, nodes):
    """Ten hosts attach in the same moment: each gets a slot of its own, and they see each other's blocks."""
    greetings = [None] * 10

    def attach(i, node):
        greetings[i] = Hand(node, "rw")

    threads = [threading.Thread(target=attach, args=(i, nodes.new())) for i in range(len(greetings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(hand.greeting == "open" for hand in greetings), [hand.greeting for hand in greetings]
    slots = [line.split()[0] for line in run(memkv, "host", "ls", nodes.new()).splitlines()]
    assert len(slots) == len(set(slots)) == len(greetings), f"slots: {slots}"
    for i, hand in enumerate(greetings):
        sure(hand, f"put {1000 + i}", "ok", "EXISTS")
    for i, hand in enumerate(greetings):
        hand.expect(f"fresh {1000 + (i + 3) % len(greetings)}", "ok")
    for hand in greetings:
        hand.quit()


def three_writers(memkv, nodes):
    hosts = [Host(nodes.new(), 1000 * (i + 1)) for i in range(3)]
    for host in hosts:
        host.burst(150)
    for host in hosts:
        host.wait()
    reader = opened(nodes.new(), "ro")
    for host in hosts:
        all_there(reader, host.acknowledged, "three writers")
    for host in hosts:
        host.hand.quit()
    reader.quit()
    print(f"  {sum(len(h.acknowledged) for h in hosts)} puts by three hosts at once")


def killed(memkv, nodes):
    """Nobody can prove the death of who was killed; what it had acknowledged stays, its segments are adopted."""
    rng, victims = random.Random(11), []
    survivor = Host(nodes.new(), 500000)
    for round_number in range(3):
        hosts = [Host(nodes.new(), 10000 * (round_number * 3 + i + 1)) for i in range(2)]
        for host in hosts:
            host.burst(400)
        survivor.burst(20)
        time.sleep(0.2 + rng.random() * 0.3)
        for host in hosts:
            host.kill()
        survivor.wait()
        victims += hosts
    time.sleep(SUSPECT_S + 1)  # they are suspect by now
    survivor.burst(150)
    survivor.wait()
    reader = opened(nodes.new(), "ro")
    for host in victims + [survivor]:
        all_there(reader, host.acknowledged, "kill -9")
    survivor.hand.quit()
    reader.quit()
    print(f"  {sum(len(v.acknowledged) for v in victims)} puts of killed hosts are there")


def stopped(memkv, nodes):
    """Stopped past the lease, adopted, and woken again: what was acknowledged before, meanwhile and afterwards is there."""
    hosts = [Host(nodes.new(), 1000 * (i + 1)) for i in range(3)]
    sleeper = hosts[0]
    sleeper.burst(100)
    time.sleep(0.3)
    sleeper.signal(signal.SIGSTOP)
    for host in hosts[1:]:
        host.burst(40)
    time.sleep(SUSPECT_S + 1)  # it is suspect
    for host in hosts[1:]:
        host.wait()
        host.burst(60)
        host.wait()
    before = len(sleeper.acknowledged)
    sleeper.signal(signal.SIGCONT)
    sleeper.wait()
    sleeper.burst(40)
    sleeper.wait()
    reader = opened(nodes.new(), "ro")
    for host in hosts:
        all_there(reader, host.acknowledged, "SIGSTOP")
    for host in hosts:
        host.hand.quit()
    reader.quit()
    print(f"  the stopped host had {before} puts acknowledged, and {len(sleeper.acknowledged) - before} after it woke up; "
          f"{len(sleeper.refused)} were unknown")


def full(memkv, nodes):
    """Three hosts put more than fits, over and over; every get is exact or a miss, and the youngest blocks are there."""
    hosts = [Host(nodes.new(), 100000 * (i + 1)) for i in range(3)]
    reader = opened(nodes.new(), "live")
    rng, hits = random.Random(5), 0
    for host in hosts:
        host.burst(1200)
    while any(host.thread.is_alive() for host in hosts):
        host = rng.choice(hosts)
        if host.acknowledged:
            hits += reader.expect(f"get {rng.choice(host.acknowledged)}", "ok", "MISS") == "ok"
    for host in hosts:
        host.wait()
        all_there(reader, host.acknowledged[-20:], "full")
    for i, host in enumerate(hosts):  # removals in a pool that is full
        for seed in host.acknowledged[-20:]:
            sure(hosts[(i + 1) % 3].hand, f"rm {seed}", "ok")
            host.hand.expect(f"get {seed}", "MISS")
            reader.expect(f"get {seed}", "MISS")
    print(f"  3600 puts into room for some 1500; {hits} gets hit meanwhile")
    for host in hosts:
        host.hand.quit()
    reader.quit()


def newcomers(memkv, nodes):
    """A pool that one host has filled: each newcomer writes within some heartbeats, and gets its part in time."""
    first = Host(nodes.new(), 1000)
    first.burst(1800)
    first.wait()
    hosts = [Host(nodes.new(), 100000 * (i + 1)) for i in range(4)]
    begin, slowest = time.monotonic(), 0
    for host in hosts:
        begin = time.monotonic()
        sure(host.hand, "put 7" + str(host.first), "ok", "EXISTS")
        slowest = max(slowest, time.monotonic() - begin)
    for host in hosts + [first]:
        host.burst(150)
    for host in hosts + [first]:
        host.wait()
    reader = opened(nodes.new(), "ro")
    for host in hosts:
        all_there(reader, host.acknowledged[-10:], "newcomers")
        host.hand.quit()
    first.hand.quit()
    reader.quit()
    print(f"  a newcomer's first put took {slowest * 1000:.0f} ms at most (heartbeats of {BEAT_MS} ms)")


def proven(memkv, nodes):
    """On one node of the device a lock proves death: what was left open is continued after the quarantine, and slots too."""
    node = nodes.new()
    keeper = Host(node, 900000)
    for i in range(4):
        host = Host(node, 10000 * (i + 1))
        host.burst(400)
        time.sleep(0.3)
        host.kill()
        reader = opened(node, "ro")
        all_there(reader, host.acknowledged, "proven")
        reader.quit()
    assert "dead" in run(memkv, "host", "ls", node, "--all"), "nobody is proven dead"
    time.sleep(QUARANTINE_S + 1)
    keeper.burst(1500)  # all segments, those that were open as well
    keeper.wait()
    run(memkv, "pool", "check", node)
    keeper.hand.quit()
    states = run(memkv, "pool", "info", node).split("segments", 1)[1]
    assert "open 0" in states, f"what the dead had open is left: {states}"


def attached(nodes, patience_s=30):
    """A newcomer, and after how many seconds it had a slot."""
    begin = time.monotonic()
    hand = Hand(nodes.new(), "rw")
    took = time.monotonic() - begin
    assert hand.greeting == "open" and took < patience_s, f"a newcomer gets {hand.greeting} after {took:.1f} s"
    return hand, took


def reused(memkv, nodes):
    """Hosts that are killed, with nobody who could prove it, do not use the slots up; one that wakes up finds its slot lost."""
    slots = 4
    create(memkv, nodes.new(), "--slots", str(slots))
    hosts = [Host(nodes.new(), 10000 * (i + 1)) for i in range(slots)]
    for host in hosts:
        host.burst(60)
    for host in hosts:
        host.wait()
    gone = [host.acknowledged[-1] for host in hosts]  # removed by those who are killed, or stopped, then
    for i, host in enumerate(hosts):
        sure(host.hand, f"rm {gone[i - 1]}", "ok")
    kept = [seed for host in hosts for seed in host.acknowledged[:-1]]
    survivor, sleeper = hosts[0], hosts[3]
    for host in hosts[1:3]:
        host.kill()
    sleeper.signal(signal.SIGSTOP)
    newcomers, waits = [], []
    try:
        for i in range(3):
            hand, took = attached(nodes)
            newcomers.append(hand)
            waits.append(took)
            sure(hand, f"put {90000 + i}", "ok", "EXISTS")
    except AssertionError:
        sleeper.signal(signal.SIGCONT)  # one that is stopped would outlive this test
        raise
    assert waits[0] > SUSPECT_S, f"a slot passed on after {waits[0]:.1f} s"
    for hand in newcomers + [survivor.hand]:
        for seed in gone:
            hand.expect(f"fresh {seed}", "MISS")
        all_there(hand, kept[::5], "slots that passed on")
    newcomers.pop().quit()  # one is free
    sleeper.signal(signal.SIGCONT)
    begin, again = time.monotonic(), ""
    while again not in ("ok", "EXISTS"):  # it goes on in another slot
        again = sleeper.hand.ask("put 95000")
        assert again in ("ok", "EXISTS", "UNKNOWN", "FAILED") and time.monotonic() - begin < 60, again
        time.sleep(0.2)
    reader = opened(nodes.new(), "ro")
    all_there(reader, kept + [90000, 90001, 90002, 95000], "after it woke up")
    for seed in gone:
        reader.expect(f"fresh {seed}", "MISS")
    rows = [line.split()[0] for line in run(memkv, "host", "ls", nodes.new()).splitlines()]
    assert len(rows) == len(set(rows)) == slots, f"slots: {rows}"
    run(memkv, "pool", "check", nodes.new())
    for hand in newcomers + [survivor.hand, sleeper.hand, reader]:
        hand.quit()
    print(f"  of {slots} slots three passed on unproven: newcomers waited {', '.join(f'{w:.1f}' for w in waits)} s")


def many_removals(memkv, nodes):
    """More removals than the logs keep at a time: they are forgotten as segments are written anew, and stay in force."""
    a, b = opened(nodes.new(), "rw"), opened(nodes.new(), "rw")
    for seed in range(800):
        sure(a, f"put {seed}", "ok", "EXISTS")
        sure(a if seed % 3 else b, f"rm {seed}", "ok")
    for seed in range(0, 800, 7):
        a.expect(f"get {seed}", "MISS")
        b.expect(f"fresh {seed}", "MISS")
    reader = opened(nodes.new(), "ro")  # who was not there must not find them either
    for seed in range(0, 800, 7):
        reader.expect(f"get {seed}", "MISS")
    for hand in (a, b, reader):
        hand.quit()


def main():
    memkv, Hand.program = sys.argv[1:3]
    with Folder() as folder, LoopDevice(folder, 192 * MIB) as device:
        nodes = Nodes(folder, device.path)
        for name in sys.argv[3:]:
            create(memkv, device.path)
            begin = time.monotonic()
            globals()[name](memkv, nodes)
            print(f"{name}: {time.monotonic() - begin:.1f} s", flush=True)


main()
