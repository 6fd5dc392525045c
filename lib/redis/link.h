/* SPDX-License-Identifier: MIT */
/* link.h - one connection to Redis on a loop: made, watched, and made anew for ever
 *
 * Commands go out while the link is up, and are answered in order. The link itself sends one every
 * second, so that a server that went silent is noticed before somebody needs it. How long an answer
 * may take is the caller's to say: who has waited long enough calls redis_link_drop().
 *
 * Threads    All on the loop's thread.
 * Callbacks  Each command that was taken is answered once, never before redis_link_send() returns.
 *            Both kinds of callback may send, and drop the link; neither may close it. */
#ifndef LIB_REDIS_LINK_H
#define LIB_REDIS_LINK_H

#include "lib/loop.h"
#include "lib/redis/url.h"

#include <hiredis/hiredis.h>

struct redis_link;

struct redis_link_settings {
	const struct redis_url *url; /* borrowed */
	struct loop *loop;
	unsigned timeout_ms; /* a server that takes longer to greet is not taken for up */
	/* It went up, went down, or is down for another reason; `reason` is NULL for up. */
	void (*changed)(void *data, bool up, const char *reason);
	/* An attempt failed, or a link that was up is lost. */
	void (*failed)(void *data);
	void *data;
};

/* To be embedded in the sender's own; belongs to the link until it is answered. */
struct redis_command {
	/* `reply` is NULL when the connection was lost, and lives until the callback returns. */
	void (*done)(struct redis_command *command, const redisReply *reply);
	struct redis_link *link;
	int64_t sent_us;
};

struct redis_link *redis_link_open(const struct redis_link_settings *set);
/* What is unanswered is answered with NULL. Accepts a pointer to NULL. */
void redis_link_close(struct redis_link **link);

bool redis_link_is_up(const struct redis_link *link);
/* Of the last answer. */
int64_t redis_link_latency_us(const struct redis_link *link);

/* False when it was not taken: the link is not up. Copies the arguments. */
bool redis_link_send(struct redis_link *link, struct redis_command *command, int argc,
	const char *const *argv, const size_t *lengths);

/* Gives the connection up: all commands are answered with NULL, before this returns unless it is
 * called from a command's callback. A new one follows, later with every time until the sender says
 * that an answer was of use. */
void redis_link_drop(struct redis_link *link, const char *reason);
void redis_link_proved(struct redis_link *link);

#endif
