/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/in_flight.h"

/* Two that come at the same moment may each see the other and both be refused; never are both let
 * in where there is room for one. */
bool in_flight_begin(struct in_flight *f, uint64_t bytes)
{
	uint64_t messages = atomic_fetch_add_explicit(&f->messages, 1, memory_order_relaxed);
	uint64_t before = atomic_fetch_add_explicit(&f->bytes, bytes, memory_order_relaxed);

	if (messages < atomic_load_explicit(&f->max_messages, memory_order_relaxed) &&
		(before == 0 || before + bytes <=
					atomic_load_explicit(&f->max_bytes, memory_order_relaxed)))
		return true;
	in_flight_end(f, bytes);
	return false;
}

void in_flight_end(struct in_flight *f, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&f->messages, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&f->bytes, bytes, memory_order_relaxed);
}
