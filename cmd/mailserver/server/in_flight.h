/* SPDX-License-Identifier: MIT */
/* in_flight.h - messages, and their bytes, that are taken in but not answered yet: a cap on memory
 *
 * Threads    Any. One exchange of an atomic for each message, at its begin and its end. */
#ifndef CMD_MAILSERVER_SERVER_IN_FLIGHT_H
#define CMD_MAILSERVER_SERVER_IN_FLIGHT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct in_flight {
	atomic_uint_fast32_t max_messages;
	atomic_uint_fast64_t max_bytes;
	atomic_uint_fast32_t messages;
	atomic_uint_fast64_t bytes;
};

/* False, with nothing counted, when there is no room. One message alone always has it. What began
 * is to be ended once, with the same number of bytes. */
bool in_flight_begin(struct in_flight *f, uint64_t bytes);
void in_flight_end(struct in_flight *f, uint64_t bytes);

#endif
