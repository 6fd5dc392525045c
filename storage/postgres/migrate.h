/* SPDX-License-Identifier: MIT */
/* migrate.h - the schema, step by step up to date; see storage_migrate() */
#ifndef STORAGE_POSTGRES_MIGRATE_H
#define STORAGE_POSTGRES_MIGRATE_H

#include "storage/storage.h"

enum storage_migrated pg_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r);

#endif
