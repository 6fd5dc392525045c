/* SPDX-License-Identifier: MIT */
/* mime: files within a part (uuencode, yEnc), their names, and reading any part's content */
#include "lib/mime/decode.h"
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UU_HELLO "begin 644 hello.txt\r\n%2&5L;&\\ \r\n`\r\nend\r\n"
#define YENC_CAT "=ybegin line=128 size=3 name=cat.gif\r\nm\x8b\x9e\r\n=yend size=3\r\n"
#define TEXT(encoding, body)                                                                       \
	"Content-Type: text/plain\r\nContent-Transfer-Encoding: " encoding "\r\n\r\n" body

/* The content of the part at that place, read from the raw bytes in pieces of `piece` bytes. */
static char *read_content(const char *raw, size_t i, size_t piece, size_t *len_r)
{
	const struct mime_part *part = &m->parts[i];
	struct mime_content content;
	char *out = malloc(part->raw_length + 4 * MIME_DECODE_SLACK), *chunk = malloc(piece + 32);
	size_t n = 0;

	ck_assert(mime_content_begin(&content, part->encoding, part->inside));
	for (size_t at = 0; at < part->raw_length && !mime_content_done(&content); at += piece) {
		size_t take = part->raw_length - at < piece ? part->raw_length - at : piece;
		size_t got = mime_content_step(&content, raw + part->raw_offset + at, take, chunk);
		memcpy(out + n, chunk, got);
		n += got;
	}
	n += mime_content_end(&content, out + n);
	free(chunk);
	*len_r = n;
	return out;
}

/* Whatever the size of the pieces, it is what `size` and `sha256` are of. */
static void assert_reads(const char *raw, size_t i, const char *wanted)
{
	static const size_t pieces[] = { 1, 3, 7, 5000 };
	uint8_t digest[SHA256_BYTES];

	for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
		size_t len;
		char *got = read_content(raw, i, pieces[p], &len);
		ck_assert_uint_eq(len, m->parts[i].size);
		sha256(got, len, digest);
		ck_assert(digest_equal(digest, m->parts[i].sha256));
		if (wanted != NULL) {
			ck_assert_uint_eq(len, strlen(wanted));
			ck_assert_mem_eq(got, wanted, len);
		}
		free(got);
	}
}

/* "path type filename encoding", one a line. */
static const char *listing(void)
{
	static char text[2048];
	char *to = text;

	*to = '\0';
	for (size_t i = 0; i < m->part_count; i++) {
		const struct mime_part *part = &m->parts[i];
		ck_assert_uint_eq(part->n, i + 1);
		to += sprintf(to, "%s%s %s %s %s%s%s", i > 0 ? "; " : "", part->path,
			part->content_type, part->filename != NULL ? part->filename : "-",
			part->encoding, part->inside != NULL ? " " : "",
			part->inside != NULL ? part->inside : "");
	}
	return text;
}

