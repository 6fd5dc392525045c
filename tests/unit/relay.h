/* SPDX-License-Identifier: MIT */
/* relay.h - stands between a client and its server, on a thread of its own, and can be told to
 * misbehave as networks and servers do
 *
 * Threads    Everything but its own thread's work: the test's main thread. */
#ifndef TESTS_UNIT_RELAY_H
#define TESTS_UNIT_RELAY_H

#include <stdbool.h>
#include <sys/socket.h>

struct relay;

/* A socket that listens on 127.0.0.1 and a port of its own; nobody accepts there. */
int listen_somewhere(unsigned *port_r);

struct relay *relay_begin(const struct sockaddr *server, socklen_t len);
void relay_end(struct relay **relay); /* accepts a pointer to NULL */
unsigned relay_port(const struct relay *relay);

/* What the server says is swallowed. */
void relay_mute(struct relay *relay, bool mute);
/* What the client says is not read. */
void relay_stall(struct relay *relay, bool stall);
/* Closes every connection, before it returns; new ones are welcome. */
void relay_cut(struct relay *relay);

#endif
