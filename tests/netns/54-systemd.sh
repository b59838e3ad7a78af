#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# beside
# The unit file as it is installed, under a systemd of the test's own (a process, mount and cgroup namespace, its
# units these): toed starts and says so; `systemctl stop` under load brings every connection back to the kernel before
# toed ends; killed, it is started again and takes its connections over; `systemctl restart` loses nothing.
#
#   cli echo load -- eth0 ---- veth ---- eth0 [systemd: toed] -- srv echo server (libtoe)
# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

SYSTEMD=/lib/systemd/systemd UNITS=$LOGS/units SERVED=$RUN-systemd
[ -x $SYSTEMD ] || skip "no systemd"
need systemctl unshare pgrep

units() {
	local t
	mkdir -p "$UNITS/toed.service.d"
	for t in sysinit basic network-online shutdown; do
		printf '[Unit]\nDefaultDependencies=no\n' >"$UNITS/$t.target"
	done
	sed "s|/usr/sbin|$B|" "$ROOT/daemon/toed.service" >"$UNITS/toed.service"
	printf '[Service]\nExecStart=\nExecStart=%s --config %s\nStandardError=append:%s\n' "\"$B/toed\"" "$LOGS/toed.conf" \
		"$LOGS/toed" >"$UNITS/toed.service.d/test.conf"
	printf '[Unit]\nDefaultDependencies=no\nWants=toed.service\n' >"$UNITS/test.target"
	printf 'rundir = %s\nbpffs = %s\ninterface = eth0\n' "$RUNDIR" "$BPFFS" >"$LOGS/toed.conf"
}

# All that it mounts is its own, but for the run directory. Its cgroups lie below one of the test's in each hierarchy.
boot() {
	mkdir -p "$RUNDIR"
	cat >"$LOGS/boot.sh" <<-EOF
	while read -r _ dir type opts _; do
		case \$type in cgroup | cgroup2) ;; *) continue ;; esac
		mkdir -p "\$dir/$SERVED" && echo \$\$ >"\$dir/$SERVED/cgroup.procs"
	done </proc/mounts 2>/dev/null
	exec unshare --pid --mount --cgroup --ipc --fork --kill-child --mount-proc bash -c '
		mount --make-rprivate /
		mkdir $LOGS/run && mount --bind $RUNDIR $LOGS/run
		mount -t tmpfs none /run && mkdir -p /run/systemd /run/lock $RUNDIR && mount --bind $LOGS/run $RUNDIR
		while read -r _ dir type opts _; do
			case \$type in cgroup*) umount \$dir && mount -t \$type -o "\${opts#rw,}" none \$dir ;; esac
		done < <(tac /proc/mounts; :)
		mount --bind $UNITS /usr/lib/systemd/system
		mount -t tmpfs none /etc/systemd/system
		export container=toed-test
		exec $SYSTEMD --system --unit=test.target --log-target=console --show-status=no'
	EOF
	spawn systemd srv bash "$LOGS/boot.sh"
	eventually 20 started || fail "systemd did not start toed: $(in_systemd systemctl status toed)"
}

in_systemd() { nsenter --target "$INIT" --mount --pid -- "$@"; }
started() { INIT=$(pgrep -P "${PID[systemd]}" -x systemd) && [ "$(state)" = active ]; }
state() { in_systemd systemctl show -P ActiveState toed 2>/dev/null; }
main_pid() { in_systemd systemctl show -P MainPID toed; }	# as systemd counts

end_systemd() {
	local dir type
	[ -z "${INIT:-}" ] || kill -KILL "$INIT"
	[ -z "${PID[systemd]:-}" ] || kill -KILL "${PID[systemd]}"
	sleep 0.5
	while read -r _ dir type _; do
		case $type in cgroup | cgroup2) find "$dir/$SERVED" -depth -type d -exec rmdir {} + ;; esac
	done </proc/mounts 2>/dev/null
}
trap 'rc=$?; end_systemd; (exit $rc); cleanup' EXIT

# The application lives in the same namespaces, and in a cgroup below what toed takes for the root.
serve() {
	cat >"$LOGS/serve.sh" <<-EOF
	mkdir -p "$CGROUPS/$SERVED/app" && echo \$\$ >"$CGROUPS/$SERVED/app/cgroup.procs"
	exec nsenter --target $INIT --mount --pid -- "$B/toectl" --rundir "$RUNDIR" run --require -- \
		python3 "$HELPERS/echo" server 7100
	EOF
	spawn server srv bash "$LOGS/serve.sh"
	eventually 10 logged server listening || fail "server did not start: $(tail -2 "$LOGS/server")"
	spawn client cli python3 "$HELPERS/echo" load "$SRV4" 7100 4 "$SEED"
	eventually 10 logged client connected || fail "no connection"
}
# A new connection makes the library look for a new toed.
knock() { in_ns cli bash -c "exec 3<>/dev/tcp/$SRV4/7100"; }
offloaded() { eventually 10 eval 'knock; ctl offload --all >/dev/null; all_on hardware 4' || fail "$1: only $(on_path hardware) in hardware: $(ctl list)"; }
inactive() { [ "$(state)" = inactive ]; }
moving() { [ "$(counter RX_SEGS)" -gt 200 ] && [ "$(counter TX_SEGS)" -gt 200 ]; }

topo_veth
units
boot
serve
offloaded "after the start"
eventually 5 moving || fail "nothing goes through the engines"
in_systemd systemctl stop toed || fail "systemctl stop: $(in_systemd systemctl status toed)"
inactive || fail "toed is $(state) after the stop"
[ "$(in_systemd systemctl show -P Result toed)" = success ] || fail "result: $(in_systemd systemctl show -P Result toed)"
leaks && fail "toed left something behind"
alive client && alive server || fail "a stream ended with systemctl stop"

in_systemd systemctl start toed || fail "systemctl start"
offloaded "after a second start"
pid=$(main_pid)
in_systemd kill -KILL "$pid"
eventually 10 eval '[ "$(main_pid)" != "$pid" ] && [ "$(state)" = active ] && all_on hardware 4' ||
	fail "after kill -9: $(state), $(on_path hardware) of 4 in hardware"
in_systemd systemctl restart toed || fail "systemctl restart"
[ "$(on_path hardware)" = 0 ] || fail "a restart left connections in hardware"
offloaded "after a restart"
alive client && alive server || fail "a stream ended with systemctl restart: $(tail -1 "$LOGS/client")"
kill -TERM "${PID[client]}"
finish client 30 || fail "client ($?): $(tail -1 "$LOGS/client")"
in_systemd systemctl stop toed || fail "the last stop"
leaks && fail "toed left something behind"
exit 0
