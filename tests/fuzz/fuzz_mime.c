/* SPDX-License-Identifier: MIT */
/* Any bytes: the parser must come back, and what it gives must be sound. One input in four, by its
 * content, meets small limits, so that what lies behind a limit is reached too. */
#include "tests/unit/mime_sound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_limits small = {
	.header_bytes = 600,
	.header_fields = 20,
	.parts = 5,
	.depth = 3,
	.addresses = 3,
	.text_bytes = 100,
	.filename_bytes = 16,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mime_init();
	return 0;
}

static void parse(const char *raw, size_t len, const struct mime_limits *limits)
{
	/* Of exactly that size: the sanitizer sees a step too far. */
	char *exact = malloc(len > 0 ? len : 1);

	memcpy(exact, raw, len);
	struct mime_message *m = mime_parse(exact, len, limits);
	const char *why = mime_unsound(exact, len, m);
	free(exact);
	if (why != NULL) {
		fprintf(stderr, "unsound: %s\n", why);
		abort();
	}
	mime_message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t sum = 0;

	if (size == 0)
		data = &sum;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum * 31 + data[i]);
	parse((const char *)data, size, sum % 4 == 0 ? &small : &mime_limits_default);
	return 0;
}
