/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The start order of toed and its exact reverse. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include "app.h"
#include "conf.h"
#include "conn.h"
#include "ctl.h"
#include "engine.h"
#include "expire.h"
#include "fault.h"
#include "feature.h"
#include "layout.h"
#include "log.h"
#include "loop.h"
#include "neigh.h"
#include "netns.h"
#include "nic.h"
#include "options.h"
#include "policy.h"
#include "privs.h"
#include "qp.h"
#include "slab.h"
#include "work.h"

static int lock_fd = -1;

/* ---- the process ---- */

static int libbpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (log_level < 7 || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, ap);
}

static int libxdp_print(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	if (log_level < 7 || level == LIBXDP_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, ap);
}

static void raise_limit(int resource, rlim_t want)
{
	struct rlimit r;

	getrlimit(resource, &r);
	if (want == RLIM_INFINITY)
		r.rlim_max = RLIM_INFINITY;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(resource, &r))
		log_debug("setrlimit: %m");
}

static int process_init(void)
{
	int err;

	if (geteuid()) {
		log_err("must be started as root");
		return -EPERM;
	}
	raise_limit(RLIMIT_NOFILE, 0);		/* one duplicate descriptor a connection */
	raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	/* frames wait for toed while a connection is held */
	if (setpriority(PRIO_PROCESS, 0, -15))
		log_debug("priority: %s", strerror(errno));
	err = privs_drop();
	if (err)
		return err;
	fault_init();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	umask(0022);
	libbpf_set_print(libbpf_print);
	libxdp_set_print(libxdp_print);
	err = netns_init();
	return err ? err : loop_init();
}

static void process_exit(void)
{
	loop_exit();
}

/* ---- one toed a run directory ---- */

static int lock_held(int fd)
{
	char pid[16] = "";

	if (read(fd, pid, sizeof(pid) - 1) < 0)
		pid[0] = 0;
	pid[strcspn(pid, "\n")] = 0;
	log_err("already running, process %s (it holds %s/toed.lock)", pid, conf.rundir);
	close(fd);
	return -EBUSY;
}

static int lock_init(void)
{
	char path[128];
	int fd;

	if (mkdir(conf.rundir, 0755) && errno != EEXIST) {
		log_err("cannot make %s: %m", conf.rundir);
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/toed.lock", conf.rundir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		log_err("%s: %m", path);
		return -EACCES;
	}
	if (flock(fd, LOCK_EX | LOCK_NB))
		return lock_held(fd);
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0)
		log_warn("%s: %m", path);
	lock_fd = fd;
	return 0;
}

static void lock_exit(void)
{
	char path[128];

	if (lock_fd < 0)
		return;
	snprintf(path, sizeof(path), "%s/toed.lock", conf.rundir);
	unlink(path);
	close(lock_fd);
	lock_fd = -1;
	rmdir(conf.rundir);	/* stays if something of others is in it */
}

/* ---- parts that need a word more than init and exit ---- */

static int start_layout(void)
{
	unsigned int other = layout_other();
	int err;

	if (!other)
		return 0;
	lock_exit();
	err = layout_settle(other);
	return err ? err : lock_init();
}

static int start_engine(void)
{
	bool adopts = !access(conf.bpffs, F_OK);
	int err = engine_open(conf.bpffs);

	if (err && adopts)
		engine_close();		/* connections live on it */
	else if (err)
		engine_unload();
	else
		layout_keep();
	return err;
}

static void stop_engine(void)
{
	engine_unload();
	layout_forget();
}

static int start_nics(void)
{
	char text[256];
	unsigned int i;
	int err = nic_init();

	if (err)
		return err;
	nic_adopt_all();
	for (i = 0; i < conf.nr_ifs; i++) {
		err = nic_attach(netns_home(), conf.ifs[i].name, conf.ifs[i].generic, text, sizeof(text));
		if (err && err != -EEXIST) {
			log_err("%s", text);
			if (!engine_adopted())	/* connections live on the others */
				nic_exit();
			return err;
		}
	}
	return 0;
}

static int start_conns(void)
{
	int err = conn_init();

	if (!err)
		expire_init();
	return err;
}

static void stop_conns(void)
{
	int failed = conn_upload_all(0, TOE_WHY_STOP);

	conn_recover();
	if (failed)
		log_err("%d connections could not be given back to the kernel", failed);
	conn_abort_all();
}

static const struct part {
	const char *name;
	int (*start)(void);
	void (*stop)(void);
} parts[] = {
	{ "process",	process_init,	process_exit },
	{ "lock",	lock_init,	lock_exit },
	{ "kernel",	feature_check,	NULL },
	{ "maps of another version", start_layout, NULL },
	{ "engine",	start_engine,	stop_engine },
	{ "queue pairs", qp_init,	qp_exit },
	{ "slabs",	slab_init,	slab_exit },
	{ "queue pair of the daemon", qp_daemon_open, qp_daemon_close },
	{ "applications", app_init,	app_exit },
	{ "interfaces",	start_nics,	nic_exit },
	{ "connections",	start_conns,	stop_conns },
	{ "work",	work_init,	work_exit },
	{ "policy",	policy_init,	policy_exit },
	{ "control socket", ctl_init,	ctl_exit },
};
#define NR_PARTS (sizeof(parts) / sizeof(parts[0]))

static void stop(size_t nr)
{
	while (nr--)
		if (parts[nr].stop)
			parts[nr].stop();
}

static int start(void)
{
	size_t i;
	int err;

	/* With a toed's that died in the maps, nothing is taken down: its connections go on, as after a crash. */
	for (i = 0; i < NR_PARTS; i++) {
		unsigned int said = log_errors;

		err = parts[i].start();
		if (err >= 0)
			continue;
		if (log_errors == said)		/* nobody has named the reason yet */
			log_err("cannot start: %s: %s", parts[i].name, strerror(-err));
		if (!engine_adopted())
			stop(i);
		else
			log_err("connections of the toed before this one stay in hardware; start again to take them over");
		return err;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int err = options_parse(argc, argv);

	if (!err)
		err = start();
	if (err)
		return 1;
	log_info("ready");
	sd_notify(0, "READY=1");
	err = conf.give_back ? 0 : sd_event_loop(loop);
	sd_notify(0, "STOPPING=1");
	if (err < 0)
		log_err("event loop: %s", strerror(-err));
	stop(NR_PARTS);
	return err < 0;
}
