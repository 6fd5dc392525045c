/* SPDX-License-Identifier: MIT */
#include "storage/postgres/params.h"

#include <assert.h>
#include <endian.h>

/* Postgres counts time from the year 2000. */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)

#define NULL_LENGTH UINT32_MAX

enum {
	KEPT_BYTES = 2 * 1024 * 1024, /* of a parameter's memory, for the next use */
	MAX_BYTES = 0x3fffffff,       /* what Postgres takes for one value */
	JSONB_VERSION = 1,
};

void pg_params_init(struct pg_params *p)
{
	*p = (struct pg_params){ .count = 0 };
	for (unsigned i = 0; i < PG_MAX_PARAMS; i++)
		buf_init(&p->bytes[i], MAX_BYTES);
}

void pg_params_clear(struct pg_params *p)
{
	for (int i = 0; i < p->count; i++) {
		buf_clear(&p->bytes[i]);
		if (p->bytes[i].capacity > KEPT_BYTES)
			buf_deinit(&p->bytes[i]);
	}
	p->count = 0;
}

void pg_params_deinit(struct pg_params *p)
{
	for (unsigned i = 0; i < PG_MAX_PARAMS; i++)
		buf_deinit(&p->bytes[i]);
}

static void add(struct pg_params *p, const void *value, size_t len, int format)
{
	assert(p->count < PG_MAX_PARAMS);
	p->values[p->count] = value;
	p->lengths[p->count] = (int)len;
	p->formats[p->count++] = format;
}

void pg_params_text(struct pg_params *p, const char *s)
{
	add(p, s, 0, 0);
}

void pg_params_uuid(struct pg_params *p, const struct uuid *id)
{
	add(p, id->bytes, sizeof(id->bytes), 1);
}

static void put_int4(struct buf *out, uint32_t v)
{
	uint32_t big = htobe32(v);

	buf_add(out, &big, sizeof(big));
}

void pg_params_int4(struct pg_params *p, uint32_t v)
{
	struct buf *bytes = &p->bytes[p->count];

	put_int4(bytes, v);
	add(p, bytes->base, bytes->len, 1);
}

/* --- rows --- */

static Oid element_of(Oid array_type)
{
	switch (array_type) {
	case PG_BOOL_ARRAY:
		return PG_BOOL;
	case PG_BYTEA_ARRAY:
		return PG_BYTEA;
	case PG_INT4_ARRAY:
		return PG_INT4;
	case PG_TEXT_ARRAY:
		return PG_TEXT;
	case PG_INT8_ARRAY:
		return PG_INT8;
	case PG_TIMESTAMPTZ_ARRAY:
		return PG_TIMESTAMPTZ;
	case PG_UUID_ARRAY:
		return PG_UUID;
	default:
		assert(array_type == PG_JSONB_ARRAY);
		return PG_JSONB;
	}
}

/* Dimensions, "may hold NULLs", type of the elements; of the one dimension its length and first
 * index. An array without elements has no dimension. The elements follow, each behind its length. */
static void put_array_header(struct buf *out, Oid element, unsigned length)
{
	put_int4(out, length > 0 ? 1 : 0);
	put_int4(out, 1);
	put_int4(out, element);
	if (length > 0) {
		put_int4(out, length);
		put_int4(out, 1);
	}
}

void pg_rows_begin(
	struct pg_params *p, const Oid *array_types, unsigned columns, unsigned row_count)
{
	assert((unsigned)p->count + columns <= PG_MAX_PARAMS);
	p->rows_first = (unsigned)p->count;
	p->rows_width = columns;
	p->rows_at = 0;
	for (unsigned i = 0; i < columns; i++)
		put_array_header(
			&p->bytes[p->rows_first + i], element_of(array_types[i]), row_count);
}

/* A value that is too long for Postgres is cut off, and the statement refused for it. */
void pg_rows_end(struct pg_params *p)
{
	assert(p->rows_at == 0);
	for (unsigned i = 0; i < p->rows_width; i++) {
		const struct buf *column = &p->bytes[p->rows_first + i];
		add(p, column->base, column->len, 1);
	}
}

static struct buf *next_column(struct pg_params *p)
{
	struct buf *column = &p->bytes[p->rows_first + p->rows_at];

	p->rows_at = (p->rows_at + 1) % p->rows_width;
	return column;
}

static void put_value(struct pg_params *p, const void *value, size_t len)
{
	struct buf *column = next_column(p);

	put_int4(column, (uint32_t)len);
	buf_add(column, value, len);
}

void pg_rows_null(struct pg_params *p)
{
	put_int4(next_column(p), NULL_LENGTH);
}

void pg_rows_text(struct pg_params *p, const char *s)
{
	if (s == NULL)
		pg_rows_null(p);
	else
		put_value(p, s, strlen(s));
}

void pg_rows_bytes(struct pg_params *p, struct slice bytes)
{
	put_value(p, bytes.base, bytes.len);
}

void pg_rows_uuid(struct pg_params *p, const struct uuid *id)
{
	put_value(p, id->bytes, sizeof(id->bytes));
}

void pg_rows_bool(struct pg_params *p, bool v)
{
	put_value(p, v ? "\1" : "\0", 1);
}

void pg_rows_int4(struct pg_params *p, uint32_t v)
{
	uint32_t big = htobe32(v);

	put_value(p, &big, sizeof(big));
}

void pg_rows_int8(struct pg_params *p, uint64_t v)
{
	uint64_t big = htobe64(v);

	put_value(p, &big, sizeof(big));
}

void pg_rows_time(struct pg_params *p, int64_t us_since_1970)
{
	pg_rows_int8(p, (uint64_t)(us_since_1970 - POSTGRES_EPOCH_US));
}

void pg_rows_jsonb(struct pg_params *p, const char *json)
{
	struct buf *column = next_column(p);
	size_t len = strlen(json);

	put_int4(column, (uint32_t)len + 1);
	buf_putc(column, JSONB_VERSION);
	buf_add(column, json, len);
}

static size_t quoted_length(const char *s)
{
	size_t len = strlen("\"\"");

	for (; *s != '\0'; s++)
		len += *s == '"' || *s == '\\' ? 2 : 1;
	return len;
}

void pg_put_quoted(struct buf *out, const char *s)
{
	buf_putc(out, '"');
	while (*s != '\0') {
		size_t plain = strcspn(s, "\"\\");
		buf_add(out, s, plain);
		s += plain;
		if (*s == '\0')
			break;
		buf_add(out, (char[]){ '\\', *s++ }, 2);
	}
	buf_putc(out, '"');
}

void pg_rows_list(struct pg_params *p, const char *const *list, size_t count)
{
	struct buf *column = next_column(p);
	size_t len = strlen("{}") + (count > 1 ? count - 1 : 0);

	for (size_t i = 0; i < count; i++)
		len += quoted_length(list[i]);
	put_int4(column, (uint32_t)len);
	buf_putc(column, '{');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_putc(column, ',');
		pg_put_quoted(column, list[i]);
	}
	buf_putc(column, '}');
}
