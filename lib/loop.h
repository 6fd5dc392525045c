/* SPDX-License-Identifier: MIT */
/* loop.h - one event loop per worker thread: h2o's, with timers, descriptors and mail from others
 *
 * h2o 2.2.5 brings the loop; this gives the rest of the program one small interface to it, so that
 * storage drivers can be written, and tested, without HTTP.
 *
 * Threads    A loop and everything on it are made, run and freed on one thread: h2o recycles buffers
 *            within the thread that made the socket, so a loop that was made elsewhere corrupts
 *            memory. Only loop_post() may be called from other threads. */
#ifndef LIB_LOOP_H
#define LIB_LOOP_H

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(void);
/* Timers, descriptors and mailboxes must be gone. Accepts a pointer to NULL. */
void loop_free(struct loop **loop);
h2o_loop_t *loop_h2o(struct loop *loop);
/* Waits for events, `max_wait_ms` at most, and runs their callbacks. */
void loop_run(struct loop *loop, int32_t max_wait_ms);
/* Milliseconds on the loop's clock, taken when the present round of callbacks began. */
uint64_t loop_now_ms(const struct loop *loop);

/* A timer that goes off once. */
struct loop_timer {
	h2o_timeout_t list; /* h2o sorts timers by length: a list of one */
	h2o_timeout_entry_t entry;
	struct loop *loop;
	void (*cb)(void *data);
	void *data;
};

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*cb)(void *data), void *data);
/* Not from within any timer's callback. */
void loop_timer_deinit(struct loop_timer *t);
/* Starts it, anew if it was running. */
void loop_timer_start(struct loop_timer *t, uint64_t after_ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_running(const struct loop_timer *t);

/* Readiness of a descriptor that somebody else (libpq, hiredis) reads and writes. */
struct loop_fd;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* Watches a duplicate of `fd`, which stays the caller's. Nothing is reported before loop_fd_want.
 * NULL, with errno, when the process has no descriptor left for the duplicate. */
struct loop_fd *loop_fd_open(
	struct loop *loop, int fd, void (*cb)(void *data, unsigned ready), void *data);
/* What to report from now on; reading until told otherwise, writing once. */
void loop_fd_want(struct loop_fd *w, unsigned events);
/* From its own callback too. Accepts a pointer to NULL. */
void loop_fd_close(struct loop_fd **w);

/* Mail between threads: a thing that is posted is embedded in the sender's own struct. */
struct loop_mail {
	h2o_multithread_message_t super;
};

struct loop_mailbox {
	h2o_multithread_receiver_t super;
	struct loop *loop;
	void (*cb)(struct loop_mailbox *box, struct loop_mail *mail);
};

void loop_mailbox_init(struct loop_mailbox *box, struct loop *loop,
	void (*cb)(struct loop_mailbox *box, struct loop_mail *mail));
/* No mail may be under way. */
void loop_mailbox_deinit(struct loop_mailbox *box);
/* Any thread. The mail belongs to the mailbox until its callback has it; order is kept per box. */
void loop_post(struct loop_mailbox *box, struct loop_mail *mail);

#endif
