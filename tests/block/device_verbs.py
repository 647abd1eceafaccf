#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tool on a loop device: create, refuse, put, get, rm, ls, check, replay, destroy.

    device_verbs.py MEMKV BLOCK_HAND
"""
import json
import os
import shutil
import sys

from loop_device import Folder, LoopDevice, run

MIB = 1 << 20


def verbs(memkv, folder, device):
    made = json.loads(run(memkv, "pool", "create", device, "--json").splitlines()[0])
    assert made["bytes"] == 256 * MIB, "the whole device is the default"
    assert made["medium"] == "block device" and made["direct_io"], made
    payload = os.path.join(folder, "payload")
    for i in range(20):
        with open(payload, "wb") as f:
            f.write(os.urandom(1 + i * 9973))
        run(memkv, "put", device, "--name", f"block {i}", payload)
        target = os.path.join(folder, "got")
        run(memkv, "get", device, "--name", f"block {i}", "-o", target)
        with open(payload, "rb") as a, open(target, "rb") as b:
            assert a.read() == b.read(), f"block {i} came back different"
    assert len(run(memkv, "ls", device).splitlines()) == 20
    run(memkv, "rm", device, "--name", "block 3")
    run(memkv, "get", device, "--name", "block 3", code=1)
    assert len(run(memkv, "ls", device).splitlines()) == 19
    for _ in range(2):  # each of these is another incarnation, and the pin another's block
        run(memkv, "pin", device, "--name", "block 5")
        assert len(run(memkv, "pins", device).splitlines()) == 1
        run(memkv, "rm", device, "--name", "block 5", code=3)
        run(memkv, "unpin", device, "--name", "block 5")
        assert not run(memkv, "pins", device).splitlines()
    run(memkv, "pin", device, "--name", "nothing", code=1)
    report = json.loads(run(memkv, "pool", "check", device, "--json").splitlines()[0])
    assert report["blocks"] == 19 and report["bad"] == 0 and report["records_bad"] == 0, report
    print(run(memkv, "replay", device, "--generate", "sessions=6,turns=3,seed=3", "--agents", "1",
              "--block-size", "65536", "--verify"))
    refused = run(memkv, "pool", "create", device, code=3)
    assert "holds a pool already" in refused, refused
    run(memkv, "pool", "destroy", device, "--yes")
    assert os.path.exists(device), "a device is not removed"
    run(memkv, "get", device, "--name", "block 1", code=4)
    run(memkv, "pool", "create", device)  # what was destroyed counts as empty


def foreign(memkv, folder):
    with LoopDevice(folder, 64 * MIB, "foreign.img") as device:
        if shutil.which("mkfs.ext4"):
            run("mkfs.ext4", "-q", "-F", device.path)
            name = "ext4"
        else:  # the magic of a swap area, 10 bytes before the end of its first page
            with open(device.path, "r+b") as f:
                f.seek(1024)
                f.write((1).to_bytes(4, "little") + (16383).to_bytes(4, "little"))
                f.seek(4096 - 10)
                f.write(b"SWAPSPACE2")
            name = "swap"
        refused = run(memkv, "pool", "create", device.path, code=3)
        assert name in refused and "--force" in refused, refused
        with open(device.path, "rb") as f:
            f.seek(1024)
            assert any(f.read(3072)), "a refusal must not write"
        run(memkv, "pool", "create", device.path, "--force", "--yes")
        assert "block device" in run(memkv, "pool", "info", device.path)


def unnamed(memkv, folder):
    """Data that nobody knows is somebody's all the same."""
    with LoopDevice(folder, 64 * MIB, "unnamed.img") as device:
        with open(device.path, "r+b") as f:
            f.seek(5000)
            f.write(b"somebody's")
        run(memkv, "pool", "create", device.path, code=3)


def main():
    memkv = sys.argv[1]
    with Folder() as folder:
        with LoopDevice(folder, 256 * MIB) as device:
            verbs(memkv, folder, device.path)
        foreign(memkv, folder)
        unnamed(memkv, folder)


if __name__ == "__main__":
    main()
