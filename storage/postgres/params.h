/* SPDX-License-Identifier: MIT */
/* params.h - a statement's parameters, in libpq's shape and Postgres' binary format
 *
 * Either values one by one, for $1, $2, …: pg_params_text(), pg_params_uuid(). Or whole rows, each of
 * their columns being one array: pg_rows_begin() opens the columns, pg_rows_* add one value each, from
 * left to right and row after row, pg_rows_end() makes parameters of them.
 *
 * The memory is kept from one use to the next, up to a bound: a link sends one batch after another. */
#ifndef STORAGE_POSTGRES_PARAMS_H
#define STORAGE_POSTGRES_PARAMS_H

#include "lib/buf.h"
#include "lib/ids.h"

#include <libpq-fe.h>

/* The types' numbers, which are the same in every Postgres (pg_type.dat). */
enum {
	PG_BOOL = 16,
	PG_BYTEA = 17,
	PG_INT8 = 20,
	PG_INT4 = 23,
	PG_TEXT = 25,
	PG_TIMESTAMPTZ = 1184,
	PG_UUID = 2950,
	PG_JSONB = 3802,

	PG_BOOL_ARRAY = 1000,
	PG_BYTEA_ARRAY = 1001,
	PG_INT4_ARRAY = 1007,
	PG_TEXT_ARRAY = 1009,
	PG_INT8_ARRAY = 1016,
	PG_TIMESTAMPTZ_ARRAY = 1185,
	PG_UUID_ARRAY = 2951,
	PG_JSONB_ARRAY = 3807,
};

enum { PG_MAX_PARAMS = 56 };

struct pg_params {
	struct buf bytes[PG_MAX_PARAMS]; /* what had to be built */
	unsigned rows_first;             /* of the rows being added: their first parameter, */
	unsigned rows_width, rows_at;    /* how many columns, and whose turn it is */
	int count;
	const char *values[PG_MAX_PARAMS];
	int lengths[PG_MAX_PARAMS];
	int formats[PG_MAX_PARAMS];
};

void pg_params_init(struct pg_params *p);
void pg_params_clear(struct pg_params *p);
void pg_params_deinit(struct pg_params *p);

/* Borrowed. */
void pg_params_text(struct pg_params *p, const char *s);
void pg_params_uuid(struct pg_params *p, const struct uuid *id);
/* Not borrowed. */
void pg_params_int4(struct pg_params *p, uint32_t v);

/* `row_count` rows, whose columns are arrays of these types. */
void pg_rows_begin(
	struct pg_params *p, const Oid *array_types, unsigned columns, unsigned row_count);
void pg_rows_end(struct pg_params *p);

void pg_rows_text(struct pg_params *p, const char *s); /* NULL is SQL's NULL */
void pg_rows_null(struct pg_params *p);
void pg_rows_bytes(struct pg_params *p, struct slice bytes);
void pg_rows_uuid(struct pg_params *p, const struct uuid *id);
void pg_rows_bool(struct pg_params *p, bool v);
void pg_rows_int4(struct pg_params *p, uint32_t v);
void pg_rows_int8(struct pg_params *p, uint64_t v);
void pg_rows_time(struct pg_params *p, int64_t us_since_1970);
void pg_rows_jsonb(struct pg_params *p, const char *json);
/* As text that Postgres reads as an array: an array cannot hold arrays of different lengths. */
void pg_rows_list(struct pg_params *p, const char *const *list, size_t count);

/* `s` as an element of such a text. */
void pg_put_quoted(struct buf *out, const char *s);

#endif
