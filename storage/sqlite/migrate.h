/* SPDX-License-Identifier: MIT */
/* migrate.h - the driver's storage_migrate(), and where a url says that the file is */
#ifndef STORAGE_SQLITE_MIGRATE_H
#define STORAGE_SQLITE_MIGRATE_H

#include "storage/storage.h"

/* The path that sqlite:///absolute or sqlite://relative names, in a form that SQLite takes for
 * nothing else; free() it. NULL with `*error_r` (free() it too) for a url that names none. */
char *sqlite_path(const char *url, char **error_r);

enum storage_migrated sqlite_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r);

#endif
