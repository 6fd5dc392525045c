/* SPDX-License-Identifier: MIT */
/* link_internal.h - what the two halves of a link share: link.c brings it up and knows when it is
 * down, pipeline.c carries batches */
#ifndef STORAGE_POSTGRES_LINK_INTERNAL_H
#define STORAGE_POSTGRES_LINK_INTERNAL_H

#include "storage/postgres/link.h"
#include "storage/postgres/statement.h"
#include "storage/postgres/stream.h"

enum { MAX_BEGIN_BYTES = 256, MAX_REASON_BYTES = 512 };

enum state {
	DOWN,       /* waits for its timer to try again */
	CONNECTING, /* looks up names, then libpq is at it */
	CHECKING,   /* has asked whether the server keeps what it commits */
	IDLE,
	BUSY, /* carries a batch */
};

/* What a batch's transaction consists of. Most are one pipeline, and its sync is their commit. The
 * bytes of a large message go between pipelines, so it has a BEGIN and a COMMIT. */
enum stage {
	WHOLE,
	OPENING,   /* BEGIN, and all but the bytes */
	STREAMING, /* the bytes, unless the message is known */
	COMMITTING,
	UNDOING,
};

struct pg_link {
	struct pg_link_user *user;
	unsigned number;
	enum state state;
	struct lookup *lookup; /* of the hosts' names, before there is a connection */
	PGconn *pg;
	struct loop_fd *watch;
	struct loop_timer timer;     /* DOWN: until the next attempt; else: until it is given up */
	unsigned failures;           /* attempts since it was up */
	char told[MAX_REASON_BYTES]; /* why it is down, as it was logged last */
	char begin_sql[MAX_BEGIN_BYTES];
	struct pg_statement begin, works[PG_KINDS];
	bool is_pooled; /* one session does not see what another one prepared */
	bool is_read_only;

	/* Of the batch that is on its way, and of its pipeline. */
	struct pg_batch batch;
	enum stage stage;
	struct pg_stream stream;
	uint64_t time_ms;               /* that there was for it when it was sent */
	struct pg_statement *preparing; /* NULL: it carries the batch itself */
	unsigned results;
	bool sync_sent; /* and with it everything before it */
	bool failed;    /* one of its results is an error, of the server or of libpq */
};

/* Of link.c. */

/* The one place where a link's state changes. `reason` is for DOWN. */
void pg_link_set_state(struct pg_link *link, enum state state, const char *reason);
/* From any state but DOWN; `reason` may be libpq's or the batch's. */
void pg_link_lost(struct pg_link *link, const char *reason);

/* Of pipeline.c. */

/* Asks whether the server keeps what it commits. */
void pg_link_check(struct pg_link *link);
/* Reads, answers and sends what can be; connected. */
void pg_link_go_on(struct pg_link *link, unsigned ready);
/* The link is gone, and with it the batch that it carried. */
void pg_link_abandon_batch(struct pg_link *link);

#endif
