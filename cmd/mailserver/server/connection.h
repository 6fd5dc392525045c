/* SPDX-License-Identifier: MIT */
/* connection.h - what h2o does not know of its connections: how many, how long, how to let go
 *
 * h2o 2.2 has one timeout for reading a request and for waiting for one. Here each connection is
 * watched: a request must be complete within read_timeout of its first byte, and an idle one goes
 * after idle_timeout. A refusal that is sent before the body was read is followed by a lingering
 * close, so that the client sees it instead of a reset.
 *
 * Before HTTP come, by the worker's policy, a line of the PROXY protocol and a TLS handshake, both
 * together within read_timeout. A connection keeps the TLS context it began with.
 *
 * All on the worker's thread. */
#ifndef CMD_MAILSERVER_SERVER_CONNECTION_H
#define CMD_MAILSERVER_SERVER_CONNECTION_H

#include "cmd/mailserver/server/worker.h"

/* Takes over a socket that was just accepted; it counts until it is closed. */
void connection_open(struct worker *w, h2o_socket_t *sock);

/* To be called a few times a second. Cuts what is over its time; while draining, what is idle. */
void connections_sweep(struct worker *w);

/* Ends the connection that the request is on, without the rest of its answer: what is still to be
 * written fails. Only while something is. */
void connection_give_up(h2o_req_t *req);

/* Before the chain: marks a request's begin and end on its connection. */
void connections_attach(h2o_pathconf_t *path);

#endif
