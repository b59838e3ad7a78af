/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include "log.h"
#include "privs.h"

static const unsigned int needed[] = {
	CAP_BPF, CAP_PERFMON,		/* programs and maps */
	CAP_NET_ADMIN,			/* XDP, TAPs, rtnetlink, TCP_REPAIR */
	CAP_NET_RAW,			/* hearing ICMP errors; packets of the detour */
	CAP_SYS_ADMIN,			/* setns, mount, BPF objects by id */
	CAP_SYS_PTRACE,			/* pidfd_getfd, files of applications */
	CAP_CHECKPOINT_RESTORE,
	CAP_NET_BIND_SERVICE,		/* rebuilding a socket with a low port */
	CAP_SYS_RESOURCE, CAP_IPC_LOCK,
	CAP_DAC_OVERRIDE,		/* directories and processes of other users */
};

int privs_drop(void)
{
	unsigned int i, have = 0;

	if (capng_get_caps_process())
		return -EPERM;
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		have |= (unsigned int)!!capng_have_capability(CAPNG_PERMITTED, needed[i]) << i;
	capng_clear(CAPNG_SELECT_BOTH);
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (have >> i & 1)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, needed[i]);
	if (capng_apply(CAPNG_SELECT_CAPS)) {
		log_warn("cannot drop capabilities");
		return 0;
	}
	return 0;
}
