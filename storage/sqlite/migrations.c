/* SPDX-License-Identifier: MIT */
#include "lib/embed.h"
#include "storage/storage_driver.h"

EMBED(sqlite_0001_messages, "storage/sqlite/migrations/0001_messages.sql");
EMBED(sqlite_0002_message_keys_by_id, "storage/sqlite/migrations/0002_message_keys_by_id.sql");
EMBED(sqlite_0003_more_derived, "storage/sqlite/migrations/0003_more_derived.sql");

const struct storage_migration sqlite_migrations[] = {
	{ 1, "messages", sqlite_0001_messages },
	{ 2, "message_keys_by_id", sqlite_0002_message_keys_by_id },
	{ 3, "more_derived", sqlite_0003_more_derived },
	{ 0, NULL, NULL },
};
