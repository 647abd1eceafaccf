/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs with their help. */
#include "cli/verbs.h"

#include <string.h>

#define B(id) OPT_BIT(OPT_##id)

static const char create_text[] =
	"Formats a file as a pool.  Without --size a new file becomes 4 GiB large, an existing one keeps its size.\n"
	"--blocks with --block-size makes a pool that holds exactly so many blocks of that size.\n"
	"--namespace names a further file or device that the pool lies on as well; --size is that of each file then.\n"
	"A file that holds anything is only overwritten with --force, and then after a yes or with --yes.\n"
	"--share is for a block device that several hosts reach: agents on all of them can write at the same time.\n"
	"An experiment still: not for data that counts.\n"
	"--coherent no is for memory (a DAX device, a file in memory) that hosts share whose caches are not coherent with each\n"
	"other: one agent writes, the others read, and each reads and writes past its caches.\n";

static const char info_text[] =
	"Room is given in bytes and in blocks of --block-size (default: the largest block).  Of a pool that lies on several\n"
	"files or devices, each is told with its state: there, lost, or removed.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: then it says nothing, and ends\n"
	"with 1.\n";

static const char grow_text[] =
	"Adds a file or block device to a pool, as NAMESPACE: of the same sort as those that it lies on.  No agent may have\n"
	"the pool open.  A file gets --size (default: what an existing one has, else 4 GiB), a device is used whole.\n"
	"Stopped at any moment the pool has grown or not, and nothing is lost.\n";

static const char drain_text[] =
	"Moves the blocks on NAMESPACE (its path, number or id) to the pool's others, pinned ones first, then those used most,\n"
	"so that it can be removed.  Agents may go on; nothing more is put there.  Where the others have no room it ends with 6,\n"
	"and nothing is lost; with --evict, after a yes, what finds no room goes, but for pinned blocks.  It ends with 5 while\n"
	"living agents write there.  Stopped or repeated at any time it goes on where it was; --undo takes it back.\n";

static const char remove_text[] =
	"Takes NAMESPACE (its path, number or id) out of the pool: one that was drained; a file is removed, a device looks empty\n"
	"then.  No agent may have the pool open.  With --lost one that is lost, with all that is on it; refused when pinned\n"
	"blocks may be there, unless --unpin.\n";

static const char check_text[] =
	"Reads and verifies everything while the pool is in use.  Ends with 4 when damage was found; the keys of\n"
	"blocks that cannot be read back go to stderr.  Blocks that vanished meanwhile are counted as gone.\n"
	"\n"
	"While others have the pool open, three quarters of the time are left to them; --max-rate sets a limit of its\n"
	"own instead, and --max-rate none takes all the medium gives.  With --sample the tables are still checked\n"
	"whole, and other blocks are read each time.\n"
	"\n"
	"--repair is refused while an agent is attached; readers may be.  What is known from a second source is written\n"
	"back; blocks that cannot be read back are removed, pinned or not, so that they can be put again; those that the\n"
	"medium answers with an error for are left.  Then it ends with 4 when anything is left as bad as it was.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: with 5, and how much was checked by\n"
	"then.  Bad blocks are told of at the end, and a repair may have got one piece further.\n";

static const char scan_text[] =
	"Looks for pools on this machine's block devices, and in the files and directories (not below them) that\n"
	"$MEMKV_POOL_PATH lists, separated by colons; /var/lib/memkv when it is not set.  With PATH only there.\n"
	"Of a pool that lies on several files or devices the first stands for it; the others are named as its\nnamespaces.\n"
	"Prints UUID, size, name and place; name:NAME and uuid:UUID are understood wherever POOL is, by the same look.\n";

static const char destroy_text[] = "Wipes the pool and removes its file.  Refused while anybody has it open.\n";

static const char put_text[] =
	"Stores FILE, or standard input, as one block.  A block that is there already with the same bytes is left as\n"
	"it is (done, says so); other bytes under the key are refused (3) unless --replace is given.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: with 5, and nothing\n"
	"stored, or unknown when the block was being written already.\n";

