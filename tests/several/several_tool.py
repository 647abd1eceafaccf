# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: pools on several files or loop devices."""
import fcntl
import json
import os
import shutil
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "block"))
from loop_device import Folder, Hand, LoopDevice, opened, run, skip  # noqa: E402,F401

MIB = 1 << 20
LOOP_SET_STATUS64, LOOP_GET_STATUS64 = 0x4C04, 0x4C05


class Place:
    """A file, or a loop device, of a size; taken away and given back."""

    def __init__(self, sort, folder, name, size):
        self.sort, self.size = sort, size
        self.device = LoopDevice(folder, size, name) if sort == "devices" else None
        self.path = self.device.path if self.device else os.path.join(folder, name)

    def limit(self, size):
        info = bytearray(232)
        fcntl.ioctl(self.device.fd, LOOP_GET_STATUS64, info)
        struct.pack_into("<Q", info, 4 * 8, size)
        fcntl.ioctl(self.device.fd, LOOP_SET_STATUS64, bytes(info))

    def take_away(self, how):
        if self.device:
            self.limit(8192)
        elif how == "cut":
            shutil.copyfile(self.path, self.path + ".kept")
            os.truncate(self.path, 4096)
        else:
            shutil.copyfile(self.path, self.path + ".kept")
            os.unlink(self.path)

    def give_back(self, how):
        if self.device:
            self.limit(0)
        elif how == "cut":
            with open(self.path + ".kept", "rb") as source, open(self.path, "r+b") as target:
                shutil.copyfileobj(source, target)
        else:
            os.rename(self.path + ".kept", self.path)

    def close(self):
        if self.device:
            self.device.close()


def info(memkv, pool):
    return json.loads(next(line for line in run(memkv, "pool", "info", pool, "--json").splitlines() if line[0] == "{"))


def within(seconds, what, wanted):
    """Until @what() is @wanted; what it was last otherwise."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if wanted(got):
            return got
        assert time.monotonic() < end, f"still {got!r} after {seconds} s"
        time.sleep(0.05)
