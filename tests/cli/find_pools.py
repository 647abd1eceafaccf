#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pools by name and UUID: pool scan, name:, uuid:, $MEMKV_POOL_PATH; and what doctor says is so.

    find_pools.py MEMKV
"""
import os
import shutil
import subprocess

from cli_tool import MIB, Missing, check_in_folders


def in_path(*folders):
    return {"MEMKV_POOL_PATH": ":".join(folders)}


def test_scan(tool, folder):
    inner = os.path.join(folder, "inner")
    os.mkdir(inner)
    for name in ("b.pool", "a.pool"):
        tool.ok("pool", "create", os.path.join(folder, name), "--size", "16M", "--name", name[0])
    tool.ok("pool", "create", os.path.join(inner, "deep"), "--size", "16M")
    with open(os.path.join(folder, "text"), "w", encoding="ascii") as f:
        f.write("no pool\n" * 1000)
    os.symlink("nothing", os.path.join(folder, "dangling"))
    os.mkfifo(os.path.join(folder, "pipe"))
    found = tool.json("pool", "scan", folder)
    assert [p["path"] for p in found["pools"]] == [os.path.join(folder, n) for n in ("a.pool", "b.pool")], found
    assert found["places"] == 3 and found["unread"] == [], found
    uuid = tool.json("pool", "info", os.path.join(folder, "a.pool"))["uuid"]
    assert found["pools"][0]["uuid"] == uuid and found["pools"][0]["bytes"] == 16 * MIB, found
    lines = tool.ok("pool", "scan", folder).splitlines()
    assert len(lines) == 2 and lines[0].startswith(uuid) and lines[0].endswith("a.pool"), lines
    both = tool.json("pool", "scan", inner, os.path.join(folder, "b.pool"), inner)
    assert len(both["pools"]) == 2, both
    machine = {p["path"] for p in tool.json("pool", "scan", env=in_path(folder, inner))["pools"]}
    assert {os.path.join(folder, "a.pool"), os.path.join(inner, "deep")} <= machine, machine
    tool.refused(4, ["nowhere"], "pool", "scan", os.path.join(folder, "nowhere"))


def test_addresses(tool, folder):
    one, other = os.path.join(folder, "one"), os.path.join(folder, "other")
    env = in_path(folder)
    tool.ok("pool", "create", one, "--size", "16M", "--name", "chat")
    tool.ok("pool", "create", other, "--size", "16M", "--name", "chat 2")
    uuid = tool.json("pool", "info", one)["uuid"]
    for address in ("name:chat", f"uuid:{uuid}", f"uuid:{uuid.upper()}"):
        assert tool.json("pool", "info", address, env=env)["path"] == one
    tool.ok("put", "name:chat", "--name", "k", stdin=b"data", env=env)
    assert tool.ok("get", f"uuid:{uuid}", "--name", "k", env=env) == "data"
    assert tool.json("match", "name:chat", "--name", "k", env=env)["matched"] == 1
    assert len(tool.ok("ls", "name:chat", env=env).splitlines()) == 1
    assert tool.json("stat", "name:chat", "--name", "k", env=env)["length"] == 4
    assert tool.json("pool", "check", "name:chat", env=env)["blocks"] == 1
    tool.ok("replay", "name:chat", "--generate", "sessions=1,turns=1", "--agents", "1", "--block-size", "4K", env=env)
    tool.ok("rm", "name:chat", "--name", "k", env=env)
    tool.refused(4, ["name:cha ", "pool scan"], "get", "name:cha", "--name", "k", env=env)
    tool.refused(4, ["uuid:" + "0" * 8, "pool scan"], "pool", "info", "uuid:" + "0" * 8, env=env)
    here = os.path.join(folder, "name:x")
    tool.ok("pool", "create", here, "--size", "16M")
    assert tool.json("pool", "info", "./name:x", cwd=folder)["path"] == "./name:x"
    tool.ok("pool", "destroy", "name:chat", "--yes", env=env)
    assert not os.path.exists(one)


def test_ambiguous(tool, folder):
    paths = [os.path.join(folder, n) for n in ("p1", "p2")]
    env = in_path(folder)
    for path in paths:
        tool.ok("pool", "create", path, "--size", "16M", "--name", "same")
    uuids = [tool.json("pool", "info", p)["uuid"] for p in paths]
    tool.refused(2, ["several pools", *paths, *uuids], "pool", "destroy", "name:same", "--yes", env=env)
    assert all(os.path.exists(p) for p in paths)
    shutil.copy(paths[0], os.path.join(folder, "copy"))
    tool.refused(2, ["several pools", paths[0], "copy"], "put", f"uuid:{uuids[0]}", "--name", "k", stdin=b"x", env=env)


def test_device(tool, folder):
    if os.geteuid() or not shutil.which("losetup"):
        raise Missing("loop devices need root and losetup")
    image = os.path.join(folder, "image")
    with open(image, "wb") as f:
        f.truncate(32 * MIB)
    made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode:
        raise Missing(f"no loop device: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        name = f"loop-{os.getpid()}"
        tool.ok("pool", "create", device, "--name", name)
        assert device in [p["path"] for p in tool.json("pool", "scan")["pools"]]
        assert tool.json("pool", "info", f"name:{name}")["medium"] == "block device"
        tool.ok("pool", "destroy", f"name:{name}", "--yes")
        assert device not in [p["path"] for p in tool.json("pool", "scan")["pools"]]
    finally:
        subprocess.run(["losetup", "-d", device], check=False)


def findings(tool, *words, **more):
    return {m["medium"]: {f["what"]: f for f in m["findings"]} for m in tool.json("doctor", *words, **more)["media"]}


def test_doctor(tool, folder):
    """Its findings are about this machine: each that can be looked up another way is."""
    found = findings(tool, folder)
    assert found["machine"]["kernel"]["said"].split()[1] == os.uname().release
    assert found["file"]["pool"]["state"] == "ok" and folder in found["file"]["pool"]["said"]
    assert os.listdir(folder) == [], "doctor left something"
    missing = os.path.join(folder, "missing")
    assert findings(tool, missing)["file"]["pool"]["state"] == "lacks"
    assert (found["nvme-tcp"]["nvme_tcp"]["state"] == "ok") == os.path.exists("/sys/module/nvme_tcp")
    assert (found["nvme-tcp"]["nvme"]["state"] == "ok") == bool(shutil.which("nvme", path="/usr/sbin:" + os.environ["PATH"]))
    assert (found["nvme-tcp"]["/dev/nvme-fabrics"]["state"] == "ok") == os.access("/dev/nvme-fabrics", os.W_OK)
    assert (found["gpu"]["libcuda.so.1"]["state"] == "lacks" if "libcuda.so.1" in found["gpu"] else True)
    for medium in found.values():
        for finding in medium.values():
            assert finding["said"], finding
    fake = os.path.join(folder, "bin")
    os.mkdir(fake)
    for program in ("nvme", "daxctl", "ndctl", "cxl"):
        with open(os.path.join(fake, program), "w", encoding="ascii") as f:
            f.write("#!/bin/sh\n")
        os.chmod(os.path.join(fake, program), 0o755)
    found = findings(tool, env={"PATH": fake})
    assert found["nvme-tcp"]["nvme"]["state"] == "ok" and found["cxl"]["daxctl"]["state"] == "ok", "it does not look"
    lacking = [f for m in found.values() for f in m.values() if f["state"] == "lacks"]
    said = tool.ok("doctor")
    assert all(f["mend"] is None or f["mend"] in said for f in lacking if f["what"] not in ("pool",)), said


def test_doctor_tries(tool, folder):
    """Where the kernel refuses io_uring, it says so: what it reports was tried."""
    if not shutil.which("strace"):
        raise Missing("no strace to refuse a system call with")
    out = os.path.join(folder, "out")
    with open(out, "wb") as f:
        done = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", "inject=io_uring_setup:error=EPERM", tool.program,
                               "doctor", folder, "--json"], stdout=f, stderr=subprocess.PIPE, check=False,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    if b"ptrace" in done.stderr:
        raise Missing(done.stderr.decode().strip())
    with open(out, encoding="utf-8") as f:
        text = f.read()
    assert '"what":"io_uring","state":"lacks","said":"refused: Operation not permitted' in text, text[:900]


if __name__ == "__main__":
    check_in_folders(globals())
