/* SPDX-License-Identifier: MIT */
/* storage_driver.h - what a driver provides; only storage/ includes it
 *
 * A driver is one const table with every slot filled. A concrete store has `struct storage` as its
 * first member. tests/unit/check_storage*.c, run over every driver, are the interface's meaning. */
#ifndef STORAGE_STORAGE_DRIVER_H
#define STORAGE_STORAGE_DRIVER_H

#include "storage/storage.h"

struct storage_driver {
	const char *name;
	bool (*accepts)(const char *url);
	enum storage_migrated (*migrate)(
		const struct storage_settings *set, unsigned *applied_r, char **error_r);
	/* `*purged_r` is zero. */
	enum storage_result (*purge)(const struct storage_settings *set,
		const struct storage_retention *keep, int64_t now_us, const atomic_bool *stop,
		struct storage_purged *purged_r, char **error_r);
	enum storage_result (*list_receipts)(const struct storage_settings *set,
		const struct storage_receipts *want, char **error_r);
	enum storage_result (*fates)(const struct storage_settings *set, const struct uuid *ids,
		size_t count, enum storage_fate *fates_r, char **error_r);
	enum storage_result (*reparse)(const struct storage_settings *set,
		const struct storage_reparse *want, char **error_r);
	int (*open)(const struct storage_settings *set, struct loop *loop, struct storage **st_r,
		char **error_r);
	void (*close)(struct storage *st);
	void (*put)(struct storage *st, struct storage_put *op); /* `bare` is false */
	void (*get)(struct storage *st, struct storage_get *op);
	void (*raw)(struct storage *st, struct storage_raw *op);
	void (*part)(struct storage *st, struct storage_part *op);
	void (*range)(struct storage *st, struct storage_range *op);
	void (*ping)(struct storage *st, struct storage_ping *op);
	void (*stats)(const struct storage *st, struct storage_stats *stats_r);
};

struct storage {
	const struct storage_driver *driver;
};

/* What is kept as reply_text: NULL where it is all of the text but for white space around it, which would
 * be kept twice. And what it was, of a row that has these. */
const char *storage_reply_text(const struct mime_message *m);
struct slice storage_reply_text_of(
	const char *reply_text, const char *text, unsigned parser_version);

/* storage_reparse(): how much is in a batch, the bytes being raw ones; one message always fits. */
enum { STORAGE_REPARSE_MESSAGES = 32, STORAGE_REPARSE_BYTES = 4 << 20 };
/* Whether that status is wanted, one of enum mime_status. */
bool storage_reparse_wants(const struct storage_reparse *want, unsigned status);
/* Every id that is wanted is greater than the one and less than the other, as text too. */
void storage_reparse_bounds(const struct storage_reparse *want, char after_r[UUID_TEXT + 1],
	char before_r[UUID_TEXT + 1]);
/* An envelope's recipients from a JSON array of strings. */
void storage_read_recipients(struct arena *arena, const char *json, struct envelope *env);

/* One numbered SQL file, compiled into the binary. The table ends with number 0. */
struct storage_migration {
	unsigned number; /* 1, 2, 3 … without gaps */
	const char *name;
	const char *sql;
};

extern const struct storage_driver storage_sqlite, storage_postgres;
extern const struct storage_migration sqlite_migrations[], postgres_migrations[];

#endif
