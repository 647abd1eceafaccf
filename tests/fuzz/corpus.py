#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A corpus is one file, an input a line in hexadecimal, so that it is one file to commit and to compare.

    corpus.py unpack FILE FOLDER      a file for each line, as libFuzzer wants them
    corpus.py pack FILE FOLDER ...    all inputs of the folders that are not in FILE yet go into it
"""
import hashlib
import os
import sys


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as f:
        return [line.strip() for line in f if line.strip() and not line.startswith("#")]


def unpack(path, folder):
    os.makedirs(folder, exist_ok=True)
    for line in lines_of(path):
        data = bytes.fromhex(line)
        with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), "wb") as f:
            f.write(data)


def pack(path, folders):
    known = set(lines_of(path))
    for folder in folders:
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as f:
                known.add(f.read().hex())
    known.discard("")
    with open(path, "w", encoding="ascii") as f:
        f.write("".join(line + "\n" for line in sorted(known)))


def main():
    if sys.argv[1:2] == ["unpack"] and len(sys.argv) == 4:
        unpack(sys.argv[2], sys.argv[3])
    elif sys.argv[1:2] == ["pack"] and len(sys.argv) > 3:
        pack(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