static const struct {
	const char *name, *raw, *parts, *text, *defects;
	const char *content; /* of the second part */
} blocks[] = {
	{ "uuencode", TEXT("7bit", "before\r\n" UU_HELLO "behind\r\n"),
		"1 text/plain - 7bit; 1.1 text/plain hello.txt x-uuencode", "before\nbehind\n", "",
		"Hello" },
	{ "yEnc", TEXT("8bit", "before\r\n" YENC_CAT "behind"),
		"1 text/plain - 8bit; 1.1 image/gif cat.gif x-yenc", "before\nbehind", "", "Cat" },
	{ "both, nothing else", TEXT("8bit", UU_HELLO YENC_CAT),
		"1 text/plain - 8bit; 1.1 text/plain hello.txt x-uuencode; "
		"1.2 image/gif cat.gif x-yenc",
		"", "", "Hello" },
	{ "within quoted-printable",
		TEXT("quoted-printable", "a=\r\nb\r\nbegin 644 x.bin\r\n#0V%=54\r\n`\r\nend\r\nc"),
		"1 text/plain - quoted-printable; "
		"1.1 application/octet-stream x.bin quoted-printable uu:4+32",
		"ab\nc", "", "Cat" },
	{ "yEnc within base64",
		TEXT("base64",
			"eAo9eWJlZ2luIGxpbmU9OSBzaXplPTMgbmFtZT1hCm2Lngo9eWVuZCBzaXplPTMKeQ=="),
		"1 text/plain - base64; 1.1 application/octet-stream a base64 yenc:2+46", "x\ny",
		"", "Cat" },
	{ "no end, and a name that is a path",
		TEXT("7bit", "begin 644 ../a b.PDF\r\n#0V%T\r\n#0V%T\r\nWith kind regards\r\n"),
		"1 text/plain - 7bit; 1.1 application/pdf a b.PDF x-uuencode",
		"With kind regards\n", "bad_filename bad_uuencode", "CatCat" },
	{ "a line that is cut", TEXT("7bit", "begin 644 a\r\n#0V%T\r\n&0V%T\r\n`\r\nend\r\n"),
		"1 text/plain - 7bit; 1.1 application/octet-stream a x-uuencode", "",
		"bad_uuencode", "CatCat" },
	{ "blanks that were cut off", TEXT("7bit", "begin 644 a\r\n#0V%T\r\n#0V$\r\n\r\nend\r\nx"),
		"1 text/plain - 7bit; 1.1 application/octet-stream a x-uuencode", "x", "", NULL },
	{ "a size that is not so",
		TEXT("8bit", "=ybegin line=9 size=4 name=a\r\nm\x8b\x9e\r\n=yend size=4\r\n"),
		"1 text/plain - 8bit; 1.1 application/octet-stream a x-yenc", "", "bad_yenc",
		"Cat" },
	{ "a piece of a larger file",
		TEXT("8bit",
			"=ybegin part=1 total=2 line=9 size=9 name=a\r\n=ypart begin=1 end=3\r\n"
			"m\x8b\x9e\r\n=yend size=3 part=1\r\n"),
		"1 text/plain - 8bit; 1.1 application/octet-stream a x-yenc", "", "", "Cat" },
	{ "a name with a blank behind it",
		TEXT("8bit", "=ybegin line=9 size=3 name=a b \r\nm\x8b\x9e\r\n=yend size=3\r\n"),
		"1 text/plain - 8bit; 1.1 application/octet-stream a b x-yenc", "", "", "Cat" },
	{ "people write about it",
		TEXT("7bit", "begin 644 the work\r\nHello there\r\nend\r\n=ybegin line=1 size=1 "
			     "name=x\r\nis how it begins\r\nbegin 64 x\r\n#0V%T\r\n"),
		"1 text/plain - 7bit",
		"begin 644 the work\nHello there\nend\n=ybegin line=1 size=1 name=x\nis how it "
		"begins\nbegin 64 x\n#0V%T\n",
		"", NULL },
	{ "HTML is left alone", "Content-Type: text/html\r\n\r\n" UU_HELLO, "1 text/html - 7bit",
		"begin 644 hello.txt %2&5L;&\\ ` end\n", "", NULL },
};

START_TEST(files_in_a_text_are_parts_of_their_own)
{
	parse(blocks[_i].raw);
	assert_same(listing(), blocks[_i].parts, blocks[_i].name);
	assert_same(m->text, blocks[_i].text, blocks[_i].name);
	assert_defects(blocks[_i].defects);
	for (size_t i = 0; i < m->part_count; i++) {
		ck_assert(m->parts[i].is_attachment == (i > 0));
		assert_reads(blocks[_i].raw, i, i == 1 ? blocks[_i].content : NULL);
	}
}
END_TEST

