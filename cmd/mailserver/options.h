/* SPDX-License-Identifier: MIT */
/* options.h - the configuration as a command sees it: file, environment and its own flags */
#ifndef CMD_MAILSERVER_OPTIONS_H
#define CMD_MAILSERVER_OPTIONS_H

#include "lib/config/config.h"

/* Loads it and prints every finding to standard error. NULL, with an error said, when it is not
 * valid; else the caller's to free. */
struct config_result *options_load(const struct config_request *request, const char *command);

#endif
