/* SPDX-License-Identifier: MIT */
/* lookup.h - the addresses of named hosts, looked up on a thread: getaddrinfo() waits, for many
 * seconds when the name servers are gone, and a loop must not
 *
 * Threads    Everything on the loop; one short-lived thread for each lookup. */
#ifndef LIB_LOOKUP_H
#define LIB_LOOKUP_H

#include "lib/loop.h"
#include "lib/slice.h"

#include <netdb.h>

struct lookup;

/* Empty names are passed over. `done` is called once, unless the lookup is ended first. NULL when there is no thread to be had. */
struct lookup *lookup_begin(struct loop *loop, const struct slice *names, unsigned count,
	void (*done)(void *data), void *data);
/* At any time, from `done` too; a thread that still waits is left to itself. Accepts a pointer to
 * NULL. */
void lookup_end(struct lookup **lookup);

/* Once done: the addresses of the i-th name; NULL when there are none, and then lookup_error()
 * says why. */
const struct addrinfo *lookup_found(const struct lookup *lookup, unsigned i);
const char *lookup_error(const struct lookup *lookup, unsigned i);

#endif
