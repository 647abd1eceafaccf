#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What people get wrong, and what machines do to them: the message, the exit code, and nothing lost or half made.

    bad_input.py MEMKV

Mounts and loop devices need root; what this machine refuses is said, and the rest is tested all the same.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from cli_tool import MIB, ROOT, Missing, check_in_folders

sys.path.insert(0, os.path.join(ROOT, "tests", "golden"))
import independent_reader as reader  # noqa: E402 (a path of ours)

KEY = "cd" * 32


def listing(folder):
    return sorted(os.listdir(folder))


def content(path):
    with open(path, "rb") as f:
        return f.read()


def make(tool, path, size="16M", *more):
    tool.ok("pool", "create", path, "--size", size, *more)
    return path


def make_with_block(tool, path, payload=b"precious" * 999):
    make(tool, path)
    tool.ok("put", path, KEY, stdin=payload)
    return payload


def whole(tool, path, payload):
    """The pool is what it was: its block is there, and its check finds nothing."""
    assert tool.run("get", path, KEY).stdout == payload, "the block is gone or changed"
    assert tool.json("pool", "check", path)["records_bad"] == 0, "records are damaged"


def test_no_pool(tool, folder):
    text, empty, short = (os.path.join(folder, n) for n in ("notes.txt", "empty", "short"))
    for path, data in ((text, b"shopping list\n" * 2000), (empty, b""), (short, b"x")):
        with open(path, "wb") as f:
            f.write(data)
        for verb in (("pool", "info"), ("pool", "check"), ("ls",), ("get", KEY), ("stat", KEY), ("rm", KEY), ("match", KEY)):
            words = verb[:1] + (path,) + verb[1:] if verb[0] != "pool" else verb + (path,)
            tool.refused(4, [path, "not a memkv pool", "pool create"], *words)
        tool.refused(4, [path, "not a memkv pool"], "put", path, KEY, stdin=b"data")
        tool.refused(4, [path, "nothing was destroyed"], "pool", "destroy", path, "--yes")
        assert content(path) == data, "it was written to"
    tool.refused(3, [text, "not memkv's", "--force"], "pool", "create", text, "--size", "16M")
    assert content(text) == b"shopping list\n" * 2000
    tool.refused(4, ["nowhere", "No such file"], "pool", "info", os.path.join(folder, "nowhere"))
    tool.refused(4, ["neither a regular file nor a block or DAX device"], "pool", "create", folder)
    tool.refused(4, ["neither a regular file nor a block or DAX device"], "pool", "info", folder)
    tool.refused(4, ["No such file"], "pool", "create", os.path.join(folder, "no", "where"), "--size", "16M")
    dangling = os.path.join(folder, "dangling")
    os.symlink("to nothing", dangling)
    tool.refused(4, ["symbolic link"], "pool", "create", dangling, "--size", "16M")
    assert os.path.islink(dangling)


def superblock(path, offset):
    with open(path, "rb") as f:
        f.seek(offset)
        return bytearray(f.read(4096))


def test_newer_format(tool, folder):
    """The major version grows, and the check is right for it: computed by the golden tests' independent reader."""
    path = os.path.join(folder, "newer")
    make_with_block(tool, path)
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        for copy, offset in ((0, 0), (1, size - 4096)):
            page = superblock(path, offset)
            page[16:20] = (2).to_bytes(4, "little")
            named = reader.seed(reader.SUPERBLOCK_POOL, 1, copy, 0) ^ (reader.word(page, 0) * 0x9E3779B97F4A7C15 % 2**64)
            page[8:16] = reader.h64(bytes(page[16:512]), named).to_bytes(8, "little")
            f.seek(offset)
            f.write(page)
    before = content(path)
    for words in (("pool", "info", path), ("get", path, KEY), ("pool", "check", path)):
        tool.refused(4, [path, "newer memkv"], *words)
    tool.refused(4, [path, "newer memkv"], "put", path, KEY, stdin=b"data")
    tool.refused(3, [path, "holds a pool already"], "pool", "create", path)
    assert content(path) == before, "a newer pool was written to"
    assert tool.json("pool", "scan", folder)["pools"][0]["state"] == "NEWER"


def test_truncated(tool, folder):
    path = os.path.join(folder, "cut")
    make_with_block(tool, path)
    os.truncate(path, 9 * MIB)
    before = content(path)
    tool.refused(4, [path, "cut short", "restore"], "pool", "info", path)
    tool.refused(4, [path, "cut short"], "put", path, KEY, stdin=b"data")
    tool.refused(3, [path, "holds a pool already"], "pool", "create", path)
    assert content(path) == before
    tool.ok("pool", "destroy", path, "--yes")
    assert not os.path.exists(path), "it is still there"


