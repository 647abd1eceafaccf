# SPDX-License-Identifier: Apache-2.0
"""A machine with NVMe over Fabrics, as far as the tool can see: its own /sys, /dev and /etc in a mount name space, and a
stand-in for libnvme.  What attaching does to a real kernel is the lab's to show; here it is what the tool does."""
import os
import subprocess

from cli_tool import MIB, Missing

NQN = "nqn.2026-01.org.example:kv"
OWN = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"
OWN_ID = "11111111-2222-3333-4444-555555555555"
UUID = "6d656d6b-7600-4000-8000-0000000000a1"
NGUID = "6d656d6b-7600-0000-0000-00000000abcd"

# connect TRANSPORT ADDRESS PORT NQN: by the address, either an error (and what the kernel's log says of it) or one more path
SCRIPT = r"""#!/bin/sh
say() { echo "4,1,1,-;nvme nvme0: $1" >>/dev/kmsg; }
if [ "$1" = disconnect ]; then
	rm -rf /sys/class/nvme/"$2" /sys/devices/subsys0/"$2"
	[ -n "$(ls /sys/class/nvme)" ] || rm -rf /sys/class/block/nvme0n1
	exit 0
fi
case $3 in
192.0.2.66) exit 111 ;;
192.0.2.67) say "failed to connect socket: -110"; exit 110 ;;
192.0.2.68) say "Connect for subsystem $5 is not allowed, hostnqn: x"; exit 5 ;;
192.0.2.69) say "Connect Invalid Data Parameter, subsysnqn \"$5\""; exit 5 ;;
192.0.2.70) say "something new"; exit 5 ;;
192.0.2.71) say "qid 0: authentication failed"; exit 5 ;;
esac
case $5 in *discovery) exit 209 ;; esac
n=0
while [ -e /sys/class/nvme/nvme$n ]; do n=$((n + 1)); done
d=/sys/class/nvme/nvme$n
mkdir -p $d /sys/devices/subsys0/nvme$n
set_() { echo "$2" >$d/$1; }
set_ transport "$2"; set_ address "traddr=$3,trsvcid=$4"; set_ subsysnqn "$5"; set_ hostnqn "OWN"; set_ state live
set_ kato 5; set_ fast_io_fail_tmo FAST; set_ ctrl_loss_tmo LOSS; set_ reconnect_delay 2; set_ queue_count 3; set_ sqsize 127
[ "$AUTH" ] && set_ dhchap_secret x
[ "$3" = 192.0.2.72 ] && exit $((200 + n))
[ -e /dev/nvme$n ] || : >/dev/nvme$n
b=/sys/class/block/nvme0n1
mkdir -p $b/queue
ln -sfn /sys/devices/subsys0 $b/device
echo 1 >$b/nsid; echo UUID >$b/uuid; echo NGUID >$b/nguid; echo SECTORS >$b/size; echo 512 >$b/queue/logical_block_size
echo 1280 >$b/queue/max_sectors_kb; echo "write back" >$b/queue/write_cache
exit $((200 + n))
"""

# what happens before the tool runs in its own mount name space
ENTER = r"""set -e
mount --make-rprivate /
mount --bind "$M/sys" /sys
mount -t overlay -o "lowerdir=/etc,upperdir=$M/etc,workdir=$M/work" overlay /etc
mkdir -p /etc/nvme
for f in null zero full urandom; do [ -e "$M/dev/$f" ] || cp -a /dev/$f "$M/dev/"; done
mount --bind "$M/dev" /dev
exec "$@"
"""


class Machine:
    def __init__(self, tool, folder, fake):
        if os.geteuid():
            raise Missing("a mount name space needs root")
        if not fake or not os.path.exists(os.path.join(fake, "libnvme.so.1")):
            raise Missing("built without libnvme: no stand-in for it")
        self.tool, self.folder = tool, os.path.join(folder, "machine")
        self.log, self.script = os.path.join(self.folder, "log"), os.path.join(self.folder, "script")
        self.device = None
        for path in ("sys/class/nvme", "sys/class/block", "sys/class/infiniband", "sys/module/nvme_tcp", "sys/module/nvme_rdma",
                     "sys/devices", "dev", "etc", "work"):
            os.makedirs(os.path.join(self.folder, path))
        self.env = {"M": self.folder, "FAKE_NVME_SCRIPT": self.script, "FAKE_NVME_LOG": self.log,
                    "LD_LIBRARY_PATH": fake + ":" + os.environ.get("LD_LIBRARY_PATH", "")}
        self.write("dev/nvme-fabrics", "instance=-1,cntlid=-1,transport=%s,traddr=%s,dhchap_secret=%s,dhchap_ctrl_secret=%s\n")
        os.chmod(os.path.join(self.folder, "dev/nvme-fabrics"), 0o600)
        self.write("dev/kmsg", "")
        self.write("etc/nvme/hostnqn", OWN + "\n")
        self.write("etc/nvme/hostid", OWN_ID + "\n")
        self.time_outs(5, 60)
        self.enter = ["unshare", "-m", "sh", "-c", ENTER, "sh"]
        tried = subprocess.run([*self.enter, "true"], env={**os.environ, **self.env}, capture_output=True, text=True, check=False)
        if tried.returncode:
            raise Missing(f"no mount name space with an overlay: {tried.stderr.strip()}")

    def time_outs(self, fast, loss):
        """What the kernel shows of connections that are made from now on."""
        script = SCRIPT
        for word, value in (("OWN", OWN), ("FAST", fast), ("LOSS", loss), ("NGUID", NGUID), ("UUID", UUID),
                            ("SECTORS", 32 * MIB // 512)):
            script = script.replace(word, str(value))
        with open(self.script, "w", encoding="ascii") as f:
            f.write(script)
        os.chmod(self.script, 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def with_device(self, image):
        """The namespace's device: a loop device."""
        with open(image, "wb") as f:
            f.truncate(32 * MIB)
        made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
        if made.returncode:
            raise Missing(f"no loop device: {made.stderr.strip()}")
        self.device = made.stdout.strip()
        os.mknod(self.path("dev/nvme0n1"), 0o600 | 0o060000, os.stat(self.device).st_rdev)

    def close(self):
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=False)

    def as_tool(self, user=None):
        """A Tool whose calls run on this machine."""
        enter = self.enter + (["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--inh-caps=-all"]
                              if user else [])
        return _Inside(self.tool, enter, self.env)


class _Inside:
    def __init__(self, tool, enter, env):
        self._tool, self._enter, self._env = tool, enter, env

    def __getattr__(self, name):
        call = getattr(type(self._tool), name)

        def inside(*words, **more):
            return call(self, *words, **more)
        return inside

    def run(self, *words, stdin=None, env=None, **more):
        return subprocess.run([*self._enter, self._tool.program, *words], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env={**os.environ, **self._env, **(env or {})}, timeout=120, check=False, **more)
