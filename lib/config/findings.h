/* SPDX-License-Identifier: MIT */
/* findings.h - what is wrong with a configuration, as it is being found */
#ifndef LIB_CONFIG_FINDINGS_H
#define LIB_CONFIG_FINDINGS_H

#include "lib/config/config.h"
#include "lib/config/tree.h"

struct findings {
	struct arena *arena;
	struct config_findings all;
	size_t capacity;
};

void findings_add(struct findings *f, enum config_severity severity, struct origin at,
	const char *pointer, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Into the order in which a reader meets them: the file from top to bottom, then what has no line,
 * as it was found. */
void findings_sort(struct findings *f);

/* `text` in quotation marks, cut when it is long: for messages. */
const char *findings_quote(struct arena *arena, const char *text);
/* "/tokens/0 (mailserver.yaml:3:5)": a value that another one is at odds with. */
const char *findings_place(struct arena *arena, const char *pointer, struct origin at);

#endif
