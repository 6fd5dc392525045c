/* SPDX-License-Identifier: MIT */
/* The `mailserver` that people call. An MTA starts a process for each message, and loading what the
 * server needs (h2o, GMime, libpq and the fifty libraries behind them) takes ten times as long as a
 * delivery: so `deliver` is in here, and every other command in a program of its own, which takes
 * this one's place. */
#include "cmd/mailserver/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Beside the folder of this program, wherever that was installed. */
static const char full_program[] = "../libexec/mailserver/mailserver";

int main(int argc, char **argv)
{
	char path[PATH_MAX + sizeof(full_program)];

	if (argc > 1 && strcmp(argv[1], "deliver") == 0)
		return cmd_deliver(argc - 1, argv + 1);
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
	while (len > 0 && path[len - 1] != '/')
		len--;
	strcpy(path + (len > 0 ? len : 0), full_program);
	execv(path, argv);
	fprintf(stderr, "mailserver: cannot start %s: %s; `make install` puts it there\n", path,
		strerror(errno));
	return 1;
}
