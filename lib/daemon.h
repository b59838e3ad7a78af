/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The conversation with toed on app.sock. */
#ifndef DAEMON_H
#define DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include "toe/app.h"
#include "toe/maps.h"

void daemon_init(void);
bool daemon_ready(void);	/* connected, or connects now; tries at most once a second */
bool daemon_lost(void);		/* was there once and has closed the connection */
int daemon_eventfd(void);	/* -1: never connected */
int daemon_sock(void);
uint32_t daemon_fresh(void);	/* counts toeds that did not know this process: queue pairs of before are void */
uint32_t daemon_gen(void);	/* grows with every HELLO: both descriptors are new then */

/* One request; the reply overwrites msg. nfds: room in fds, set to how many came. 0, rc of
 * the reply, or -EIO: no toed, for 30 s if it did not give its connections back. */
int daemon_request(struct toe_msg *msg, int *fds, int *nfds);
int daemon_upload(int fd, enum toe_why why);
int daemon_option(int fd);	/* the engines take over what was set on the parked socket */
int daemon_tell(int fd);	/* struct toe_info is written anew; -EIO at once if there is no toed */
int daemon_pin(int fd);		/* before exec: see TOE_MSG_PIN */
uint8_t *daemon_slab(unsigned int slab);	/* mapped for the life of the process; NULL */
void daemon_check(void);	/* called by waiters now and then: notices and mends a lost connection */
void daemon_kick(void);		/* wake all of this process's sleepers by way of the eventfd */
void daemon_forked(void);

#endif
