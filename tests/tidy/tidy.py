#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""House rules, checked.

    tidy.py --root TREE [--library libmemkv.so]   exit 0: clean, 1: broken rules on stdout
    tidy.py --self-test                           every rule must catch a small bad tree, and pass a good one

Each rule is a function that takes a Tree and yields (file, line, sentence).  What is only reported (files and
functions that are larger than they should be) comes after "note:" and does not fail.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77

# What each folder may include besides itself and the public headers, which everybody may.
LAYERS = {
    "core/base": [],
    "core/format": ["core/base"],
    "core/media": ["core/base"],
    "core/slot": ["core/base", "core/format", "core/media"],
    "core/log": ["core/base", "core/format", "core/media", "core/slot"],
    "core/facts": ["core/base", "core/format", "core/media", "core/slot", "core/log"],
    "core/index": ["core/base", "core/format", "core/media", "core/slot", "core/log", "core/facts"],
    "core/pool": ["core/base", "core/format", "core/media", "core/slot", "core/log", "core/facts", "core/index"],
    "core/fabric": ["core/base", "core/media"],
}
LAYERS["agent"] = LAYERS["core/pool"] + ["core/pool", "core/fabric"]
LAYERS["cli"] = LAYERS["agent"] + ["agent"]
LAYERS["examples"] = []  # as users build them: public headers only
LAYERS["include/memkv"] = []
# The format is bytes in memory; whoever includes one of these wants to move them.
IMPURE = re.compile(r"(fcntl|unistd|aio|dirent|poll|liburing|libpmem2?|pthread|signal|threads)\.h|sys/.*")

FUNCTION_LINES, FUNCTION_LINES_WISHED = 100, 70
FILE_LINES, FILE_LINES_WISHED = 800, 600
C_FILES = (".c", ".h")
SOURCES = (".c", ".h", ".py", ".sh")
SHARED_NAMES = {"__init__.py", "conftest.py"}  # may occur in several folders

# Places that only exist where somebody works on this; put together so that this file does not contain them.
SLASH = "/"
FORBIDDEN = [
    (re.compile(r"(?<![\w.\-/])" + SLASH + "(?:work|farm)" + SLASH), "a path of somebody's own machine"),
    (re.compile(r"\.\." + SLASH + "shared\\b"), "a path outside the tree"),
    (re.compile(r"(?<![\w.\-])" + "shared" + SLASH + r"(?:design|style|contract|protocol|findings|lab|field)\.md"),
     "a document outside the tree"),
]
# The library answers; it never prints and never ends the program.
IMPORTS_REFUSED = {"printf", "puts", "putchar", "perror", "vprintf", "__printf_chk", "__vprintf_chk",
                   "exit", "_exit", "quick_exit", "system"}
TOOLCHAIN_SYMBOLS = re.compile(r"__(asan|odr_asan|ubsan|tsan|sanitizer|gcov|llvm)|_(init|fini|edata|end|__bss_start)$")


class Tree:
    """The files of a source tree: what git tracks or would track, else everything but build folders."""

    def __init__(self, root, built=None):
        self.root = os.path.abspath(root)
        self.built = built
        self.files = sorted(self._list())
        self._lines = {}

    def _list(self):
        try:
            out = subprocess.run(["git", "-C", self.root, "ls-files", "-co", "--exclude-standard", "-z"],
                                 capture_output=True, check=True).stdout.decode()
            top = subprocess.run(["git", "-C", self.root, "rev-parse", "--show-toplevel"],
                                 capture_output=True, check=True).stdout.decode().strip()
            if os.path.realpath(top) == os.path.realpath(self.root):
                return [f for f in out.split("\0") if f and os.path.isfile(os.path.join(self.root, f))]
        except (OSError, subprocess.CalledProcessError):
            pass
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [d for d in folders if d != "__pycache__" and not d.startswith((".", "build"))]
            found += [os.path.relpath(os.path.join(folder, n), self.root) for n in names]
        return found

    def ending(self, endings, under=""):
        return [f for f in self.files if f.endswith(endings) and f.startswith(under)]

    def lines(self, name):
        if name not in self._lines:
            with open(os.path.join(self.root, name), encoding="utf-8", errors="replace") as f:
                self._lines[name] = f.read().split("\n")
            if self._lines[name][-1] == "":
                self._lines[name].pop()
        return self._lines[name]


def layer_of(name):
    for layer in LAYERS:
        if name.startswith(layer + "/"):
            return layer
    return None


INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(tree, name):
    for number, line in enumerate(tree.lines(name), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def rule_layering(tree):
    for name in tree.ending(C_FILES):
        layer = layer_of(name)
        if layer is None and name.startswith("core/"):
            yield name, 1, "lies in no known layer"
        for number, quote, target in includes(tree, name):
            if quote == "<":
                continue
            if layer is None and os.path.normpath(os.path.join(os.path.dirname(name), target)) in tree.files:
                continue  # a neighbour's header, in tests
            if target not in tree.files:
                yield name, number, f'"{target}" is no file of the tree (paths start at its root)'
            elif layer is None:
                continue  # tests may include anything
            elif target.startswith("include/"):
                yield name, number, f"public headers are included as <memkv/...>, not \"{target}\""
            elif layer_of(target) != layer and layer_of(target) not in LAYERS[layer]:
                yield name, number, f"{layer} may not include {target}"


def rule_format_is_pure(tree):
    for name in tree.ending(C_FILES, "core/format/"):
        for number, quote, target in includes(tree, name):
            if quote == "<" and IMPURE.fullmatch(target):
                yield name, number, f"<{target}>: the format is bytes in memory and moves nothing"


def functions(tree, name):
    """(first line, number of lines, name) of each function: a brace in column 0 opens it, one closes it."""
    start, title = None, ""
    lines = tree.lines(name)
    for number, line in enumerate(lines, 1):
        if line.startswith("{") and start is None:
            start = number
            title = next((m.group(1) for back in range(number - 2, max(-1, number - 12), -1)
                          if (m := re.match(r"[A-Za-z_].*?(\w+)\s*\(", lines[back]))), "?")
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1, title
            start = None


def rule_function_size(tree):
    for name in tree.ending((".c", ".h")):
        for start, length, title in functions(tree, name):
            if length > FUNCTION_LINES:
                yield name, start, f"{title}() has {length} lines, more than {FUNCTION_LINES}"


def rule_file_size(tree):
    for name in tree.ending(SOURCES):
        length = len(tree.lines(name))
        if length > FILE_LINES:
            yield name, 1, f"{length} lines, more than {FILE_LINES}"


def notes(tree):
    for name in tree.ending(SOURCES):
        length = len(tree.lines(name))
        if length > FILE_LINES_WISHED:
            yield name, 1, f"{length} lines, more than {FILE_LINES_WISHED}"
    for name in tree.ending(C_FILES):
        for start, length, title in functions(tree, name):
            if length > FUNCTION_LINES_WISHED:
                yield name, start, f"{title}() has {length} lines, more than {FUNCTION_LINES_WISHED}"


def rule_unique_names(tree):
    seen = {}
    for name in tree.ending(SOURCES):
        base = os.path.basename(name)
        if base in SHARED_NAMES:
            continue
        if base in seen:
            yield name, 1, f"has the name of {seen[base]}"
        seen.setdefault(base, name)


def rule_spdx(tree):
    for name in tree.ending(SOURCES):
        lines = tree.lines(name)
        at = 1 if lines and lines[0].startswith("#!") else 0
        if len(lines) <= at or "SPDX-License-Identifier: Apache-2.0" not in lines[at]:
            yield name, at + 1, "does not start with its SPDX line"


def rule_forbidden_words(tree):
    for name in tree.files:
        for number, line in enumerate(tree.lines(name), 1):
            for pattern, why in FORBIDDEN:
                if pattern.search(line):
                    yield name, number, f"names {why}"


def rule_no_inline_in_public_headers(tree):
    for name in tree.ending((".h",), "include/"):
        for number, line in enumerate(tree.lines(name), 1):
            if re.search(r"\b(static|extern)\s+inline\b|\b__inline", line):
                yield name, number, "inline functions in installed headers cannot be mended by an upgrade"


def compilers():
    languages = ((["-x", "c", "-std=c11"], ("gcc", "clang")), (["-x", "c++", "-std=c++17"], ("g++", "clang++")))
    for flags, names in languages:
        for name in names:
            if shutil.which(name):
                yield [name, *flags]


def rule_public_headers_compile_alone(tree):
    headers = tree.ending((".h",), "include/")
    if headers and not any(True for _ in compilers()):
        yield headers[0], 1, "no compiler to try the public headers with"
    for name in headers:
        for compiler in compilers():
            run = subprocess.run([*compiler, "-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                  "-I", os.path.join(tree.root, "include"), "-"],
                                 input=f"#include <{name.removeprefix('include/')}>\n",
                                 capture_output=True, text=True, check=False)
            if run.returncode:
                first = next((s for s in run.stderr.split("\n") if "error" in s), "error")
                yield name, 1, f"{compiler[0]} {compiler[-1]}: {first}"


def dynamic_symbols(library):
    out = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True).stdout
    for line in out.split("\n"):
        match = re.match(r"[0-9a-f]*\s+([A-Za-z])\s+([^@\s]+)", line)
        if match:
            yield match.group(1), match.group(2)


def rule_exported_symbols(tree):
    if not tree.built:
        return
    exported = 0
    for kind, symbol in dynamic_symbols(tree.built):
        if kind in "Uwv":
            if symbol in IMPORTS_REFUSED:
                yield tree.built, 1, f"uses {symbol}(): the library never prints or ends the program"
        elif kind == "A" or TOOLCHAIN_SYMBOLS.match(symbol):
            continue  # version nodes, and what sanitizers and coverage add
        elif symbol.startswith("memkv_"):
            exported += 1
        else:
            yield tree.built, 1, f"exports {symbol}, which is not memkv_..."
    if not exported:
        yield tree.built, 1, "exports nothing"


RULES = [rule for title, rule in sorted(globals().items()) if title.startswith("rule_")]


def check(tree, rules=None):
    return [(name, line, text) for rule in rules or RULES for name, line, text in rule(tree)]


# ---- the test of the test ----------------------------------------------------------------------------------------

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
GOOD = {
    "include/memkv/good.h": SPDX + "#ifndef GOOD_H\n#define GOOD_H\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
                            "int memkv_good(void);\n#ifdef __cplusplus\n}\n#endif\n#endif\n",
    "core/base/low.h": SPDX + "#include <memkv/good.h>\n",
    "core/format/bits.h": SPDX + '#include "core/base/low.h"\n#include <string.h>\n',
    "core/media/move.c": SPDX + '#include "core/base/low.h"\n#include <fcntl.h>\n',
    "core/pool/top.c": SPDX + '#include "core/format/bits.h"\n\nint memkv_good(void)\n{\n\treturn 0;\n}\n',
    "cli/main.c": SPDX + '#include "core/pool/top.c"\n',
    "tests/any.c": SPDX + '#include "core/format/bits.h"\n#include "cli/main.c"\n',
    "tests/near/near.c": SPDX + '#include "near.h"\n',
    "tests/near/near.h": SPDX,
    "tests/run.sh": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n# a network" + SLASH + "work" + SLASH + " folder, shared memory\n",
    "README.md": "shared by all\n",
}
FUNCTION = SPDX + "int memkv_good(void)\n{\n%s\treturn 0;\n}\n"
PATHS = [SLASH + "work" + SLASH, SLASH + "farm" + SLASH + "x", ".." + SLASH + "shared", "shared" + SLASH + "design.md"]

# rule, file, text, how often it must be caught; None: the file is taken away
BAD = [
    (rule_layering, "core/base/up.h", SPDX + '#include "core/format/bits.h"\n', 1),
    (rule_layering, "core/format/sideways.h", SPDX + '#include "core/media/move.c"\n', 1),
    (rule_layering, "core/media/sideways.h", SPDX + '#include "core/format/bits.h"\n', 1),
    (rule_layering, "core/slot/up.c", SPDX + '#  include "core/pool/top.c"\n', 1),
    (rule_layering, "core/log/up.c", SPDX + '#include "core/pool/top.c"\n', 1),
    (rule_layering, "core/index/up.c", SPDX + '#include "cli/main.c"\n#include "core/pool/top.c"\n', 2),
    (rule_layering, "core/pool/up.c", SPDX + '#include "cli/main.c"\n', 1),
    (rule_layering, "core/pool/test.c", SPDX + '#include "tests/any.c"\n', 1),
    (rule_layering, "agent/up.c", SPDX + '#include "cli/main.c"\n', 1),
    (rule_layering, "examples/inside.c", SPDX + '#include "core/base/low.h"\n', 1),
    (rule_layering, "include/memkv/inside.h", SPDX + '#include "core/base/low.h"\n', 1),
    (rule_layering, "core/pool/near.c", SPDX + '#include "top.c"\n', 1),
    (rule_layering, "tests/astray.c", SPDX + '#include "near.h"\n', 1),
    (rule_layering, "core/pool/public.c", SPDX + '#include "include/memkv/good.h"\n', 1),
    (rule_layering, "core/elsewhere/x.c", SPDX, 1),
    (rule_format_is_pure, "core/format/io.c", SPDX + "#include <fcntl.h>\n#include <unistd.h>\n#include <sys/mman.h>\n",
     3),
    (rule_function_size, "core/base/long.c", FUNCTION % ("\t;\n" * (FUNCTION_LINES - 2)), 1),
    (rule_file_size, "tests/long.py", "# SPDX-License-Identifier: Apache-2.0\n" + "#\n" * FILE_LINES, 1),
    (rule_unique_names, "tests/top.c", SPDX, 1),
    (rule_spdx, "core/base/bare.c", "int x;\n" + SPDX, 1),
    (rule_spdx, "core/base/empty.c", "", 1),
    (rule_spdx, "tests/bare.sh", "#!/bin/sh\necho\n", 1),
    *[(rule_forbidden_words, "README.md", f"see {path} there\n", 1) for path in PATHS],
    *[(rule_forbidden_words, "tests/quoted.c", SPDX + f'char *p = "{path}";\n', 1) for path in PATHS],
    (rule_no_inline_in_public_headers, "include/memkv/fast.h", SPDX + "static inline int f(void) { return 0; }\n", 1),
    (rule_public_headers_compile_alone, "include/memkv/needy.h", SPDX + "size_t memkv_needy(void);\n", None),
    (rule_public_headers_compile_alone, "include/memkv/gnu.h", SPDX + "struct { int x[0]; } memkv_y;\n", None),
    (rule_public_headers_compile_alone, "include/memkv/conly.h", SPDX + "int memkv_c(int new);\n", None),
]


def write_tree(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def build_library(folder, text):
    path = os.path.join(folder, "lib.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, "-x", "c", "-"], input=text, text=True, check=True)
    return path


def self_test_library(folder):
    cases = [("int memkv_a; int memkv_f(void){return memkv_a;}", 0),
             ("int memkv_f(void){return 0;} int helper(void){return 1;} int data;", 2),
             ("static int hidden; int *memkv_f(void){return &hidden;}", 0),
             ("extern int puts(const char *); extern void exit(int); void memkv_f(void){puts(\"\"); exit(0);}", 2),
             ("static int hidden(void) __attribute__((unused)); static int hidden(void){return 0;}", 1)]
    for text, expected in cases:
        caught = check(Tree(folder, build_library(folder, text)), [rule_exported_symbols])
        if len(caught) != expected:
            yield f"rule_exported_symbols caught {caught}, not {expected} things, in: {text}"


def self_test():
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        write_tree(folder, GOOD)
        wrong += [f"the good tree is said to be bad: {c}" for c in check(Tree(folder))]
        wrong += list(self_test_library(folder))
    for rule, name, text, expected in BAD:
        with tempfile.TemporaryDirectory() as folder:
            write_tree(folder, {**GOOD, name: text})
            caught = [c for c in check(Tree(folder), [rule]) if c[0] == name]
            if (not caught) if expected is None else len(caught) != expected:
                wrong.append(f"{rule.__name__} on {name}: caught {len(caught)}, expected {expected or 'some'}")
    with tempfile.TemporaryDirectory() as folder:  # one line less is fine, and is noted
        write_tree(folder, {"core/base/fits.c": FUNCTION % ("\t;\n" * (FUNCTION_LINES - 3))})
        if check(Tree(folder), [rule_function_size]) or len(list(notes(Tree(folder)))) != 1:
            wrong.append(f"a function of {FUNCTION_LINES} lines must pass and be noted")
    untried = {rule.__name__ for rule in RULES} - {bad[0].__name__ for bad in BAD} - {"rule_exported_symbols"}
    wrong += [f"{name} has no bad example" for name in sorted(untried)]
    for line in wrong:
        print(line)
    print(f"self-test: {len(BAD)} bad trees, {len(RULES)} rules, {len(wrong)} wrong")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description="check the house rules")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    parser.add_argument("--library", dest="built", help="the built libmemkv.so, for its symbols")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    if args.self_test:
        if not shutil.which("cc") or not shutil.which("nm"):
            print("skipped: no cc or nm")
            return SKIPPED
        return self_test()
    tree = Tree(args.root, args.built)
    for name, line, text in notes(tree):
        print(f"note: {name}:{line}: {text}")
    broken = check(tree)
    for name, line, text in broken:
        print(f"{name}:{line}: {text}")
    print(f"{len(tree.files)} files, {len(RULES)} rules, {len(broken)} broken")
    return 1 if broken or not tree.files else 0


if __name__ == "__main__":
    sys.exit(main())
