#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""discover, attach, detach: what is wrong with the command line and the machine, everywhere; and on a machine of the test's
own (fabric_machine.py) what the tool makes of what the kernel and libnvme say.

    fabric_verbs.py MEMKV FAKE_LIBNVME_FOLDER
"""
import json
import os
import re
import stat
import sys
import uuid

from cli_tool import MIB, ROOT, Missing, check_in_folders
from fabric_machine import NQN, OWN, OWN_ID, UUID, Machine

TCP = f"nvme+tcp://192.0.2.7:4420/{NQN}"
KEY = "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:"
FAKE = sys.argv[2] if len(sys.argv) > 2 else ""

BAD_URIS = [
    (f"tcp://192.0.2.7/{NQN}", "nvme+tcp:// or nvme+rdma://"),
    (f"nvme+fc://192.0.2.7/{NQN}", "nvme+tcp:// or nvme+rdma://"),
    (f"nvme+tcp:/192.0.2.7/{NQN}", "nvme+tcp:// or nvme+rdma://"),
    (f"NVME+TCP://192.0.2.7/{NQN}", "nvme+tcp:// or nvme+rdma://"),
    ("", "nvme+tcp:// or nvme+rdma://"),
    ("nvme+tcp://", "address is missing"),
    (f"nvme+tcp:///{NQN}", "address is missing"),
    (f"nvme+tcp://:4420/{NQN}", "address is missing"),
    (f"nvme+tcp://::1/{NQN}", "stands in brackets"),
    (f"nvme+tcp://2001:db8::7:4420/{NQN}", "stands in brackets"),
    (f"nvme+tcp://[::1/{NQN}", "not closed"),
    (f"nvme+tcp://[]/{NQN}", "address is missing"),
    (f"nvme+tcp://[192.0.2.7]/{NQN}", "no IPv6 address"),
    (f"nvme+tcp://[fe80::1%eth0]/{NQN}", "zone"),
    (f"nvme+tcp://[::1]4420/{NQN}", "behind the address"),
    (f"nvme+tcp://user@192.0.2.7/{NQN}", "no address"),
    (f"nvme+tcp://192.0.2.7,x/{NQN}", "no address"),
    (f"nvme+tcp://{'a' * 256}/{NQN}", "too long"),
    (f"nvme+tcp://192.0.2.7:0/{NQN}", "out of range"),
    (f"nvme+tcp://192.0.2.7:65536/{NQN}", "out of range"),
    (f"nvme+tcp://192.0.2.7:99999999999999999999/{NQN}", "out of range"),
    (f"nvme+tcp://192.0.2.7:-1/{NQN}", "not a number"),
    (f"nvme+tcp://192.0.2.7:/{NQN}", "not a number"),
    (f"nvme+tcp://192.0.2.7:44x/{NQN}", "not a number"),
    ("nvme+tcp://192.0.2.7", "names no subsystem"),
    ("nvme+tcp://192.0.2.7:4420/", "names no subsystem"),
    ("nvme+tcp://192.0.2.7/?nsid=1", "names no subsystem"),
    ("nvme+tcp://192.0.2.7/iqn.2026-01.org.example:kv", "is no NQN"),
    ("nvme+tcp://192.0.2.7/nqn.26-1.org.example:kv", "is no NQN"),
    ("nvme+tcp://192.0.2.7/nqn.2026-01", "is no NQN"),
    (f"nvme+tcp://192.0.2.7/{NQN},traddr=192.0.2.8", "cannot stand in one"),
    (f"nvme+tcp://192.0.2.7/{NQN} x", "cannot stand in one"),
    (f"nvme+tcp://192.0.2.7/{NQN}\n", "cannot stand in one"),
    ("nvme+tcp://192.0.2.7/nqn.2026-01.a:" + "x" * 210, "at most 223"),
    (f"nvme+tcp://192.0.2.7/{NQN}?nsid=0", "no number of a namespace"),
    (f"nvme+tcp://192.0.2.7/{NQN}?nsid=4294967295", "no number of a namespace"),
    (f"nvme+tcp://192.0.2.7/{NQN}?nsid=one", "no number of a namespace"),
    (f"nvme+tcp://192.0.2.7/{NQN}?nsid=", "no number of a namespace"),
    (f"nvme+tcp://192.0.2.7/{NQN}?ns=1", "only ?nsid=N"),
    (f"nvme+tcp://192.0.2.7/{NQN}?", "only ?nsid=N"),
]


def test_bad_uris(tool, _):
    for uri, said in BAD_URIS:
        tool.refused(2, [said], "attach", uri)
        if uri.startswith("nvme"):
            tool.refused(2, [said], "pool", "info", uri)
            tool.refused(2, [said], "detach", uri)
    tool.refused(2, ["names a subsystem"], "discover", TCP)
    tool.refused(2, ["URI is missing"], "attach")
    tool.refused(2, ["one word too many"], "attach", TCP, TCP)
    tool.refused(2, ["TARGET"], "detach")
    tool.refused(2, ["is no NQN"], "detach", "nqn.x")
    for verb in (("get", TCP, "--name", "x"), ("ls", TCP), ("put", TCP, "--name", "x"), ("match", TCP, "ab" * 32)):
        tool.refused(2, ["only attach and the pool verbs", "ns:ID"], *verb, stdin=b"x")
    for bad in ("ns:", "ns:12", "ns:" + "g" * 32, "nguid:" + "0" * 33):
        tool.refused(2, ["no identity of a namespace"], "pool", "info", bad)
    tool.refused(4, ["identity", UUID], "pool", "info", "ns:" + UUID)
    return f"{len(BAD_URIS)} of them"


def test_bad_options(tool, folder):
    for option, value, said in (("--keep-alive", "0", "too small"), ("--keep-alive", "off", "digit"), ("--fast-io-fail", "no", "or off"),
                                ("--fast-io-fail", "2d", "too large"), ("--loss-timeout", "0", "too small"),
                                ("--reconnect-delay", "-1", "negative"), ("--queue-depth", "8", "too small"),
                                ("--queue-depth", "4K", "not a number"), ("--io-queues", "0", "too small"),
                                ("--host-nqn", "me", "is no NQN"), ("--host-nqn", NQN + ",x", "cannot stand"),
                                ("--host-id", "me", "no UUID")):
        tool.refused(2, [said], "attach", TCP, option, value)
    key = os.path.join(folder, "key")
    tool.refused(4, [key, "No such file"], "attach", TCP, "--dhchap-secret", key)
    with open(key, "w", encoding="ascii") as f:
        f.write("hunter2hunter2hunter2hunter2\n")
    os.chmod(key, 0o644)
    tool.refused(3, [key, "chmod 600"], "attach", TCP, "--dhchap-secret", key)
    os.chmod(key, 0o600)
    said = tool.refused(2, ["DHHC-1"], "attach", TCP, "--dhchap-secret", key)
    assert "hunter2" not in said
    said = tool.refused(2, ["DHHC-1"], "attach", TCP, env={"MEMKV_DHCHAP_SECRET": "hunter2hunter2hunter2hunter2"})
    assert "hunter2" not in said
    with open(key, "w", encoding="ascii") as f:
        f.write("\n")
    tool.refused(2, ["no key in its first line"], "attach", TCP, "--dhchap-secret", key)
    tool.refused(2, ["not enough"], "attach", TCP, env={"MEMKV_DHCHAP_CTRL_SECRET": KEY})


def test_this_machine(tool, _):
    """Where the kernel has no NVMe over Fabrics, and nothing is attached."""
    if os.path.exists("/dev/nvme-fabrics") or os.path.exists("/sys/module/nvme_tcp"):
        raise Missing("this machine has the modules")
    for scheme, module in (("tcp", "nvme-tcp"), ("rdma", "nvme-rdma")):
        if not FAKE:
            module, mend = "built without libnvme", "libnvme-dev"
            tool.refused(3, [module, mend], "discover", f"nvme+{scheme}://192.0.2.7")
            tool.refused(3, [module, mend], "attach", f"nvme+{scheme}://192.0.2.7/{NQN}")
            continue
        tool.refused(3, [module, "modprobe"], "attach", f"nvme+{scheme}://192.0.2.7/{NQN}")
        tool.refused(3, [module, "modprobe"], "discover", f"nvme+{scheme}://192.0.2.7")
    tool.refused(4, [TCP, "attach", "first"], "pool", "info", TCP)
    tool.refused(1, ["is not attached here"], "detach", TCP)
    tool.refused(1, ["is not attached here"], "detach", NQN)
    tool.refused(4, ["no-such-host.invalid"], "attach", f"nvme+tcp://no-such-host.invalid/{NQN}")


def test_udev_rule(tool, folder):
    """What the rule asks of a device: a word when it carries a pool, none when not, and none when it cannot be read."""
    with open(os.path.join(ROOT, ".packaging/system/65-memkv.rules.in"), encoding="ascii") as f:
        program = re.search(r'PROGRAM=="@MEMKV_TOOL@ ([^"]*)", RESULT=="\?\*", GROUP="memkv", MODE="0660"', f.read()).group(1).split()
    pool, other = os.path.join(folder, "pool"), os.path.join(folder, "other")
    tool.ok("pool", "create", pool, "--size", "16M")
    with open(other, "wb") as f:
        f.write(b"\x00" * MIB)

    def asked(path):
        return tool.ok(*[path if word == "$devnode" else word for word in program])
    assert asked(pool) and not asked(other)
    tool.ok("pool", "destroy", pool, "--yes")
    with open(pool, "wb") as f:
        f.write(b"\x00" * MIB)
    assert not asked(pool)


def with_machine(test):
    def run(tool, folder):
        machine = Machine(tool, folder, FAKE)
        try:
            return test(machine, machine.as_tool(), folder)
        finally:
            machine.close()
    run.__name__ = test.__name__
    return run


@with_machine
def test_machine_lacks(machine, tool, folder):
    broken = os.path.join(folder, "broken")
    os.mkdir(broken)
    with open(os.path.join(broken, "libnvme.so.1"), "wb"):
        pass
    tool.refused(3, ["libnvme.so.1", "apt install"], "attach", TCP, env={"LD_LIBRARY_PATH": broken})
    nobody = machine.as_tool(user=65534)
    if os.access(tool._tool.program, os.X_OK) and nobody.run("version").returncode == 0:
        nobody.refused(3, ["/dev/nvme-fabrics", "root"], "attach", TCP)
        nobody.refused(3, ["/dev/nvme-fabrics", "root"], "discover", "nvme+tcp://192.0.2.7")
    tool.refused(3, ["no RDMA device", "rdma link add"], "attach", f"nvme+rdma://192.0.2.7/{NQN}")
    tool.refused(3, ["TLS"], "attach", TCP, "--tls")
    os.mkdir(machine.path("sys/class/infiniband/rxe0"))
    tool.refused(2, ["TLS is for TCP"], "attach", f"nvme+rdma://192.0.2.7/{NQN}", "--tls")
    os.unlink(machine.path("dev/nvme-fabrics"))
    tool.refused(3, ["no /dev/nvme-fabrics", "container"], "attach", TCP)
    os.rmdir(machine.path("sys/module/nvme_tcp"))
    tool.refused(3, ["nvme-tcp is not loaded", "modprobe"], "attach", TCP)


@with_machine
def test_target_refuses(machine, tool, _):
    def attach(address):
        return "attach", f"nvme+tcp://{address}:4420/{NQN}"
    tool.refused(4, ["192.0.2.66:4420 by tcp", "Connection refused"], *attach("192.0.2.66"))
    tool.refused(4, ["192.0.2.67", "nobody answers"], *attach("192.0.2.67"))
    tool.refused(3, ["does not let this host in", "--host-nqn"], *attach("192.0.2.68"))
    tool.refused(4, ["no subsystem " + NQN, "discover"], *attach("192.0.2.69"))
    tool.refused(4, ["could not connect", "its log says", "something new"], *attach("192.0.2.70"))
    tool.refused(3, ["DH-HMAC-CHAP", "--dhchap-secret"], *attach("192.0.2.71"))
    assert os.listdir(machine.path("sys/class/nvme")) == []
    for word, code in (("192.0.2.68", "HOST_REFUSED"), ("192.0.2.69", "NO_SUBSYSTEM"), ("192.0.2.66", "ECONNREFUSED")):
        error = json.loads(tool.run(*attach(word), "--json").stdout)["error"]
        assert error["code"] == code, error


@with_machine
def test_attach(machine, tool, folder):
    machine.with_device(os.path.join(folder, "image"))
    first = tool.json("attach", TCP, "--queue-depth", "64", "--io-queues", "2", "--keep-alive", "7", "--reconnect-delay", "3")
    assert first["outcome"] == "connected" and not first["persistent"]
    ns = first["namespaces"][0]
    assert (ns["device"], ns["uuid"], ns["nsid"], ns["nqn"]) == ("/dev/nvme0n1", UUID, 1, NQN)
    assert ns["identified"] and ns["mdts_bytes"] == 1 << 20 and ns["volatile_cache"]
    assert ns["atomic_bytes"] == 2048 and ns["atomic_power_fail_bytes"] == 4096, "NAWUN is 0: AWUN; NAWUPF is the namespace's"
    assert ns["late_write_s"] == 75 and "unsafe" not in ns
    asked = machine.read("log").split()
    assert asked[0] == NQN and f"host={OWN}" in asked and f"id={OWN_ID}" in asked
    assert {"queues=2", "depth=64", "kato=7", "delay=3", "loss=60", "fast=5", "tls=0"} <= set(asked), asked
    said = tool.run("attach", TCP)
    assert said.returncode == 0 and b"attached already" in said.stderr and b"/dev/nvme0n1" in said.stdout, said
    assert len(machine.read("log").splitlines()) == 1, "it was connected again"
    second = tool.json("attach", f"nvme+tcp://[2001:db8::7]:4420/{NQN}")
    assert second["outcome"] == "connected" and len(second["namespaces"]) == 1
    assert [p["controller"] for p in second["namespaces"][0]["paths"]] == ["nvme0", "nvme1"]
    assert tool.json("attach", f"nvme+tcp://[2001:0db8:0::7]:4420/{NQN}")["outcome"] == "already", "the same address, written otherwise"
    tool.ok("pool", "create", TCP, "--name", "fabric")
    for place in (TCP, f"ns:{UUID}", f"ns:{UUID.replace('-', '').upper()}", "nguid:6d656d6b76000000000000000000abcd", TCP + "?nsid=1"):
        assert tool.json("pool", "info", place)["path"] == "/dev/nvme0n1", place
    tool.refused(4, ["attach", "first"], "pool", "info", TCP + "?nsid=2")
    tool.ok("put", f"ns:{UUID}", "--name", "k", stdin=b"data")
    assert tool.ok("get", f"ns:{UUID}", "--name", "k") == "data"
    # the device is named anew: found all the same
    for name in ("sys/class/block/", "dev/"):
        os.rename(machine.path(name + "nvme0n1"), machine.path(name + "nvme7n1"))
    assert tool.ok("get", f"ns:{UUID}", "--name", "k") == "data"
    assert tool.json("pool", "info", TCP)["path"] == "/dev/nvme7n1"
    assert tool.json("detach", TCP) == {"schema": 1, "target": TCP, "connections": 1, "forgotten": 0}
    assert tool.ok("get", f"ns:{UUID}", "--name", "k") == "data"
    assert "1 connection ended" in tool.ok("detach", f"ns:{UUID}")
    tool.refused(1, ["is not attached here"], "detach", NQN)


@with_machine
def test_no_namespace(machine, tool, _):
    tool.refused(4, [NQN, "shows no namespace"], "attach", f"nvme+tcp://192.0.2.72:4420/{NQN}")
    assert os.listdir(machine.path("sys/class/nvme")) == [], "a connection of no use stayed"


@with_machine
def test_in_use(machine, tool, folder):
    machine.with_device(os.path.join(folder, "image"))
    tool.ok("attach", TCP)
    fd = os.open(machine.device, os.O_RDONLY | os.O_EXCL)
    tool.refused(5, ["/dev/nvme0n1", "in use"], "detach", NQN)
    os.close(fd)
    tool.ok("detach", "/dev/nvme0n1")


@with_machine
def test_unsafe(machine, tool, folder):
    """A connection with Linux's time-outs is warned of, by attach and by whatever opens a pool on it."""
    machine.with_device(os.path.join(folder, "image"))
    machine.time_outs("off", 600)
    tool.json("attach", TCP, "--fast-io-fail", "off", "--loss-timeout", "600")
    assert "fast=0" in machine.read("log").split() and "loss=600" in machine.read("log").split()
    tool.ok("pool", "create", f"ns:{UUID}")
    done = tool.run("put", f"ns:{UUID}", "--name", "k", stdin=b"data")
    assert done.returncode == 0 and b"nvme0, has fast_io_fail_tmo off and ctrl_loss_tmo 600" in done.stderr, done
    assert b"670 s later" in done.stderr
    tuned = tool.json("attach", TCP)
    assert tuned["outcome"] == "tuned" and tuned["namespaces"][0]["late_write_s"] == 75, tuned
    done = tool.run("get", f"ns:{UUID}", "--name", "k")
    assert done.stdout == b"data" and not done.stderr, done


