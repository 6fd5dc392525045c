/* SPDX-License-Identifier: MIT */
/* migrate.h - the schema, step by step up to date; see storage_migrate() */
#ifndef STORAGE_POSTGRES_MIGRATE_H
#define STORAGE_POSTGRES_MIGRATE_H

#include "storage/postgres/session.h"

enum storage_migrated pg_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r);

/* False, as any failure, when the schema is not the one that this program knows. */
bool pg_schema_is_current(struct pg_session *s);

#endif
