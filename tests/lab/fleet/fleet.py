# SPDX-License-Identifier: Apache-2.0
"""Several guests at once: QEMU processes that a scenario boots, commands, pauses, cuts off and kills.

lab.sh runs a scenario with what it prepared in the environment: LAB_WORK, LAB_KERNEL, LAB_INITRAMFS, LAB_ACCELERATOR.
A guest takes commands by a virtio-serial port and has four more for hands (lab_hand), which are long-lived processes that
are driven by lines; QMP stops, continues and unplugs.  Every wait has a limit.  Guests die with this process.
"""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
HANDS = 4
HERE = os.path.dirname(os.path.abspath(__file__))
NQN = "nqn.2026-01.org.example:lab"
# These end what hangs, no more: with other work on the machine, guests take many times what they take alone
BOOT_S = float(os.environ.get("LAB_BOOT_SECONDS", 600))
ANSWER_S = 600
QMP_S = 120
PR_SET_PDEATHSIG = 1

SAFE = "keep_alive_tmo=5,fast_io_fail_tmo=5,ctrl_loss_tmo=60,reconnect_delay=2"


class Failed(Exception):
    """A scenario did not show what it should."""


def note(text):
    print(f"NOTE {scenario_name()}: {text}", flush=True)


def passed(text):
    print(f"PASS {scenario_name()}: {text}", flush=True)


def skip(why):
    print(f"SKIP {scenario_name()}: {why}", flush=True)
    sys.exit(SKIPPED)


def expect(truth, text):
    if not truth:
        raise Failed(text)


def scenario_name():
    return os.environ.get("LAB_SCENARIO") or os.path.basename(sys.argv[0])[:-3]


def shared():
    """NAME_share: the scenario NAME, on a pool that several hosts write to."""
    return scenario_name().endswith("_share")


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Silent(Failed):
    """Nothing came in time."""


