#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Record commands on a terminal, and draw what it showed as an animated SVG.

    record.py --out FILE.svg [--columns 100] [--rows 24] -- 'COMMAND' 'COMMAND' ...

Each command runs for real, in a pseudo terminal; what it wrote is played back with its own timing, longer waits cut to
--longest seconds.  The terminal understands what the tool writes: text, new lines, carriage returns, "clear to the end
of the line" and bold.
"""
import argparse
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import termios
import time

CHAR_W, LINE_H, PAD, FONT = 8.43, 18, 16, 14


class Screen:
    """Lines of (text, bold) cells, and where the next character goes."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines, self.at, self.bold = [[]], 0, False

    def feed(self, text):
        for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]", text):
            if part == "\n":
                self.lines.append([])
                self.at = 0
            elif part == "\r":
                self.at = 0
            elif part == "\x1b[K":
                del self.lines[-1][self.at:]
            elif part.startswith("\x1b["):
                self.bold = part == "\x1b[1m"
            else:
                self.put(part)

    def put(self, character):
        if self.at >= self.columns:
            self.lines.append([])
            self.at = 0
        line = self.lines[-1]
        while len(line) <= self.at:
            line.append((" ", False))
        line[self.at] = (character, self.bold)
        self.at += 1

    def shown(self):
        return tuple(tuple(line) for line in self.lines[-self.rows:])


def run(command, columns, rows, say):
    """Feed what @command writes to @say(seconds, text)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        last = time.monotonic()
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            now = time.monotonic()
            say(now - last, piece.decode(errors="replace"))
            last = now
    os.close(ours)
    if process.returncode:
        raise SystemExit(f"{command}: ended with {process.returncode}")


def record(commands, columns, rows, longest):
    """[(seconds, lines)]: the screen, and how long it stays so."""
    screen, frames = Screen(columns, rows), []

    def show(seconds):
        if frames and frames[-1][1] == screen.shown():
            frames[-1][0] += seconds
        else:
            frames.append([seconds, screen.shown()])

    def say(waited, text):
        frames[-1][0] += min(waited, longest)
        screen.feed(text)
        show(0.05)

    for command in commands:
        screen.feed("\x1b[1m$ \x1b[0m")
        show(0.4)
        for character in command:
            screen.feed(f"\x1b[1m{character}\x1b[0m")
            show(0.02)
        screen.feed("\n")
        show(0.3)
        run(command, columns, rows, say)
        show(1.2)
    frames[-1][0] += 6
    return frames


def text_of(lines):
    rows = []
    for number, line in enumerate(lines):
        y = PAD + (number + 1) * LINE_H - 4
        spans = []
        for text, bold in runs(line):
            spans.append(f'<tspan font-weight="bold">{html.escape(text)}</tspan>' if bold else html.escape(text))
        if spans:
            rows.append(f'<text x="{PAD}" y="{y}">{"".join(spans)}</text>')
    return "".join(rows)


def runs(line):
    made = []
    for character, bold in line:
        if made and made[-1][1] == bold:
            made[-1][0] += character
        else:
            made.append([character, bold])
    return made


def draw(frames, columns, rows):
    """Each frame is a group that is visible for its time; the last one also where nothing moves."""
    total = sum(seconds for seconds, _ in frames)
    width, height = columns * CHAR_W + 2 * PAD, rows * LINE_H + 2 * PAD
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">',
           "<style>text{font:%dpx 'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#e6e6e6;white-space:pre}" % FONT,
           ".f{visibility:hidden}", "@media (prefers-reduced-motion:reduce){.f{animation:none!important}"
           ".f:last-of-type{visibility:visible}}"]
    begin = 0.0
    for number, (seconds, _) in enumerate(frames):
        a, b = 100 * begin / total, 100 * (begin + seconds) / total
        out.append(f"@keyframes k{number}{{0%{{visibility:hidden}}{a:.3f}%{{visibility:visible}}"
                   f"{b:.3f}%{{visibility:{'visible' if number == len(frames) - 1 else 'hidden'}}}}}"
                   f"#f{number}{{animation:k{number} {total:.2f}s step-end infinite}}")
        begin += seconds
    out.append(f'</style><rect width="100%" height="100%" rx="8" fill="#1b1d23"/>')
    for number, (_, lines) in enumerate(frames):
        out.append(f'<g class="f" id="f{number}">{text_of(lines)}</g>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def thin(frames, least):
    """Frames that would be seen for less than @least seconds go into the one after them."""
    kept, carried = [], 0.0
    for seconds, lines in frames:
        carried += seconds
        if carried >= least or (seconds, lines) == tuple(frames[-1]):
            kept.append((carried, lines))
            carried = 0.0
    return kept


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--longest", type=float, default=1.0)
    parser.add_argument("commands", nargs="+")
    args = parser.parse_args()
    frames = thin(record(args.commands, args.columns, args.rows, args.longest), 0.15)
    drawn = draw(frames, args.columns, args.rows)
    with open(args.out, "w", encoding="utf-8") as f:
        f.write(drawn)
    print(f"{args.out}: {len(frames)} frames, {sum(s for s, _ in frames):.0f} s, {len(drawn) // 1024} KiB")


if __name__ == "__main__":
    main()
