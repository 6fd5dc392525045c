/* SPDX-License-Identifier: MIT */
#include "storage/postgres/params.h"

#include <assert.h>
#include <endian.h>
#include <stdint.h>

/* Postgres counts time from the year 2000. */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)

void pg_params_init(struct pg_params *p)
{
	*p = (struct pg_params){ .arena = arena_new() };
}

void pg_params_clear(struct pg_params *p)
{
	pg_params_deinit(p);
	pg_params_init(p);
}

void pg_params_deinit(struct pg_params *p)
{
	arena_free(&p->arena);
}

static void add(struct pg_params *p, const void *value, size_t len, int format)
{
	assert(p->count < PG_MAX_PARAMS && len <= INT32_MAX);
	p->values[p->count] = value;
	p->lengths[p->count] = (int)len;
	p->formats[p->count++] = format;
}

void pg_params_text(struct pg_params *p, const char *s)
{
	add(p, s, 0, 0);
}

void pg_params_bytes(struct pg_params *p, struct slice bytes)
{
	add(p, bytes.base != NULL ? bytes.base : "", bytes.len, 1);
}

void pg_params_uuid(struct pg_params *p, const struct uuid *id)
{
	add(p, id->bytes, sizeof(id->bytes), 1);
}

void pg_params_int8(struct pg_params *p, int64_t v)
{
	uint64_t big = htobe64((uint64_t)v);

	add(p, arena_dup(p->arena, &big, sizeof(big)), sizeof(big), 1);
}

void pg_params_time(struct pg_params *p, int64_t us_since_1970)
{
	pg_params_int8(p, us_since_1970 - POSTGRES_EPOCH_US);
}

static char *put_int4(char *out, uint32_t v)
{
	uint32_t big = htobe32(v);

	memcpy(out, &big, sizeof(big));
	return out + sizeof(big);
}

/* Dimensions, "may hold NULLs", type of the elements; of the one dimension its length and first
 * index; then each element behind its length. An empty array has no dimension. */
void pg_params_texts(struct pg_params *p, const char *const *list, size_t count)
{
	size_t bytes = 5 * sizeof(uint32_t);

	for (size_t i = 0; i < count; i++)
		bytes += sizeof(uint32_t) + strlen(list[i]);
	char *array = arena_alloc(p->arena, bytes), *out = array;
	out = put_int4(out, count > 0 ? 1 : 0);
	out = put_int4(out, 0);
	out = put_int4(out, PG_TEXT);
	if (count > 0) {
		out = put_int4(out, (uint32_t)count);
		out = put_int4(out, 1);
	}
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(list[i]);
		out = put_int4(out, (uint32_t)len);
		memcpy(out, list[i], len);
		out += len;
	}
	add(p, array, (size_t)(out - array), 1);
}
