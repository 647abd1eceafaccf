#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ABI that programs were built against stays what it is.

    abi.py --library libmemkv.so [--include DIR] [--runner "CMD ..."]   compare with abi.txt
    abi.py --library libmemkv.so --renew                                record what there is now, on purpose (Debian too)
    abi.py --self-test                                                  each kind of break must be noticed

abi.txt has a line for each exported symbol with its version, each function's type, each public struct's size, each
member's offset, size and type, each enum value and each constant.  The declarations come from clang's syntax tree of
the public headers, the numbers from a program that the C compiler makes of them.

A line that vanished or changed is a break: programs that were built before would misbehave.  Before 1.0 it may be
meant, and goes with a new minor version.  A line that is new is harmless and only wants to be recorded.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
RECORD = os.path.join(HERE, "abi.txt")
ROOT = os.path.join(HERE, "..", "..")
DEBIAN = os.path.join(ROOT, ".packaging/debian/libmemkv0.symbols")
CC = os.environ.get("CC", "cc").split()
NM = os.environ.get("NM", "nm")


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def headers(include):
    return sorted(f"memkv/{name}" for name in os.listdir(os.path.join(include, "memkv")) if name.endswith(".h"))


def text_of(include):
    return "".join(f"#include <{name}>\n" for name in headers(include))


def named(nodes):
    """the declarations of ours; the tree also has the C library's"""
    for node in nodes:
        if node.get("name", "").startswith("memkv_") and not node.get("isImplicit"):
            yield node


def members(record, path=""):
    for node in record.get("inner", []):
        if node["kind"] == "FieldDecl" and node.get("name"):
            yield path + node["name"], node["type"]["qualType"]


def enum_values(enum):
    return [node["name"] for node in enum.get("inner", []) if node["kind"] == "EnumConstantDecl"]


def constants(include):
    out = run(*CC, "-std=c11", "-dM", "-E", "-I", include, "-x", "c", "-", input=text_of(include))
    for line in out.split("\n"):
        match = re.match(r"#define (MEMKV_\w+) (.+)", line)
        if match and not match.group(1).endswith("_H"):
            yield match.group(1), match.group(2)


def declared(include):
    """(lines that are known already, C expressions for the others: label format, values)"""
    tree = json.loads(run("clang", "-std=c11", "-fsyntax-only", "-Xclang", "-ast-dump=json", "-I", include, "-x", "c", "-",
                          input=text_of(include)))
    lines, asked = set(), []
    for node in named(tree["inner"]):
        if node["kind"] == "FunctionDecl":
            lines.add(f"function {node['name']}: {node['type']['qualType']}")
        elif node["kind"] == "RecordDecl" and node.get("completeDefinition"):
            tag = f"{node['tagUsed']} {node['name']}"
            asked.append((f"{tag}: %zu bytes", [f"sizeof({tag})"]))
            for name, kind in members(node):
                asked.append((f"{tag}.{name}: at %zu, %zu bytes, {kind}",
                              [f"offsetof({tag}, {name})", f"sizeof((({tag} *)0)->{name})"]))
        elif node["kind"] == "EnumDecl":
            asked.append((f"enum {node['name']}: %zu bytes", [f"sizeof(enum {node['name']})"]))
            asked += [(f"enum {node['name']}.{name} = %lld", [f"(long long){name}"]) for name in enum_values(node)]
        elif node["kind"] in ("VarDecl", "TypedefDecl"):
            lines.add(f"{node['kind']} {node['name']}: {node['type']['qualType']}")
    for name, value in constants(include):
        if re.fullmatch(r"[-+0-9a-fA-FxuUlL()<| ]+", value):
            asked.append((f"constant {name} = %lld", [f"(long long)({name})"]))
    return lines, asked


def answers(include, asked, runner):
    body = "".join(f'\tprintf("{label}\\n", {", ".join(values)});\n' for label, values in asked)
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "numbers")
        run(*CC, "-std=c11", "-I", include, "-o", program, "-x", "c", "-",
            input=f"#include <stddef.h>\n#include <stdio.h>\n{text_of(include)}int main(void)\n{{\n{body}\treturn 0;\n}}\n")
        return set(run(*runner, program).splitlines())


