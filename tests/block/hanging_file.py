# SPDX-License-Identifier: Apache-2.0
"""A file that hangs or fails when it is told to: a file system with nothing else in it, served by a thread of the test
through /dev/fuse.  With a loop device on it, a block device whose link is cut.

It goes with the test: when this process ends the kernel answers whatever still waits with an error.
"""
import ctypes
import errno
import os
import stat
import struct
import subprocess
import threading

from loop_device import LoopDevice, skip

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE = 1, 2, 3, 4, 14, 15, 16, 17, 18
FSYNC, FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = 20, 25, 26, 36, 38, 42
SILENT = (FORGET, BATCH_FORGET, INTERRUPT)
MEDIUM = (READ, WRITE, FSYNC)
NAME, ROOT, FILE = b"device.img", 1, 2
MOST = 1 << 20
DIRECT, MNT_DETACH = 1, 2


class HangingFile:
    def __init__(self, folder, size):
        if os.geteuid() != 0:
            skip("mounting needs root")
        self.folder, self.size = os.path.join(folder, "hanging"), size
        self.bytes = bytearray(size)
        self.lock = threading.Lock()
        self.holding, self.failing, self.held, self.met = False, False, [], 0
        self.kinds, self.passing = MEDIUM, 0
        os.mkdir(self.folder)
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as why:
            skip(f"/dev/fuse: {why}")
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"memkv-test", self.folder.encode(), b"fuse", 6, options):
            skip(f"no file system can be mounted here: {os.strerror(ctypes.get_errno())}")
        self.path = os.path.join(self.folder, NAME.decode())
        threading.Thread(target=self.serve, daemon=True).start()

    # ---- what the test says ----

    def hang(self, kinds=MEDIUM, after=0):
        """Requests of these kinds, all but the first so many."""
        self.met, self.kinds, self.passing, self.holding = 0, kinds, after, True

    def fail(self, failing=True):
        self.failing = failing

    def let_go(self):
        with self.lock:
            self.holding, held, self.held = False, self.held, []
        for request in held:
            self.answer(*request)

    def close(self):
        self.let_go()
        subprocess.run(["umount", "-l", self.folder], check=False)

    # ---- what the kernel asks ----

    def serve(self):
        while True:
            try:
                request = os.read(self.fd, MOST + 4096)
            except OSError as why:
                if why.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return  # unmounted
            _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            if opcode in SILENT:
                continue
            with self.lock:
                hold = self.holding and opcode in self.kinds
                if hold and self.passing:
                    self.passing, hold = self.passing - 1, False
                if hold:
                    self.held.append((opcode, unique, node, request[40:]))
                    self.met += 1
            if not hold:
                self.answer(opcode, unique, node, request[40:])

    def answer(self, opcode, unique, node, body):
        if self.failing and opcode in MEDIUM:
            error, data = errno.EIO, b""
        else:
            error, data = self.made(opcode, node, body)
        try:
            os.write(self.fd, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)
        except OSError:
            pass  # whoever asked has gone

    def attributes(self, node):
        mode, size = (stat.S_IFDIR | 0o755, 0) if node == ROOT else (stat.S_IFREG | 0o600, self.size)
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def made(self, opcode, node, body):
        if opcode == INIT:
            return 0, struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 64, 64, MOST, 1, 0, 0, *[0] * 8)
        if opcode == LOOKUP:
            if body.rstrip(b"\0") != NAME:
                return errno.ENOENT, b""
            return 0, struct.pack("<4Q2I", FILE, 0, 3600, 3600, 0, 0) + self.attributes(FILE)
        if opcode in (GETATTR, SETATTR):
            return 0, struct.pack("<Q2I", 3600, 0, 0) + self.attributes(node)
        if opcode == OPEN:
            return 0, struct.pack("<Q2I", 1, DIRECT, 0)
        if opcode == READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return 0, bytes(self.bytes[offset:offset + size])
        if opcode == WRITE:
            offset, size = struct.unpack_from("<QI", body, 8)
            self.bytes[offset:offset + size] = body[40:40 + size]
            return 0, struct.pack("<2I", size, 0)
        if opcode in (FLUSH, FSYNC, RELEASE, DESTROY):
            return 0, b""
        if opcode == STATFS:
            return 0, struct.pack("<5Q6I24x", 1 << 20, 1 << 19, 1 << 19, 16, 8, 4096, 255, 4096, 0, 0, 0)
        return errno.ENOSYS, b""


class HangingDevice(LoopDevice):
    """A loop device on a file that hangs."""

    def __init__(self, folder, size):
        self.file = HangingFile(folder, size)
        super().__init__(self.file.folder, size, NAME.decode())

    def close(self):
        self.file.let_go()
        super().close()
        self.file.close()