START_TEST(parts_behind_a_file_in_a_text_are_numbered_on)
{
	static const char raw[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
				  "--b\r\n\r\n" UU_HELLO
				  "--b\r\nContent-Type: image/png\r\n\r\nx\r\n"
				  "--b\r\n\r\n" UU_HELLO UU_HELLO "--b--\r\n";

	parse(raw);
	ck_assert_str_eq(listing(),
		"1 text/plain - 7bit; 1.1 text/plain hello.txt x-uuencode; "
		"2 image/png part-3.png 7bit; 3 text/plain - 7bit; "
		"3.1 text/plain hello.txt x-uuencode; 3.2 text/plain hello.txt x-uuencode");
	/* the last line end is the boundary's */
	ck_assert_uint_eq(m->parts[5].raw_length, strlen(UU_HELLO) - 2);
	for (size_t i = 0; i < m->part_count; i++)
		assert_reads(raw, i, NULL);
	limits.parts = 5;
	parse(raw);
	ck_assert_uint_eq(m->part_count, 5);
	ck_assert_str_eq(m->parts[4].path, "3.1");
	assert_defects("limit_inner");
	ck_assert_pstr_ne(strstr(m->text, "begin 644"), NULL); /* what is no part is still text */
}
END_TEST

/* Against RFC 2046, 5.2.1, but some do. */
START_TEST(an_attached_message_in_base64_has_its_parts_within)
{
	const char *raw =
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		"U3ViamVjdDogaW5uZXINCkNvbnRlbnQtVHlwZTogbXVsdGlwYXJ0L21peGVk\r\n"
		"OyBib3VuZGFyeT1jDQoNCi0tYw0KQ29udGVudC1UeXBlOiB0ZXh0L3BsYWlu\r\n"
		"DQpDb250ZW50LVRyYW5zZmVyLUVuY29kaW5nOiBiYXNlNjQNCg0KU0dWc2JH\r\n"
		"OD0NCi0tYw0KQ29udGVudC1UeXBlOiBpbWFnZS9wbmc7IG5hbWU9YS5wbmcN\r\n"
		"CkNvbnRlbnQtVHJhbnNmZXItRW5jb2Rpbmc6IHF1b3RlZC1wcmludGFibGUN\r\n"
		"Cg0KYT0zRGINCi0tYw0KQ29udGVudC1UeXBlOiBtZXNzYWdlL3JmYzgyMg0K\r\n"
		"DQpTdWJqZWN0OiB4DQoNCmRlZXANCi0tYy0tDQo=\r\n"
		"--b--\r\n";

	parse(raw);
	ck_assert_str_eq(listing(), "1 text/plain - 7bit; 2 message/rfc822 message-2.eml base64; "
				    "2.1 text/plain part-3.txt base64 base64:129+8; "
				    "2.2 image/png a.png base64 quoted-printable:228+5; "
				    "2.3 message/rfc822 message-5.eml base64 8bit:272+18; "
				    "2.3.1 text/plain part-6.txt base64 8bit:286+4");
	ck_assert_str_eq(m->text, "text");
	assert_reads(raw, 2, "Hello");
	assert_reads(raw, 3, "a=b");
	assert_reads(raw, 4, "Subject: x\r\n\r\ndeep");
	assert_reads(raw, 5, "deep");
	assert_defects("");
	limits.parts = 4;
	parse(raw);
	ck_assert_uint_eq(m->part_count, 2);
	assert_defects("limit_inner");
}
END_TEST

/* Content */

START_TEST(what_is_not_understood_is_said)
{
	static const char *const bad[] = { "zip:1+2", ":1+2", "tnef:", "tnef:1", "tnef:1+2x",
		"uu:a+1", "" };
	struct mime_content content;
	char out[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!mime_content_begin(&content, "7bit", bad[i]), "%s", bad[i]);
	ck_assert(!mime_content_begin(&content, "rot13", NULL));
	ck_assert(mime_content_begin(&content, "base64", "tnef:2+6"));
	ck_assert_uint_eq(mime_content_step(&content, "SGVsbG8gd29ybGQ=", 16, out), 6);
	ck_assert_mem_eq(out, "llo wo", 6);
	ck_assert(mime_content_done(&content));
	ck_assert_uint_eq(mime_content_end(&content, out), 0);
	/* a stretch beyond the end */
	ck_assert(mime_content_begin(&content, "7bit", "tnef:2+18446744073709551615"));
	ck_assert_uint_eq(mime_content_step(&content, "abcd", 4, out), 2);
	ck_assert(!mime_content_done(&content));
}
END_TEST

/* Names */

static const struct {
	const char *type, *name;
} names[] = {
	{ "application/pdf", "part-2.pdf" },
	{ "application/x-no-such", "part-2.bin" },
	{ "image/jpeg", "part-2.jpg" },
	{ "image/heic", "part-2.heic" },
	{ "image/vnd.odd+thing", "part-2.bin" },
	{ "image/..", "part-2.bin" },
	{ "text/x-log", "part-2.txt" },
	{ "text/calendar", "calendar.ics" },
	{ "message/delivery-status", "part-2.txt" },
	{ "message/rfc822", "message-2.eml" },
	{ "application/pkcs7-mime", "smime.p7m" },
	{ "application/pkcs7-signature", "smime.p7s" },
	{ "application/pgp-signature", "signature.asc" },
};

START_TEST(an_attachment_without_a_name_is_called_by_its_type)
{
	char raw[512];

	snprintf(raw, sizeof(raw),
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
		"Content-Type: %s\r\n\r\nx\r\n--b--\r\n",
		names[_i].type);
	parse(raw);
	ck_assert_ptr_null(m->parts[0].filename);
	assert_same(m->parts[1].filename, names[_i].name, names[_i].type);
	limits.filename_bytes = 5;
	parse(raw);
	ck_assert_ptr_null(m->parts[1].filename);
}
END_TEST

START_TEST(an_empty_filename_gives_way_to_a_name)
{
	parse("Content-Type: image/png; name=\"x.png\"\r\n"
	      "Content-Disposition: inline; filename=\"\"\r\nContent-ID: <i@x>\r\n\r\nx");
	ck_assert_str_eq(m->parts[0].filename, "x.png");
	ck_assert_str_eq(m->parts[0].disposition, "inline");
	ck_assert_str_eq(m->parts[0].content_id, "i@x");
}
END_TEST

START_TEST(of_an_apple_double_the_data_is_a_file_with_the_name_of_both)
{
	parse("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n"
	      "--b\r\nContent-Type: multipart/appledouble; boundary=c\r\n\r\n"
	      "--c\r\nContent-Type: application/applefile; name=\"a.txt\"\r\n\r\nforks\r\n"
	      "--c\r\nContent-Type: text/plain\r\n\r\ndata\r\n--c--\r\n--b--\r\n");
	ck_assert_str_eq(listing(), "1 text/plain - 7bit; 2.1 application/applefile a.txt 7bit; "
				    "2.2 text/plain a.txt 7bit");
	ck_assert_str_eq(m->text, "text");
	ck_assert(m->parts[2].is_attachment);
	assert_defects("");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_inner");
	TCase *tc = tcase_create("mime_inner");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	LOOP(tc, files_in_a_text_are_parts_of_their_own, blocks);
	tcase_add_test(tc, parts_behind_a_file_in_a_text_are_numbered_on);
	tcase_add_test(tc, an_attached_message_in_base64_has_its_parts_within);
	tcase_add_test(tc, what_is_not_understood_is_said);
	LOOP(tc, an_attachment_without_a_name_is_called_by_its_type, names);
	tcase_add_test(tc, an_empty_filename_gives_way_to_a_name);
	tcase_add_test(tc, of_an_apple_double_the_data_is_a_file_with_the_name_of_both);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
