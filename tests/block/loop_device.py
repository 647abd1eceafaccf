# SPDX-License-Identifier: Apache-2.0
"""Loop devices and hands (block_hand) for the tests of this folder.

A device is marked to go with its last user as soon as it is there, and this process is one: so it never outlives the
test, however that ends.
"""
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
LOOP_SET_STATUS64, LOOP_GET_STATUS64 = 0x4C04, 0x4C05

# under the address sanitizer: what libpmem2 keeps of a mapping for good is not ours to free
os.environ.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions=" +
                      os.path.join(os.path.dirname(os.path.abspath(__file__)), "leaks_of_others.txt"))


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


class Folder:
    """A scratch folder, on a file system that takes O_DIRECT where possible."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="memkv-block-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class LoopDevice:
    def __init__(self, folder, size, name="device.img", content=None):
        if os.geteuid() != 0:
            skip("loop devices need root")
        if not shutil.which("losetup"):
            skip("no losetup")
        self.image = os.path.join(folder, name)
        with open(self.image, "ab") as f:
            f.truncate(size)
        if content:
            copy(content, self.image)
        made = None
        for direct in ("on", "off"):  # not every file system lets its files be used directly
            made = subprocess.run(["losetup", "-f", "--show", f"--direct-io={direct}", self.image],
                                  capture_output=True, text=True)
            if made.returncode == 0:
                break
        if made.returncode:
            skip(f"no loop device: {made.stderr.strip()}")
        self.path = made.stdout.strip()
        self.fd = os.open(self.path, os.O_RDONLY)
        subprocess.run(["losetup", "-d", self.path], check=True)  # with the last user

    def shrink(self, size):
        os.truncate(self.image, size)
        subprocess.run(["losetup", "-c", self.path], check=True)

    def limit(self, size):
        """As if the device ended there, what lies behind untouched; 0: all of it is there again."""
        info = bytearray(232)
        fcntl.ioctl(self.fd, LOOP_GET_STATUS64, info)
        struct.pack_into("<Q", info, 4 * 8, size)
        fcntl.ioctl(self.fd, LOOP_SET_STATUS64, bytes(info))

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def copy(source, target):
    """Byte for byte, past the caches, without changing the target's size."""
    subprocess.run(["dd", f"if={source}", f"of={target}", "bs=1M", "conv=notrunc,fsync", "status=none"], check=True)


def run(*words, code=0, stdin=None):
    """A command that must end with @code; its output, both streams."""
    done = subprocess.run(words, input=stdin, capture_output=True)
    text = done.stdout + done.stderr
    assert done.returncode == code, f"{' '.join(words)}: {done.returncode}, not {code}: {text[-600:]!r}"
    return text.decode(errors="replace")


class Hand:
    program = None

    def __init__(self, pool, mode):
        self.process = subprocess.Popen([Hand.program, pool, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.greeting = self.process.stdout.readline().strip()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().strip()

    def ask(self, line):
        self.tell(line)
        return self.answer()

    def expect(self, line, *wanted):
        got = self.ask(line)
        assert got in wanted, f"{line}: {got!r}, not {' or '.join(wanted)}"
        return got

    def until(self, line, wanted, seconds=60):
        """Ask again and again until that is the answer."""
        end = time.monotonic() + seconds
        while (got := self.ask(line)) != wanted:
            assert time.monotonic() < end, f"{line}: still {got!r} after {seconds} s, not {wanted}"
            time.sleep(0.05)

    def quit(self):
        self.process.stdin.close()
        code = self.process.wait(60)
        assert code == 0, f"a hand ended with {code}"

    def kill(self):
        self.process.kill()
        rest = self.process.stdout.read()
        self.process.wait(60)
        return rest


def opened(pool, mode):
    hand = Hand(pool, mode)
    assert hand.greeting == "open", hand.greeting
    return hand


def run_each(memkv, tests):
    """Each test(memkv, folder) with a folder of its own."""
    with Folder() as folder:
        for number, test in enumerate(tests):
            own = os.path.join(folder, str(number))
            os.mkdir(own)
            test(memkv, own)
