#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the Promela models of this folder through spin, exhaustively.

    run_models.py [--size medium|long] [--only NAME] [--keep DIR]    0: all as it must be, 1: not, 77: no spin here
    run_models.py --self-check                                       does the runner notice what it must?

Each model says in its first comment how it is run:

    RUN SIZE DEFINES    the whole state space with these defines: no error, every statement reached
    MUTANT NAME why     with -DMUTANT_NAME, and the defines of the RUN medium above it, an error must be found

A statement that no RUN of a size reaches, and that may stay, has the word "unreached:" with its reason in its line.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
DEPTH = {"medium": 2_000_000, "long": 20_000_000}
MEGABYTES = {"medium": 2_000, "long": 24_000}
SECONDS = {"medium": 200, "long": 7000}
DIRECTIVE = re.compile(r"^ \* (?:RUN (?P<size>medium|long)(?P<defines>(?: -D\w+(?:=\w+)?)*)|MUTANT (?P<mutant>\w+) (?P<why>.+))$", re.M)


class Wrong(Exception):
    pass


def step(command, folder, seconds=120):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    return done.returncode, done.stdout + done.stderr


def build(source, defines, folder, options):
    """spin -a and cc; the program lies in folder/pan.  -o3: no merging of statements, so each shows whether it was reached"""
    shutil.copy(source, os.path.join(folder, "model.pml"))
    code, said = step(["spin", "-a", "-o3", *defines, "model.pml"], folder)
    if code or "error" in said.lower() or not os.path.exists(os.path.join(folder, "pan.c")):
        raise Wrong(f"spin does not take it: {said.strip()}")
    # no hash compaction, no bit states: every state is stored whole; masks of the default search stay on
    code, said = step(["cc", "-w", "-DSAFETY", "-DNOFAIR", *options, "-o", "pan", "pan.c"], folder)
    if code:
        raise Wrong(f"cc: {said.strip()}")


def number(pattern, text, what):
    found = re.search(pattern, text, re.M)
    if not found:
        raise Wrong(f"the verifier does not say {what}:\n{text[-2000:]}")
    return int(float(found.group(1)))


def unreached(text, source):
    """lines of the model that no run came to, unless their line says why"""
    with open(source, encoding="utf-8") as f:
        lines = f.read().split("\n")
    for found in re.finditer(r'^\t(?:model\.pml|.*?/model\.pml|model\.pml):(\d+), state \d+, "(.*)"$', text, re.M):
        line = int(found.group(1))
        if found.group(2) != "-end-" and "unreached:" not in lines[line - 1]:
            yield f"line {line}: {lines[line - 1].strip()}"


def explore(source, defines, size, optimize="-O2"):
    """the whole state space; returns (states, transitions, depth, seconds), and what was not reached"""
    with tempfile.TemporaryDirectory(prefix="memkv-model-") as folder:
        build(source, defines, folder, [optimize, f"-DMEMLIM={MEGABYTES[size]}"])
        began = time.monotonic()
        code, said = step(["./pan", f"-m{DEPTH[size]}", "-w24"], folder, SECONDS[size])
        took = time.monotonic() - began
        if code or number(r"errors: (\d+)", said, "how many errors") != 0:
            trail = step(["spin", "-t", "-p", *defines, "model.pml"], folder)[1] if "trail" in said else ""
            raise Wrong(f"an error: {' '.join(re.findall('^pan:.*', said, re.M))}\n" + "\n".join(trail.split("\n")[-60:]))
        for trouble in ("Search not completed", "max search depth too small", "memory limit", "out of memory", "Bit statespace"):
            if trouble in said:
                raise Wrong(f"not exhaustive: {trouble}")
        if "Full statespace search" not in said:
            raise Wrong(f"not a full search:\n{said}")
        left = set(unreached(said, source))
        return (number(r"^ *([\d.e+]+) states, stored", said, "the states"),
                number(r"^ *([\d.e+]+) transitions", said, "the transitions"),
                number(r"depth reached (\d+)", said, "the depth"), took), left


def catch(source, defines, name):
    """breadth first, so the first error has the shortest trail; returns its length and what was violated"""
    with tempfile.TemporaryDirectory(prefix="memkv-model-") as folder:
        build(source, [*defines, f"-DMUTANT_{name}"], folder, ["-O0", "-DBFS", "-DMEMLIM=4000"])
        said = step(["./pan", f"-m{DEPTH['medium']}", "-w22"], folder, SECONDS["medium"])[1]
        if number(r"errors: (\d+)", said, "how many errors") == 0:
            raise Wrong(f"mutant {name} is not caught" + (" in what was searched" if "not completed" in said else ""))
        found = re.search(r"^pan:1: (.*) \(at depth (\d+)\)", said, re.M)
        if not found:
            raise Wrong(f"mutant {name}: {said[-2000:]}")
        return int(found.group(2)), found.group(1)


def directives(source):
    """[(size, defines, [(mutant, why)])]"""
    with open(source, encoding="utf-8") as f:
        head = f.read().split("*/\n")[1]
    runs = []
    for found in DIRECTIVE.finditer(head):
        if found["mutant"]:
            [run for run in runs if run[0] == "medium"][-1][2].append((found["mutant"], found["why"]))
        else:
            runs.append((found["size"], found["defines"].split(), []))
    if not runs or runs[0][0] != "medium":
        raise Wrong("its first comment has no RUN medium")
    return runs


