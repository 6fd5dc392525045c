/* SPDX-License-Identifier: MIT */
/* metrics_server.h - the port that Prometheus asks, on a loop and a thread of its own
 *
 * It answers one path. It needs nothing of the workers' loops, so it goes on answering while they
 * are busy and while the server drains.
 *
 * Threads    Opened and closed on the main thread. */
#ifndef CMD_MAILSERVER_SERVER_METRICS_SERVER_H
#define CMD_MAILSERVER_SERVER_METRICS_SERVER_H

#include "cmd/mailserver/server/server.h"

struct metrics_server;

/* -1 with `*error_r` (free() it) when an address cannot be listened on. With metrics_enabled off it
 * opens nothing, and `*ms_r` is NULL. */
int metrics_server_open(struct server *server, struct metrics_server **ms_r, char **error_r);
/* Cuts what is open. The thread parks until the process ends. Accepts a pointer to NULL. */
void metrics_server_close(struct metrics_server **ms);

#endif
