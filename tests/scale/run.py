#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attach, match and memory from 10^4 blocks on: runs `scale`, prints a table, and with --plot draws an SVG.

Answers of every look-up are checked; the times are reported, never judged.
"""
import argparse, json, os, subprocess, sys, tempfile

COLUMNS = ("blocks", "attach after kill -9 (ms)", "attach after close (ms)", "match (ns a key)",
           "two threads / one", "anonymous bytes a block")


def scale(program, *words):
    run = subprocess.run([program, *words], capture_output=True, text=True)
    if words[0] == "build":
        built = json.loads(run.stdout)["built"]
        if built != int(words[2]):
            sys.exit(f"built {built} of {words[2]} blocks: {run.stderr}")
        return None
    if run.returncode:
        sys.exit(f"scale {' '.join(words)} failed ({run.returncode}): {run.stdout}{run.stderr}")
    return json.loads(run.stdout)


def use(full, program, pool, blocks):
    """What the full pool costs whoever uses it, on one that nobody has written to yet."""
    scale(program, "build", pool, str(blocks))
    run = subprocess.run([full, "use", pool, str(blocks), "0.5"], capture_output=True, text=True)
    print(run.stdout, end="", flush=True)
    if run.returncode:
        sys.exit(f"full use {blocks} failed ({run.returncode}): {run.stderr}")


def measure(program, folder, blocks, rounds, full):
    pool = os.path.join(folder, "scale.pool")
    empty = scale(program, "empty", pool, str(blocks))
    scale(program, "build", pool, str(blocks))
    killed = scale(program, "measure", pool, str(blocks))
    closed = [scale(program, "measure", pool, str(blocks)) for _ in range(rounds)]
    if full:
        use(full, program, pool, blocks)
    os.unlink(pool)
    middle = lambda name: sorted(c[name] for c in closed)[len(closed) // 2]
    return (blocks, killed["attach_ms"], middle("attach_ms"), middle("match_ns"), middle("two_threads"),
            (middle("anon_bytes") - empty["anon_bytes"]) / blocks)


def plot(rows, path):
    """Three panels over a logarithmic axis of blocks; no library, so that the drawing needs nothing."""
    panels = (("attach after close, ms (log)", 2, True), ("match, ns a key", 3, False),
              ("anonymous bytes a block", 5, False))
    from math import log10
    width, height, gap = 300, 220, 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{3 * (width + gap) + gap}" height="{height + 70}" '
           'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>']
    low, high = log10(rows[0][0]), log10(rows[-1][0])
    for n, (title, column, logarithmic) in enumerate(panels):
        left = gap + n * (width + gap)
        values = [row[column] for row in rows]
        top = max(values) * 1.15
        scaled = (lambda v: (log10(v) - log10(min(values) / 2)) / (log10(top) - log10(min(values) / 2))) \
            if logarithmic else (lambda v: v / top)
        points = [(left + (log10(row[0]) - low) / (high - low or 1) * (width - 50) + 15,
                   height + 20 - scaled(row[column]) * (height - 30)) for row in rows]
        out.append(f'<text x="{left}" y="18" font-weight="bold">{title}</text>'
                   f'<rect x="{left}" y="26" width="{width}" height="{height - 6}" fill="none" stroke="#999"/>'
                   f'<polyline fill="none" stroke="#1f5fa8" stroke-width="2" '
                   f'points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        for (x, y), value, row in zip(points, values, rows):
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5fa8"/>'
                       f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:.3g}</text>'
                       f'<text x="{x:.1f}" y="{height + 36}" text-anchor="middle">{row[0]:,}</text>')
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("blocks", nargs="+", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", help="the program of that name: also what a full pool costs who uses it")
    parser.add_argument("--plot")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        rows = [measure(args.program, folder, blocks, args.rounds, args.full) for blocks in args.blocks]
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---:|" * len(COLUMNS))
    for row in rows:
        print("| {:,} | {:.1f} | {:.1f} | {:.0f} | {:.2f} | {:.1f} |".format(*row))
    if args.plot:
        plot(rows, args.plot)


main()