def run_all(source, runs, size, optimize="-O2"):
    """every RUN of a size; raises Wrong"""
    name = os.path.basename(source)[:-4]
    left = None
    for _, defines, _ in (run for run in runs if run[0] == size):
        (states, transitions, depth, took), missed = explore(source, defines, size, optimize)
        left = missed if left is None else left & missed
        print(f"{name:18} {' '.join(d[2:] for d in defines):42} {states:>11,} states {transitions:>12,} transitions"
              f" depth {depth:>6,} {took:6.1f} s", flush=True)
    if left:
        raise Wrong("never reached: " + "; ".join(sorted(left)))


def run_model(source, size):
    name = os.path.basename(source)[:-4]
    failures = 0
    try:
        runs = directives(source)
        run_all(source, runs, size)
    except (Wrong, subprocess.TimeoutExpired) as wrong:
        print(f"{name}: {wrong}", flush=True)
        return 1
    for _, defines, mutants in runs if size == "medium" else []:
        for mutant, why in mutants:
            try:
                length, violated = catch(source, defines, mutant)
                print(f"{name:18} mutant {mutant:24} caught after {length:3} steps ({violated[:24]}): {why}", flush=True)
            except (Wrong, subprocess.TimeoutExpired) as wrong:
                failures += 1
                print(f"{name}: {wrong}", flush=True)
    return failures


BROKEN = {  # what must be noticed in a small model, and the word that says so
    "an assertion": ("active proctype p() { byte x; x++; assert(x == 2) }", "an error"),
    "a process that is stuck": ("active proctype p() { byte x; x++; x == 2 }", "an error"),
    "code that is never reached": ("active proctype p() { byte x; if :: x == 1 ->\n x++\n:: else fi }", "never reached"),
    "a depth that does not suffice": ("active proctype p() { int x; do :: x < 9000000 -> x++ :: else -> break od }", "not exhaustive"),
    "no model at all": ("active proctype p( {", "spin does not take it"),
}
ONE_RUN = [("medium", [], [])]
WELL = "active proctype p() { byte x; if :: x++ :: x = 1 fi; assert(x == 1) }"


def closing(text, at):
    """where the bracket that was opened before @at is closed"""
    depth = 1
    while depth:
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at - 1


def only_in_mutant(text, at):
    """does this place lie in what only a mutant is made of?"""
    inside = []
    for line in text[:at].split("\n"):
        if re.match(r"#if", line):
            inside.append(line.startswith("#ifdef MUTANT_"))
        elif re.match(r"#else", line):
            inside[-1] = False
        elif re.match(r"#endif", line):
            inside.pop()
    return any(inside)


def self_check(models):
    failures = 0

    def expect(what, word, source, runs):
        nonlocal failures
        try:
            run_all(source, runs, "medium", "-O0")
            said = "passed"
        except Wrong as wrong:
            said = str(wrong)
        good = word in said
        failures += not good
        print(f"{'noticed' if good else 'NOT NOTICED'}: {what}" + ("" if good else f" ({said[:300]})"), flush=True)

    with tempfile.TemporaryDirectory(prefix="memkv-model-") as folder:
        source = os.path.join(folder, "small.pml")

        def write(text):
            with open(source, "w", encoding="utf-8") as f:
                f.write(text + "\n")

        write(WELL)
        expect("nothing wrong with a right model", "passed", source, ONE_RUN)
        for what, (text, word) in BROKEN.items():
            write(text)
            expect(what, word, source, ONE_RUN)
        write(WELL)
        try:
            catch(source, [], "THAT_IS_NONE")
            failures += 1
            print("NOT NOTICED: a mutant without effect")
        except Wrong:
            print("noticed: a mutant without effect")
        for model in models:  # every assertion is reached, and would be missed
            with open(model, encoding="utf-8") as f:
                text = f.read()
            runs = directives(model)
            places = [m.end() for m in re.finditer(r"\bassert\(", text) if not only_in_mutant(text, m.end())]
            if not places:
                failures += 1
                print(f"NOT NOTICED: {os.path.basename(model)} asserts nothing")
            for at in places:
                write(text[:at] + "!(" + text[at:closing(text, at)] + ")" + text[closing(text, at):])
                line = text.count("\n", 0, at) + 1
                expect(f"the assertion in line {line} of {os.path.basename(model)} the other way round", "an error", source, runs)
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=["medium", "long"], default="medium")
    parser.add_argument("--only")
    parser.add_argument("--self-check", action="store_true")
    args = parser.parse_args()
    if not shutil.which("spin") or not shutil.which("cc"):
        print("skipped: no spin here (Debian package spin)")
        return SKIPPED
    models = sorted(os.path.join(HERE, f) for f in os.listdir(HERE) if f.endswith(".pml"))
    if args.only:
        models = [m for m in models if os.path.basename(m) == args.only + ".pml"]
    if not models:
        print("no such model")
        return 1
    if args.self_check:
        return 1 if self_check(models) else 0
    return 1 if sum(run_model(m, args.size) for m in models) else 0


if __name__ == "__main__":
    sys.exit(main())
