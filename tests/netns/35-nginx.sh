#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# nginx, two workers, under libtoe: files are put, got and deleted by pipelined requests whose every reply is checked, while
# the connections move. First copied through nginx's buffers; then by sendfile(), for which a connection goes to the kernel,
# and on connections that come and go.
#
#   cli kvcheck -- eth0 ---- wire ---- eth0 [toed] -- srv nginx (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/web.sh
. "$(dirname "$0")/web.sh"
need nginx

# serve SENDFILE [OPTIONS OF THE CLIENT]: nginx as it is to be, a client, all its connections seen
serve() {
	nginx_conf 8080 "sendfile $1"
	offloadable "nginx-$1" srv "${NGINX[@]}"
	eventually 10 listening srv 8080 || fail "nginx did not start: $(tail -1 "$LOGS/nginx-$1")"
	spawn check cli "$HELPERS/kvcheck" http "$SRV4" 8080 --conns 20 --seconds 60 --seed "$SEED" "${@:2}"
	eventually 10 all_on kernel 20 || fail "connections not seen"
}

topo_wire
toed_start srv
serve off
eventually 5 eval 'ctl offload --all >/dev/null; all_on hardware 20' || fail "only $(on_path hardware) of 20 in hardware"
through_engine 3 99 check || fail "frames went past the engine"
kv_flipping 5 200
stop nginx-off
serve on --renew 10
kv_flipping 5 200
stop nginx-on
nothing_lost
