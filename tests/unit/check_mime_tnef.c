/* SPDX-License-Identifier: MIT */
/* mime: winmail.dat, made here attribute by attribute, and read by libytnef as well */
#include "lib/mime/decode.h"
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ytnef.h>

/* A stream, or a list of properties, while it is written. */
struct out {
	char bytes[8192];
	size_t len;
};

static struct out stream;

static void put(struct out *out, const void *p, size_t len)
{
	ck_assert_uint_le(out->len + len, sizeof(out->bytes));
	memcpy(out->bytes + out->len, p, len);
	out->len += len;
}

static void put_number(struct out *out, uint32_t number, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		put(out, &(char){ (char)(number >> 8 * i) }, 1);
}

static void put_padded(struct out *out, const void *p, size_t len)
{
	put(out, p, len);
	put(out, "\0\0\0", (4 - len % 4) % 4);
}

static void begin_stream(void)
{
	stream.len = 0;
	put_number(&stream, 0x223e9f78, 4);
	put_number(&stream, 1, 2);
}

static void attribute(uint32_t id, const void *p, size_t len)
{
	uint16_t sum = 0;

	put_number(&stream, 2, 1);
	put_number(&stream, id, 4);
	put_number(&stream, (uint32_t)len, 4);
	put(&stream, p, len);
	for (size_t i = 0; i < len; i++)
		sum = (uint16_t)(sum + ((const unsigned char *)p)[i]);
	put_number(&stream, sum, 2);
}

static void begin_file(void)
{
	attribute(0x00069002, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 14);
}

#define TITLE(s) attribute(0x00018010, s, sizeof(s))
#define DATA(s)  attribute(0x0006800f, s, sizeof(s) - 1)

static void string8(struct out *props, uint32_t id, const char *s)
{
	put_number(props, id << 16 | 0x001e, 4);
	put_number(props, 1, 4);
	put_number(props, (uint32_t)strlen(s) + 1, 4);
	put_padded(props, s, strlen(s) + 1);
}

static void unicode(struct out *props, uint32_t id, const char *utf16, size_t len)
{
	put_number(props, id << 16 | 0x001f, 4);
	put_number(props, 1, 4);
	put_number(props, (uint32_t)len, 4);
	put_padded(props, utf16, len);
}

/* A message with the stream as its second part; the parts of it are then looked at. */
static char raw[32768];

static void parse_stream(void)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *to = stpcpy(raw,
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n"
		"--b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\n");

	for (size_t i = 0; i < stream.len; i += 3) {
		uint32_t quantum = 0;
		size_t n = stream.len - i < 3 ? stream.len - i : 3;
		for (size_t k = 0; k < 3; k++)
			quantum = quantum << 8 | (k < n ? (unsigned char)stream.bytes[i + k] : 0u);
		for (size_t k = 0; k < 4; k++)
			*to++ = k <= n ? digits[quantum >> (18 - 6 * k) & 63] : '=';
		if (i % 57 == 54)
			to = stpcpy(to, "\r\n");
	}
	strcpy(to, "\r\n--b--\r\n");
	parse(raw);
	ck_assert_uint_ge(m->part_count, 2);
	ck_assert_str_eq(m->parts[1].filename, "winmail.dat");
	ck_assert_uint_eq(m->parts[1].size, stream.len);
	ck_assert_ptr_null(m->parts[1].inside);
}

static void assert_file(
	size_t i, const char *path, const char *type, const char *name, const char *wanted)
{
	const struct mime_part *part = &m->parts[i];
	struct mime_content content;
	uint8_t digest[SHA256_BYTES];
	char out[sizeof(raw)];
	size_t n = 0;

	ck_assert_uint_lt(i, m->part_count);
	ck_assert_str_eq(part->path, path);
	ck_assert_str_eq(part->content_type, type);
	ck_assert_str_eq(part->filename, name);
	ck_assert_str_eq(part->encoding, "base64");
	ck_assert(part->is_attachment);
	ck_assert(mime_content_begin(&content, part->encoding, part->inside));
	for (size_t at = 0; at < part->raw_length; at++)
		n += mime_content_step(&content, raw + part->raw_offset + at, 1, out + n);
	n += mime_content_end(&content, out + n);
	ck_assert_uint_eq(n, strlen(wanted));
	ck_assert_mem_eq(out, wanted, n);
	ck_assert_uint_eq(part->size, n);
	sha256(out, n, digest);
	ck_assert(digest_equal(part->sha256, digest));
}

/* libytnef finds the same files: the content of each, in order. */
static void assert_ytnef_agrees(const char *const *wanted, size_t count)
{
	TNEFStruct tnef;
	size_t n = 0;

	TNEFInitialize(&tnef);
	tnef.Debug = 0; /* which that leaves as it was */
	ck_assert_int_eq(TNEFParseMemory((BYTE *)stream.bytes, (long)stream.len, &tnef), 0);
	for (const Attachment *a = tnef.starting_attach.next; a != NULL; a = a->next, n++) {
		ck_assert_uint_lt(n, count);
		ck_assert_uint_eq((size_t)a->FileData.size, strlen(wanted[n]));
		ck_assert_mem_eq(a->FileData.data, wanted[n], strlen(wanted[n]));
	}
	ck_assert_uint_eq(n, count);
	TNEFFree(&tnef);
}

