/* SPDX-License-Identifier: MIT */
/* parse_pool.h - threads that parse, so that no event loop ever does
 *
 * A job is prepared and parsed on a pool thread and answered on the loop it came from, always, and
 * never before its submit returns. A parse that takes longer than its deadline is given up: the job
 * is answered with mime_unparsed("deadline"), its thread is left to itself and replaced. When too
 * many threads were lost that way, jobs are answered with mime_unparsed("overload") until one of
 * them comes back: the message is stored all the same.
 *
 * Threads    parse_pool_submit and _cancel: any; `prepare` runs on a pool thread; `done` on the
 *            loop of `reply_to`.
 * Ownership  A job and what it points at are borrowed until it is answered. The parser works on a
 *            copy of the raw bytes, so a job that was given up may be freed at once. */
#ifndef LIB_PARSE_POOL_H
#define LIB_PARSE_POOL_H

#include "lib/loop.h"
#include "lib/mime/mime.h"
#include "lib/slice.h"

struct parse_pool;

struct parse_pool_settings {
	unsigned threads;          /* at least 1 */
	unsigned max_lost_threads; /* given up and still running */
	uint32_t deadline_cpu_ms;  /* of CPU time, for one parse */
	uint32_t deadline_wall_ms; /* of time gone by: for a parse that starves or blocks */
	struct mime_limits limits;
};

struct parse_job {
	struct loop_mail mail;
	struct loop_mailbox *reply_to; /* made by parse_mailbox_init */

	/* Optional work before the parse (hashing, unpacking), which no deadline cuts short. It may set
	 * `raw`. When it answers false the job is done without a parse, and `mime` stays NULL. */
	bool (*prepare)(struct parse_job *job);
	struct slice raw;
	/* Optional work after the parse, on the same thread, before the answer; no deadline either. For
	 * a job that no thread could finish, the pool's watcher does it (and `prepare`, if need be). */
	void (*finish)(struct parse_job *job);
	void (*done)(struct parse_job *job);

	struct mime_message *mime; /* out, the caller's to free */
	struct parse_job *next;    /* the pool's */
};

/* Never NULL: a system that has no thread to give at the start is fatal. */
struct parse_pool *parse_pool_new(const struct parse_pool_settings *set);
/* All jobs must have been answered. Waits for the threads, not for lost ones. */
void parse_pool_free(struct parse_pool **pool);

/* A mailbox whose callback calls `done`. */
void parse_mailbox_init(struct loop_mailbox *box, struct loop *loop);

void parse_pool_submit(struct parse_pool *pool, struct parse_job *job);
/* True when the job was still waiting: it is the caller's again and will not be answered. */
bool parse_pool_cancel(struct parse_pool *pool, struct parse_job *job);

struct parse_pool_stats {
	unsigned waiting, running, lost;
	uint64_t deadlines; /* parses given up since the start */
};
struct parse_pool_stats parse_pool_stats(struct parse_pool *pool);

#endif
