/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/options.h"
#include "cmd/mailserver/command.h"
#include "lib/ids.h"
#include "lib/maillog.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

bool options_parse(int argc, char **argv, const char *usage, const struct options_switch *more,
	struct config_request *request, int *exit_code_r)
{
	const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ more != NULL ? more->name : NULL, no_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	*exit_code_r = 0;
	if (command_asks_help(argc, argv, usage))
		return false;
	*exit_code_r = 2;
	while ((letter = getopt_long(argc, argv, "c:", known, NULL)) != -1) {
		if (letter == 'c') {
			request->file = optarg;
		} else if (letter == 'm') {
			*more->is_on = true;
		} else {
			fputs(usage, stderr);
			return false;
		}
	}
	if (optind == argc)
		return true;
	fprintf(stderr, "mailserver %s: \"%s\" is not expected here\n\n%s", argv[0], argv[optind],
		usage);
	return false;
}

bool options_walk(int argc, char **argv, const struct option *known, const char *usage,
	bool (*take)(void *data, int option, const char *value), void *data)
{
	int option, index = -1;

	while ((option = getopt_long(argc, argv, "c:", known, &index)) != -1) {
		if (take(data, option, optarg))
			continue;
		if (option != '?')
			fprintf(stderr, "mailserver %s: --%s cannot be \"%s\"\n\n", argv[0],
				known[index].name, optarg);
		fputs(usage, stderr);
		return false;
	}
	return true;
}

struct config_result *options_load(const struct config_request *request, const char *command)
{
	struct config_result *result = config_load(request);
	const struct config_findings *findings = config_result_findings(result);

	for (size_t i = 0; i < findings->count; i++) {
		char *line = config_finding_format(&findings->list[i]);
		fprintf(stderr, "%s\n", line);
		free(line);
	}
	if (config_result_config(result) == NULL) {
		fprintf(stderr, "mailserver %s: the configuration is not valid (%zu %s)\n", command,
			findings->errors, findings->errors == 1 ? "error" : "errors");
		config_result_free(&result);
		return NULL;
	}
	return result;
}

bool options_parse_moment(const char *text, int64_t *us_r)
{
	struct maillog_stamp stamp;
	struct maillog_clock clock;

	maillog_clock_init(&clock, now_us());
	return maillog_parse_moment(slice_str(text), &stamp) && maillog_when(&clock, &stamp, us_r);
}
