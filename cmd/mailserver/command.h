/* SPDX-License-Identifier: MIT */
/* command.h - the subcommands; each answers the process' exit code: 0, 1 failure, 2 wrong usage */
#ifndef CMD_MAILSERVER_COMMAND_H
#define CMD_MAILSERVER_COMMAND_H

#include <stdbool.h>

int cmd_server(int argc, char **argv);
int cmd_deliver(int argc, char **argv); /* its exit codes are its own: deliver/outcome.h */
int cmd_validate(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_purge(int argc, char **argv);
int cmd_reconcile(int argc, char **argv);
int cmd_reparse(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_config(int argc, char **argv);

/* `--help` and `--version` as any of the arguments: prints and answers true. */
bool command_asks_help(int argc, char **argv, const char *usage);
void command_print_version(void);

#endif
