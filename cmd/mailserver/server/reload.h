/* SPDX-License-Identifier: MIT */
/* reload.h - SIGHUP: the configuration is read anew, and what can change does
 *
 * Tokens, proxies, TLS and the log change; nothing in flight is disturbed. What cannot change while
 * running is named in a warning. A configuration that is not valid, or certificates that cannot be
 * used, change nothing. */
#ifndef CMD_MAILSERVER_SERVER_RELOAD_H
#define CMD_MAILSERVER_SERVER_RELOAD_H

#include "cmd/mailserver/server/server.h"

/* On the main thread. Logs what came of it. */
void server_reload(struct server *s);

#endif
