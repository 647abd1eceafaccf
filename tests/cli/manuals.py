#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A man page for each verb, which says what help says: summary, options, text; and all of them pass the linters.

    manuals.py MEMKV
"""
import os
import re
import shutil
import subprocess
import sys

from cli_tool import ROOT, Missing, Tool, check

PAGES = os.path.join(ROOT, "cli", "man")


def plain(roff):
    """What a reader sees, in one line."""
    text = re.sub(r"\\f[BRI]", "", roff)
    text = re.sub(r"^\.(TP|PP|nf|fi)$", "", text, flags=re.M)
    text = re.sub(r"^\.[A-Z]+ ", "", text, flags=re.M)
    text = text.replace("\\&", "").replace("\\-", "-").replace("\\e", "\\")
    return " ".join(text.split())


def sections(verb):
    path = os.path.join(PAGES, f"memkv-{verb.replace(' ', '-')}.1" if verb else "memkv.1")
    assert os.path.exists(path), f"there is no page {path}; begin with cli/man/draft.py"
    with open(path, encoding="utf-8") as f:
        parts = re.split(r"^\.SH (.*)\n", f.read(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def verbs(tool):
    return {v["verb"]: v for v in tool.json("help")["verbs"]}


def test_pages_say_what_help_says(tool):
    options = 0
    for verb, about in verbs(tool).items():
        page = sections(verb)
        assert plain(page["NAME"]) == f"memkv-{verb.replace(' ', '-')} - {about['summary']}", plain(page["NAME"])
        assert f"memkv {verb} {about['usage']}".strip() + " [options]" == plain(page["SYNOPSIS"]), plain(page["SYNOPSIS"])
        text = " ".join(about.get("text", "").split())
        assert text in plain(page["DESCRIPTION"]), f"{verb}: the page lacks what help says: {text}"
        listed = [plain(p.split("\n")[0]) for p in page["OPTIONS"].split(".TP\n")[1:]]
        wanted = [(f"-{o['letter']}, " if o["letter"] else "") + f"--{o['name']}" + (f" {o['value']}" if o["value"] else "")
                  for o in about["options"]]
        assert sorted(listed) == sorted(wanted), f"{verb}: {listed} is not {wanted}"
        options += len(wanted)
        for needed in ("EXIT STATUS", "EXAMPLES", "SEE ALSO"):
            assert needed in page, f"{verb}: no {needed}"
    return f"{len(verbs(tool))} verbs, {options} options"


def test_no_page_too_many(tool):
    wanted = {"memkv.1"} | {f"memkv-{v.replace(' ', '-')}.1" for v in verbs(tool)}
    assert {n for n in os.listdir(PAGES) if n.endswith(".1")} == wanted, wanted
    overview = sections(None)
    for verb in verbs(tool):
        assert f"memkv-{verb.replace(' ', '-')} (1)" in plain(overview["SEE ALSO"]), f"memkv(1) does not name {verb}"
        assert verb in plain(overview["VERBS"]), f"memkv(1) does not explain {verb}"


def test_help_on_paper(tool):
    """help VERB prints the usage, and a line for each option."""
    for verb, about in verbs(tool).items():
        said = tool.ok("help", *verb.split())
        assert said.startswith(f"memkv {verb} {about['usage']} - {about['summary']}"), said
        assert said == tool.ok(*verb.split(), "--help"), f"{verb} --help says something else"
        for o in about["options"]:
            assert f"--{o['name']}" in said and o["help"] in said, f"{verb}: {o}"


def test_examples_are_commands(tool):
    """Each example names a verb and only options that it has."""
    count = 0
    known = {v: {f"--{o['name']}" for o in a["options"]} | {f"-{o['letter']}" for o in a["options"] if o["letter"]}
             for v, a in verbs(tool).items()}
    for verb in [None, *known]:
        for line in plain_lines(sections(verb)["EXAMPLES"]):
            for command in re.findall(r"memkv (?!is\b)[^|<]*", line):
                words = command.split()[1:]
                name = " ".join(words[:2]) if words[0] in ("pool", "host") else words[0]
                assert name in known, f"{command!r} names no verb"
                wrong = {w for w in words if re.match(r"-{1,2}[a-z]", w)} - known[name]
                assert not wrong, f"{command!r}: {wrong}"
                count += 1
    return f"{count} examples"


def plain_lines(roff):
    lines = re.findall(r"\.nf\n(.*?)\.fi", roff, flags=re.S)
    assert lines, f"no example: {roff!r}"
    return [line.replace("\\-", "-") for part in lines for line in part.split("\n") if line]


def lint(command):
    if not shutil.which(command[0]):
        raise Missing(f"no {command[0]}")
    for name in sorted(os.listdir(PAGES)):
        if name.endswith(".1"):
            done = subprocess.run([*command, os.path.join(PAGES, name)], capture_output=True, text=True, check=False,
                                  env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"})
            assert not done.stderr and (command[0] == "man" or not done.stdout), f"{name}: {done.stderr}{done.stdout}"
            assert done.returncode == 0, f"{name}: {done.returncode}"


def test_mandoc(_):
    lint(["mandoc", "-T", "lint", "-W", "warning"])


def test_man(_):
    lint(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])


if __name__ == "__main__":
    check([t for name, t in list(globals().items()) if name.startswith("test_")], Tool(sys.argv[1]))
