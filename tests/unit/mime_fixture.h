/* SPDX-License-Identifier: MIT */
/* mime_fixture.h - one message at a time, parsed and asserted about; for the checks of lib/mime */
#ifndef TESTS_UNIT_MIME_FIXTURE_H
#define TESTS_UNIT_MIME_FIXTURE_H

#include "lib/mime/mime.h"

#include <check.h>

extern struct mime_message *m;    /* the one parsed last */
extern struct mime_limits limits; /* the defaults, until a test changes them */

void mime_setup(void);
void mime_teardown(void);

void parse(const char *raw);
void parse_bytes(const char *raw, size_t len);
#define PARSE_LITERAL(raw) parse_bytes((raw), sizeof(raw) - 1)

/* The defects, joined: "a b". */
const char *defects(void);
/* Those defects and no others, and the status that follows from them. */
void assert_defects(const char *wanted);
/* NULL is the same as NULL. */
void assert_same(const char *got, const char *wanted, const char *input);

/* Runs a case for every entry of a table, at index _i. */
#define LOOP(tc, test, table)                                                                      \
	tcase_add_loop_test(tc, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

#endif
