/* SPDX-License-Identifier: MIT */
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mime_message *m;
struct mime_limits limits;

void mime_setup(void)
{
	mime_init();
	limits = mime_limits_default;
	m = NULL;
}

void mime_teardown(void)
{
	mime_message_free(&m);
}

void parse_bytes(const char *raw, size_t len)
{
	/* Just as large as the message, so that the sanitizer sees a step too far. */
	char *exact = malloc(len > 0 ? len : 1);

	if (len > 0)
		memcpy(exact, raw, len);
	mime_message_free(&m);
	m = mime_parse(exact, len, &limits);
	free(exact);
}

void parse(const char *raw)
{
	parse_bytes(raw, strlen(raw));
}

const char *defects(void)
{
	static char words[1024];
	char *to = words;

	*to = '\0';
	for (size_t i = 0; i < m->defects.count; i++)
		to += sprintf(to, "%s%s", i > 0 ? " " : "", m->defects.list[i]);
	return words;
}

void assert_defects(const char *wanted)
{
	ck_assert_str_eq(defects(), wanted);
	ck_assert_int_eq(m->status, *wanted == '\0' ? MIME_OK : MIME_DEGRADED);
}

void assert_same(const char *got, const char *wanted, const char *input)
{
	if (wanted == NULL)
		ck_assert_msg(got == NULL, "%s: %s, not NULL", input, got);
	else
		ck_assert_msg(got != NULL && strcmp(got, wanted) == 0, "%s:\n  %s, not\n  %s",
			input, got != NULL ? got : "(null)", wanted);
}