class Channel:
    """Lines by a UNIX socket that QEMU listens on."""

    def __init__(self, path, deadline):
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > deadline:
                    raise Failed(f"nobody listens at {path}") from None
                time.sleep(0.02)
        self.bytes = b""

    def send(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def _more(self, deadline, what):
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            got = self.socket.recv(65536)
        except TimeoutError:
            raise Silent(f"no answer in time: {what}") from None
        if not got:
            raise Failed(f"the guest is gone: {what}")
        self.bytes += got

    def line(self, limit, what):
        deadline = time.monotonic() + limit
        while b"\n" not in self.bytes:
            self._more(deadline, what)
        line, self.bytes = self.bytes.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def exactly(self, length, limit, what):
        deadline = time.monotonic() + limit
        while len(self.bytes) < length:
            self._more(deadline, what)
        got, self.bytes = self.bytes[:length], self.bytes[length:]
        return got.decode(errors="replace")

    def rest(self):
        """What came before the end, or before now."""
        self.socket.setblocking(False)
        try:
            while got := self.socket.recv(65536):
                self.bytes += got
        except OSError:
            pass
        rest, self.bytes = self.bytes, b""
        return rest.decode(errors="replace").splitlines()

    def close(self):
        self.socket.close()


class Hand:
    """A process of a guest, driven by lines on a port of its own."""

    def __init__(self, guest, number, command):
        self.guest, self.number, self.channel = guest, number, guest.ports[number]
        self.channel.rest()
        guest.run(f"hand {number} {command}")
        self.greeting = self.answer(ANSWER_S)

    def tell(self, line):
        self.channel.send(line)

    def answer(self, limit=ANSWER_S):
        return self.channel.line(limit, f"{self.guest.name}, hand {self.number}")

    def line_if_there(self):
        """None: no answer yet."""
        try:
            return self.answer(0.001)
        except Silent:
            return None

    def ask(self, line, limit=ANSWER_S):
        self.tell(line)
        return self.answer(limit)

    def numbers(self, line, limit=ANSWER_S):
        return [int(word) for word in self.ask(line, limit).split()]

    def quit(self):
        self.tell("quit")
        self.guest.run(f"hand_ended {self.number}")

    def kill(self):
        self.guest.run(f"kill -9 $(cat /tmp/hand{self.number}.pid); hand_ended {self.number}")


class Guest:
    def __init__(self, fleet, name, number, devices=(), memory="448M", machine="q35", append="", initramfs=None):
        self.fleet, self.name, self.number, self.devices = fleet, name, number, list(devices)
        self.memory, self.machine, self.append = memory, machine, append
        self.initramfs = initramfs or os.environ["LAB_INITRAMFS"]
        self.address = f"10.0.7.{number}"
        self.process, self.sequence, self.ports, self.boots = None, 0, [], 0

    def path(self, what):
        return os.path.join(self.fleet.folder, f"{what}-{self.name}")

    def _arguments(self):
        words = ["qemu-system-x86_64", *os.environ["LAB_ACCELERATOR"].split(), "-M", self.machine, "-m", self.memory,
                 "-smp", "1", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
                 "-kernel", os.environ["LAB_KERNEL"], "-initrd", self.initramfs,
                 "-append", f"console=ttyS0 panic=-1 quiet lab=fleet guest={self.name} {self.append}",
                 "-serial", f"file:{self.log}", "-qmp", f"unix:{self.path('qmp')},server=on,wait=off",
                 "-netdev", f"dgram,id=net,local.type=unix,local.path={self.path('net')},"
                            f"remote.type=unix,remote.path={self.path('hub')}",
                 "-device", f"virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:07:{self.number:02x},host_mtu=9000",
                 "-device", "virtio-serial-pci"]
        for port in range(HANDS + 1):
            words += ["-chardev", f"socket,id=port{port},path={self.path(f'port{port}')},server=on,wait=off",
                      "-device", f"virtserialport,chardev=port{port},name=lab{port}"]
        return words + self.devices

    def start(self):
        for what in ["qmp", "net", *[f"port{n}" for n in range(HANDS + 1)]]:
            if os.path.exists(self.path(what)):
                os.unlink(self.path(what))
        self.boots += 1
        self.log = os.path.join(os.environ["LAB_WORK"], f"{scenario_name()}.{self.name}.{self.boots}.log")
        with open(self.log + ".qemu", "wb") as errors:
            self.process = subprocess.Popen(self._arguments(), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            preexec_fn=die_with_parent)
        deadline = time.monotonic() + QMP_S
        self.ports = [Channel(self.path(f"port{n}"), deadline) for n in range(HANDS + 1)]
        self.qmp_channel = Channel(self.path("qmp"), deadline)
        self.qmp_channel.line(QMP_S, "QMP's greeting")
        self.qmp("qmp_capabilities")

    def ready(self):
        """After start(): waits until the guest takes commands, and gives it its address."""
        line = self.ports[0].line(BOOT_S, f"{self.name} boots (see {self.log})")
        expect(line == "ready", f"{self.name} began with '{line}'")
        self.run(f"network {self.address}")

    def boot(self):
        self.start()
        self.ready()

    def qmp(self, command, **arguments):
        self.qmp_channel.send(json.dumps({"execute": command, "arguments": arguments}))
        while True:
            answer = json.loads(self.qmp_channel.line(QMP_S, f"QMP {command}"))
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Failed(f"QMP {command}: {answer['error']['desc']}")

    def pause(self):
        self.qmp("stop")

    def resume(self):
        self.qmp("cont")

    def link(self, up):
        """The guest's own network card loses its link, and is told."""
        self.qmp("set_link", name="net", up=up)

    def power_off(self):
        """As if the plug were pulled: nothing in the guest gets to do anything.  What hands said before is kept."""
        self.process.kill()
        self.process.wait()
        for channel in self.ports:
            channel.socket.settimeout(5)

    def status(self, command, limit=ANSWER_S):
        """(exit status, output) of a shell command, which sees all of guest/common.sh and guest/fleet.sh."""
        self.sequence += 1
        self.ports[0].send(f"{self.sequence} {command}")
        words = self.ports[0].line(limit, f"{self.name}: {command}").split()
        expect(len(words) == 3 and words[0] == str(self.sequence), f"{self.name}: a strange answer: {words}")
        return int(words[1]), self.ports[0].exactly(int(words[2]), limit, command)

    def run(self, command, limit=ANSWER_S):
        status, output = self.status(command, limit)
        expect(status == 0, f"{self.name}: status {status}: {command}\n{output}")
        return output

    def hand(self, number, command):
        """A hand that must be able to begin."""
        hand = Hand(self, number, command)
        expect(hand.greeting == "open", f"{self.name}: {command}: {hand.greeting}")
        return hand

    def raw(self, number, device):
        return self.hand(number, f"lab_hand raw {device}")

    def pool(self, number, device, mode, block_bytes=0):
        return self.hand(number, f"lab_hand pool {device} {mode} {block_bytes or ''}")

    def connect(self, target, options="", transport="tcp"):
        """The namespace device of a connection to the target.

        Without options as nvme connect makes it; options are those of /dev/nvme-fabrics.
        """
        return self.run(f"connect_to {transport} {target.address} {options}").split()[-1]

    def serve(self, backing, transports=("tcp",)):
        """Makes this guest the target: @backing is a device in it."""
        self.run(f"serve_make {backing}")
        for number, transport in enumerate(transports, 1):
            self.run(f"target_port {number} {transport} {self.address}")


class Fleet:
    """Guests by name on one switch; a context that leaves nothing behind."""

    def __init__(self, *names):
        for need in ("LAB_WORK", "LAB_KERNEL", "LAB_INITRAMFS", "LAB_ACCELERATOR"):
            if need not in os.environ:
                sys.exit(f"{need} is not set: tests/lab/lab.sh runs this")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.folder = tempfile.mkdtemp(prefix="memkv-lab-", dir="/tmp")  # short: socket names have 107 bytes
        self.guests = {name: Guest(self, name, number) for number, name in enumerate(names, 1)}
        self.hub = subprocess.Popen([sys.executable, "-B", os.path.join(HERE, "fleet_hub.py"), self.folder, *names],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                    preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for guest in self.guests.values():
            if guest.process:
                guest.process.kill()
                guest.process.wait()
        self.hub.kill()
        self.hub.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def boot(self):
        """All of them; the list of guests."""
        began = time.monotonic()
        for guest in self.guests.values():
            guest.start()
        for guest in self.guests.values():
            guest.ready()
        note(f"{len(self.guests)} guests booted in {time.monotonic() - began:.0f} s")
        return list(self.guests.values())

    def _switch(self, verb, guest):
        self.hub.stdin.write(f"{verb} {guest.name}\n")
        self.hub.stdin.flush()
        expect(self.hub.stdout.readline() == "ok\n", "the switch is gone")

    def cut(self, guest):
        """Frames from and to this guest are lost; nobody is told."""
        self._switch("cut", guest)

    def join(self, guest):
        self._switch("join", guest)


def tally(answer):
    """hits, misses, wrong, longest of watch and check"""
    words = answer.split()
    expect(len(words) == 4, f"a hand answered '{answer}'")
    return tuple(int(word) for word in words)


def other_agents(host, device):
    """What the pool says, on this host, of agents of other hosts that have not left: (state, open segments) each."""
    lines = host.run(f"memkv host ls {device} --json").splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]  # and not what is said of the connection
    return [(row["state"], row.get("segments", 0)) for row in rows
            if not row["local"] and row["state"] not in ("unused", "left")]


def acknowledged(lines):
    """The seeds of a burst's lines that were stored."""
    return [int(m.group(1)) for m in (re.match(r"(\d+) ok$", line) for line in lines) if m]


def main(scenario):
    """Runs a scenario's function; ends with 0, 1 or 77."""
    try:
        scenario()
    except Failed as e:
        print(f"FAIL {scenario_name()}: {e}", flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