static const char get_text[] =
	"Writes the block to standard output or to -o FILE.  With --json -o is needed.  A miss ends with 1.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: that is a miss.\n";

static const char rm_text[] =
	"Removes blocks by key, or all of a session or class (these want --yes or a yes).  Ends with 1 when one of\n"
	"the keys was not there; the others are removed all the same.  A pinned block is refused (3) unless --unpin is given.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: with 5.  It says how many\n"
	"blocks were removed, and when one more may go, then or later, or stay.\n";

static const char stat_text[] =
	"Where the block lies, and what was put with it.  A miss ends with 1.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: that is a miss.\n";

static const char ls_text[] =
	"One block a line, sorted by key: key, bytes, class, depth, stored (UTC), expires (UTC or -).\n"
	"--after KEY with --limit N turns pages: give the last key seen.\n"
	"Where the medium does not answer for a segment, the others are listed, and it ends with 4.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: then it lists nothing, and ends\n"
	"with 1.\n";

static const char match_text[] =
	"Prints how many keys, from the first, are stored.  Without KEY they are read from standard input, one\n"
	"a line.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: then it says nothing, and ends\n"
	"with 1.\n";

static const char pin_text[] =
	"A pinned block is not evicted, removed or expired, by anybody, until its pin ends.  --session pins what is stored\n"
	"of the session and what will be while the pin holds.  Half of the pool's room can be pinned; past that, and when\n"
	"there are as many pins as the pool keeps, it ends with 6 and nothing is changed.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: with 5.  It says so when what was\n"
	"asked for may be in force, or come to be, wholly or in part, or not; else nothing was changed.  Asking once more does no\n"
	"harm, and tells.\n";

static const char unpin_text[] =
	"Takes pins back: those of keys, or that of a session.  Ends with 1 when one of them was not pinned.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: with 5.  It says so when what was\n"
	"asked for may be in force, or come to be, wholly or in part, or not; else nothing was changed.  Asking once more does no\n"
	"harm, and tells.\n";

static const char pins_text[] =
	"One pin a line: key or session, bytes, end (UTC or -), and the agent that stated it.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: then it lists nothing, and ends\n"
	"with 1.\n";

static const char evict_text[] =
	"Lets blocks go now, those of the oldest segments first.  Pinned ones stay; when they keep it from getting as far\n"
	"as --bytes it ends with 3.  Without --bytes all that matches goes, which wants --yes or a yes.  What cannot be read stays,\n"
	"and is told of with 4.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: with 5.  It says whether nothing was\n"
	"evicted, or any of the blocks that match may be gone, or go later.\n";

static const char host_ls_text[] =
	"Who is attached, one a line: SLOT@EPOCH, state, pid, since when (UTC), segments that it writes to or empties, their\n"
	"room, pins that it stated, segments of which it uses blocks in place (holds), version, NVMe host NQN.  stopped: alive,\n"
	"but held by a signal or a debugger.  dead: it ended without closing the pool, and what it left open is continued by\n"
	"whoever needs it.  draining, drained: it puts no more, and still has segments to give back, or has none (host drain).\n"
	"silent, on a device that several hosts write to: its heartbeat stands still, so it is stopped, cut off or dead; what it\n"
	"had open is not written to before its death is proven.\n"
	"\n"
	"With --deadline it ends in time, opening the pool included, also when the medium hangs: then it lists nothing, and ends\n"
	"with 1.\n";

static const char host_fence_text[] =
	"Makes sure that an incarnation never writes to the pool again.  On files and memory a lock proves life and death:\n"
	"for a dead one there is nothing to do, and a living one is refused (5), with the process to end.\n";