def test_wrong_keys(tool, folder):
    path = os.path.join(folder, "keys")
    payload = make_with_block(tool, path)
    for key in ("xyz", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 31 + "a ", ""):
        for words in (("get", path, key), ("stat", path, key), ("rm", path, key), ("match", path, key)):
            tool.refused(2, ["64 hex digits"], *words)
        tool.refused(2, ["64 hex digits"], "put", path, key, stdin=b"data")
    tool.refused(1, ["no such block", path], "get", path, "00" * 32)
    tool.refused(1, ["no such block"], "stat", path, "--name", "never put")
    tool.refused(2, ["line 2", "64 hex digits"], "match", path, stdin=(KEY + "\nnonsense\n").encode())
    tool.refused(2, ["--name is given twice"], "get", path, "--name", "a", "--name", "b")
    whole(tool, path, payload)


def test_too_large(tool, folder):
    path, big = os.path.join(folder, "small"), os.path.join(folder, "big")
    payload = make_with_block(tool, path)
    largest = tool.json("pool", "info", path)["max_block"]
    with open(big, "wb") as f:
        f.truncate(largest + 1)
    tool.refused(3, [str(largest)], "put", path, "--name", "big", big)
    with open(big, "wb") as f:
        f.truncate((256 << 20) + 1)
    tool.refused(3, ["268435456"], "put", path, "--name", "big", big)
    tool.refused(2, ["at least 1 byte"], "put", path, "--name", "none", stdin=b"")
    tool.refused(2, ["too large"], "pool", "create", os.path.join(folder, "x"), "--max-block", "1G")
    said = tool.refused(2, [], "pool", "create", os.path.join(folder, "x"), "--size", "16M", "--max-block", "16M")
    assert "16777216" in said or "segment" in said or "MiB" in said, said
    assert not os.path.exists(os.path.join(folder, "x"))
    os.unlink(big)
    whole(tool, path, payload)