@with_machine
def test_keys(machine, tool, folder):
    """A kernel that takes keys and does not use them is found out; keys go to libnvme, and are shown nowhere."""
    key = os.path.join(folder, "key")
    with open(key, "w", encoding="ascii") as f:
        f.write(KEY + "\n")
    os.chmod(key, 0o600)
    machine.with_device(os.path.join(folder, "image"))
    said = tool.refused(3, ["cannot do DH-HMAC-CHAP"], "attach", TCP, "--dhchap-secret", key)
    assert KEY not in said and os.listdir(machine.path("sys/class/nvme")) == []
    done = tool.run("attach", TCP, "--persist", "--json", "--dhchap-secret", key,
                    env={"AUTH": "1", "MEMKV_DHCHAP_CTRL_SECRET": KEY.replace("00", "01")})
    assert done.returncode == 0 and b"DHHC" not in done.stdout + done.stderr, done
    assert f"key={KEY}" in machine.read("log") and "ctrl_key=DHHC-1:01" in machine.read("log")
    assert stat.S_IMODE(os.stat(machine.path("etc/nvme/config.json")).st_mode) == 0o600, "others may read the keys"
    assert json.loads(machine.read("etc/nvme/config.json"))[0]["subsystems"][0]["ports"][0]["dhchap_key"] == KEY


