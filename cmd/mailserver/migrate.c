/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "cmd/mailserver/options.h"
#include "cmd/mailserver/server/server.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: mailserver migrate [-c FILE]\n"
			    "\n"
			    "  -c, --config FILE       the configuration\n"
			    "\n"
			    "Brings the schema of the database that storage.url names up to date. "
			    "Safe to run at any time,\n"
			    "several at once too. The server does the same at its start unless "
			    "storage.migrate is false.\n";

static void say(void *data, enum storage_log_level level, const char *message)
{
	fprintf(stderr, "mailserver migrate: %s\n", message);
}

static int migrate(const struct config *config)
{
	struct storage_settings set = server_storage_settings(config);
	unsigned applied = 0;
	char *error = NULL;

	set.log = say;
	if (storage_migrate(&set, &applied, &error) != STORAGE_MIGRATED) {
		fprintf(stderr, "mailserver migrate: %s\n", error);
		free(error);
		return 1;
	}
	if (applied == 0)
		printf("the schema is up to date already\n");
	else
		printf("the schema is up to date: %u %s run\n", applied,
			applied == 1 ? "migration" : "migrations");
	return 0;
}

int cmd_migrate(int argc, char **argv)
{
	struct config_request request = { .file = NULL };
	int exit_code;

	if (!options_parse(argc, argv, usage, NULL, &request, &exit_code))
		return exit_code;
	struct config_result *result = options_load(&request, "migrate");
	if (result == NULL)
		return 1;
	exit_code = migrate(config_result_config(result));
	config_result_free(&result);
	return exit_code;
}