class Mounted:
    def __init__(self, folder, *words):
        if os.geteuid():
            raise Missing("mounts need root")
        self.path = os.path.join(folder, "mounted")
        os.makedirs(self.path, exist_ok=True)
        done = subprocess.run([*words, self.path], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{words[0]}: {done.stderr.strip()}")

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        for _ in range(50):
            if not subprocess.run(["umount", self.path], capture_output=True, check=False).returncode:
                return
            time.sleep(0.1)
        subprocess.run(["umount", "-l", self.path], check=False)


def full(tool, place):
    pool = os.path.join(place, "pool")
    before = listing(place)
    tool.refused(6, ["No space left", "--size"], "pool", "create", pool, "--size", "64M")
    tool.refused(6, ["No space left", "--size"], "pool", "create", pool, "--size", "64M", "--dry-run")
    assert listing(place) == before, "something is left of the create"
    tool.ok("pool", "create", pool, "--size", "16M")
    with open(os.path.join(place, "filler"), "wb", buffering=0) as f:
        for piece in (MIB, 4096):
            try:
                while f.write(bytes(piece)) == piece:
                    pass
            except OSError:
                pass
    payload = b"fits, since a pool has its room from the start" * 1000
    tool.ok("put", pool, KEY, stdin=payload)
    out = os.path.join(place, "out")
    tool.refused(6, ["out", "No space left"], "get", pool, KEY, "-o", out)
    assert not [n for n in listing(place) if n.startswith("out")], "half a file is left"
    whole(tool, pool, payload)


def test_full_tmpfs(tool, folder):
    with Mounted(folder, "mount", "-t", "tmpfs", "-o", "size=24M", "tmpfs") as place:
        full(tool, place)


def test_full_ext4(tool, folder):
    if not shutil.which("mkfs.ext4"):
        raise Missing("no mkfs.ext4")
    image = os.path.join(folder, "image")
    with open(image, "wb") as f:
        f.truncate(40 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with Mounted(folder, "mount", "-o", "loop", image) as place:
        full(tool, place)


def test_read_only_mount(tool, folder):
    with Mounted(folder, "mount", "-t", "tmpfs", "-o", "size=24M", "tmpfs") as place:
        path = os.path.join(place, "pool")
        payload = make_with_block(tool, path)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        tool.refused(3, [path, "Read-only"], "put", path, KEY, stdin=b"data")
        tool.refused(3, [path, "Read-only"], "rm", path, KEY)
        tool.refused(3, [path, "Read-only"], "pool", "destroy", path, "--yes")
        tool.refused(3, ["Read-only"], "pool", "create", os.path.join(place, "new"), "--size", "1M")
        whole(tool, path, payload)


def test_read_only_file(tool, folder):
    """As a user who may read and not write."""
    path = os.path.join(folder, "locked")
    payload = make_with_block(tool, path)
    os.chmod(path, 0o444)
    os.chmod(folder, 0o755)
    if os.geteuid():
        user = {}
    else:
        user = {"user": 65534, "group": 65534, "extra_groups": []}
        if tool.run("version", **user).returncode:
            raise Missing("nobody cannot run the tool where it lies")
    for words in (("put", path, KEY), ("rm", path, KEY), ("pool", "destroy", path, "--yes")):
        tool.refused(3, [path, "Permission denied"], *words, stdin=b"data", **user)
    tool.refused(3, ["Permission denied"], "pool", "create", path, "--force", "--yes", **user)
    tool.refused(3, ["Permission denied"], "pool", "create", os.path.join(folder, "new"), "--size", "16M", **user)
    assert tool.run("get", path, KEY, **user).stdout == payload, "reading is allowed"
    os.chmod(path, 0o644)
    whole(tool, path, payload)


def test_network_file_system(tool, folder):
    if not shutil.which("bindfs"):
        raise Missing("no bindfs for a FUSE mount")
    source = os.path.join(folder, "source")
    os.makedirs(source)
    payload = make_with_block(tool, os.path.join(source, "pool"))
    with Mounted(folder, "bindfs", source) as place:
        path = os.path.join(place, "pool")
        names = ["FUSE", "lock", "local file system"]
        tool.refused(3, names, "pool", "create", os.path.join(place, "new"), "--size", "16M")
        tool.refused(3, names, "pool", "create", os.path.join(place, "new"), "--size", "16M", "--dry-run")
        tool.refused(3, names, "pool", "create", path, "--force", "--yes")
        tool.refused(3, names, "put", path, KEY, stdin=b"data")
        tool.refused(3, names, "rm", path, KEY)
        tool.refused(3, names, "pool", "destroy", path, "--yes")
        assert listing(source) == ["pool"]
        assert tool.run("get", path, KEY).stdout == payload, "reading is allowed"
    whole(tool, os.path.join(source, "pool"), payload)


def loop_device(folder, size):
    if os.geteuid() or not shutil.which("losetup"):
        raise Missing("loop devices need root and losetup")
    image = os.path.join(folder, "device.img")
    with open(image, "wb") as f:
        f.truncate(size)
    made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode:
        raise Missing(f"no loop device: {made.stderr.strip()}")
    return made.stdout.strip()


def test_foreign_device(tool, folder):
    device = loop_device(folder, 64 * MIB)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
        before = content(device)
        tool.refused(3, [device, "ext4", "--force"], "pool", "create", device)
        tool.refused(3, [device, "ext4", "--force"], "pool", "create", device, "--dry-run")
        tool.refused(4, [device, "not a memkv pool"], "pool", "info", device)
        tool.refused(4, [device, "nothing was destroyed"], "pool", "destroy", device, "--yes")
        tool.refused(2, ["--yes"], "pool", "create", device, "--force", stdin=b"")
        assert content(device) == before, "a refusal wrote"
        with Mounted(folder, "mount", device):
            tool.refused(5, [device, "mounted"], "pool", "create", device, "--force", "--yes")
        tool.ok("pool", "create", device, "--force", "--yes")
    finally:
        subprocess.run(["losetup", "-d", device], check=False)


def test_two_creates(tool, folder):
    path = os.path.join(folder, "race")
    for _ in range(10):
        both = [subprocess.Popen([tool.program, "pool", "create", path, "--size", size, "--name", size],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for size in ("16M", "17M", "18M")]
        ends = [(p.stderr.read().decode(), p.wait()) for p in both]
        codes = sorted(code for _, code in ends)
        assert codes[0] == 0 and codes[1] in (3, 5) and codes[2] in (3, 5), ends
        winner = [size for size, (_, code) in zip(("16M", "17M", "18M"), ends) if code == 0][0]
        assert tool.json("pool", "info", path)["name"] == winner, "somebody else's pool is there"
        assert tool.json("pool", "check", path)["records_bad"] == 0
        assert listing(folder) == ["race"], listing(folder)
        os.unlink(path)


def test_create_over_live(tool, folder):
    path = os.path.join(folder, "live")
    payload = make_with_block(tool, path)
    trace = ["replay", path, "--live", "--generate", "sessions=400,turns=6,prompts=400", "--agents", "1", "--block-size", "64K"]
    with subprocess.Popen([tool.program, *trace], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as live:
        try:
            for _ in range(500):
                if tool.json("pool", "info", path)["slots_live"]:
                    break
                time.sleep(0.01)
            tool.refused(3, ["holds a pool already"], "pool", "create", path)
            tool.refused(5, ["live agent", "stop"], "pool", "create", path, "--force", "--yes")
            tool.refused(5, ["live agent"], "pool", "create", path, "--force", "--dry-run")
            tool.refused(5, ["live agent"], "pool", "destroy", path, "--yes")
            assert live.poll() is None, "the agent ended too early for the test to mean anything"
        finally:
            live.kill()
    del payload


def test_interrupted_create(tool, folder):
    """kill -9 at moments all over a create: no pool or a whole one, nothing beside it, and the next create works."""
    path = os.path.join(folder, "killed")
    started = time.monotonic()
    make(tool, path, "64M")
    whole_us = int((time.monotonic() - started) * 1e6)
    os.unlink(path)
    left = {"nothing": 0, "pool": 0}
    for moment in range(24):
        with subprocess.Popen([tool.program, "pool", "create", path, "--size", "64M"], stdout=subprocess.DEVNULL) as p:
            time.sleep(whole_us * moment / 24 / 1e6)
            p.kill()
        there = os.path.exists(path)
        left["pool" if there else "nothing"] += 1
        assert listing(folder) in ([], ["killed"]), listing(folder)
        if there:
            assert tool.json("pool", "check", path)["bad"] == 0
            tool.ok("pool", "destroy", path, "--yes")
        make(tool, path, "16M")
        os.unlink(path)
    return f"{left['nothing']} times nothing was left, {left['pool']} times a whole pool"


def test_interrupted_create_in_place(tool, folder):
    """The same over a file that is there: what is left half made is said to be, and can be created again."""
    path = os.path.join(folder, "place")
    unfinished = 0
    for moment in range(16):
        with open(path, "wb") as f:
            f.truncate(64 * MIB)
        with subprocess.Popen([tool.program, "pool", "create", path], stdout=subprocess.DEVNULL) as p:
            time.sleep(moment / 1600)
            p.send_signal(signal.SIGKILL)
        if tool.run("pool", "info", path).returncode == 0:
            tool.ok("pool", "destroy", path, "--yes")
            continue
        unfinished += 1
        tool.ok("pool", "create", path)
        assert tool.json("pool", "check", path)["records_bad"] == 0
    assert unfinished, "no kill came early enough"


def test_repair(tool, folder):
    """A block whose bytes were overwritten: a miss, found, in the way of its own key until it is repaired."""
    path = os.path.join(folder, "pool")
    tool.ok("pool", "create", path, "--size", "128M", "--max-block", "1M")
    payload = os.urandom(300000)
    for name in ("kept", "hurt"):
        tool.ok("put", path, "--name", name, stdin=payload + name.encode())
    place = tool.json("stat", path, "--name", "hurt")
    with open(path, "r+b") as f:
        f.seek(place["page"] * 4096 + 4096 + 100000)
        f.write(b"four")
    tool.ok("get", path, "--name", "hurt", code=1)
    tool.refused(2, ["--yes", "--dry-run"], "pool", "check", path, "--repair")
    assert tool.json("pool", "check", path, "--repair", "--dry-run", code=4)["bad"] == 1
    tool.refused(2, ["--sample"], "pool", "check", path, "--repair", "--yes", "--sample", "3%")
    assert json.loads(tool.run("pool", "check", path, "--json").stdout)["bad"] == 1
    done = tool.json("pool", "check", path, "--repair", "--yes", code=0)
    assert (done["bad"], done["removed"], done["left"]) == (1, 1, 0), done
    found = tool.json("pool", "check", path)
    assert (found["blocks"], found["bad"], found["records_bad"]) == (1, 0, 0), found
    tool.ok("put", path, "--name", "hurt", stdin=payload)
    assert tool.run("get", path, "--name", "hurt").stdout == payload
    assert tool.run("get", path, "--name", "kept").stdout == payload + b"kept"


def test_wrong_words(tool, folder):
    tool.refused(2, ["frobnicate", "not a verb"], "frobnicate")
    tool.refused(2, ["verb is missing"])
    tool.refused(2, ["create", "scan", "check"], "pool")
    tool.refused(2, ["'widen'", "create"], "pool", "widen")
    tool.refused(2, ["'info' is not a verb, but 'pool info' is"], "info", "x")
    assert "pool create" in tool.ok("pool", "--help") and "replay" not in tool.ok("pool", "--help")
    tool.refused(2, ["POOL is missing"], "put")
    tool.refused(2, ["--size", "'12X'"], "pool", "create", "x", "--size", "12X")
    tool.refused(2, ["--size", "given twice"], "pool", "create", "x", "--size", "1M", "--size", "2M")
    tool.refused(2, ["--sample", "too large"], "pool", "check", "x", "--sample", "101%")
    tool.refused(2, ["--sample", "too small"], "pool", "check", "x", "--sample", "0")
    tool.refused(2, ["--max-rate", "'fast'"], "pool", "check", "x", "--max-rate", "fast")
    tool.refused(2, ["says no place"], "pool", "create", "name:x")
    tool.refused(2, ["names nothing"], "pool", "info", "uuid:")
    tool.refused(2, ["--yes"], "pool", "destroy", os.path.join(folder, "x"), stdin=b"y\n")
    assert listing(folder) == []


if __name__ == "__main__":
    check_in_folders(globals())
