/* SPDX-License-Identifier: MIT */
/* options.h - the configuration as a command sees it: file, environment and its own flags */
#ifndef CMD_MAILSERVER_OPTIONS_H
#define CMD_MAILSERVER_OPTIONS_H

#include "lib/config/config.h"

/* A flag without a value, of one command alone. */
struct options_switch {
	const char *name; /* "dry-run" */
	bool *is_on;
};

/* For commands that take -c FILE and at most one switch (or NULL). False when there is nothing more
 * to do, because help was asked for and given, or the usage was wrong and that was said:
 * `*exit_code_r` tells. */
bool options_parse(int argc, char **argv, const char *usage, const struct options_switch *more,
	struct config_request *request, int *exit_code_r);

/* For the others: each option goes to `take`, which says whether its value can be. False for wrong usage,
 * which was said; what stands behind the options is from `optind` on. */
struct option;
bool options_walk(int argc, char **argv, const struct option *known, const char *usage,
	bool (*take)(void *data, int option, const char *value), void *data);

/* Loads it and prints every finding to standard error. NULL, with an error said, when it is not
 * valid; else the caller's to free. */
struct config_result *options_load(const struct config_request *request, const char *command);

/* A moment as people and mail logs write it, in local time where it has no offset. */
bool options_parse_moment(const char *text, int64_t *us_r);

#endif
