#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The switch between the guests: Ethernet frames by UNIX datagrams.

    fleet_hub.py FOLDER NAME...

Each guest's QEMU binds FOLDER/net-NAME and sends to FOLDER/hub-NAME.  Lines on stdin: `cut NAME` and `join NAME`, as a
cable that is pulled somewhere on the way, which neither end is told of; `quit`.  Each is answered with `ok`.
"""
import os
import selectors
import socket
import sys

FRAME_BYTES = 70000
QUEUED = 256  # frames for a guest that does not take them; what comes on top is lost, as in any switch
AT_ONCE = 64


class Port:
    def __init__(self, folder, name):
        self.name, self.joined, self.waiting, self.peer = name, True, [], os.path.join(folder, f"net-{name}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(folder, f"hub-{name}"))
        self.socket.setblocking(False)

    def send(self, frame):
        """Now, or when there is room again, or never."""
        if not self.joined:
            return
        if not self.waiting:
            try:
                self.socket.sendto(frame, self.peer)
                return
            except BlockingIOError:
                pass
            except OSError:
                return  # switched off
        if len(self.waiting) < QUEUED:
            self.waiting.append(frame)

    def drain(self):
        waiting, self.waiting = self.waiting, []
        for frame in waiting:
            self.send(frame)


class Switch:
    def __init__(self, folder, names):
        self.ports = {name: Port(folder, name) for name in names}
        self.places = {}  # MAC address: port
        self.selector = selectors.DefaultSelector()
        for port in self.ports.values():
            self.selector.register(port.socket, selectors.EVENT_READ, port)
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)

    def forward(self, port):
        for _ in range(AT_ONCE):
            try:
                frame = port.socket.recv(FRAME_BYTES)
            except OSError:
                return
            if not port.joined:
                continue
            self.places[frame[6:12]] = port
            to = self.places.get(frame[0:6])
            for other in [to] if to else self.ports.values():
                if other is not port:
                    other.send(frame)

    def obey(self):
        words = sys.stdin.readline().split()
        if not words or words[0] == "quit":
            return False
        port = self.ports[words[1]]
        port.joined = words[0] == "join"
        port.waiting = []
        print("ok", flush=True)
        return True

    def run(self):
        while True:
            stuck = any(port.waiting for port in self.ports.values())
            for key, _ in self.selector.select(0.002 if stuck else None):
                if key.data:
                    self.forward(key.data)
                elif not self.obey():
                    return
            for port in self.ports.values():
                if port.waiting:
                    port.drain()


if __name__ == "__main__":
    Switch(sys.argv[1], sys.argv[2:]).run()
