/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "lib/version.h"

#include <stdio.h>
#include <string.h>

void command_print_version(void)
{
	printf("mailserver %s (%s)\n", mailserver_version, mailserver_commit);
}

bool command_asks_help(int argc, char **argv, const char *usage)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return true;
		}
		if (strcmp(argv[i], "--version") == 0) {
			command_print_version();
			return true;
		}
	}
	return false;
}
