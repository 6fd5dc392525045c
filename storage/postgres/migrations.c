/* SPDX-License-Identifier: MIT */
#include "storage/storage_driver.h"
#include "lib/embed.h"

EMBED(postgres_0001, "storage/postgres/migrations/0001_messages.sql");

const struct storage_migration postgres_migrations[] = {
	{ 1, "messages", postgres_0001 },
	{ 0, NULL, NULL },
};
