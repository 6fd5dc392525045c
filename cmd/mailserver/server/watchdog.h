/* SPDX-License-Identifier: MIT */
/* watchdog.h - tells systemd that the server is well, while all its workers' loops turn
 *
 * Asked for by WatchdogSec=, which should be a second or more: a loop is known to turn by its sweep,
 * a few times a second. A loop that hangs silences the whole, and systemd restarts the server.
 *
 * Threads    The main thread. */
#ifndef CMD_MAILSERVER_SERVER_WATCHDOG_H
#define CMD_MAILSERVER_SERVER_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct server;

struct watchdog {
	int64_t every_us; /* 0: nobody asks */
	int64_t next_us;  /* of the monotonic clock */
	uint64_t *seen;   /* sweeps, one of each worker, when last looked */
};

struct watchdog watchdog_new(void);
void watchdog_free(struct watchdog *w);

/* Whether each worker has swept since it was last asked, or has left. */
bool watchdog_all_turn(struct watchdog *w, const struct server *s);

/* Asks, when it is time to, and tells systemd when all is well. When to call again; INT64_MAX for never. */
int64_t watchdog_look(struct watchdog *w, const struct server *s);

#endif