@with_machine
def test_host_ids(machine, tool, folder):
    """A host that is only named: its ID is the UUID in the name, or one that follows from it, and never another's."""
    machine.with_device(os.path.join(folder, "image"))
    said = {}
    for nqn in ("nqn.2026-01.org.example:a", "nqn.2026-01.org.example:b", "nqn.2026-01.org.example:a",
                "nqn.2014-08.org.nvmexpress:uuid:22222222-3333-4444-5555-666666666666"):
        tool.ok("attach", TCP, "--host-nqn", nqn)
        asked = machine.read("log").splitlines()[-1].split()
        assert f"host={nqn}" in asked, asked
        given = [word[3:] for word in asked if word.startswith("id=")][0]
        assert said.setdefault(nqn, given) == given, "another one for the same name"
        tool.ok("detach", TCP)
    first, second, third = said.values()
    for given in (first, second):
        assert str(uuid.UUID(given)) == given and uuid.UUID(given).variant == uuid.RFC_4122 and given[14] == "8", given
    assert first != second and OWN_ID not in (first, second)
    assert third == "22222222-3333-4444-5555-666666666666"
    tool.ok("attach", TCP, "--host-nqn", "nqn.2026-01.org.example:a", "--host-id", "11111111-2222-3333-4444-555555555556")
    assert "id=11111111-2222-3333-4444-555555555556" in machine.read("log").splitlines()[-1].split()


