/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "cmd/mailserver/options.h"
#include "cmd/mailserver/server/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: mailserver purge [-c FILE] [--dry-run]\n"
	"\n"
	"  -c, --config FILE       the configuration\n"
	"      --dry-run           delete nothing, and say how much would be\n"
	"\n"
	"Deletes, from the database that storage.url names, mail that is older than the days in "
	"the\n"
	"configuration's section `retention`, and what retries are known by once it is older than\n"
	"retention.dedup_days. Safe to run at any time, several at once too. A running server does "
	"the\n"
	"same every hour.\n";

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_purged(const struct storage_purged *purged, bool dry_run)
{
	printf("%s %" PRIu64 " message%s and %" PRIu64 " dedup key%s\n",
		dry_run ? "would delete" : "deleted", purged->messages, plural(purged->messages),
		purged->keys, plural(purged->keys));
	if (purged->partitions > 0)
		printf("%s %u partition%s\n", dry_run ? "would drop" : "dropped",
			purged->partitions, plural(purged->partitions));
}

static int purge(const struct config *config, bool dry_run)
{
	struct storage_settings set = server_storage_settings(config);
	struct arena *arena = arena_new();
	struct storage_retention keep = server_retention(config, arena);
	struct storage_purged purged;
	char *error = NULL;

	keep.only_count = dry_run;
	enum storage_result result = storage_purge(&set, &keep, now_us(), NULL, &purged, &error);
	arena_free(&arena);
	if (result == STORAGE_OK || purged.messages > 0 || purged.keys > 0)
		print_purged(&purged, dry_run);
	if (result == STORAGE_OK)
		return 0;
	fprintf(stderr, "mailserver purge: %s\n", error);
	free(error);
	return 1;
}

int cmd_purge(int argc, char **argv)
{
	struct config_request request = { .file = NULL };
	bool dry_run = false;
	const struct options_switch dry = { "dry-run", &dry_run };
	int exit_code;

	if (!options_parse(argc, argv, usage, &dry, &request, &exit_code))
		return exit_code;
	struct config_result *result = options_load(&request, "purge");
	if (result == NULL)
		return 1;
	exit_code = purge(config_result_config(result), dry_run);
	config_result_free(&result);
	return exit_code;
}
