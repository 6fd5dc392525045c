/* SPDX-License-Identifier: MIT */
/* link.h - one connection to the server, for ever: it connects, carries one batch at a time, and
 * when it is lost it connects again, by itself, with growing and random pauses
 *
 * A batch is one transaction: all its statements go out in one pipeline, and the answer to the one
 * sync at its end decides them all.
 *
 * Threads    Everything on the loop of its user. */
#ifndef STORAGE_POSTGRES_LINK_H
#define STORAGE_POSTGRES_LINK_H

#include "storage/postgres/conninfo.h"
#include "storage/postgres/work.h"

enum pg_fate {
	PG_COMMITTED,
	PG_ROLLED_BACK, /* nothing was written, for sure */
	PG_UNCERTAIN,   /* the link was lost after the sync was sent and before it was answered */
};

struct pg_batch {
	const struct pg_work_kind *kind;
	struct pg_work **works;
	unsigned count;
	PGresult *result; /* of a batch that was committed */
	char sqlstate[6]; /* this and error: of the statement that failed; "" when none did */
	char *error;
};

/* Who has links. The callbacks come from the loop, or from within pg_link_send. */
struct pg_link_user {
	const struct storage_settings *set;
	struct loop *loop;
	struct pg_conninfo *conninfo;
	struct pg_params *params; /* what a batch is made ready in; sent, it is free again */
	/* A link is up, down or idle that was not. */
	void (*changed)(struct pg_link_user *user);
	/* The batch's works are the user's again, and the link has forgotten them. */
	void (*settled)(struct pg_link_user *user, const struct pg_batch *batch, enum pg_fate fate);
};

struct pg_link;

struct pg_link *pg_link_open(struct pg_link_user *user, unsigned number);
/* It must not carry a batch. Accepts a pointer to NULL. Not from a callback. */
void pg_link_close(struct pg_link **link);

bool pg_link_is_up(const struct pg_link *link);   /* idle, or carrying a batch */
bool pg_link_is_idle(const struct pg_link *link); /* it can take a batch */

unsigned pg_link_load(const struct pg_link *link); /* works that it carries */

/* Sends `count` works of one kind (at most batch_messages of the settings). */
void pg_link_send(struct pg_link *link, struct pg_work *const *works, unsigned count);

#endif
