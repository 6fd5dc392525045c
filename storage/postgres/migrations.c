/* SPDX-License-Identifier: MIT */
#include "storage/storage_driver.h"
#include "lib/embed.h"

EMBED(postgres_0001, "storage/postgres/migrations/0001_messages.sql");
EMBED(postgres_0002, "storage/postgres/migrations/0002_partitions.sql");

const struct storage_migration postgres_migrations[] = {
	{ 1, "messages", postgres_0001 },
	{ 2, "partitions", postgres_0002 },
	{ 0, NULL, NULL },
};