static const char host_drain_text[] =
	"Tells an agent, through the pool, to put no more and to give back the segments that it writes to or empties, and waits up\n"
	"to 10 seconds until it has.  Then it can be stopped, or killed, with nothing left behind; until then it reads on.  Its puts\n"
	"fail with DRAINED.  --undo lets it put again.  For files and memory; elsewhere refused, with what to do instead.  An agent\n"
	"that does not answer in time (a stopped one) is left as it was, and it ends with 5.\n";

static const char replay_text[] =
	"Drives agent processes through request traces: each request looks up its chain of blocks, gets what is\n"
	"there (every byte is checked) and puts the rest.  Agents take requests from one cursor and are never over\n"
	"2N apart; a conversation whose ids are local to its file stays on one agent.  Traces are .jsonl files of\n"
	"requests (timestamp, input_length, output_length, hash_ids) or .json files with block_size, hash_id_scope\n"
	"and requests.  Without POOL a scratch pool with room for every block is made in $TMPDIR or /var/tmp and\n"
	"removed afterwards.\n"
	"\n"
	"hit_blocks counts from a request's first key to its first miss; a block that only a later request put is\n"
	"counted in late_blocks instead; prefix_ceiling is the ratio with unlimited room and one agent; puts counts\n"
	"blocks stored; refresh_blocks are those that only a second, fresh look found.\n"
	"\n"
	"--generate takes sessions=40, turns=6, prompts=4 (system prompts), system=8 (blocks of one), new=5 (most new\n"
	"blocks of a turn), seed=1.  Ends with 4 when a byte was wrong or an acknowledged block was lost.\n";

static const char bench_text[] =
	"Measures verified get and put beside the raw medium on a scratch pool of 3 GiB in DIR ($TMPDIR, /var/tmp), or\n"
	"on DEVICE, whose contents are lost.  memkv, raw, and raw once more as a control take turns in slices of a\n"
	"quarter of a second; raw is O_DIRECT through io_uring on the same extents with the same block size and\n"
	"threads (in memory: memcpy).  ratio is the median over the pairs with its interquartile range; a row whose\n"
	"control is off 1 by more than 0.03 says little.  Latencies are in microseconds; xN means N threads with one\n"
	"operation each, a queue depth of N.\n"
	"\n"
	"digest is one pass of digests beside a copy.  match, attach, visibility and memory look at a pool of --blocks\n"
	"(50000) small blocks, each beside the least that could do the same: the cache misses of a look-up, one read\n"
	"of the control region, a polled word, an index entry's 16 bytes; there ratio is raw / memkv.\n"
	"\n"
	"full, flood, amplify and amplify_pinned ask what a full pool (of 1 GiB) costs: puts of two agents beside the\n"
	"same after everything was evicted; p99 of gets of pinned blocks while another agent writes twenty times the\n"
	"pool, beside raw reads and a raw writer of that rate (ratio is raw / memkv); and the bytes given to the\n"
	"medium for a byte put, with nothing pinned and with a third of the room pinned at random.\n"
	"\n"
	"--coherent no: the scratch pool is memory (DIR on tmpfs) as hosts share it whose caches are not coherent.\n";

static const char doctor_text[] =
	"Tries what each medium needs: files (in DIR, or $TMPDIR, or /var/tmp), memory and DAX, block devices, NVMe-oF\n"
	"by TCP and RDMA, CXL memory, GPUs; and says what is there, what is not, and the Debian package or command that\n"
	"mends it.  Nothing is changed.  Ends with 0 whatever it finds.\n";

static const char attach_text[] =
	"Connects this machine to an NVMe-oF subsystem and prints its namespaces: the device to make or open a pool on,\n"
	"identity, sizes, and how it is connected.  What is attached already is left as it is, and said so (done); by\n"
	"another address it gets one more path.  Without ?nsid= all namespaces of the subsystem are meant; without\n"
	":PORT it is 4420.  Wants root and libnvme; loads the kernel's module when it is not loaded.\n"
	"\n"
	"The default time-outs keep a write that was cut off from landing late; longer ones are said so.  Keys for\n"
	"DH-HMAC-CHAP are read from a file that nobody else may read, or the environment, and are never printed.\n"
	"\n"
	"--persist notes the connection in nvme-cli's /etc/nvme/config.json, from which its nvmf-autoconnect.service\n"
	"connects at each boot, by asking the discovery service at the same address.\n";

