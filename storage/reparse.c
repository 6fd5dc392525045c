/* SPDX-License-Identifier: MIT */
/* What both drivers need to derive messages anew. */
#include "storage/storage_driver.h"

#include <jansson.h>

bool storage_reparse_wants(const struct storage_reparse *want, unsigned status)
{
	return want->statuses == 0 || (want->statuses & 1u << status) != 0;
}

/* The id in front of this one, the least excepted, which no message has. */
static void go_back(struct uuid *id)
{
	static const struct uuid least = { .bytes = { 0 } };

	for (int i = UUID_BYTES - 1; memcmp(id, &least, sizeof(*id)) != 0; i--)
		if (id->bytes[i]-- != 0)
			break;
}

void storage_reparse_bounds(const struct storage_reparse *want, char after_r[UUID_TEXT + 1],
	char before_r[UUID_TEXT + 1])
{
	struct uuid from = uuid7_least(want->from_us), before = uuid7_least(want->before_us);

	go_back(&from);
	uuid_format(&from, after_r);
	uuid_format(&before, before_r);
}

void storage_read_recipients(struct arena *arena, const char *json, struct envelope *env)
{
	json_t *list = json_loads(json, 0, NULL);
	size_t count = json_array_size(list), i;
	json_t *value;

	env->recipients = arena_alloc(arena, (count + 1) * sizeof(env->recipients[0]));
	env->recipient_count = 0;
	json_array_foreach(list, i, value)
	{
		if (json_is_string(value))
			env->recipients[env->recipient_count++] = arena_strdup(
				arena, json_string_value(value));
	}
	json_decref(list);
}
