/* SPDX-License-Identifier: MIT */
/* params.h - a statement's parameters, in libpq's shape
 *
 * Values are added in the order of $1, $2, …; NULL is SQL's NULL. Text goes as it is and is
 * borrowed; bytes, numbers, times and arrays go in Postgres' binary format. */
#ifndef STORAGE_POSTGRES_PARAMS_H
#define STORAGE_POSTGRES_PARAMS_H

#include "lib/arena.h"
#include "lib/ids.h"
#include "lib/slice.h"

#include <libpq-fe.h>

/* The types' numbers, which are the same in every Postgres (pg_type.dat). */
enum {
	PG_BYTEA = 17,
	PG_INT8 = 20,
	PG_TEXT = 25,
	PG_JSON = 114,
	PG_INET = 869,
	PG_TEXT_ARRAY = 1009,
	PG_TIMESTAMPTZ = 1184,
	PG_UUID = 2950,
	PG_JSONB = 3802,
};

enum { PG_MAX_PARAMS = 32 };

struct pg_params {
	struct arena *arena; /* of what had to be built */
	int count;
	const char *values[PG_MAX_PARAMS];
	int lengths[PG_MAX_PARAMS];
	int formats[PG_MAX_PARAMS];
};

void pg_params_init(struct pg_params *p);
void pg_params_clear(struct pg_params *p);
void pg_params_deinit(struct pg_params *p);

void pg_params_text(struct pg_params *p, const char *s);
void pg_params_bytes(struct pg_params *p, struct slice bytes);
void pg_params_uuid(struct pg_params *p, const struct uuid *id);
void pg_params_int8(struct pg_params *p, int64_t v);
void pg_params_time(struct pg_params *p, int64_t us_since_1970);
void pg_params_texts(struct pg_params *p, const char *const *list, size_t count);

#endif
