/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "lib/config/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: mailserver config show [-c FILE]\n"
	"\n"
	"Prints the configuration in force as YAML, secrets hidden, each value with where it came\n"
	"from: an option, the environment, a line of the file or the defaults.\n"
	"\n"
	"  -c, --config FILE  the file; else it is looked for as the server does\n"
	"\n"
	"Exit: 0, or 1 when the configuration is not valid (then nothing is in force), 2 wrong "
	"usage.\n";

static bool parse_options(int argc, char **argv, struct config_request *request)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:", known, NULL)) == 'c')
		request->file = optarg;
	return option == -1 && optind == argc - 1 && strcmp(argv[optind], "show") == 0;
}

static bool show(const struct config_request *request)
{
	struct config_result *r = config_load(request);
	bool is_valid = config_result_config(r) != NULL;
	char *text = config_findings_text(config_result_findings(r));

	fputs(text, stderr);
	free(text);
	if (is_valid) {
		text = config_result_show(r);
		fputs(text, stdout);
		free(text);
	}
	config_result_free(&r);
	return is_valid;
}

int cmd_config(int argc, char **argv)
{
	struct config_request request = { 0 };

	if (command_asks_help(argc, argv, usage))
		return 0;
	if (!parse_options(argc, argv, &request)) {
		fputs(usage, stderr);
		return 2;
	}
	return show(&request) ? 0 : 1;
}
