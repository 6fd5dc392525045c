/* SPDX-License-Identifier: MIT */
/* arena.h - memory with one owner
 *
 * Everything allocated from an arena is freed at once with it, so what is built from many pieces
 * (a parsed message, a configuration) needs no destructor of its own. Allocation failure aborts,
 * as in h2o and GLib. Memory is aligned for any type and not zeroed, unless a function says so.
 *
 * Threads    An arena belongs to one thread at a time; hand it over whole. */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena **arena); /* accepts a pointer to NULL */

void *arena_alloc(struct arena *arena, size_t bytes);
void *arena_zalloc(struct arena *arena, size_t bytes);
void *arena_dup(struct arena *arena, const void *p, size_t bytes);
/* A copy of `len` bytes, with a NUL behind them. */
char *arena_strndup(struct arena *arena, const char *s, size_t len);
/* NULL stays NULL. */
char *arena_strdup(struct arena *arena, const char *s);
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Bytes taken from the system so far: the arena's share of the process' memory. */
size_t arena_footprint(const struct arena *arena);

#endif
