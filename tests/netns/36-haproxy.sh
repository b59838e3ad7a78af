#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# haproxy, two threads, under libtoe: both of its sides are connections that move, the one that it accepted and the one that
# it opened. Every reply is checked.
#
#   cli kvcheck and nginx -- eth0 ---- wire ---- eth0 [toed] -- srv haproxy (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/web.sh
. "$(dirname "$0")/web.sh"
need nginx haproxy
CONNS=20

haproxy_conf() {
	cat >"$LOGS/haproxy.cfg" <<-END
		global
			nbthread 2
			user nobody
			group nogroup
		defaults
			mode http
			timeout connect 10s
			timeout client 60s
			timeout server 60s
			http-reuse safe
			$1
		frontend front
			bind :8080
			default_backend back
		backend back
			server nginx $CLI4:8081
	END
}

both_sides() { all_on "$1" $((CONNS + 1)); }	# and at least one to nginx

# serve OPTION [OPTIONS OF THE CLIENT]: what is checked with haproxy's defaults and that
serve() {
	haproxy_conf "$1"
	offloadable haproxy srv haproxy -db -f "$LOGS/haproxy.cfg"
	eventually 10 listening srv 8080 || fail "haproxy did not start: $(tail -1 "$LOGS/haproxy")"
	spawn check cli "$HELPERS/kvcheck" http "$SRV4" 8080 --conns $CONNS --seconds 60 --seed "$SEED" --max 60000 "${@:2}"
	eventually 10 both_sides kernel || fail "connections not seen"
	eventually 5 eval 'ctl offload --all >/dev/null; both_sides hardware' || fail "only $(on_path hardware) in hardware"
	say "$1"
	kv_flipping 6 200
	stop haproxy
}

topo_wire
toed_start srv
nginx_conf 8081 "sendfile on"
spawn nginx cli "${NGINX[@]}"
eventually 10 listening cli 8081 || fail "nginx did not start: $(tail -1 "$LOGS/nginx")"
serve "no option splice-auto"
serve "option splice-auto" --renew 10
say "$(retransmissions)"
slow || wire_clean	# not nothing_lost: haproxy resets what it opened itself, without libtoe too