START_TEST(attachments_of_a_tnef_are_parts_that_can_be_read)
{
	static const char *const contents[] = { "%PDF", "two\n" };
	static struct out props;

	begin_stream();
	attribute(0x00089006, "\0\0\1\0", 4);           /* version */
	attribute(0x00069007, "\xe3\4\0\0\0\0\0\0", 8); /* code page 1251 */
	begin_file();
	TITLE("REPORT~1.PDF");
	DATA("%PDF");
	props.len = 0;
	put_number(&props, 5, 4);
	put_number(&props, 0x0e200003, 4); /* a number, */
	put_number(&props, 4, 4);
	put_number(&props, 0x80001003, 4); /* named numbers, */
	put(&props, "0123456789abcdef\1\0\0\0\4\0\0\0n\0n\0", 28);
	put_number(&props, 2, 4);
	put_number(&props, 1, 4);
	put_number(&props, 2, 4);
	unicode(&props, 0x3707, "\x11\x04.\0p\0d\0f\0\0\0", 12);
	string8(&props, 0x3712, "cid@x");
	string8(&props, 0x370e, "Application/X-PDF");
	attribute(0x00069005, props.bytes, props.len);
	begin_file();
	TITLE("\xe1.txt"); /* in the code page */
	DATA("two\n");
	parse_stream();
	assert_defects("");
	ck_assert_uint_eq(m->part_count, 4);
	assert_file(2, "2.1", "application/x-pdf", "\u0411.pdf", "%PDF");
	ck_assert_str_eq(m->parts[2].content_id, "cid@x");
	assert_file(3, "2.2", "text/plain", "\u0431.txt", "two\n");
	ck_assert_ptr_null(m->parts[3].content_id);
	assert_ytnef_agrees(contents, 2);
}
END_TEST

START_TEST(an_embedded_message_and_data_in_a_property_are_parts_too)
{
	static struct out props;

	begin_stream();
	begin_file();
	props.len = 0;
	put_number(&props, 2, 4);
	string8(&props, 0x3001, "The one/before");
	put_number(&props, 0x3701000d, 4);
	put_number(&props, 1, 4);
	put_number(&props, 16 + 5, 4);
	put_padded(&props, "0123456789abcdefinner", 21);
	attribute(0x00069005, props.bytes, props.len);
	begin_file();
	DATA("no name");
	parse_stream();
	assert_defects("bad_filename");
	assert_file(2, "2.1", "application/ms-tnef", "before", "inner");
	assert_file(3, "2.2", "application/octet-stream", "part-4.bin", "no name");
	ck_assert_uint_eq(m->part_count, 4);
}
END_TEST

START_TEST(a_damaged_tnef_gives_what_it_has)
{
	begin_stream();
	begin_file();
	TITLE("a.txt");
	DATA("hello");
	stream.bytes[stream.len - 4] ^= 1; /* the checksum finds it */
	begin_file();
	DATA("more");
	stream.len -= 4; /* cut within the data */
	parse_stream();
	assert_defects("bad_tnef");
	assert_file(2, "2.1", "text/plain", "a.txt", "helmo");
	assert_file(3, "2.2", "application/octet-stream", "part-4.bin", "mo");
	stream.len = 3;
	parse_stream();
	assert_defects("bad_tnef");
	ck_assert_uint_eq(m->part_count, 2);
	stream.len = 6;
	parse_stream();
	assert_defects("");
	ck_assert_uint_eq(m->part_count, 2);
}
END_TEST

START_TEST(files_in_a_tnef_count_as_parts)
{
	limits.parts = 5;
	begin_stream();
	for (int i = 0; i < 9; i++) {
		begin_file();
		DATA("x");
	}
	parse_stream();
	assert_defects("limit_inner");
	ck_assert_uint_eq(m->part_count, limits.parts);
}
END_TEST

/* Each byte of a stream changed in turn, and the stream cut behind each: whatever comes out can be
 * read. The sanitizer sees the rest. */
START_TEST(no_byte_of_a_tnef_is_trusted)
{
	static const char values[] = { 0, 1, 0x7f, (char)0x80, (char)0xff };
	static struct out props;
	struct mime_content content;
	char out[sizeof(raw)];

	begin_stream();
	begin_file();
	TITLE("a.txt");
	props.len = 0;
	put_number(&props, 2, 4);
	put_number(&props, 0x8000101f, 4);
	put(&props, "0123456789abcdef\1\0\0\0\4\0\0\0n\0n\0\2\0\0\0\2\0\0\0a\0\0\0\2\0\0\0b\0\0\0",
		48);
	string8(&props, 0x3707, "b.txt");
	attribute(0x00069005, props.bytes, props.len);
	DATA("hello");
	const struct out whole = stream;
	for (size_t i = 0; i < whole.len; i++) {
		for (size_t k = 0; k <= sizeof(values); k++) {
			stream = whole;
			if (k < sizeof(values))
				stream.bytes[i] = values[k];
			else
				stream.len = i;
			parse_stream();
			for (size_t p = 2; p < m->part_count; p++) {
				const struct mime_part *part = &m->parts[p];
				ck_assert(
					mime_content_begin(&content, part->encoding, part->inside));
				size_t n = mime_content_step(
					&content, raw + part->raw_offset, part->raw_length, out);
				n += mime_content_end(&content, out + n);
				ck_assert_uint_eq(n, part->size);
			}
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_tnef");
	TCase *tc = tcase_create("mime_tnef");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, attachments_of_a_tnef_are_parts_that_can_be_read);
	tcase_add_test(tc, an_embedded_message_and_data_in_a_property_are_parts_too);
	tcase_add_test(tc, a_damaged_tnef_gives_what_it_has);
	tcase_add_test(tc, files_in_a_tnef_count_as_parts);
	tcase_add_test(tc, no_byte_of_a_tnef_is_trusted);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
