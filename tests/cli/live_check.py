#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pool check on a pool that a replay uses: it finds no damage that is not there, and what it costs the replay.

    live_check.py MEMKV [--pairs N] [--bar RATIO]

Replays with and without a check beside them take turns on one pool.  False damage, wrong bytes or a failed get fail
the test; the ratio of the medians of get's p99 is printed, and asserted only with --bar (it is a matter of time, and
this machine may be busy).
"""
import argparse
import json
import os
import statistics
import subprocess
import threading

from cli_tool import Scratch, Tool

TRACE = "sessions=60,turns=6,prompts=4,system=8,new=5"


def replay(tool, pool, seed):
    out = tool.run("replay", pool, "--generate", TRACE, "--agents", "2", "--block-size", "512K", "--seed", str(seed),
                   "--live", "--json")
    assert out.returncode == 0, out.stderr
    report = json.loads(out.stdout)
    assert report["wrong_bytes"] == 0 and report["gets_failed"] == 0, report
    return report


class Checks:
    """Check after check, until told to end."""

    def __init__(self, tool, pool, words):
        self.reports, self.problem, self.end = [], None, False
        self.words = [tool.program, "pool", "check", pool, "--json", *words]
        self.process = None
        self.thread = threading.Thread(target=self.go)
        self.thread.start()

    def go(self):
        while not self.end:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = self.process.communicate()
            if self.process.returncode == 0:
                self.reports.append(json.loads(out))
            elif not self.end:
                self.problem = (self.process.returncode, out, err)
                return

    def stop(self):
        self.end = True
        if self.process:
            self.process.send_signal(2)
        self.thread.join(60)
        assert not self.problem, f"false damage: {self.problem}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("memkv")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--bar", type=float)
    parser.add_argument("--check", nargs="*", default=[], help="further words for pool check")
    args = parser.parse_args()
    tool = Tool(args.memkv)
    alone, beside, checks, blocks, gone = [], [], 0, 0, 0
    with Scratch() as folder:
        pool = os.path.join(folder, "pool")
        tool.ok("pool", "create", pool, "--size", "448M", "--max-block", "1M")  # not for all: reclaim goes on as well
        replay(tool, pool, 0)
        for pair in range(args.pairs):
            order = (False, True) if pair % 2 else (True, False)
            for checked in order:
                running = Checks(tool, pool, args.check) if checked else None
                report = replay(tool, pool, 1 + pair * 2 + checked)
                if running:
                    running.stop()
                    checks += len(running.reports)
                    blocks += sum(r["blocks"] for r in running.reports)
                    gone += sum(r["gone"] for r in running.reports)
                (beside if checked else alone).append(report)
        after = tool.json("pool", "check", pool)
        assert after["bad"] == 0 and after["records_bad"] == 0, after
    for name in ("get_us", "put_us"):
        quiet, busy = ([r[name]["p99"] for r in side] for side in (alone, beside))
        ratios = sorted(b / q for b, q in zip(busy, quiet))
        ratio = statistics.median(busy) / statistics.median(quiet)
        print(f"{name[:3]} p99: alone {statistics.median(quiet):.0f} us, beside a check {statistics.median(busy):.0f} us: "
              f"{ratio:.2f} (pairs {ratios[0]:.2f} to {ratios[-1]:.2f})")
        if name == "get_us" and args.bar:
            assert ratio <= args.bar, f"{ratio:.2f} is more than {args.bar}"
    print(f"{args.pairs} pairs; {checks} whole checks beside them read {blocks} blocks, {gone} gone meanwhile, 0 bad")


if __name__ == "__main__":
    main()
