#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Read the golden file by core/format/FORMAT.md alone: no code of memkv's, not even its hash.

    independent_reader.py golden-file

Shows that the page is complete: whoever follows it reads what memkv writes.  XXH3 is written out from its public
specification, only for the input lengths that the golden file needs (1 to 3, 8, 17 to 128, over 240; for 128 bits:
over 128).
"""
import struct
import sys

M64 = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def word(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def fold(a, b):
    product = a * b
    return (product ^ product >> 64) & M64


def avalanche(h):
    h = (h ^ h >> 37) * 0x165667919E3779F9 & M64
    return h ^ h >> 32


def mix16(data, at, secret, seed):
    return fold(word(data, at) ^ (word(SECRET, secret) + seed & M64),
                word(data, at + 8) ^ (word(SECRET, secret + 8) - seed & M64))


def hash_1_to_3(data, seed):
    n = len(data)
    h = data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8
    h ^= (word(SECRET, 0) & 0xFFFFFFFF ^ word(SECRET, 4) & 0xFFFFFFFF) + seed & M64
    h = (h ^ h >> 33) * P64_2 & M64
    h = (h ^ h >> 29) * P64_3 & M64
    return h ^ h >> 32


def hash_8(data, seed):
    seed ^= int.from_bytes((seed & 0xFFFFFFFF).to_bytes(4, "little"), "big") << 32
    value = int.from_bytes(data[4:8], "little") + (int.from_bytes(data[0:4], "little") << 32)
    h = value ^ ((word(SECRET, 8) ^ word(SECRET, 16)) - seed & M64)
    rotl = lambda v, n: (v << n | v >> (64 - n)) & M64
    h ^= rotl(h, 49) ^ rotl(h, 24)
    h = h * 0x9FB21C651E98DF25 & M64
    h = (h ^ (h >> 35) + 8) * 0x9FB21C651E98DF25 & M64
    return h ^ h >> 28


def hash_17_to_128(data, seed):
    n, acc = len(data), len(data) * P64_1
    for i in range((n - 1) // 32, -1, -1):
        acc += mix16(data, 16 * i, 32 * i, seed) + mix16(data, n - 16 * (i + 1), 32 * i + 16, seed)
    return avalanche(acc & M64)


def hash_129_to_240(data, seed):
    n = len(data)
    acc = n * P64_1 + sum(mix16(data, 16 * i, 16 * i, seed) for i in range(8))
    acc = avalanche(acc & M64) + sum(mix16(data, 16 * i, 16 * (i - 8) + 3, seed) for i in range(8, n // 16))
    return avalanche(acc + mix16(data, n - 16, 136 - 17, seed) & M64)


def accumulate(data, seed):
    """(accumulators, secret) of a long input"""
    secret = SECRET if seed == 0 else b"".join(
        struct.pack("<QQ", word(SECRET, i) + seed & M64, word(SECRET, i + 8) - seed & M64) for i in range(0, 192, 16))
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]

    def stripe(at, key):
        values = struct.unpack_from("<8Q", data, at)
        for lane, (value, k) in enumerate(zip(values, struct.unpack_from("<8Q", secret, key))):
            k ^= value
            acc[lane ^ 1] = acc[lane ^ 1] + value & M64
            acc[lane] = acc[lane] + (k & 0xFFFFFFFF) * (k >> 32) & M64

    stripes = (len(secret) - 64) // 8
    for n in range((len(data) - 1) // 64):
        stripe(64 * n, 8 * (n % stripes))
        if n % stripes == stripes - 1:  # a block is full, and something follows
            for lane in range(8):
                a = acc[lane] ^ acc[lane] >> 47 ^ word(secret, len(secret) - 64 + 8 * lane)
                acc[lane] = a * P32_1 & M64
    stripe(len(data) - 64, len(secret) - 64 - 7)
    return acc, secret


def merge(acc, secret, at, start):
    pairs = (fold(acc[2 * i] ^ word(secret, at + 16 * i), acc[2 * i + 1] ^ word(secret, at + 16 * i + 8))
             for i in range(4))
    return avalanche(start + sum(pairs) & M64)


def h64(data, seed=0):
    if 1 <= len(data) <= 3:
        return hash_1_to_3(data, seed)
    if len(data) == 8:
        return hash_8(data, seed)
    if 17 <= len(data) <= 128:
        return hash_17_to_128(data, seed)
    if 129 <= len(data) <= 240:
        return hash_129_to_240(data, seed)
    assert len(data) > 240
    acc, secret = accumulate(data, seed)
    return merge(acc, secret, 11, len(data) * P64_1 & M64)


def h128_middle(data):
    n, low, high = len(data), len(data) * P64_1 & M64, 0

    def mix32(low, high, one, two, secret):
        low = low + mix16(data, one, secret, 0) & M64
        low ^= word(data, two) + word(data, two + 8) & M64
        high = high + mix16(data, two, secret + 16, 0) & M64
        return low, high ^ (word(data, one) + word(data, one + 8) & M64)

    for i in range(n // 32):
        if i == 4:
            low, high = avalanche(low), avalanche(high)
        low, high = mix32(low, high, 32 * i, 32 * i + 16, 32 * i if i < 4 else 3 + 32 * (i - 4))
    if n // 32 == 4:
        low, high = avalanche(low), avalanche(high)
    low, high = mix32(low, high, n - 16, n - 32, 136 - 17 - 16)
    mixed = low * P64_1 + high * P64_4 + n * P64_2
    return avalanche(low + high & M64), -avalanche(mixed & M64) & M64


def h128(data):
    """(low, high), seed 0"""
    if 129 <= len(data) <= 240:
        return h128_middle(data)
    assert len(data) > 240
    acc, secret = accumulate(data, 0)
    return (merge(acc, secret, 11, len(data) * P64_1 & M64),
            merge(acc, secret, len(secret) - 64 - 11, ~(len(data) * P64_2) & M64))


# ---- FORMAT.md, section 1.1 --------------------------------------------------------------------------------------

POOL = 0x0123456789ABCDEF
SUPERBLOCK_POOL = 0x6D656D6B76706F6F


def seed(pool, kind, a, b):
    return h64(struct.pack("<QQQ", kind, a, b), pool)


def check(data, kind, a, b, length=None, pool=POOL):
    check_seeded(data[:length], seed(pool, kind, a, b))


def check_seeded(data, the_seed):
    named = the_seed ^ word(data, 0) * 0x9E3779B97F4A7C15 & M64
    expect("check", word(data, 8), h64(data[16:], named))


def expect(what, got, wanted):
    if got != wanted:
        shown = [f"{v:#x}" if isinstance(v, int) else repr(v) for v in (got, wanted)]
        sys.exit(f"{what}: {shown[0]}, not {shown[1]}")


def fields(data, **wanted):
    """name=(offset, format, value): each must be what went in"""
    for name, (offset, layout, value) in wanted.items():
        got = struct.unpack_from("<" + layout, data, offset)
        expect(name, got[0] if len(got) == 1 else got, value)


KEY, PARENT = bytes(range(0xC0, 0xE0)), b"\x9A" * 32
GENERATION, BIRTH = 0x0140000000000001, 0x5566778899AABBCC


def read_superblock(data, copy):
    check(data, 1, copy, 0, 512, SUPERBLOCK_POOL)
    fields(data, magic=(0, "8s", b"MEMKVPL1"), major=(16, "I", 1), minor=(20, "I", 0),
           compatible=(24, "Q", 0x8000000000000001), read_only=(32, "Q", 0x4000000000000002), incompatible=(40, "Q", 0),
           uuid=(48, "16s", bytes(range(0xA0, 0xB0))), seed=(64, "Q", POOL), instance=(72, "Q", 0xFEDCBA9876543210),
           version=(80, "Q", 7), created=(88, "Q", 1767225600), device=(96, "Q", 0x10302), inode=(104, "Q", 424242),
           name=(112, "64s", b"golden".ljust(64, b"\0")), bytes=(176, "Q", 268435456), max_block=(184, "Q", 2097152),
           room=(192, "Q", 2097152), segments=(200, "I", 120), segment_pages=(204, "I", 517),
           last_pages=(208, "I", 300), entries=(212, "I", 128), slots=(216, "I", 30), ring=(220, "I", 16384),
           checkpoint=(224, "I", 20480), heat=(228, "I", 192), logical_block=(232, "I", 4096))
    expect("rest", any(data[236:]), False)


def read_joined(data):
    """section 16: on namespace 2 of a pool of four, of which number 1 was removed"""
    check(data, 1, 0, 0, 512, SUPERBLOCK_POOL)
    fields(data, magic=(0, "8s", b"MEMKVPL1"), incompatible=(40, "Q", 1 << 3), seed=(64, "Q", POOL), version=(80, "Q", 9),
           bytes=(176, "Q", 268435456), segments=(200, "I", 120), which=(236, "II", (2, 3)),
           id=(248, "16s", bytes([0x92]) * 16))
    for n in range(3):
        entry = data[512 + 256 * n:768 + 256 * n]
        check(entry, 16, n + 1, 9)
        fields(entry, magic=(0, "4sI", (b"NSPC", n + 1)), place=(16, "QQ", (268435456 + (n << 27), (1 << 27) - 4096 * n)),
               segments=(32, "III", (120 + 60 * n, 60, 517 - 100 * n)), state=(44, "I", 1 if n else 2),
               id=(48, "16s", bytes([0x91 + n]) * 16), device=(64, "16s", bytes([0x5D if n == 2 else 0]) * 16),
               path=(80, "128s", f"/srv/pools/golden.{n + 1}".encode().ljust(128, b"\0")))
        expect("reserved", any(entry[208:]), False)
    expect("rest", any(data[264:512]) or any(data[512 + 3 * 256:]), False)


def read_layout(data):
    """section 3, from the superblock's numbers"""
    pages = lambda n: -(-n // 4096) * 4096
    slots, segments = 30, 120
    sizes = [4096, 2 * slots * 4096, slots * 4096, slots * pages(slots * 64), segments * 8, 64 * 4096,
             slots * 2 * 16384, slots * 2 * 20480, segments * (4096 + pages(128 * 128)), segments * 192,
             segments * 8, segments * 8, 4096, ((segments - 1) * 517 + 300) * 4096]
    at = 0
    for i, size in enumerate(sizes):
        expect(f"region {i}", struct.unpack_from("<QQ", data, 16 * i), (at, pages(size)))
        at += pages(size)
    expect("superblock B", struct.unpack_from("<QQ", data, 16 * len(sizes)), (268435456 - 4096, 4096))


def read_slot_cell(data, copy):
    check(data, 2, 5, copy)
    fields(data, magic=(0, "4sH", (b"SLOT", 1)), who=(16, "IIII", (5, 2, 0x2ABCDEF1, 4711)),
           numbers=(32, "QQQQQQ", (0x1122334455667788, 987654321, 1767225601, 1767225602, 603, 604)),
           machine=(80, "16s", bytes(range(0x10, 0x20))), boot=(96, "16s", bytes(range(0x20, 0x30))),
           nqn=(112, "31s", b"nqn.2014-08.org.nvmexpress:uuid"), version=(336, "6s", b"1.0.0\0"))


def read_hold_cell(data):
    check(data, 3, 5, 0)
    fields(data, magic=(0, "4sH", (b"HOLD", 1)), who=(16, "IIII", (5, 0x2ABCDEF1, 2, 0)),
           first=(32, "IIQQ", (3, 17, GENERATION, 605)), second=(56, "IIQQ", (119, 299, GENERATION + 1, 606)))


def read_claim_cell(data):
    check(data, 4, 6, 5)
    fields(data, magic=(0, "4sH", (b"CLIM", 1)), who=(16, "IIII", (5, 0x2ABCDEF1, 12, 11)),
           accepted=(32, "Q", 6 << 32 | 13))


def read_owner_word(data):
    value, bits = word(data, 0), word(data, 0) >> 12
    crc = 0
    for i in range(51, -1, -1):
        crc = crc << 1 ^ (0x11F1 if (crc >> 11 ^ bits >> i) & 1 else 0)
    expect("check", value & 0xFFF, crc & 0xFFF ^ seed(POOL, 5, 119, 0) & 0xFFF)
    expect("word", (value >> 61, value >> 52 & 511, value >> 42 & 1023, value >> 12 & 0x3FFFFFFF),
           (4, 300, 5, 0x2ABCDEF1))


def read_key_cell(data):
    check(data, 6, 9, 0)
    fields(data, magic=(0, "4sH", (b"KEYS", 1)), what=(16, "IIII", (9, 2, 1, 8)), wrapped=(32, "8s", b"qrstuvwx"),
           salt=(160, "16s", bytes(range(0x80, 0x90))))


def read_record(data):
    check_seeded(data, seed(seed(POOL, 7, 5 << 32 | 0x2ABCDEF1, 0x1122334455667788), 7, 1000001, 0))
    fields(data, magic=(0, "2sBB", (b"RC", 1, 9)), position=(16, "QQ", (1000001, 77)), key=(32, "32s", KEY),
           numbers=(64, "QQQQ", (78, GENERATION, BIRTH, 1798761600)), small=(96, "IIII", (2, 9, 6, 13)))


def read_record_session(data):
    """a fact in checkpoint 14"""
    check_seeded(data, seed(seed(POOL, 7, 5 << 32 | 0x2ABCDEF1, 0x1122334455667788), 7, 3, 14))
    fields(data, magic=(0, "2sBB", (b"RC", 1, 12)), position=(16, "QQ", (3, 79)), name=(32, "16s", b"conversation 42\0"),
           numbers=(64, "QQQQ", (0x0A0B0C0D0E0F1011, 0, 0, 1798761600)), small=(96, "IIIII", (0, 0, 5, 0x2ABCDEF1, 1)))


def read_checkpoint(data):
    check(data, 8, 5, 1)
    fields(data, magic=(0, "4sH", (b"CKPT", 1)), who=(16, "IIQ", (5, 0x2ABCDEF1, 0x1122334455667788)),
           numbers=(32, "QQI", (14, 1000000, 15)))


def read_generation_header(data, magic, kind):
    check(data, kind, 119, 0, 64)
    fields(data, magic=(0, "4sH", (magic, 1)), rest=(16, "QIIQ", (GENERATION, 119, 2, 1767225603)))


def read_tail(data):
    value = word(data, 0)
    count = value & (1 << 25) - 1
    expect("count", count, 35)
    expect("check", value >> 25, h64(struct.pack("<Q", count), seed(POOL, 10, 119, GENERATION)) & (1 << 39) - 1)


def read_entry(data, flags, life):
    check(data, 11, 119, 34, 120)
    fields(data, magic=(0, "2sBB", (b"EN", 1, 1)), index=(4, "I", 34), named=(16, "QQ32s", (GENERATION, BIRTH, KEY)),
           place=(64, "II", (17, 1048577)), rest=(72, "QQQ", (1798761600, 0x0A0B0C0D0E0F1011, 0x1213141516171819)),
           small=(96, "IHBB", (0x21222324, 9, 2, flags)), stored=(104, "QI", (1767225604, 25)))
    read_life(data[120:], life)


def read_life(data, life):
    expect("life", word(data, 0), life << 48 | BIRTH & (1 << 48) - 1)


def read_block_header(data, listed):
    check(data, 13, 70000, 0)
    fields(data, magic=(0, "4sHH", (b"MBLK", 1, 2 if listed else 1)), named=(16, "QQ32s", (GENERATION, BIRTH, KEY)),
           place=(64, "IIQ", (119, 34, 70000)), kind=(96, "BBH", (1, 8, 1)),
           small=(100, "BBHII", (2, 0, 9, 0x21222324, 25)),
           rest=(112, "QQQQ", (0x1213141516171819, 0x0A0B0C0D0E0F1011, 1798761600, 1767225604)),
           parent=(144, "32s", PARENT), session=(192, "16s", b"conversation 42\0"), meta=(256, "II", (512, 21)),
           meta_bytes=(512, "24s", b"caller's own metadata\0\0\0"))
    length, chunk_bytes, chunks, digests_at, ends_at = (*struct.unpack_from("<QII", data, 80),
                                                        *struct.unpack_from("<II", data, 264))
    expect("length", length, 1048577)
    expect("digests", digests_at, 512 + 24)
    ends = [min(length, chunk_bytes * (i + 1)) for i in range(chunks)]
    if listed:
        expect("ends", (chunk_bytes, ends_at), (0, digests_at + 8 * chunks))
        ends = list(struct.unpack_from(f"<{chunks}I", data, ends_at))
    payload = bytes((i * 31 + i // 251) & 255 for i in range(length))
    unbound = [h64(payload[a:b]) for a, b in zip([0] + ends, ends)]
    bound = [h64(struct.pack("<QQ32s", d, BIRTH, KEY), 14 << 56 | i) for i, d in enumerate(unbound)]
    expect("ends", ends[-1], length)
    expect("chunk digests", list(struct.unpack_from(f"<{chunks}Q", data, digests_at)), bound)
    expect("payload digest", struct.unpack_from("<QQ", data, 176),
           h128(struct.pack(f"<{chunks + 1}Q", length, *unbound)))


def read_locator(data):
    check_seeded(data, seed(0x6D656D6B766C6F63, 15, 0, 0))
    fields(data, magic=(0, "2sBB", (b"LO", 1, 3)), length=(4, "I", 1048577),
           pool=(16, "16sQ", (bytes.fromhex("a0a1a2a3a4a546a788a9aaabacadaeaf"), 0x3132333435363738)),
           which=(40, "QQ", (0x0140000000000001, 0x4142434445464748)), place=(56, "II", (119, 17)),
           key=(64, "32s", bytes(range(0x51, 0x71))))


READERS = {
    "superblock_a": lambda d: read_superblock(d, 0),
    "superblock_b": lambda d: read_superblock(d, 1),
    "layout": read_layout,
    "slot_cell_0": lambda d: read_slot_cell(d, 0),
    "slot_cell_1": lambda d: read_slot_cell(d, 1),
    "hold_cell": read_hold_cell,
    "claim_cell": read_claim_cell,
    "owner_word": read_owner_word,
    "key_cell": read_key_cell,
    "record": read_record,
    "record_session": read_record_session,
    "checkpoint_header": read_checkpoint,
    "table_header": lambda d: read_generation_header(d, b"TABL", 9),
    "tail_word": read_tail,
    "entry": lambda d: read_entry(d, 0, 0x5A5A),
    "entry_void": lambda d: read_entry(d, 1, 0xA5A5),
    "life_removed": lambda d: read_life(d, 0xA5A5),
    "life_moving": lambda d: read_life(d, 0x3C3C),
    "life_removing": lambda d: read_life(d, 0xC3C3),
    "segment_header": lambda d: read_generation_header(d, b"MSEG", 12),
    "block_header_uniform": lambda d: read_block_header(d, False),
    "block_header_listed": lambda d: read_block_header(d, True),
    "locator": read_locator,
    "superblock_joined": read_joined,
}


def read_golden_file(path):
    found, name = {}, None
    with open(path, encoding="ascii") as f:
        for line in f:
            parts = line.split()
            if line.startswith("#") or not parts:
                continue
            if parts[0].endswith(":"):
                at = int(parts[0][:-1], 16)
                row = bytes.fromhex(parts[1])
                found[name][at:at + len(row)] = row
            else:
                name = parts[0]
                found[name] = bytearray(int(parts[1]))
    return {key: bytes(value) for key, value in found.items()}


def main():
    found = read_golden_file(sys.argv[1])
    expect("structures", sorted(found), sorted(READERS))
    for name, reader in READERS.items():
        try:
            reader(found[name])
        except SystemExit as wrong:
            sys.exit(f"{name}: {wrong}")
        damaged = bytearray(found[name])
        damaged[len(damaged) - 1 if name.startswith("entry") else 7] ^= 0x10
        try:
            reader(bytes(damaged))
        except SystemExit:
            continue
        sys.exit(f"{name}: a flipped bit was not noticed")
    print(f"{len(READERS)} structures read by the page alone")


if __name__ == "__main__":
    main()
