/* SPDX-License-Identifier: MIT */
/* keyed.h - things by name, bounded in number: what was longest unused makes room for what is new
 *
 * All memory is taken at birth, and untouched pages of it cost nothing. The hash is seeded, so
 * nobody can choose names that meet.
 *
 * Threads    One at a time. */
#ifndef LIB_KEYED_H
#define LIB_KEYED_H

#include "lib/slice.h"

struct keyed;

/* What becomes of an entry when room is needed. */
enum keyed_worth {
	KEYED_SPARE, /* goes first: nothing is lost with it */
	KEYED_USED,  /* goes if it is the oldest */
	KEYED_HELD,  /* stays: somebody points at it */
};
typedef enum keyed_worth keyed_worth_fn(const void *entry, void *data);

/* At most `max` entries of `size` bytes each. */
struct keyed *keyed_new(size_t max, size_t size, keyed_worth_fn *worth);
void keyed_free(struct keyed **k); /* accepts a pointer to NULL */

/* NULL when it is not there. Being found makes it the newest. */
void *keyed_find(struct keyed *k, struct slice name);
/* A new entry, all zero; the name must not be there yet. `data` is handed to `worth`. NULL when all
 * that might have gone is held. */
void *keyed_add(struct keyed *k, struct slice name, void *data);

#endif