static const char detach_text[] =
	"Ends the connection to that address, or, given an NQN, a device or ns:ID, all connections to the subsystem.\n"
	"Refused (5) for the last path to a namespace that an agent writes to or that is mounted; --force ends it all\n"
	"the same.  What --persist noted is taken out again.  Ends with 1 when there was no such connection.\n";

static const char discover_text[] =
	"Asks the discovery service of a target what it offers to this host, and prints a URI for each subsystem that\n"
	"attach understands.  Without :PORT it is 8009 for TCP and 4420 for RDMA; a Linux target answers at the port\n"
	"of its subsystems, mostly 4420.  Wants root and libnvme.\n";

#define FABRIC_OPTIONS (B(HOST_NQN) | B(HOST_ID) | B(DHCHAP_SECRET) | B(DHCHAP_CTRL_SECRET) | B(TLS))

const struct cli_verb cli_verbs[] = {
	{"pool create", "POOL [--size 4G] [--name N]", "format a pool", create_text,
	 B(POOL_NAME) | B(SIZE) | B(MAX_BLOCK) | B(SEGMENT) | B(SLOTS) | B(BLOCKS) | B(BLOCK_SIZE) | B(FORCE) |
		 B(SHARE) | B(COHERENT) | B(NAMESPACE) | B(DRY_RUN) | B(YES),
	 verb_pool_create},
	{"pool info", "POOL [--block-size B]", "sizes, room and use", info_text, B(BLOCK_SIZE) | B(DEADLINE), verb_pool_info},
	{"pool scan", "[PATH...]", "find pools on this machine", scan_text, 0, verb_pool_scan},
	{"pool grow", "POOL NAMESPACE [--size 4G]", "add a file or device to a pool", grow_text,
	 B(SIZE) | B(FORCE) | B(DRY_RUN) | B(YES), verb_pool_grow},
	{"pool drain", "POOL NAMESPACE", "empty a file or device of a pool", drain_text, B(EVICT) | B(UNDO) | B(YES), verb_pool_drain},
	{"pool remove", "POOL NAMESPACE", "take an empty file or device out of a pool", remove_text,
	 B(LOST) | B(UNPIN) | B(DRY_RUN) | B(YES), verb_pool_remove},
	{"pool check", "POOL [--sample P% | --repair]", "read and verify everything, online", check_text,
	 B(META_ONLY) | B(SAMPLE) | B(MAX_RATE) | B(REPAIR) | B(YES) | B(DRY_RUN) | B(DEADLINE), verb_pool_check},
	{"pool destroy", "POOL --yes", "remove a pool", destroy_text, B(YES) | B(DRY_RUN), verb_pool_destroy},
	{"put", "POOL KEY [FILE]", "store a block", put_text,
	 B(KEY_NAME) | B(CLASS) | B(SESSION) | B(TTL) | B(PIN) | B(DURABLE) | B(META) | B(REPLACE) | B(DEADLINE), verb_put},
	{"get", "POOL KEY [-o FILE]", "read a block", get_text, B(KEY_NAME) | B(OUTPUT) | B(DEADLINE), verb_get},
	{"rm", "POOL KEY... | --session S | --class C", "remove blocks", rm_text,
	 B(KEY_NAME) | B(CLASS) | B(SESSION) | B(UNPIN) | B(YES) | B(DRY_RUN) | B(DEADLINE), verb_rm},
	{"stat", "POOL KEY", "describe a block", stat_text, B(KEY_NAME) | B(DEADLINE), verb_stat},
	{"ls", "POOL", "list blocks", ls_text, B(CLASS) | B(SESSION) | B(LIMIT) | B(AFTER) | B(DEADLINE), verb_ls},
	{"match", "POOL [KEY...]", "the longest stored prefix of a chain of keys", match_text,
	 B(KEY_NAME) | B(DEADLINE), verb_match},
	{"pin", "POOL KEY... | --prefix-of KEY... | --session S", "keep blocks from being evicted", pin_text,
	 B(KEY_NAME) | B(SESSION) | B(PREFIX_OF) | B(PIN_TTL) | B(DEADLINE), verb_pin},
	{"unpin", "POOL KEY... | --prefix-of KEY... | --session S", "take pins back", unpin_text,
	 B(KEY_NAME) | B(SESSION) | B(PREFIX_OF) | B(DEADLINE), verb_unpin},
	{"pins", "POOL", "what is pinned", pins_text, B(DEADLINE), verb_pins},
	{"evict", "POOL [--class C] [--bytes N] [--older-than T]", "let blocks go", evict_text,
	 B(CLASS) | B(BYTES) | B(OLDER_THAN) | B(YES) | B(DRY_RUN) | B(DEADLINE), verb_evict},
	{"host ls", "POOL [--all]", "who is attached", host_ls_text, B(ALL) | B(DEADLINE), verb_host_ls},
	{"host fence", "POOL SLOT@EPOCH", "make sure that an agent is gone", host_fence_text, 0, verb_host_fence},
	{"host drain", "POOL SLOT@EPOCH", "an agent puts no more, and can be stopped", host_drain_text, B(UNDO) | B(DRY_RUN),
	 verb_host_drain},
	{"replay", "[POOL] TRACE... | --generate", "drive agents through request traces", replay_text,
	 B(AGENTS) | B(BLOCK_SIZE) | B(GENERATE) | B(WRITE_TRACE) | B(KILL) | B(SEED) | B(VERIFY) | B(STRICT) |
		 B(LIVE) | B(LIMIT),
	 verb_replay},
	{"bench", "[DIR | DEVICE --yes]", "this machine's figures beside the raw medium", bench_text,
	 B(PAIRS) | B(ONLY) | B(BLOCK_SIZE) | B(THREADS) | B(BLOCKS) | B(COHERENT) | B(YES), verb_bench},
	{"discover", "URI", "what an NVMe-oF target offers", discover_text, B(HOST_NQN) | B(HOST_ID) | B(TLS), verb_discover},
	{"attach", "URI [--persist]", "connect to an NVMe-oF subsystem", attach_text,
	 FABRIC_OPTIONS | B(QUEUE_DEPTH) | B(IO_QUEUES) | B(KEEP_ALIVE) | B(FAST_IO_FAIL) | B(LOSS_TIMEOUT) |
		 B(RECONNECT_DELAY) | B(PERSIST),
	 verb_attach},
	{"detach", "TARGET", "end connections to an NVMe-oF subsystem", detach_text, B(IN_USE), verb_detach},
	{"doctor", "[DIR]", "what this machine has and lacks, for each medium", doctor_text, 0, verb_doctor},
	{"help", "[VERB]", "explain a verb", NULL, 0, verb_help},
	{"version", "", "print the version", NULL, 0, verb_version},
};

const size_t cli_verb_count = sizeof(cli_verbs) / sizeof(cli_verbs[0]);

/* Number of words of @verb's name when @argv starts with it, else 0. */
static int name_words(const struct cli_verb *verb, int argc, char **argv)
{
	const char *space = strchr(verb->name, ' ');

	if (!space)
		return argc >= 1 && !strcmp(argv[0], verb->name) ? 1 : 0;
	size_t first = (size_t)(space - verb->name);
	return argc >= 2 && strlen(argv[0]) == first && !memcmp(argv[0], verb->name, first) &&
			       !strcmp(argv[1], space + 1)
		       ? 2
		       : 0;
}

const struct cli_verb *cli_verb_find(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < cli_verb_count; i++) {
		*words = name_words(&cli_verbs[i], argc, argv);
		if (*words)
			return &cli_verbs[i];
	}
	return NULL;
}
