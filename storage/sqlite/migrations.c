/* SPDX-License-Identifier: MIT */
#include "lib/embed.h"
#include "storage/storage_driver.h"

EMBED(sqlite_0001_messages, "storage/sqlite/migrations/0001_messages.sql");

const struct storage_migration sqlite_migrations[] = {
	{ 1, "messages", sqlite_0001_messages },
	{ 0, NULL, NULL },
};
