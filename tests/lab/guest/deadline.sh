# SPDX-License-Identifier: Apache-2.0
# Gets and puts by a deadline on a link that is dead: the target is in a network name space of its own, whose end of the
# wire is taken down.  The host's connection has the system's defaults: I/O is parked for as long as it takes, the worst case.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
command -v block_hand >/dev/null || skip "block_hand was not built (the tests were left out)"
LIMIT=200      # milliseconds of a deadline
UNTOUCHED=60   # seconds after the link is back in which nothing may land in a buffer
CUT=15         # seconds at least
BLOCKS=8

load virtio_pci nvmet_tcp nvme_tcp veth
target_apart
host_connect tcp 10.9.0.2
run memkv pool create "$device" --max-block 700K

mkfifo /tmp/ask /tmp/answer
block_hand "$device" rw </tmp/ask >/tmp/answer &
hand=$!
exec 3>/tmp/ask 4</tmp/answer
hear() { read -r answer <&4 || fail "the hand is gone"; }
ask() {
	echo "$*" >&3
	hear
}
expect() { # WANTED WORDS...: the answer's first word is among WANTED
	local wanted=$1
	shift
	ask "$@"
	case " $wanted " in
	*" ${answer%% *} "*) ;;
	*) fail "$*: $answer, not $wanted" ;;
	esac
}
hear
[ "$answer" = open ] || fail "$answer"
n=0
while [ $n -lt $BLOCKS ]; do
	expect ok "putby $n 60000"
	expect ok "by $n 60000"
	n=$((n + 1))
done
ask "timer 100 $LIMIT"
p99=${answer#* }
allowed=$((3 * p99 > 50000 ? 3 * p99 : 50000))
note "a bare timer of $LIMIT ms overshoots by $answer us (p50 p99); a get may by $allowed us"

in_target /bin/ip link set port down || fail "the link cannot be cut"
cut=$(date +%s)
worst=0
expect "TIMEDOUT UNKNOWN" "putby 100 $LIMIT"
put=${answer%% *}
for n in 1 2 3; do
	expect TIMEDOUT "by $n $LIMIT"
	over=$((${answer#* } - LIMIT * 1000))
	[ $over -le $worst ] || worst=$over
	expect untouched canary
done
[ $worst -le $allowed ] || fail "a get on a dead link came $worst us after its deadline"
expect TIMEDOUT "by 4 60000"
[ "${answer#* }" -lt 30000000 ] || fail "with all deputies late a get waited: $answer"
expect MISS "by 5000 $LIMIT"
expect TIMEDOUT "by 5 $LIMIT"
pass "link dead: 3 gets by $LIMIT ms are misses, at most $worst us late ($allowed allowed); a put is $put; a further get is answered at once"
began=$(date +%s)
refused 1 deadline memkv get "$device" --name none --deadline ${LIMIT}ms
took=$(($(date +%s) - began))
[ $took -le 10 ] || fail "memkv get --deadline took $took s"
pass "memkv get --deadline ${LIMIT}ms ends as a miss after $took s, by a clock of seconds"
while [ $(($(date +%s) - cut)) -lt $CUT ]; do sleep 1; done

in_target /bin/ip link set port up || fail "the link cannot be restored"
# another process waits for the link, while this one's buffer is left alone
memkv ls "$device" >/tmp/run.out 2>&1 || fail "the link does not come back: $(cat /tmp/run.out)"
note "the link is back after $(($(date +%s) - cut)) s"
sleep $UNTOUCHED
expect untouched canary
pass "nothing landed in a buffer in $UNTOUCHED s after the link was back"

n=0
while [ $n -lt $BLOCKS ]; do
	expect ok "by $n 60000"
	expect ok "get $n"
	n=$((n + 1))
done
expect "ok MISS" "by 100 60000"
[ "${answer%% *}" = ok ] && [ "$put" = TIMEDOUT ] && fail "a put that was called off is there"
expect "ok EXISTS" "put 100"
expect ok "get 100"
expect ok "put 101"
expect ok "get 101"
exec 3>&-
hear
wait $hand || fail "the hand ended with $?"
run memkv pool check "$device"
pass "the same process, without a restart: $BLOCKS blocks exact, puts go on; check finds nothing"
