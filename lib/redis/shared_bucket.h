/* SPDX-License-Identifier: MIT */
/* shared_bucket.h - a token bucket in Redis, one for all who use the same name
 *
 * One script makes each decision, on Redis' own clock. The key is `mailserver:bucket:` and the name;
 * it expires by itself when the bucket is full again.
 *
 * Threads and callbacks are those of the link. */
#ifndef LIB_REDIS_SHARED_BUCKET_H
#define LIB_REDIS_SHARED_BUCKET_H

#include "lib/bucket.h"
#include "lib/redis/link.h"
#include "lib/slice.h"

enum shared_result {
	SHARED_OK,
	SHARED_LOST,   /* no answer came: what was taken, if anything, is lost */
	SHARED_FAILED, /* an error came, or nonsense */
};

struct shared_answer {
	uint32_t given;    /* of the tokens that were wanted, as many as there were */
	uint32_t tokens;   /* left in the bucket */
	uint64_t fraction; /* of the next one, in BUCKET_TOKEN's units */
};

/* Embedded in the asker's own; in use until `done`. */
struct shared_ask {
	struct slice name; /* borrowed until then */
	struct bucket_rate rate;
	uint32_t wanted;
	/* `answer` is NULL unless OK; `reason` is for FAILED. */
	void (*done)(struct shared_ask *ask, enum shared_result result,
		const struct shared_answer *answer, const char *reason);
	struct redis_command command;
	bool in_full; /* the script itself was sent, not its digest */
};

/* False, and no callback, when the link is down. */
bool shared_bucket_ask(struct redis_link *link, struct shared_ask *ask);

#endif