@with_machine
def test_persist(machine, tool, folder):
    """nvme-cli's list: what is there stays, one entry a connection, and detach takes it out."""
    machine.with_device(os.path.join(folder, "image"))
    other = [{"hostnqn": "nqn.2026-01.org.other:h", "subsystems": [{"nqn": "nqn.2026-01.org.other:s", "ports": [
        {"transport": "tcp", "traddr": "192.0.2.9", "trsvcid": "4420", "ctrl_loss_tmo": 1800, "new": {"x": 1}}]}]}]
    machine.write("etc/nvme/config.json", json.dumps(other))
    tool.refused(2, ["--persist", "hostnqn"], "attach", TCP, "--persist", "--host-nqn", "nqn.2026-01.org.example:me")
    tool.refused(2, ["--persist", "hostid"], "attach", TCP, "--persist", "--host-id", "11111111-2222-3333-4444-555555555556")
    assert os.listdir(machine.path("sys/class/nvme")) == [], "it was connected first"
    assert tool.json("attach", TCP, "--persist", "--loss-timeout", "90")["persistent"]
    noted = json.loads(machine.read("etc/nvme/config.json"))
    assert noted[0] == other[0], "somebody else's entry changed"
    assert (noted[1]["hostnqn"], noted[1]["hostid"]) == (OWN, OWN_ID)
    port = {"transport": "tcp", "traddr": "192.0.2.7", "trsvcid": "4420", "keep_alive_tmo": 5, "reconnect_delay": 2,
            "ctrl_loss_tmo": 90, "fast_io_fail_tmo": 5}
    assert noted[1]["subsystems"] == [{"nqn": NQN, "ports": [port]}], noted
    written = machine.read("etc/systemd/system/nvmf-autoconnect.service.d/memkv.conf")
    with open(os.path.join(ROOT, ".packaging/system/nvmf-autoconnect.conf"), encoding="ascii") as f:
        assert written.split("[Unit]")[1] == f.read().split("[Unit]")[1], "the package's drop-in says something else"
    assert tool.json("attach", TCP, "--persist", "--queue-depth", "64")["outcome"] == "already"
    noted = json.loads(machine.read("etc/nvme/config.json"))
    assert [p["queue_size"] for p in noted[1]["subsystems"][0]["ports"]] == [64], "noted twice"
    tool.ok("attach", "nvme+tcp://192.0.2.8:4420/" + NQN, "--persist")
    assert len(json.loads(machine.read("etc/nvme/config.json"))[1]["subsystems"][0]["ports"]) == 2
    assert tool.json("detach", TCP)["forgotten"] == 1
    assert [p["traddr"] for p in json.loads(machine.read("etc/nvme/config.json"))[1]["subsystems"][0]["ports"]] == ["192.0.2.8"]
    assert tool.json("detach", NQN)["forgotten"] == 1
    assert json.loads(machine.read("etc/nvme/config.json"))[0] == other[0]
    machine.write("etc/nvme/config.json", "{ not json")
    tool.refused(2, ["config.json", "cannot be read"], "attach", TCP, "--persist")
    assert machine.read("etc/nvme/config.json") == "{ not json" and os.listdir(machine.path("sys/class/nvme")) == []


