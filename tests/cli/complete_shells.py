#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Completion, through a real bash and, where it is installed, a real zsh on a terminal.

    complete_shells.py MEMKV
"""
import os
import pty
import re
import select
import shutil
import subprocess
import time

from cli_tool import ROOT, Missing, check_in_folders

BASH = os.path.join(ROOT, "cli", "completion", "memkv.bash")
ZSH = os.path.join(ROOT, "cli", "completion")

# what readline does: splits the line at blanks and word breaks, and calls the function
DRIVER = r"""
source "$1"; line=$2
COMP_LINE=$line; COMP_POINT=${#line}; COMP_WORDS=(); COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
rest=$line
while [[ $rest =~ ^[[:space:]]*([^[:space:]:=]+|[:=]+)(.*)$ ]]; do COMP_WORDS+=("${BASH_REMATCH[1]}"); rest=${BASH_REMATCH[2]}; done
[[ $line == *[[:space:]] ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_memkv
printf '%s\n' "${COMPREPLY[@]}"
"""


class Bash:
    def __init__(self, tool, folder):
        self.folder, self.env = folder, dict(os.environ)
        self.env["PATH"] = os.path.dirname(tool.program) + ":" + self.env["PATH"]
        if os.path.basename(tool.program) != "memkv":
            raise Missing("the tool is not called memkv")

    def __call__(self, line):
        done = subprocess.run(["bash", "--norc", "-c", DRIVER, "bash", BASH, line], capture_output=True, text=True,
                              cwd=self.folder, env=self.env, timeout=60, check=True)
        assert "error" not in done.stderr, done.stderr
        return sorted(x for x in done.stdout.split("\n") if x)


def verbs_of(tool):
    return {v["verb"]: v for v in tool.json("help")["verbs"]}


def test_bash_verbs(tool, folder):
    bash, verbs = Bash(tool, folder), verbs_of(tool)
    assert set(bash("memkv ")) == {v.split()[0] for v in verbs}
    assert set(bash("memkv pool ")) == {v.split()[1] for v in verbs if v.startswith("pool ")}
    assert bash("memkv po") == ["pool"] and bash("memkv pool cr") == ["create"]
    assert bash("memkv nonsense ") == [] and bash("memkv pool nonsense ") == []
    assert set(bash("memkv help ")) == set(bash("memkv ")) and set(bash("memkv help pool ")) == set(bash("memkv pool "))


def test_bash_options(tool, folder):
    bash, verbs = Bash(tool, folder), verbs_of(tool)
    for name, verb in verbs.items():
        wanted = sorted("--" + o["name"] for o in verb["options"])
        assert bash(f"memkv {name} -") == wanted, f"{name}: {bash(f'memkv {name} -')}"
    assert bash("memkv pool create x --max-") == ["--max-block"]
    assert bash("memkv put x --class ") == ["default", "session", "shared"]
    assert bash("memkv put x --class se") == ["session"]
    assert bash("memkv put x --ttl ") == []
    assert bash("memkv pool check x --max-rate ") == ["none"]


def test_bash_words(tool, folder):
    bash = Bash(tool, folder)
    for name in ("one.pool", "two words"):
        with open(os.path.join(folder, name), "w", encoding="ascii"):
            pass
    os.mkdir(os.path.join(folder, "inner"))
    files = ["inner", "one.pool", "two words"]
    assert bash("memkv get ") == sorted(files + ["name:", "ns:", "uuid:"])
    assert bash("memkv attach n") == ["nvme+rdma://", "nvme+tcp://"] and bash("memkv detach nvme+") == []
    assert bash("memkv attach x --fast-io-fail o") == ["off"]
    assert bash("memkv get o") == ["one.pool"]
    assert bash("memkv get one.pool ") == [], "a key cannot be guessed"
    assert bash("memkv get one.pool --name x -o ") == files
    assert bash("memkv put one.pool --name x o") == ["one.pool"], "--name TEXT stands for the key, then comes FILE"
    assert bash("memkv put one.pool " + "ab" * 32 + " t") == ["two words"]
    assert bash("memkv replay one.pool o") == ["one.pool"]
    assert bash("memkv doctor ") == ["inner"], "directories only"
    assert bash("memkv version ") == []


def test_bash_addresses(tool, folder):
    bash = Bash(tool, folder)
    bash.env["MEMKV_POOL_PATH"] = folder
    tool.ok("pool", "create", os.path.join(folder, "p"), "--size", "16M", "--name", "chat-kv")
    assert bash("memkv get name:") == ["chat-kv"], "what stands before the colon is on the line already"
    assert bash("memkv get name:ch") == ["chat-kv"] and bash("memkv get name:x") == []
    assert bash("memkv get na") == ["name:"]


# ---- zsh ----------------------------------------------------------------------------------------------------------

class Zsh:
    """An interactive zsh on a terminal of its own."""

    def __init__(self, tool, folder):
        if not shutil.which("zsh"):
            raise Missing("no zsh")
        home = os.path.join(folder, "home")
        os.mkdir(home)
        with open(os.path.join(home, ".zshrc"), "w", encoding="ascii") as f:
            f.write(f"fpath=({ZSH} $fpath)\nautoload -Uz compinit && compinit -u -D\nPROMPT='ready> '\n"
                    "zstyle ':completion:*' list-colors ''\nLISTMAX=10000\nunsetopt auto_menu beep zle_bracketed_paste\n"
                    "unset zle_bracketed_paste\n")
        env = {"HOME": home, "ZDOTDIR": home, "TERM": "dumb", "LC_ALL": "C.UTF-8", "COLUMNS": "250", "LINES": "100",
               "PATH": os.path.dirname(tool.program) + ":" + os.environ["PATH"]}
        pid, self.fd = pty.fork()
        if not pid:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-i"], env)
        self.read_until("ready> ")

    def read_until(self, sign, limit_s=20):
        got, end = "", time.monotonic() + limit_s
        while sign not in got:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"zsh does not answer: {got[-400:]!r}"
            got += os.read(self.fd, 65536).decode(errors="replace")
        return got

    def complete(self, line):
        """What a tab behind the line adds or lists."""
        os.write(self.fd, line.encode() + b"\t\x05 #end#")
        got = self.read_until("#end#")
        os.write(self.fd, b"\x15")
        time.sleep(0.05)
        while select.select([self.fd], [], [], 0.05)[0]:
            os.read(self.fd, 65536)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", got)

    def close(self):
        os.close(self.fd)


def test_zsh(tool, folder):
    zsh = Zsh(tool, folder)
    try:
        listed = zsh.complete("memkv ")
        for verb in ("pool", "put", "doctor", "replay"):
            assert verb in listed, f"{verb}: {listed!r}"
        assert "store a block" in listed, f"no meanings: {listed!r}"
        assert "pool create" in zsh.complete("memkv pool cr")
        assert "--max-block" in zsh.complete("memkv pool create x --max-")
        listed = zsh.complete("memkv put x --class ")
        assert "default" in listed and "shared" in listed and "session" in listed, listed
        with open(os.path.join(folder, "only.pool"), "w", encoding="ascii"):
            pass
        assert "only.pool" in zsh.complete("memkv get on")
    finally:
        zsh.close()


if __name__ == "__main__":
    check_in_folders(globals())
