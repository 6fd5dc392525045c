/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "lib/config/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: mailserver validate [-c FILE] [--strict] [--json] [--show-schema]\n"
	"\n"
	"Says everything that is wrong with a configuration: the file, the environment (MAIL_*) "
	"and\n"
	"the defaults together, as a server would see them. Starts nothing, changes nothing.\n"
	"\n"
	"  -c, --config FILE  the file; else $MAIL_CONFIG, ./mailserver.yaml,\n"
	"                     /etc/mailserver/mailserver.yaml, ~/.mailserver/mailserver.yaml,\n"
	"                     /etc/gomail.yaml, the first that is there\n"
	"      --strict       keys that are not known are errors\n"
	"      --json         one JSON object on standard output\n"
	"      --show-schema  print the JSON Schema of the configuration, and do nothing else\n"
	"\n"
	"Exit: 0 valid (there may be warnings), 1 not valid, 2 wrong usage.\n";

struct options {
	struct config_request request;
	bool json, show_schema;
};

static bool parse_options(int argc, char **argv, struct options *o)
{
	enum { STRICT = 256, JSON, SHOW_SCHEMA };
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "strict", no_argument, NULL, STRICT },
		{ "json", no_argument, NULL, JSON },
		{ "show-schema", no_argument, NULL, SHOW_SCHEMA },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			o->request.file = optarg;
			break;
		case STRICT:
			o->request.strict = true;
			break;
		case JSON:
			o->json = true;
			break;
		case SHOW_SCHEMA:
			o->show_schema = true;
			break;
		default:
			return false;
		}
	}
	return optind == argc;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_text(const struct config_result *r)
{
	const struct config_findings *all = config_result_findings(r);
	const char *file = config_result_file(r);
	char *text = config_findings_text(all);

	fputs(text, stderr);
	free(text);
	fprintf(stderr, "%s: ", file != NULL ? file : "no file found, environment and defaults");
	if (all->errors > 0)
		fprintf(stderr, "not valid, %zu error%s", all->errors, plural(all->errors));
	else
		fputs("valid", stderr);
	if (all->warnings > 0)
		fprintf(stderr, ", %zu warning%s", all->warnings, plural(all->warnings));
	fputc('\n', stderr);
}

static void print_json(const struct config_result *r)
{
	char *json = config_findings_json(config_result_findings(r));

	puts(json);
	free(json);
}

int cmd_validate(int argc, char **argv)
{
	struct options o = { 0 };
	struct config_result *r;
	bool is_valid;

	if (command_asks_help(argc, argv, usage))
		return 0;
	if (!parse_options(argc, argv, &o)) {
		fputs(usage, stderr);
		return 2;
	}
	if (o.show_schema) {
		fputs(config_schema_json, stdout);
		return 0;
	}
	r = config_load(&o.request);
	is_valid = config_result_config(r) != NULL;
	if (o.json)
		print_json(r);
	else
		print_text(r);
	config_result_free(&r);
	return is_valid ? 0 : 1;
}
