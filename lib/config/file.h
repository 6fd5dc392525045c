/* SPDX-License-Identifier: MIT */
/* file.h - the small files that a configuration consists of */
#ifndef LIB_CONFIG_FILE_H
#define LIB_CONFIG_FILE_H

#include "lib/config/findings.h"

#include <sys/stat.h>

/* The whole file, with a NUL behind it, from the findings' arena. NULL when it cannot be read or
 * holds more than `max_bytes`: an error at `at` and `pointer` then says why and what to do.
 * `status_r` may be NULL. */
char *config_file_read(struct findings *findings, struct origin at, const char *pointer,
	const char *path, size_t max_bytes, size_t *len_r, struct stat *status_r);

/* The first one that is there of the places where a configuration is looked for; or NULL. */
const char *config_file_find(struct arena *arena);

#endif
