/* SPDX-License-Identifier: MIT */
/* blobs.h - the messages that a reader thread is asked for piece by piece
 *
 * SQLite keeps a large value as a chain of pages: to find its end is to read all of it. A handle that
 * stays open remembers the pages it came by, so one is kept between the pieces of a message.
 *
 * An open handle is a read transaction, and through one that stays, a log that is never put into the
 * database grows without bound. So all handles of a thread, which share its transaction, are closed
 * SQLITE_BLOBS_HELD_US after the first of them was opened, whatever is going on; and none is kept while
 * the log is long (sqlite_core_log_is_long()). A slow client costs a walk along the chain now and then.
 *
 * Threads    They belong to one thread. */
#ifndef STORAGE_SQLITE_BLOBS_H
#define STORAGE_SQLITE_BLOBS_H

#include "lib/arena.h"
#include "storage/storage.h"

enum { SQLITE_BLOBS_HELD_US = 1000 * 1000 };

struct sqlite_core;
struct sqlite_blobs;

/* `path` must outlive it. */
struct sqlite_blobs *sqlite_blobs_new(struct sqlite_core *core, const char *path);
/* Accepts a pointer to NULL. */
void sqlite_blobs_free(struct sqlite_blobs **b);

/* The bytes that `op` asks for, in the arena. Whether the message is there, and the tenant's, the
 * caller has made sure of: what is read here may have been deleted a moment ago. */
enum storage_result sqlite_blobs_read(struct sqlite_blobs *b, const struct storage_range *op,
	struct arena *arena, struct slice *bytes_r);

/* When sqlite_blobs_let_go() is due, by monotonic_us(); 0 while no handle is kept. */
int64_t sqlite_blobs_due_us(const struct sqlite_blobs *b);
void sqlite_blobs_let_go(struct sqlite_blobs *b);

#endif
