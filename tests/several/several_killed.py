#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""grow and remove are killed at each of their system calls that change something, drain at moments: nothing is ever lost.

    several_killed.py MEMKV BLOCK_HAND

After each kill the pool is opened, every block is compared, check finds nothing; it has grown, or shrunk, or it has not; and the
same command, given once more, does what is left to do.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from several_tool import Folder, Hand, info, opened, run, skip

BLOCKS = 90
CALLS = "pwrite64,linkat,unlink,fallocate,ftruncate,fsync"


def compare(memkv, pool):
    run(memkv, "pool", "check", pool)
    hand = opened(pool, "rw")
    for seed in range(BLOCKS):
        hand.expect(f"get {seed}", "ok")
    hand.quit()


def used(memkv, pool):
    return [n["number"] for n in info(memkv, pool)["namespaces"] if n["state"] != "removed"]


def restore(source, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)


def killed_at_each(memkv, source, folder, words, before, after):
    """@words on a copy of @source, killed at call 1, 2, ... until it gets through; how often each end was met."""
    ends = {"before": 0, "after": 0}
    pool = os.path.join(folder, "a")
    for number in range(1, 1000):
        restore(source, folder)
        # the address sanitizer cannot look for leaks where another process traces
        traced = subprocess.run(["strace", "-E", "ASAN_OPTIONS=detect_leaks=0", "-f", "-o", "/dev/null", "-e", f"trace={CALLS}",
                                 "-e", f"inject={CALLS}:signal=KILL:when={number}", memkv, *words], capture_output=True)
        if traced.returncode == 0:
            break
        assert traced.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), traced
        now = used(memkv, pool)
        assert now in (before, after), f"killed at call {number}: {now}"
        ends["after" if now == after else "before"] += 1
        compare(memkv, pool)
        if now == before:
            run(memkv, *words)
        assert used(memkv, pool) == after
        compare(memkv, pool)
    assert number >= 5 and min(ends.values()) > 0, f"{words}: {number} calls, {ends}"
    return ends


def main():
    memkv, Hand.program = sys.argv[1:]
    if not shutil.which("strace"):
        skip("no strace to kill at system calls with")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
        skip("strace may not trace here")
    with Folder() as top:
        source, folder = os.path.join(top, "source"), os.path.join(top, "copy")
        os.mkdir(source)
        pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
        home = os.path.join(source, "a")
        run(memkv, "pool", "create", home, "--size", "96M", "--max-block", "768K")
        hand = opened(home, "rw")
        for seed in range(BLOCKS):
            hand.expect(f"put {seed}", "ok")
        hand.quit()
        print("grow:", killed_at_each(memkv, source, folder, ["pool", "grow", pool, more, "--size", "48M"], [0], [0, 1]))
        # the copy has grown by now; half of its blocks anew, so that some lie on the new one
        hand = opened(pool, "rw")
        for seed in range(0, BLOCKS, 2):
            hand.expect(f"rm {seed}", "ok")
        for seed in range(0, BLOCKS, 2):
            hand.expect(f"put {seed}", "ok")
        hand.quit()
        draw, kills = random.Random(1), 0
        for _ in range(12):
            drain = subprocess.Popen([memkv, "pool", "drain", pool, more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(draw.random() * 0.12)
            drain.kill()
            kills += drain.wait() == -signal.SIGKILL
            compare(memkv, pool)
        run(memkv, "pool", "drain", pool, "1")
        compare(memkv, pool)
        one = info(memkv, pool)["namespaces"][1]
        assert one["segments_retired"] == one["segments"], one
        print("drain:", kills, "kills")
        shutil.rmtree(source)
        os.rename(folder, source)
        print("remove:", killed_at_each(memkv, source, folder, ["pool", "remove", pool, "1", "--yes"], [0, 1], [0]))


if __name__ == "__main__":
    main()
