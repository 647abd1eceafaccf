#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several writing hosts on one block device, as processes that share nothing but the device.

    shared_hosts.py MEMKV BLOCK_HAND

Each process has a node of the device of its own, so that no lock tells one of the death of another, as between hosts;
the scenes that want such a proof use the same node.
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
os.environ["MEMKV_LEASE_MS"] = "100,1500,3000,1500,25"


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

    def signal(self, number):
        os.kill(self.hand.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()
        self.hand.process.wait(60)


def all_there(reader, seeds, what):
    missing = [s for s in seeds if reader.ask(f"fresh {s}") != "ok"]
    assert not missing, f"{what}: {len(missing)} of {len(seeds)} acknowledged blocks are not there: {missing[:8]}"


def create(memkv, device, *more):
    run(memkv, "pool", "create", device, "--share", "--max-block", "1M", "--force", "--yes", *more)


def see_each_other(memkv, nodes):
    a, b = opened(nodes.new(), "rw"), opened(nodes.new(), "rw")
    reader, follower = opened(nodes.new(), "ro"), opened(nodes.new(), "live")
    for seed in range(40):
        (a if seed % 2 else b).expect(f"put {seed}", "ok")
        (b if seed % 2 else a).expect(f"fresh {seed}", "ok")
        reader.expect(f"fresh {seed}", "ok")
        assert follower.ask(f"wait {seed} 8000").split()[0] == "ok"
    for seed in range(40):  # the same bytes from the other side
        (b if seed % 2 else a).expect(f"put {seed}", "EXISTS")
    for seed in range(0, 40, 3):  # each removes what the other has put; a get alone must notice
        (b if seed % 2 else a).expect(f"rm {seed}", "ok")
        for hand in (follower, a, b, reader):
            hand.expect(f"get {seed}", "MISS")
    for seed in range(0, 40, 3):
        a.expect(f"rm {seed}", "MISS")
        b.expect(f"put {seed}", "ok")
        for hand in (a, b, reader, follower):
            hand.expect(f"fresh {seed}", "ok")
    for hand in (a, b, reader, follower):
        hand.quit()


def three_writers(memkv, nodes):
    hosts = [Host(nodes.new(), 1000 * (i + 1)) for i in range(3)]
    for host in hosts:
        host.burst(150)
    for host in hosts:
        host.wait()
        assert not host.refused, host.refused[:5]
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
        assert not survivor.refused, survivor.refused[:5]
        victims += hosts
    time.sleep(3.5)  # they are suspect by now
    survivor.burst(150)
    survivor.wait()
    assert not survivor.refused, survivor.refused[:5]
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
    time.sleep(4)  # suspect
    for host in hosts[1:]:
        host.wait()
        host.burst(60)
        host.wait()
        assert not host.refused, host.refused[:5]
    before = len(sleeper.acknowledged)
    sleeper.signal(signal.SIGCONT)
    sleeper.wait()
    assert all(outcome == "UNKNOWN" for _, outcome in sleeper.refused), sleeper.refused[:5]
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
        assert not host.refused, host.refused[:5]
        all_there(reader, host.acknowledged[-20:], "full")
    for i, host in enumerate(hosts):  # removals in a pool that is full
        for seed in host.acknowledged[-20:]:
            hosts[(i + 1) % 3].hand.expect(f"rm {seed}", "ok")
            host.hand.expect(f"get {seed}", "MISS")
            reader.expect(f"get {seed}", "MISS")
    print(f"  3600 puts into room for some 1500; {hits} gets hit meanwhile")
    for host in hosts:
        host.hand.quit()
    reader.quit()


def main():
    memkv, Hand.program = sys.argv[1:3]
    with Folder() as folder, LoopDevice(folder, 192 * MIB) as device:
        nodes = Nodes(folder, device.path)
        for scene in (see_each_other, three_writers, killed, stopped, full):
            create(memkv, device.path)
            begin = time.monotonic()
            scene(memkv, nodes)
            print(f"{scene.__name__}: {time.monotonic() - begin:.1f} s")


main()
