/* SPDX-License-Identifier: MIT */
/* listen.h - the addresses the server listens on: bound first, listened on later
 *
 * A TCP address gets one socket per worker (SO_REUSEPORT), so that the kernel spreads connections
 * and a second server can take over the port. A Unix socket and those that systemd hands over exist
 * once; every worker holds a duplicate. */
#ifndef CMD_MAILSERVER_SERVER_LISTEN_H
#define CMD_MAILSERVER_SERVER_LISTEN_H

#include <stdbool.h>

struct listen_settings {
	char *const *addresses; /* IPv4, IPv6, or unix:/path */
	unsigned count;
	unsigned port;
	const char *purpose;                    /* for the log: "mail", "metrics" */
	const char *socket_mode, *socket_group; /* of unix: sockets; "" leaves them alone */
	bool from_systemd; /* take its sockets (LISTEN_FDS), when it hands any over */
};

struct listen_set {
	int *fds; /* worker w's are fds[w * per_worker] and the per_worker - 1 after it */
	unsigned workers, per_worker;
	const char *purpose;
};

/* Takes the addresses, so that nobody else can who does not share them. -1 with `*error_r` (free()
 * it): which address, why, and what would help. */
int listen_open(const struct listen_settings *settings, unsigned workers, struct listen_set *set_r,
	char **error_r);
/* From here on the kernel accepts connections for the worker, and a TCP port's are shared with the
 * servers that listen there already. -1 as above. */
int listen_begin(struct listen_set *set, unsigned worker, char **error_r);
/* Where it listens: the same text for the same addresses, in whatever order and by whomever they were
 * opened. free() it. */
char *listen_names(const struct listen_set *set);
/* Closes those that are not -1, and forgets all. */
void listen_close(struct listen_set *set);
/* A worker's row of `per_worker` sockets; one that it closes itself it sets to -1. */
int *listen_row(struct listen_set *set, unsigned worker);

#endif
