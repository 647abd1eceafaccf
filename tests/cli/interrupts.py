#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGINT in the middle of anything: exit 130, one sentence, nothing half made, nothing that was acknowledged lost.

    interrupts.py MEMKV

Moments are spread over the run of each command; what ended before its signal came counts as done and must be whole.
"""
import json
import os
import signal
import subprocess
import time

from cli_tool import check_in_folders

KEY = "12" * 32
MOMENTS = 12


def interrupted(tool, after_s, *words, stdin=None):
    """SIGINT after a while; (code, stdout, stderr)."""
    with subprocess.Popen([tool.program, *words], stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as p:
        time.sleep(after_s)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
    code = p.returncode
    # before main() has set its handler there is nothing that could be half made
    assert code in (0, 130, -signal.SIGINT), f"{words}: {code}: {err!r}"
    if code == 130:
        assert b"interrupted" in err or b"stopped" in err, f"{words}: {err!r}"
        if "--json" in words:  # whole lines, and the last one says so
            assert out.endswith(b"\n"), out
            assert [json.loads(line) for line in out.splitlines()][-1]["error"]["code"] in ("EINTR", "ECANCELED"), out
    return code, out, err


def duration(tool, *words):
    start = time.monotonic()
    tool.ok(*words)
    return time.monotonic() - start


def moments(whole_s):
    return [whole_s * (i + 0.5) / MOMENTS for i in range(MOMENTS)]


def listing(folder):
    return sorted(os.listdir(folder))


def test_create(tool, folder):
    path = os.path.join(folder, "pool")
    ended = []
    words = ("pool", "create", path, "--size", "256M", "--json")
    whole = duration(tool, *words)
    os.unlink(path)
    for at in moments(whole):
        code, _, _ = interrupted(tool, at, *words)
        ended.append(code)
        assert listing(folder) == (["pool"] if os.path.exists(path) else []), listing(folder)
        if os.path.exists(path):
            assert tool.json("pool", "check", path)["records_bad"] == 0
            os.unlink(path)
        else:
            assert code != 0
    return f"{ended.count(0)} were done, {ended.count(130)} interrupted"


def filled(tool, folder, blocks):
    path = os.path.join(folder, "pool")
    tool.ok("pool", "create", path, "--size", "128M", "--max-block", "1M")
    payload = os.urandom(1 << 20)
    for i in range(blocks):
        tool.ok("put", path, "--name", f"block {i}", stdin=payload)
    return path, payload


def test_check(tool, folder):
    path, _ = filled(tool, folder, 20)
    ended = []
    for at in moments(1.2):
        code, _, err = interrupted(tool, at, "pool", "check", path, "--max-rate", "10M", "--json")  # 2 seconds
        ended.append(code)
    assert ended.count(130) >= MOMENTS - 2, f"{ended}: {err!r}"
    assert tool.json("pool", "check", path)["blocks"] == 20


def test_get(tool, folder):
    path, payload = filled(tool, folder, 1)
    out = os.path.join(folder, "out")
    whole = duration(tool, "get", path, "--name", "block 0", "-o", out)
    os.unlink(out)
    for at in moments(whole):
        code, _, _ = interrupted(tool, at, "get", path, "--name", "block 0", "-o", out)
        if os.path.exists(out):
            with open(out, "rb") as f:
                assert f.read() == payload, "half a file"
            os.unlink(out)
        else:
            assert code != 0
        assert listing(folder) == ["pool"], listing(folder)


def test_put(tool, folder):
    path, payload = filled(tool, folder, 1)
    source = os.path.join(folder, "source")
    with open(source, "wb") as f:
        f.write(payload[::-1])
    whole = duration(tool, "put", path, "--name", "first", source)
    for i, at in enumerate(moments(whole)):
        code, _, _ = interrupted(tool, at, "put", path, "--name", f"new {i}", source)
        got = tool.run("get", path, "--name", f"new {i}")
        assert got.returncode == (0 if code == 0 else got.returncode), "an acknowledged block is gone"
        assert got.returncode == 1 or got.stdout == payload[::-1], "wrong bytes"
    ends = os.pipe()  # and while it waits for its input
    code, _, _ = interrupted(tool, 0.2, "put", path, "--name", "never", stdin=ends[0])
    os.close(ends[0]), os.close(ends[1])
    assert code == 130
    tool.ok("get", path, "--name", "never", code=1)
    found = tool.json("pool", "check", path)
    assert found["bad"] == 0 and found["records_bad"] == 0, found
    assert tool.run("get", path, "--name", "block 0").stdout == payload


def test_replay(tool, folder):
    """Without POOL: its scratch pool goes, however it ends."""
    os.environ["TMPDIR"] = folder
    words = ("replay", "--generate", "sessions=30,turns=4", "--agents", "2", "--block-size", "64K", "--json")
    whole = duration(tool, *words)
    ended = []
    for at in moments(whole):
        code, _, _ = interrupted(tool, at, *words)
        ended.append(code)
        assert listing(folder) == [], f"left behind: {listing(folder)}"
    assert ended.count(130) >= 3, ended
    del os.environ["TMPDIR"]
    return f"{ended.count(0)} were done, {ended.count(130)} interrupted"


def test_bench(tool, folder):
    words = ("bench", folder, "--only", "match", "--blocks", "2000", "--pairs", "40", "--json")
    for at in (0.05, 0.3, 0.7):
        code, _, _ = interrupted(tool, at, *words)
        assert code != 0 or at > 0.3, "it was over at once"
        assert listing(folder) == [], f"left behind: {listing(folder)}"


def test_looking(tool, folder):
    path, _ = filled(tool, folder, 3)
    for words in (("ls", path, "--json"), ("pool", "info", path, "--json"), ("pool", "scan", "--json"), ("doctor", "--json")):
        for at in (0.0005, 0.002, 0.004):
            interrupted(tool, at, *words)
    assert tool.json("pool", "check", path)["blocks"] == 3


def test_unread(tool, folder):
    """A reader that does not read: the first signal ends the wait for it, and the answer is not called done."""
    path, payload = filled(tool, folder, 1)
    assert len(payload) > 1 << 16, "the pipe takes all of it"
    with subprocess.Popen([tool.program, "get", path, "--name", "block 0"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as p:
        os.read(p.stdout.fileno(), 1)  # it is answering
        time.sleep(0.2)  # and waits
        p.send_signal(signal.SIGINT)
        assert p.wait(timeout=30) == 130, p.returncode
        assert b"nterrupted" in p.stderr.read()


def test_answered(tool, folder):
    """However the signal falls, an answer is whole and its code 0, or there is none."""
    path, _ = filled(tool, folder, 3)
    whole = duration(tool, "ls", path, "--json")
    ended = []
    for i in range(60):
        code, out, _ = interrupted(tool, whole * (0.4 + 0.012 * i), "ls", path, "--json")
        ended.append(code)
        assert code != 0 or len(out.splitlines()) == 3, out
    return f"{ended.count(0)} were done, {ended.count(130)} interrupted"


if __name__ == "__main__":
    check_in_folders(globals())
