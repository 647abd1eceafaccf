#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A DAX device that two guests share, by one memory backend: what one puts the other gets, byte for byte.

Both are on one machine's coherent memory, so this shows format and protocol, not what caches that are not coherent do.
One host writes: locks on a DAX device do not reach the other.
"""
import os

from fleet import Fleet, expect, main, note, passed, tally

MIB = 1 << 20
BLOCKS = 60


def scenario():
    with Fleet("hosta", "hostb") as fleet:
        backend = os.path.join(fleet.folder, "memory")
        with open(backend, "wb") as f:
            f.truncate(258 * MIB)
        a, b = fleet.guests.values()
        for guest in (a, b):
            guest.machine, guest.memory = "q35,nvdimm=on", "448M,slots=2,maxmem=4G"
            guest.devices = ["-object", f"memory-backend-file,id=pmem,size=258M,share=on,mem-path={backend}",
                             "-device", "nvdimm,memdev=pmem,label-size=2M"]
        a.boot()
        a.run("make_namespace devdax")
        b.boot()  # it finds the labels that A wrote
        b.run("load nfit nd_pmem dax_pmem device_dax; mdev -s; [ -c /dev/dax0.0 ]")
        note("/dev/dax0.0 on A and on B is the same memory")
        a.run("run memkv pool create /dev/dax0.0 --max-block 1M")
        writer, reader, follower = a.pool(1, "/dev/dax0.0", "rw"), b.pool(1, "/dev/dax0.0", "ro"), b.pool(2, "/dev/dax0.0", "live")
        for seed in range(BLOCKS):
            expect(writer.ask(f"put {seed} 1 {'d' if seed % 4 == 0 else ''}").startswith("ok "), f"put {seed}")
            got = reader.ask(f"fresh {seed}").split()[0]
            expect(got == "1", f"block {seed}, acknowledged on A, is {got} on B")
        passed(f"{BLOCKS} puts on A, each there on B as soon as it was acknowledged, exact")
        writer.tell("churn 0 6 60 r")
        hits, misses, wrong, _ = tally(follower.ask("watch 0 6 4000"))
        puts, failed, _ = [int(word) for word in writer.answer().split()]
        note(f"{puts} replacing puts on A, meanwhile on B {hits} gets hit, {misses} missed, {wrong} wrong")
        expect(failed == 0 and wrong == 0 and misses == 0 and hits > 0, f"{failed} puts failed, {follower.ask('causes')}")
        passed("gets on B beside replacing puts on A: none wrong, none missed")
        for hand in (writer, reader, follower):
            hand.quit()
        b.run("run memkv pool check /dev/dax0.0")
        b.run("put_blocks /dev/dax0.0 other 1 2 --durable")
        a.run("get_blocks /dev/dax0.0 other 1 2")
        passed("A left; B puts, A gets")


if __name__ == "__main__":
    main(scenario)
