/* SPDX-License-Identifier: MIT */
#include "storage/storage.h"
#include "storage/storage_driver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct storage_driver *const drivers[] = {
	&storage_sqlite,
	&storage_postgres,
};

static const struct storage_driver *find_driver(const char *url)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (drivers[i]->accepts(url))
			return drivers[i];
	return NULL;
}

static const struct storage_driver *driver_for(const char *url, char **error_r)
{
	const struct storage_driver *driver = find_driver(url);

	if (driver != NULL)
		return driver;
	*error_r = strdup("storage.url is none that a driver understands: use "
			  "sqlite:///path/to/mail.db or postgresql://user@host/database");
	return NULL;
}

const char *storage_result_name(enum storage_result result)
{
	static const char *const names[] = {
		[STORAGE_OK] = "ok",
		[STORAGE_DUPLICATE] = "duplicate",
		[STORAGE_NOT_FOUND] = "not_found",
		[STORAGE_UNAVAILABLE] = "unavailable",
		[STORAGE_UNCERTAIN] = "uncertain",
		[STORAGE_FULL] = "full",
	};

	return names[result];
}

enum storage_migrated storage_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r)
{
	const struct storage_driver *driver = driver_for(set->url, error_r);

	return driver != NULL ? driver->migrate(set, applied_r, error_r) : STORAGE_MIGRATE_FAILED;
}

enum storage_result storage_purge(const struct storage_settings *set,
	const struct storage_retention *keep, int64_t now_us, const atomic_bool *stop,
	struct storage_purged *purged_r, char **error_r)
{
	const struct storage_driver *driver = driver_for(set->url, error_r);

	*purged_r = (struct storage_purged){ .messages = 0 };
	return driver != NULL ? driver->purge(set, keep, now_us, stop, purged_r, error_r)
			      : STORAGE_UNAVAILABLE;
}

enum storage_result storage_list_receipts(
	const struct storage_settings *set, const struct storage_receipts *want, char **error_r)
{
	const struct storage_driver *driver = driver_for(set->url, error_r);

	return driver != NULL ? driver->list_receipts(set, want, error_r) : STORAGE_UNAVAILABLE;
}

enum storage_result storage_fates(const struct storage_settings *set, const struct uuid *ids,
	size_t count, enum storage_fate *fates_r, char **error_r)
{
	const struct storage_driver *driver = driver_for(set->url, error_r);

	return driver != NULL ? driver->fates(set, ids, count, fates_r, error_r)
			      : STORAGE_UNAVAILABLE;
}

enum storage_result storage_reparse(
	const struct storage_settings *set, const struct storage_reparse *want, char **error_r)
{
	const struct storage_driver *driver = driver_for(set->url, error_r);

	return driver != NULL ? driver->reparse(set, want, error_r) : STORAGE_UNAVAILABLE;
}

void storage_message_derive(struct storage_message *m, struct arena *arena)
{
	const struct envelope *env = m->envelope;

	m->headers_json = mime_headers_json(m->mime);
	m->addresses_json = mime_addresses_json(m->mime);
	m->report_json = mime_report_json(m->mime);
	m->is_bounce = mime_is_bounce(m->mime, env->sender[0] == '\0');
	m->mailbox_tag = NULL;
	for (size_t i = 0; m->mailbox_tag == NULL && i < env->recipient_count; i++)
		m->mailbox_tag = envelope_mailbox_tag(arena, env->recipients[i]);
}

const char *storage_reply_text(const struct mime_message *m)
{
	if (m->reply_text == NULL || m->text == NULL)
		return m->reply_text;
	return slice_eq(slice_str(m->reply_text), slice_trim(slice_str(m->text))) ? NULL
										  : m->reply_text;
}

struct slice storage_reply_text_of(
	const char *reply_text, const char *text, unsigned parser_version)
{
	if (reply_text != NULL)
		return slice_str(reply_text);
	return parser_version > 0 && text != NULL ? slice_trim(slice_str(text))
						  : (struct slice){ NULL, 0 };
}

int storage_open(const struct storage_settings *set, struct loop *loop, struct storage **st_r,
	char **error_r)
{
	const struct storage_driver *driver = driver_for(set->url, error_r);

	return driver != NULL ? driver->open(set, loop, st_r, error_r) : -1;
}

void storage_close(struct storage **st)
{
	if (*st == NULL)
		return;
	(*st)->driver->close(*st);
	*st = NULL;
}

const char *storage_backend(const struct storage *st)
{
	return st->driver->name;
}

const char *storage_backend_for(const char *url)
{
	const struct storage_driver *driver = find_driver(url);

	return driver != NULL ? driver->name : NULL;
}

void storage_stats(const struct storage *st, struct storage_stats *stats_r)
{
	st->driver->stats(st, stats_r);
}

void storage_put(struct storage *st, struct storage_put *op)
{
	assert(op->message->mime != NULL && op->message->envelope->sender != NULL);
	op->bare = false;
	st->driver->put(st, op);
}

void storage_get(struct storage *st, struct storage_get *op)
{
	st->driver->get(st, op);
}

void storage_raw(struct storage *st, struct storage_raw *op)
{
	st->driver->raw(st, op);
}

void storage_part(struct storage *st, struct storage_part *op)
{
	st->driver->part(st, op);
}

void storage_range(struct storage *st, struct storage_range *op)
{
	assert(op->length <= STORAGE_MAX_RANGE);
	st->driver->range(st, op);
}

void storage_ping(struct storage *st, struct storage_ping *op)
{
	st->driver->ping(st, op);
}