def exported(library):
    for line in run(NM, "-D", "--defined-only", "--with-symbol-versions", library).split("\n"):
        match = re.match(r"[0-9a-f]+ ([A-Z]) (memkv_\S+|MEMKV_\S+)", line)
        if match and match.group(1) != "A":
            yield f"symbol {match.group(2)}"


def abi_of(include, library, runner=()):
    lines, asked = declared(include)
    return lines | answers(include, asked, runner) | set(exported(library))


def compare(recorded, there):
    """sentences about breaks, sentences about what is only new"""
    subject = re.compile(r"\S+ \S+?(?=[:@ ]|$)(?:@@\S+)?|enum \S+")
    new = {subject.match(line).group(0): line for line in sorted(there - recorded)}
    breaks = []
    for line in sorted(recorded - there):
        now = new.pop(subject.match(line).group(0), None)
        breaks.append(f"changed: {line}\n    now: {now}" if now else f"gone: {line}")
    return breaks, [f"new: {line}" for line in new.values()]


def read_record(path):
    with open(path, encoding="utf-8") as f:
        return {line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")}


def write_record(lines):
    with open(RECORD, "w", encoding="utf-8") as f:
        f.write("# The recorded ABI; see abi.py, which compares and renews it.\n")
        f.writelines(line + "\n" for line in sorted(lines))
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as f:
        version = re.search(r"project\(memkv VERSION ([0-9.]+)", f.read()).group(1)
    with open(DEBIAN, encoding="utf-8") as f:  # a symbol's line keeps the version in which it came
        old = f.read().splitlines()
    symbols = {line.removeprefix("symbol ").replace("@@", "@") for line in lines if line.startswith("symbol ")}
    symbols |= {f"{node}@{node}" for node in {symbol.split("@")[1] for symbol in symbols}}
    kept = [line for line in old if line[:1] != " " or line.split()[0] in symbols]
    added = symbols - {line.split()[0] for line in old}
    with open(DEBIAN, "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in kept + [f" {symbol} {version}" for symbol in sorted(added)])


# ---- the test of the test ----------------------------------------------------------------------------------------

HEADER = """#ifndef MEMKV_A_H
#define MEMKV_A_H
#include <stdint.h>
#define MEMKV_LENGTH 32
#define MEMKV_FLAG (1 << 3)
enum memkv_code { MEMKV_MISS = -5001, MEMKV_OTHER = -5002 };
struct memkv_options { uint32_t size; uint32_t flags; uint64_t bytes; const char *name; };
struct memkv_opaque;
int memkv_first(struct memkv_opaque *o, uint64_t n);
int memkv_second(const struct memkv_options *o);
#endif
"""
SOURCE = "int memkv_first(void) { return 0; }\nint memkv_second(void) { return 0; }\nint inside(void) { return 0; }\n"
MAP = "MEMKV_9 { global: memkv_*; local: *; };\n"
# what is done to header, source or map; whether it is a break; a word that the message must have
MUTATIONS = [
    ("header", "uint64_t bytes;", "uint32_t more; uint64_t bytes;", True, "memkv_options.bytes"),
    ("header", "uint32_t size; uint32_t flags;", "uint32_t flags; uint32_t size;", True, "memkv_options.flags"),
    ("header", "uint64_t bytes;", "int64_t bytes;", True, "memkv_options.bytes"),
    ("header", " const char *name;", "", True, "gone: struct memkv_options.name"),
    ("header", "const char *name;", "const char *name; uint64_t tail;", True, "struct memkv_options: 24 bytes"),
    ("header", "-5002", "-5003", True, "MEMKV_OTHER"),
    ("header", ", MEMKV_OTHER = -5002", "", True, "gone: enum memkv_code.MEMKV_OTHER"),
    ("header", "MEMKV_OTHER = -5002", "MEMKV_OTHER = -5002, MEMKV_THIRD = 1", False, "MEMKV_THIRD"),
    ("header", "MEMKV_LENGTH 32", "MEMKV_LENGTH 33", True, "MEMKV_LENGTH"),
    ("header", "1 << 3", "1 << 4", True, "MEMKV_FLAG"),
    ("header", "uint64_t n);", "uint32_t n);", True, "memkv_first"),
    ("header", "int memkv_second(const struct memkv_options *o);\n", "", True, "gone: function memkv_second"),
    ("header", "struct memkv_opaque;", "struct memkv_opaque;\nint memkv_third(void);", False, "memkv_third"),
    ("source", "int memkv_second(void) { return 0; }\n", "", True, "gone: symbol memkv_second@@MEMKV_9"),
    ("source", "int inside", "int memkv_third(void) { return 1; }\nint inside", False, "symbol memkv_third@@MEMKV_9"),
    ("map", "MEMKV_9", "MEMKV_10", True, "symbol memkv_first@@MEMKV_9"),
    ("map", "memkv_*;", "memkv_first;", True, "gone: symbol memkv_second@@MEMKV_9"),
    ("source", "int inside(void)", "int inside_out(void)", None, ""),
    ("header", "(struct memkv_opaque *o,", "(struct memkv_opaque *renamed,", None, ""),
]


def small_abi(folder, texts):
    os.makedirs(os.path.join(folder, "memkv"), exist_ok=True)
    for path, text in (("memkv/a.h", texts["header"]), ("a.c", texts["source"]), ("a.map", texts["map"])):
        with open(os.path.join(folder, path), "w", encoding="utf-8") as f:
            f.write(text)
    library = os.path.join(folder, "liba.so")
    run(*CC, "-shared", "-fPIC", f"-Wl,--version-script={folder}/a.map", "-o", library, os.path.join(folder, "a.c"))
    return abi_of(folder, library)


def self_test():
    good = {"header": HEADER, "source": SOURCE, "map": MAP}
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        recorded = small_abi(folder, good)
    if len(recorded) < 14 or any("inside" in line for line in recorded):
        wrong.append(f"the small ABI is {sorted(recorded)}")
    for what, before, after, is_break, word in MUTATIONS:
        assert good[what].count(before) >= 1, before
        with tempfile.TemporaryDirectory() as folder:
            breaks, news = compare(recorded, small_abi(folder, {**good, what: good[what].replace(before, after, 1)}))
        said = "\n".join(breaks + news)
        if bool(breaks) != bool(is_break) or bool(said) != (is_break is not None) or word not in said:
            wrong.append(f"{what}: {before!r} -> {after!r}: {said or 'nothing was said'}")
    for line in wrong:
        print(line)
    print(f"self-test: {len(MUTATIONS)} changes, {len(wrong)} wrong")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description="compare the ABI with the recorded one")
    parser.add_argument("--library", dest="built")
    parser.add_argument("--include", default=os.path.join(ROOT, "include"))
    parser.add_argument("--runner", default="", help="what runs a program of the compiler's, for instance qemu")
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    try:
        run("clang", "--version")
    except OSError:
        print("skipped: no clang, which reads the public headers here")
        return SKIPPED
    if args.self_test:
        return self_test()
    there = abi_of(os.path.abspath(args.include), args.built, args.runner.split())
    if args.renew:
        write_record(there)
        print(f"{len(there)} lines recorded in {RECORD}; look at the difference, and say why in the commit")
        return 0
    breaks, news = compare(read_record(RECORD), there)
    print("\n".join(breaks + news))
    print(f"{len(there)} lines of ABI, {len(breaks)} broken, {len(news)} not recorded yet")
    if breaks or news:
        print("If this is meant: " + ("a new minor version in CMakeLists.txt, and " if breaks else "") +
              f"{sys.argv[0]} --library {args.built} --renew")
    return 1 if breaks or news else 0


if __name__ == "__main__":
    sys.exit(main())