@with_machine
def test_doctor(machine, tool, folder):
    """What it finds on this machine that has it all, and of a connection that lets writes land late."""
    machine.with_device(os.path.join(folder, "image"))
    machine.write("sys/class/infiniband/rxe0/ports/1/state", "4: ACTIVE\n")
    machine.write("sys/module/nvme_core/parameters/multipath", "N\n")
    machine.time_outs("off", 600)
    tool.ok("attach", TCP, "--fast-io-fail", "off")
    found = {m["medium"]: {f["what"]: f for f in m["findings"]} for m in tool.json("doctor", folder)["media"]}
    tcp, rdma = found["nvme-tcp"], found["nvme-rdma"]
    for what in ("nvme_tcp", "/dev/nvme-fabrics", "libnvme.so.1"):
        assert tcp[what]["state"] == "ok", tcp[what]
    assert tcp["attached"]["said"].startswith("1 namespace ") and "nvme_core.multipath=Y" in tcp["native multipath"]["mend"]
    assert tcp["late writes"]["state"] == "lacks" and "670 s" in tcp["late writes"]["said"]
    assert rdma["RDMA devices"]["state"] == "ok" and "rxe0, port 1: 4: ACTIVE" in rdma["RDMA devices"]["said"]
    machine.write("sys/class/infiniband/rxe0/ports/1/state", "1: DOWN\n")
    found = {m["medium"]: {f["what"]: f for f in m["findings"]} for m in tool.json("doctor", folder)["media"]}
    assert found["nvme-rdma"]["RDMA devices"]["state"] == "lacks"


@with_machine
def test_discover(_, tool, __):
    said = tool.ok("discover", "nvme+tcp://192.0.2.7")
    assert said.splitlines()[:2] == [TCP, f"nvme+rdma://[2001:db8::7]:4420/{NQN}"], said
    offers = tool.json("discover", "nvme+tcp://192.0.2.7:4420")["offers"]
    assert [o["kind"] for o in offers] == ["subsystem", "subsystem", "discovery"]
    assert [o["secure"] for o in offers][:2] == ["not specified", "required"]
    tool.refused(4, ["192.0.2.66", "refused"], "discover", "nvme+tcp://192.0.2.66")


if __name__ == "__main__":
    check_in_folders(globals())
