#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Large pools of which only the metadata is real: what attach, following and emptying cost as segments and hosts grow.

Answers are checked; times are printed, never judged.  The file is sparse: --small needs 100 MB of disk, the rest some
gigabytes on a file system that allows files of a petabyte (XFS, for instance on a loop device: --folder).
"""
import argparse, json, os, subprocess, sys, tempfile

GIB = 1 << 30


def large(program, *words):
    run = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"large {' '.join(map(str, words))} failed ({run.returncode}): {run.stdout}{run.stderr}")
    print(words[0], run.stdout, end="", flush=True)
    return json.loads(run.stdout)


def small(program, pool):
    made = large(program, "make", pool, 70_000_000_000, 1 << 20, 1 << 20, 2000, 1)
    assert made["segments"] >= 8192, "a pool without groups"
    large(program, "attach", pool, 2000)
    large(program, "put", pool, 200)
    large(program, "many", pool, 8, 0.5)


def petabyte(program, pool, hosts, seconds):
    large(program, "make", pool, 1 << 50, GIB, 16 << 20, 100_000, 0)
    large(program, "attach", pool, 100_000)
    large(program, "put", pool, 2000)
    for count in (1, 8, 32, hosts):
        large(program, "many", pool, count, seconds)


def emptied(program, pool):
    for segments in (1024, 16384, 262144):
        large(program, "make", pool, segments * 1_110_000, 1 << 20, 1 << 20, segments + segments // 20, 1)
        large(program, "put", pool, 6400)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--small", action="store_true", help="answers on a pool of 65,536 segments, some seconds")
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--hosts", type=int, default=127)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        pool = os.path.join(folder, "large.pool")
        if args.small:
            small(args.program, pool)
        else:
            petabyte(args.program, pool, args.hosts, args.seconds)
            emptied(args.program, pool)


main()
