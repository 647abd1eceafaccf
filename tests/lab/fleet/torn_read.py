#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Why every byte is verified: 4 MiB reads beside another host's writes are torn, gets from the pool never."""
from fleet import Fleet, expect, main, note, passed, tally

MIB = 1 << 20
BLOCK = 4 * MIB
READS, WRITES = 40, 80
BLOCKS, ROUNDS = 3, 30
WATCH_MS = 8000


def raw_device(a, b, device_a, device_b):
    reader, writer = a.raw(1, device_a), b.raw(1, device_b)
    expect(writer.ask(f"write {BLOCK} {BLOCK} 1").startswith("ok "), "the first write")
    writer.tell(f"overwrite {BLOCK} {BLOCK} 2 {WRITES}")
    torn, lowest, highest = reader.numbers(f"tears {BLOCK} {BLOCK} {READS}")
    expect(writer.answer().startswith("ok "), "the writes")
    note(f"{torn} of {READS} direct reads of 4 MiB were torn; stamps {lowest} to {highest}")
    expect(torn > 0, "no read was torn: this scenario shows nothing any more")
    reader.quit()
    writer.quit()
    passed("the raw device: direct reads of 4 MiB are torn while another host writes")


def pool(a, b, device_a, device_b):
    b.run(f"run memkv pool create {device_b} --max-block 4M --force --yes")
    writer, reader = b.pool(1, device_b, "rw", BLOCK - 4096), a.pool(1, device_a, "live", BLOCK - 4096)
    expect(writer.numbers(f"churn 0 {BLOCKS} 1 r")[1] == 0, "the first puts")
    expect(tally(reader.ask(f"check 0 {BLOCKS}"))[:3] == (BLOCKS, 0, 0), "what was put first")
    writer.tell(f"churn 0 {BLOCKS} {ROUNDS} r")
    hits = misses = wrong = rounds = 0
    answer = None
    while answer is None:
        h, m, w, _ = tally(reader.ask(f"watch 0 {BLOCKS} {WATCH_MS // 4}"))
        hits, misses, wrong, rounds = hits + h, misses + m, wrong + w, rounds + 1
        expect(rounds < 300, "the writer does not end")
        answer = writer.line_if_there()
    puts, failed, longest = [int(word) for word in answer.split()]
    note(f"pool: {puts} replacing puts of 4 MiB (longest {longest} ms), meanwhile {hits} gets hit, {misses} missed, {wrong} wrong")
    expect(failed == 0, f"{failed} puts failed")
    expect(misses == 0, f"{misses} gets missed, though some version was there all the time: {reader.ask('causes')}")
    expect(wrong == 0, f"{wrong} gets returned wrong bytes")
    expect(hits > ROUNDS // 2, f"only {hits} gets hit")
    for seed in range(BLOCKS):
        got = reader.ask(f"fresh {seed}").split()[0]
        expect(got == str(ROUNDS), f"block {seed} is {got} at last")
    writer.quit()
    reader.quit()
    a.run(f"run memkv pool check {device_a}")
    passed("the pool: gets beside another host's replacing puts, every byte checked, none wrong")


def scenario():
    with Fleet("target", "hosta", "hostb") as fleet:
        fleet.guests["target"].memory = "768M"
        target, a, b = fleet.boot()
        target.run("ram_disk 400")
        target.serve("/dev/ram0")
        device_a, device_b = a.connect(target), b.connect(target)
        raw_device(a, b, device_a, device_b)
        pool(a, b, device_a, device_b)


if __name__ == "__main__":
    main(scenario)
