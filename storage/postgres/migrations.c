/* SPDX-License-Identifier: MIT */
#include "storage/storage_driver.h"
#include "lib/embed.h"

EMBED(postgres_0001, "storage/postgres/migrations/0001_messages.sql");
EMBED(postgres_0002, "storage/postgres/migrations/0002_partitions.sql");
EMBED(postgres_0003, "storage/postgres/migrations/0003_more_derived.sql");

const struct storage_migration postgres_migrations[] = {
	{ 1, "messages", postgres_0001 },
	{ 2, "partitions", postgres_0002 },
	{ 3, "more_derived", postgres_0003 },
	{ 0, NULL, NULL },
};
