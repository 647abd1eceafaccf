#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A first draft of a verb's man page, from the tool's own help; the rest is written by hand.

    draft.py MEMKV VERB... > memkv-VERB.1

tests/cli/manuals.py sees to it that page and help keep naming the same options.
"""
import json
import re
import subprocess
import sys


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.split("\n"))


def synopsis(usage):
    """Words in capitals are arguments, brackets are optional parts."""
    made = []
    for word in usage.split():
        word = re.sub(r"--([a-z-]+)", lambda m: "\\fB\\-\\-" + m.group(1).replace("-", "\\-") + "\\fR", word)
        made.append(re.sub(r"\b([A-Z]{1,}|[0-9]+[A-Z%]+)\b(?!\\)", r"\\fI\1\\fR", word))
    return " ".join(made)


def option(o):
    left = (f"\\fB\\-{o['letter']}\\fR, " if o["letter"] else "") + "\\fB\\-\\-" + o["name"].replace("-", "\\-") + "\\fR"
    return left + (f" \\fI{escape(o['value'])}\\fR" if o["value"] else "")


def page(memkv, verb):
    about = json.loads(subprocess.run([memkv, "help", *verb.split(), "--json"], capture_output=True, check=True).stdout)
    name = "memkv-" + verb.replace(" ", "-")
    lines = [".\\\" SPDX-License-Identifier: Apache-2.0", f".TH {name.upper()} 1 \"2026-11-21\" memkv \"memkv manual\"", ".SH NAME",
             f"{escape(name)} \\- {escape(about['summary'])}", ".SH SYNOPSIS",
             f"\\fBmemkv {verb}\\fR {synopsis(about['usage'])}".rstrip() + " [\\fIoptions\\fR]", ".SH DESCRIPTION"]
    for number, part in enumerate(about.get("text", about["summary"] + ".").strip().split("\n\n")):
        lines += ([".PP"] if number else []) + [s for s in re.sub(r"\.  ?", ".\n", escape(part)).split("\n") if s]
    lines.append(".SH OPTIONS")
    for o in about["options"]:
        lines += [".TP", option(o), escape(o["help"][0].upper() + o["help"][1:]) + "."]
    lines += [".SH EXIT STATUS", "0 done; see", ".BR memkv (1)", "for the others.", ".SH SEE ALSO", ".BR memkv (1)"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1], " ".join(sys.argv[2:])))
