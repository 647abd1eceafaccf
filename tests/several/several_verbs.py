#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verbs on pools of several files: what they do, and what they refuse, with the sentence and the exit code.

    several_verbs.py MEMKV BLOCK_HAND
"""
import json
import os
import shutil
import subprocess
import sys

from several_tool import MIB, Folder, Hand, info, opened, run

BLOCKS = 60


def states(memkv, pool):
    return [n["state"] for n in info(memkv, pool)["namespaces"]]


def refused(code, sentence, *words):
    said = run(*words, code=code)
    assert sentence in said, f"{' '.join(words)}: {said!r} lacks {sentence!r}"


def fill(pool, first=0, count=BLOCKS):
    hand = opened(pool, "rw")
    for seed in range(first, first + count):
        hand.expect(f"put {seed}", "ok")
    hand.quit()


def count_there(pool, seeds=range(BLOCKS)):
    hand = opened(pool, "ro")
    there = sum(hand.expect(f"get {seed}", "ok", "MISS") == "ok" for seed in seeds)
    hand.quit()
    return there


def test_create(memkv, folder):
    """All namespaces or nothing; --dry-run; --size is each file's."""
    pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
    args = [memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K", "--namespace", more]
    run(*args, "--dry-run")
    assert os.listdir(folder) == []
    run(*args)
    about = info(memkv, pool)
    assert [n["bytes"] for n in about["namespaces"]] == [96 * MIB] * 2 and not about["degraded"]
    assert about["bytes"] == 192 * MIB and about["segments"]["total"] == sum(n["segments"] for n in about["namespaces"])
    fill(pool)
    assert count_there(pool) == BLOCKS
    used = [n["segments"] - n["segments_free"] for n in info(memkv, pool)["namespaces"]]
    assert min(used) > 0, f"not spread: {used}"
    refused(3, "holds a pool already", *args)
    other = os.path.join(folder, "c")
    refused(3, "holds a pool already", memkv, "pool", "create", other, "--size", "96M", "--max-block", "768K", "--namespace", more)
    assert not os.path.exists(other), "a create that failed has left a file"
    refused(2, "given twice", memkv, "pool", "create", other, "--namespace", other)
    refused(2, "--blocks", memkv, "pool", "create", other, "--blocks", "100", "--block-size", "64K", "--namespace", more + "2")
    assert not os.path.exists(other)
    run(memkv, "pool", "destroy", pool, "--yes")
    assert os.listdir(folder) == []


def test_members(memkv, folder):
    """A namespace is not taken for the pool, nor for another pool's; what is mixed up is lost, and never mistaken."""
    pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
    run(memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K", "--namespace", more)
    fill(pool)
    for verb in (["ls"], ["pool", "info"], ["pool", "destroy", "--yes"]):
        refused(2, "is namespace 1 of the pool", memkv, *verb, more)
    apart = os.path.join(folder, "apart")
    os.mkdir(apart)
    shutil.move(more, apart)
    assert states(memkv, pool) == ["there", "lost"]
    said = run(memkv, "pool", "check", pool)
    assert "not looked at   1 namespace, lost" in said, said
    assert '"namespaces_lost":1' in run(memkv, "pool", "check", pool, "--json")
    part = count_there(pool)
    assert 0 < part < BLOCKS
    # another pool's, of the same number; the pool's own first one
    run(memkv, "pool", "create", pool + "2", "--size", "96M", "--max-block", "768K", "--namespace", more)
    refused(0, "another pool", memkv, "pool", "check", pool)
    assert count_there(pool) == part and states(memkv, pool) == ["there", "lost"]
    shutil.copyfile(pool, more)
    refused(0, "first namespace", memkv, "pool", "check", pool)
    os.unlink(more)
    shutil.move(os.path.join(apart, "b"), more)
    assert count_there(pool) == BLOCKS and '"namespaces_lost":0' in run(memkv, "pool", "check", pool, "--json")
    # both together elsewhere: the one is found beside the other
    shutil.move(pool, apart)
    shutil.move(more, apart)
    assert count_there(os.path.join(apart, "a")) == BLOCKS


def test_grow(memkv, folder):
    """Nothing is lost, the new one is written to; what is no place for it is refused."""
    pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
    run(memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K")
    fill(pool)
    before = info(memkv, pool)
    assert len(before["namespaces"]) == 1
    refused(2, "NAMESPACE is missing", memkv, "pool", "grow", pool)
    refused(2, "does not hold one segment", memkv, "pool", "grow", pool, more, "--size", "64K")
    refused(3, "is namespace 0 of this pool already", memkv, "pool", "grow", pool, pool)
    refused(2, "all files or all block devices", memkv, "pool", "grow", pool, a_device()) if a_device() else None
    with open(more, "wb") as f:
        f.write(b"not memkv's" * 10000)
    refused(3, "holds data", memkv, "pool", "grow", pool, more)
    os.unlink(more)
    writer = opened(pool, "rw")
    refused(5, "in use by 1 live agent", memkv, "pool", "grow", pool, more, "--size", "16M")
    assert not os.path.exists(more)
    writer.quit()
    run(memkv, "pool", "grow", pool, more, "--size", "16M", "--dry-run")
    assert not os.path.exists(more) and info(memkv, pool) == before
    run(memkv, "pool", "grow", pool, more, "--size", "16M")
    after = info(memkv, pool)
    assert [n["bytes"] for n in after["namespaces"]] == [96 * MIB, 16 * MIB] and after["used_blocks"] == before["used_blocks"]
    refused(3, "is namespace 1 of this pool already", memkv, "pool", "grow", pool, more)
    assert count_there(pool) == BLOCKS
    fill(pool, 1000)
    namespaces = info(memkv, pool)["namespaces"]
    assert namespaces[1]["segments_free"] < namespaces[1]["segments"], "the new one is not written to"
    assert count_there(pool) == BLOCKS and count_there(pool, range(1000, 1000 + BLOCKS)) == BLOCKS
    run(memkv, "pool", "check", pool)


def test_two_grows(memkv, folder):
    """At the same time: one after the other, or one is told to come again; no number is given twice, nothing is left over."""
    pool = os.path.join(folder, "a")
    run(memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K")
    fill(pool)
    names = [os.path.join(folder, f"more{n}") for n in range(12)]
    grown = {pool}
    for pair in zip(names[::2], names[1::2]):
        both = [subprocess.Popen([memkv, "pool", "grow", pool, name, "--size", "16M"], stderr=subprocess.PIPE, text=True,
                                 stdout=subprocess.DEVNULL) for name in pair]
        said = [process.communicate()[1] for process in both]
        codes = [process.returncode for process in both]
        assert 0 in codes and set(codes) <= {0, 5}, (codes, said)
        grown |= {name for name, code in zip(pair, codes) if code == 0}
    about = info(memkv, pool)["namespaces"]
    assert [n["number"] for n in about] == list(range(len(grown))) and len({n["id"] for n in about}) == len(grown), about
    assert {os.path.join(folder, name) for name in os.listdir(folder)} == grown and states(memkv, pool) == ["there"] * len(grown)
    run(memkv, "pool", "check", pool)
    fill(pool, 1000, 120)
    assert count_there(pool) == BLOCKS and count_there(pool, range(1000, 1120)) == 120
    free = [n["segments_free"] < n["segments"] for n in info(memkv, pool)["namespaces"][1:]]
    assert sum(free) > 1, free


def test_found(memkv, folder):
    """A further namespace is named as such by scan, and does not make a name ambiguous."""
    pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
    run(memkv, "pool", "create", pool, "--name", "mine", "--size", "96M", "--max-block", "768K", "--namespace", more)
    said = run(memkv, "pool", "scan", folder)
    assert "1 pools" in said and "namespace 1 of that pool" in said and "first of 2 namespaces" in said, said
    found = json.loads(next(line for line in run(memkv, "pool", "scan", folder, "--json").splitlines() if line[0] == "{"))
    assert [(p["path"], p["namespaces"]) for p in found["pools"]] == [(pool, 2)], found
    assert found["members"] == [{"path": more, "uuid": found["pools"][0]["uuid"], "number": 1, "bytes": 96 * MIB}], found
    os.environ["MEMKV_POOL_PATH"] = folder
    for address in ("name:mine", "uuid:" + found["pools"][0]["uuid"]):
        assert info(memkv, address)["path"] == pool
    del os.environ["MEMKV_POOL_PATH"]


def test_replay(memkv, folder):
    """Sessions over two namespaces, by two processes: not one wrong byte, and either of them is used."""
    pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
    run(memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K", "--namespace", more)
    said = run(memkv, "replay", pool, "--generate", "sessions=8,turns=6", "--agents", "2", "--block-size", "256K", "--json")
    report = json.loads(next(line for line in said.splitlines() if line[0] == "{"))
    assert report["wrong_bytes"] == 0 and report["hit_blocks"] > 100 and report["gets"] == report["hit_blocks"], report
    assert report["puts"] > 100 and report["puts_failed"] == report["gets_failed"] == report["requests_unfinished"] == 0, report
    assert all(n["segments_free"] < n["segments"] for n in info(memkv, pool)["namespaces"])
    run(memkv, "pool", "check", pool)


def a_device():
    return next((p for p in ("/dev/loop0",) if os.path.exists(p) and os.geteuid() == 0 and not in_use(p)), None)


def in_use(path):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_EXCL))
        return False
    except OSError:
        return True


def test_lost_and_destroyed(memkv, folder):
    """What cannot be known while one is lost is said; a destroy takes what is there."""
    pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
    run(memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K", "--namespace", more)
    fill(pool)
    os.rename(more, more + ".away")
    hand = opened(pool, "rw")
    missing = [s for s in range(BLOCKS) if hand.expect(f"get {s}", "ok", "MISS") == "MISS"]
    hand.expect(f"rm {missing[0]}", "DEGRADED")
    hand.expect(f"replace {missing[1]}", "DEGRADED", "ok")
    hand.expect(f"put {missing[2]}", "ok")
    hand.expect(f"durable {missing[3]}", "ok")
    absent, lost = map(int, hand.ask("misses").split()[:2])
    assert lost >= len(missing) and absent == 0, (absent, lost)
    hand.quit()
    os.rename(more + ".away", more)
    assert count_there(pool) == BLOCKS
    hand = opened(pool, "rw")
    hand.expect(f"rm {missing[2]}", "ok")  # both copies
    hand.expect(f"get {missing[2]}", "MISS")
    hand.quit()
    assert count_there(pool) == BLOCKS - 1
    os.rename(more, more + ".away")
    run(memkv, "pool", "destroy", pool, "--yes")
    assert os.listdir(folder) == ["b.away"]


def test_drain_and_remove(memkv, folder):
    """Blocks move; what has no room stays, or goes when that is allowed, but for what is pinned; then it can be removed."""
    pool, more, third = (os.path.join(folder, name) for name in "abc")
    run(memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K", "--namespace", more)
    fill(pool)
    refused(2, "is the pool's home", memkv, "pool", "drain", pool, pool)
    refused(2, "has no namespace", memkv, "pool", "drain", pool, "7")
    refused(2, "is the pool's home", memkv, "pool", "remove", pool, "0")
    refused(3, "is not drained", memkv, "pool", "remove", pool, more, "--yes")
    writer = opened(pool, "rw")
    for seed in range(1000, 1003):
        writer.expect(f"put {seed}", "ok")
    open_there = [n["number"] for n in info(memkv, pool)["namespaces"]]
    assert open_there == [0, 1]
    said = subprocess.run([memkv, "pool", "drain", pool, more], capture_output=True)
    assert said.returncode in (0, 5) and (said.returncode == 0 or b"living agents" in said.stderr), said
    for seed in range(2000, 2010):  # it goes on, elsewhere
        writer.expect(f"put {seed}", "ok")
    refused(5, "in use by 1 live agent", memkv, "pool", "remove", pool, more, "--yes")
    writer.quit()
    run(memkv, "pool", "drain", pool, more)
    every = [*range(BLOCKS), *range(1000, 1003), *range(2000, 2010)]
    assert count_there(pool, every) == len(every)
    namespaces = info(memkv, pool)["namespaces"]
    assert namespaces[1]["segments_retired"] == namespaces[1]["segments"] and namespaces[1]["segments_free"] == 0
    run(memkv, "pool", "check", pool)
    run(memkv, "pool", "drain", pool, "1", "--undo")
    assert info(memkv, pool)["namespaces"][1]["segments_retired"] == 0
    fill(pool, 3000, 10)
    run(memkv, "pool", "drain", pool, namespaces[1]["id"])
    run(memkv, "pool", "remove", pool, more, "--dry-run")
    assert os.path.exists(more)
    run(memkv, "pool", "remove", pool, more, "--yes")
    assert not os.path.exists(more) and states(memkv, pool) == ["there", "removed"]
    every += range(3000, 3010)
    assert count_there(pool, every) == len(every)
    run(memkv, "pool", "grow", pool, third, "--size", "96M")
    fill(pool, 4000, 10)
    every += range(4000, 4010)
    assert count_there(pool, every) == len(every) and states(memkv, pool) == ["there", "removed", "there"]
    run(memkv, "pool", "check", pool)
    # by giving up what is lost
    os.unlink(third)
    refused(5, "is lost", memkv, "pool", "remove", pool, "2", "--yes")
    refused(5, "cannot be drained", memkv, "pool", "drain", pool, "2")
    run(memkv, "pool", "remove", pool, "2", "--lost", "--yes")
    assert states(memkv, pool) == ["there", "removed", "removed"] and not info(memkv, pool)["degraded"]
    run(memkv, "pool", "check", pool)
    fill(pool, 5000, 10)


def test_drain_without_room(memkv, folder):
    pool, more = os.path.join(folder, "a"), os.path.join(folder, "b")
    run(memkv, "pool", "create", pool, "--size", "96M", "--max-block", "768K", "--namespace", more)
    hand, seeds = opened(pool, "rw"), range(1200)
    for seed in seeds:
        hand.expect(f"put {seed}", "ok")
    hand.quit()
    before = count_there(pool, seeds)
    refused(6, "nothing is lost", memkv, "pool", "drain", pool, more)
    assert count_there(pool, seeds) == before
    refused(2, "--yes", memkv, "pool", "drain", pool, more, "--evict")
    run(memkv, "pool", "drain", pool, more, "--evict", "--yes")
    after = count_there(pool, seeds)
    assert 0 < after < before
    run(memkv, "pool", "check", pool)
    run(memkv, "pool", "remove", pool, more, "--yes")
    assert count_there(pool, seeds) == after
    fill(pool, 10000)


def main():
    memkv, Hand.program = sys.argv[1:]
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            with Folder() as folder:
                test(memkv, folder)
            print("ok ", name[5:])


if __name__ == "__main__":
    main()
