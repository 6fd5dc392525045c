/* SPDX-License-Identifier: MIT */
/* mime: reply_text. Each tests/fixtures/mime/reply/NAME.eml has NAME.reply beside it, which holds what
 * a reader would call newly written. */
#include "tests/unit/mime_fixture.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_FIXTURES = 90 };

static char *slurp(const char *path, size_t *len_r)
{
	FILE *file = fopen(path, "rb");
	char *bytes = NULL;
	size_t size = 0;

	ck_assert_msg(file != NULL, "%s", path);
	*len_r = 0;
	FILE *to = open_memstream(&bytes, &size);
	for (int c; (c = getc(file)) != EOF;)
		putc(c, to);
	fclose(file);
	fclose(to);
	*len_r = size;
	return bytes;
}

START_TEST(what_each_client_sends_is_told_from_what_it_quotes)
{
	glob_t found;
	char path[4096];
	size_t len;

	ck_assert_int_eq(glob("tests/fixtures/mime/reply/*.eml", 0, NULL, &found), 0);
	ck_assert_uint_ge(found.gl_pathc, FEWEST_FIXTURES);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *name = found.gl_pathv[i];
		char *raw = slurp(name, &len);
		parse_bytes(raw, len);
		free(raw);
		snprintf(path, sizeof(path), "%.*s.reply", (int)(strlen(name) - 4), name);
		char *wanted = slurp(path, &len);
		assert_same(m->reply_text, wanted, name);
		free(wanted);
		ck_assert_msg(m->status == MIME_OK, "%s: %s", name, defects());
	}
	globfree(&found);
}
END_TEST

START_TEST(without_text_there_is_no_reply)
{
	parse("Content-Type: image/png\r\n\r\nx");
	ck_assert_ptr_null(m->text);
	ck_assert_ptr_null(m->reply_text);
	parse("Content-Type: text/plain\r\n\r\n");
	ck_assert_str_eq(m->reply_text, "");
}
END_TEST

/* Lines at which a reader might look ahead, or back, again and again. */
static const char *const repeated[] = { "On 2025-11-07 10:20 a@b\n", "From: a\n", "--\n", "> x\n",
	"\n", "a wrote:\n", "________________________________\n", "Sent from my x\n",
	"-----Original Message\n", "2025-11-07\n", "On ", ">", "From: To: ", "\u3000", "- -- x\n",
	"Alice <\n", "On 2025-11-07 10:20 <a@b\n", "<\n", "7.11.2025 wrote\n",
	"On 7 Nov 2025 a wrote:\n> x\n", "x On 7 Nov 2025 ", "-- \n", "__\nx mailing list\n",
	"Date: a\n", "Date: a\nFrom: b\n", "---- x wrote ----\n", "Phone: a\n" };

/* In quadratic time it would outlast the case's timeout. */
START_TEST(a_megabyte_of_any_line_is_read_to_its_end)
{
	enum { BYTES = 1000000 };
	size_t unit = strlen(repeated[_i]), count = BYTES / unit;
	char *raw = malloc(BYTES + 100), *to = stpcpy(raw, "Content-Type: text/plain; "
							   "charset=utf-8\r\n\r\nx\n");
	for (size_t i = 0; i < count; i++)
		to = stpcpy(to, repeated[_i]);
	parse(raw);
	ck_assert_ptr_nonnull(m->reply_text);
	free(raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_reply");
	TCase *tc = tcase_create("mime_reply");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, what_each_client_sends_is_told_from_what_it_quotes);
	tcase_add_test(tc, without_text_there_is_no_reply);
	LOOP(tc, a_megabyte_of_any_line_is_read_to_its_end, repeated);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
