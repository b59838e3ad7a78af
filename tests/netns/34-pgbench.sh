#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# PostgreSQL takes connections in one process and serves each in a child: it works under libtoe, whichever
# path its connections are on, and pgbench sees no error. What a child had in toed goes with it.
#
#   cli pgbench -- eth0 ---- veth ---- eth0 [toed] -- srv postgres (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -x "$PGBIN/initdb" ] || skip "no PostgreSQL server"
need pgbench setpriv bpftool
[ -z "$ASAN" ] || LD_PRELOAD=$ASAN timeout 10 "$PGBIN/postgres" -V >/dev/null 2>&1 ||
	skip "PostgreSQL does not start with the sanitizer's runtime, without libtoe either"

as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$LOGS" TOE_RUNDIR="$RUNDIR")
topo_veth
toed_start srv
mkdir "$LOGS/pg" && chown 65534:65534 "$LOGS" "$LOGS/pg"
"${as_nobody[@]}" "$PGBIN/initdb" -D "$LOGS/pg" -U toe -A trust -N >"$LOGS/initdb" 2>&1 || fail "initdb"
echo "host all all 0.0.0.0/0 trust" >>"$LOGS/pg/pg_hba.conf"
offloadable postgres srv "${as_nobody[@]}" "$PGBIN/postgres" -D "$LOGS/pg" -c listen_addresses='*' \
	-c unix_socket_directories= -c fsync=off
eventually 20 listening srv 5432 || fail "postgres did not start"
eventually 20 in_ns cli pgbench -h "$SRV4" -U toe -i -s 1 -q postgres >"$LOGS/init" 2>&1 || fail "pgbench -i"

# Entries of map slabs: memory of toed itself and of the postmaster, and up to 8 that are made ahead (daemon/slab.c).
slabs() { bpftool map dump pinned "$BPFFS/slabs" | sed -n 's/^Found \([0-9]*\) element.*/\1/p'; }

bench() {	# NAME SECONDS ARGUMENTS...
	local name=$1 seconds=$2
	shift 2
	spawn "$name" cli pgbench -h "$SRV4" -U toe -c 8 -j 2 -T "$seconds" "$@" postgres
	finish "$name" 60 || fail "$name: pgbench ($?)"
	grep -E 'transactions (actually|type)|failed|tps' "$LOGS/$name"
	grep -q 'number of failed transactions: 0 ' "$LOGS/$name" || fail "$name: failed transactions"
	say "$name: $(moves) moves, RX engine took $(counter RX_SEGS) segments, TX engine sent $(counter TX_SEGS)"
}

spawn flip srv "$HELPERS/flip" "$SEED" 100 --all -- "$B/toectl" --rundir "$RUNDIR"
bench steady 6
[ "$(moves)" -ge 20 ] || fail "only $(moves) moves"
[ "$(counter RX_SEGS)" -gt 100 ] && [ "$(counter TX_SEGS)" -gt 100 ] || fail "the engines carried next to nothing"
before=$(moves)
bench each-anew 3 -S -C
stop flip
[ "$(moves)" -ge $((before + 20)) ] || fail "only $(($(moves) - before)) moves of connections that last for one transaction"
eventually 10 eval '[ "$(slabs)" -le 10 ]' || fail "$(slabs) slabs are left"
