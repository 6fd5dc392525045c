/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"

#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the command's own name */
	const char *summary;
} commands[] = {
	{ "server", cmd_server, "accept mail over HTTP, in the foreground" },
	{ "deliver", cmd_deliver, "hand one message to the server, from an MTA's pipe" },
	{ "validate", cmd_validate,
		"check a configuration and say everything that is wrong with it" },
	{ "migrate", cmd_migrate, "bring the database's schema up to date" },
	{ "purge", cmd_purge, "delete the mail that is older than the configuration keeps it" },
	{ "reconcile", cmd_reconcile, "compare an MTA's log with the database, for lost mail" },
	{ "reparse", cmd_reparse, "derive anew, with this parser, what the database says of mail" },
	{ "token", cmd_token, "make a fresh token, and its digest for the configuration" },
	{ "config", cmd_config, "`config show`: the configuration in force, secrets hidden" },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *out)
{
	fputs("usage: mailserver COMMAND [OPTION]...\n\ncommands:\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`mailserver COMMAND --help` says more; --version tells the version.\n", out);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		command_print_version();
		return 0;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "mailserver: there is no command \"%s\"\n\n", argv[1]);
	print_usage(stderr);
	return 2;
}
