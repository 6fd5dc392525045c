/* SPDX-License-Identifier: MIT */
/* mime: structure, parts, file names and the limits to them */
#include "tests/unit/mime_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Structure: the parts as "path type" with "*" for a body, and what was taken for text and html. */

#define PART(type, body) "--b\r\nContent-Type: " type "\r\n\r\n" body "\r\n"
#define FILE_PART(type, body)                                                                      \
	"--b\r\nContent-Type: " type "\r\nContent-Disposition: attachment\r\n\r\n" body "\r\n"
#define MULTI(kind, parts) "Content-Type: multipart/" kind "; boundary=b\r\n\r\n" parts "--b--\r\n"
#define INNER(kind, boundary, parts)                                                               \
	"--b\r\nContent-Type: multipart/" kind "; boundary=" boundary "\r\n\r\n" parts             \
	"--" boundary "--\r\n"
#define PART_C(type, body) "--c\r\nContent-Type: " type "\r\n\r\n" body "\r\n"

static const struct {
	const char *name, *raw, *parts, *text, *html, *defects;
} structures[] = {
	{ "alternative", MULTI("alternative", PART("text/plain", "t") PART("text/html", "h")),
		"1 text/plain*;2 text/html*", "t", "h", "" },
	{ "two texts and two htmls",
		MULTI("alternative", PART("text/plain", "t1") PART("text/html", "h1")
					     PART("text/plain", "t2") PART("text/html", "h2")),
		"1 text/plain*;2 text/html;3 text/plain;4 text/html*", "t1", "h2", "" },
	{ "a blank alternative is no attachment",
		MULTI("alternative", PART("text/plain", " ") PART("text/plain; name=a.txt", "")
					     PART("text/html", "h")),
		"1 text/plain*;2 text/plain;3 text/html*", "h\n", "h", "" },
	{ "a blank html beside a text",
		MULTI("alternative", PART("text/plain", "t") PART("text/html", "\r\n")),
		"1 text/plain*;2 text/html*", "t", NULL, "" },
	{ "nothing but a blank html", MULTI("alternative", PART("text/html", "")), "1 text/html*",
		"", "", "" },
	{ "parameters without a type", MULTI("mixed", PART("; charset=utf-8", "t")),
		"1 text/plain*", "t", NULL, "bad_content_type" },
	{ "blanks around the slash",
		MULTI("mixed", PART("image/ png", "i") PART("text / html", "h")),
		"1 image/png;2 text/html*", "h\n", "h", "" },
	{ "calendar", MULTI("alternative", PART("text/plain", "t") PART("text/calendar", "c")),
		"1 text/plain*;2 text/calendar", "t", NULL, "" },
	{ "mixed texts are joined",
		MULTI("mixed", PART("text/plain", "one") PART("application/pdf", "x")
				       PART("text/plain", "two\r\n") PART("text/plain", "three")),
		"1 text/plain*;2 application/pdf;3 text/plain*;4 text/plain*", "one\ntwo\nthree",
		NULL, "" },
	{ "an attached text is no body",
		MULTI("mixed", PART("text/plain", "t") FILE_PART("text/plain", "file")),
		"1 text/plain*;2 text/plain", "t", NULL, "" },
	{ "a text with a name is no body",
		MULTI("mixed", PART("text/plain", "t") PART("text/plain; name=x.txt", "file")),
		"1 text/plain*;2 text/plain", "t", NULL, "" },
	{ "related inside alternative",
		MULTI("alternative", PART("text/plain", "t") INNER("related", "c",
					     PART_C("text/html", "h") PART_C("image/png", "i")
						     PART_C("text/html", "frame"))),
		"1 text/plain*;2.1 text/html*;2.2 image/png;2.3 text/html", "t", "h", "" },
	{ "related with a root of its own",
		"Content-Type: multipart/related; boundary=b; start=\"<root@x>\"\r\n\r\n" PART(
			"image/png", "i") "--b\r\nContent-ID: <root@x>\r\nContent-Type: "
					  "text/html\r\n\r\nh\r\n--b--\r\n",
		"1 image/png;2 text/html*", "h\n", "h", "" },
	{ "mixed inside alternative",
		MULTI("alternative", PART("text/plain", "t") INNER("mixed", "c",
					     PART_C("text/html", "h1") PART_C("image/png", "i")
						     PART_C("text/html", "h2"))),
		"1 text/plain*;2.1 text/html*;2.2 image/png;2.3 text/html*", "t", "h1\nh2", "" },
	{ "alternative and a footer",
		MULTI("mixed", INNER("alternative", "c",
				       PART_C("text/plain", "t") PART_C("text/html", "h"))
				       PART("text/plain", "footer")),
		"1.1 text/plain*;1.2 text/html*;2 text/plain*", "t\nfooter",
		"h\n<pre style=\"white-space: pre-wrap\">footer</pre>\n", "" },
	{ "signed", MULTI("signed", PART("text/plain", "t") PART("application/pgp-signature", "s")),
		"1 text/plain*;2 application/pgp-signature", "t", NULL, "" },
	{ "an attached message",
		MULTI("mixed", PART("text/plain",
				       "t") "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: "
					    "in\r\n\r\ninner text\r\n"),
		"1 text/plain*;2 message/rfc822;2.1 text/plain", "t", NULL, "" },
	{ "an attached message with parts",
		MULTI("mixed", "--b\r\nContent-Type: message/rfc822\r\n\r\n"
			       "Content-Type: multipart/mixed; boundary=c\r\n\r\n" PART_C(
				       "text/plain", "x") PART_C("text/html", "y") "--c--\r\n"),
		"1 message/rfc822;1.1 text/plain;1.2 text/html", NULL, NULL, "" },
	{ "a message in a message",
		"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nA: "
		"b\r\n\r\nx",
		"1 message/rfc822;1.1 message/rfc822;1.1.1 text/plain", NULL, NULL, "" },
	{ "a digest",
		MULTI("digest", "--b\r\n\r\nSubject: 1\r\n\r\none\r\n" PART("text/plain", "two")),
		"1 message/rfc822;1.1 text/plain;2 text/plain*", "two", NULL, "" },
	{ "an encoded message is opened",
		MULTI("mixed", "--b\r\nContent-Type: message/rfc822\r\n"
			       "Content-Transfer-Encoding: base64\r\n\r\nQTogYg0KDQp4\r\n"),
		"1 message/rfc822;1.1 text/plain", NULL, NULL, "" },
	{ "an encoded message that is none",
		MULTI("mixed", "--b\r\nContent-Type: message/rfc822\r\n"
			       "Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"),
		"1 message/rfc822", NULL, NULL, "" },
	{ "preamble and epilogue",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n" PART(
			"text/plain", "t") "--b--\r\nepi\r\n--b\r\n\r\nno part\r\n",
		"1 text/plain*", "t", NULL, "" },
	{ "boundaries with blanks behind, and one that another begins with",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b "
		"\t\r\n\r\nx\r\n--bb\r\n--b\r\n"
		"\r\ny\r\n--b-- \r\n",
		"1 text/plain*;2 text/plain*", "x\n--bb\ny", NULL, "" },
	{ "LF only", "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\nx\n--b\n\ny\n--b--\n",
		"1 text/plain*;2 text/plain*", "x\ny", NULL, "" },
	{ "no end", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" PART("text/plain", "t"),
		"1 text/plain*", "t\n", NULL, "unclosed_multipart" },
	{ "inner one without an end",
		MULTI("mixed",
			"--b\r\nContent-Type: multipart/mixed; "
			"boundary=c\r\n\r\n" PART_C("text/plain", "t") PART("text/plain", "u")),
		"1.1 text/plain*;2 text/plain*", "t\nu", NULL, "unclosed_multipart" },
	{ "no boundary", "Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nt\r\n", "1 text/plain*",
		"--x\n\nt\n", NULL, "missing_boundary" },
	{ "the boundary never comes", "Content-Type: multipart/mixed; boundary=b\r\n\r\nt\r\n",
		"1 text/plain*", "t\n", NULL, "empty_multipart unclosed_multipart" },
	{ "a boundary that only the content tells",
		"From: somebody@example.org\r\nContent-Type: "
		"multipart/mixed\r\n\r\npreamble\r\n" PART("text/plain", "t")
			PART("image/png", "i") "--b--\r\n",
		"1 text/plain*;2 image/png", "t", NULL, "missing_boundary" },
	{ "a boundary without its second quote",
		"To: a@b\r\nContent-Type: multipart/mixed; boundary=\"b\r\n\r\n" PART(
			"text/plain", "t") "--b--",
		"1 text/plain*", "t", NULL, "missing_boundary" },
	{ "another boundary than the one given",
		"Content-Type: multipart/digest; boundary=\"other\"\r\n\r\n" PART(
			"text/html", "h") "--b--",
		"1 text/html*", "h\n", "h", "missing_boundary" },
	{ "a boundary in pieces",
		"Content-Type: multipart/related; boundary*0=\"b\";\r\n boundary*1=\"c\";"
		" start=\"<root@x>\"\r\n\r\n--bc\r\nContent-Type: image/png\r\n\r\ni\r\n"
		"--bc\r\nContent-ID: <root@x>\r\nContent-Type: text/html\r\n\r\nh\r\n--bc--\r\n",
		"1 image/png;2 text/html*", "h\n", "h", "" },
	{ "a boundary with its charset",
		"Content-Type: multipart/mixed; boundary*=us-ascii'en'b\r\n\r\n" PART(
			"text/plain", "t") "--b--\r\n",
		"1 text/plain*", "t", NULL, "" },
	{ "an inner multipart's boundary from its content",
		MULTI("mixed",
			"--b\r\nContent-Description: something to begin with\r\n"
			"Content-Type: multipart/alternative\r\n\r\n" PART_C("text/plain", "t")
				PART_C("text/html", "h") "--c--\r\n" PART("image/png", "i")),
		"1.1 text/plain*;1.2 text/html*;2 image/png", "t", "h", "missing_boundary" },
	{ "comments in a type, some with no end",
		"Content-Type: multipart/mixed (of (all) sorts); boundary=b (its end)\r\n\r\n" PART(
			"text/plain (plain; charset=koi8-r", "t")
			PART("text/html (", "h") "--b--\r\n",
		"1 text/plain*;2 text/html*", "t\nh\n",
		"<pre style=\"white-space: pre-wrap\">t</pre>\nh", "" },
	{ "parameters that lost the blank in front of their line",
		MULTI("mixed",
			"--b\r\nContent-Type: multipart/alternative;\r\nboundary=\"c:1\"\r\n\r\n"
			"--c:1\r\n\r\nt\r\n--c:1--\r\n"
			"--b\r\nContent-Disposition: "
			"inline;\r\nfilename=\"a:b.txt\"\r\n\r\nfile\r\n"),
		"1.1 text/plain*;2 text/plain", "t", NULL, "bad_header" },
	{ "an inner multipart whose boundary never comes",
		MULTI("mixed", PART("text/plain", "t")
				       PART("multipart/alternative; boundary=c", "--d\r\n\r\nx")),
		"1 text/plain*;2.1 text/plain*", "t\n--d\n\nx", NULL,
		"empty_multipart unclosed_multipart" },
	{ "an inner multipart without a boundary, and no room for one",
		MULTI("mixed", PART("multipart/mixed", "--c\r\nContent-Type: text/plain\r\n\r\nx")
				       PART("text/plain", "t")),
		"1.1 text/plain*;2 text/plain*", "--c\nContent-Type: text/plain\n\nx\nt", NULL,
		"missing_boundary" },
	{ "the outer multipart's boundary is not the inner one's",
		MULTI("mixed",
			"--b\r\nContent-Description: something to begin with\r\n"
			"Content-Type: multipart/alternative\r\n\r\n" PART("image/png", "i")),
		"2 image/png", NULL, NULL, "missing_boundary" },
	{ "two content types: the last counts",
		"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx", "1 text/html*",
		"x\n", "x", "repeated_header" },
	{ "no header", "just text\r\nand more: text\r\n", "1 text/plain*",
		"just text\nand more: text\n", NULL, "no_header" },
	{ "only a header", "Subject: x\r\n", "1 text/plain*", "", NULL, "unended_header" },
	{ "a header that is cut off", "Subject: x\r\nFo", "1 text/plain*", "Fo", NULL,
		"missing_blank_line" },
	{ "blank lines in front", "\r\n  \r\nContent-Type: text/html\r\n\r\nx", "1 text/html*",
		"x\n", "x", "leading_lines" },
	{ "an mbox line in front", "From a@b Fri Nov  7 10:20:00 2025\nA: b\n\nx", "1 text/plain*",
		"x", NULL, "" },
	{ "only blanks", " \r\n\r\n", "1 text/plain*", " \n\n", NULL, "no_header" },
	{ "one byte", "x", "1 text/plain*", "x", NULL, "no_header" },
	{ "nothing", "", "1 text/plain*", "", NULL, "no_header" },
};

START_TEST(structure_gives_parts_and_bodies)
{
	char got[512] = "", *to = got;

	parse(structures[_i].raw);
	for (size_t i = 0; i < m->part_count; i++) {
		const struct mime_part *part = &m->parts[i];
		to += sprintf(to, "%s%s %s%s", i > 0 ? ";" : "", part->path, part->content_type,
			part->is_attachment ? "" : "*");
	}
	assert_same(got, structures[_i].parts, structures[_i].name);
	assert_same(m->text, structures[_i].text, structures[_i].name);
	assert_same(m->html, structures[_i].html, structures[_i].name);
	assert_defects(structures[_i].defects);
}
END_TEST

START_TEST(text_full_of_dashes_is_no_bomb)
{
	char *raw = malloc(2000 * 40), *to = raw;

	to = stpcpy(to, MULTI("mixed", "--b\r\n\r\n"));
	to -= strlen("--b--\r\n");
	for (int i = 0; i < 2000; i++)
		to += sprintf(to, i % 2 == 0 ? "--- a/file%d\r\n" : "-----BEGIN %d-----\r\n", i);
	strcpy(to, "-- \r\n--b--\r\n");
	parse(raw);
	assert_defects("");
	ck_assert_uint_eq(m->part_count, 1);
	free(raw);
}
END_TEST

/* Parts */

static const char file_mail[] =
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	"--b\r\n\r\ntext\r\n"
	"--b\r\nContent-Type: Application/PDF; name=\"other.pdf\"\r\n"
	"Content-Disposition: ATTACHMENT; filename=\"x.pdf\"\r\nContent-ID: <id@x>\r\n"
	"Content-Transfer-Encoding: Base64\r\n\r\nSGVsbG8=\r\n\r\n"
	"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n"
	"--b--\r\n";

START_TEST(a_part_says_what_it_is_and_where_it_lies)
{
	uint8_t digest[SHA256_BYTES];

	parse(file_mail);
	assert_defects("");
	ck_assert_uint_eq(m->part_count, 4);
	const struct mime_part *file = &m->parts[1], *message = &m->parts[2];
	ck_assert_uint_eq(file->n, 2);
	ck_assert_str_eq(file->path, "2");
	ck_assert_str_eq(file->content_type, "application/pdf");
	ck_assert_str_eq(file->filename, "x.pdf");
	ck_assert_str_eq(file->disposition, "attachment");
	ck_assert_str_eq(file->content_id, "id@x");
	ck_assert_str_eq(file->encoding, "base64");
	ck_assert_ptr_null(file->charset);
	ck_assert_uint_eq(file->size, 5);
	sha256("Hello", 5, digest);
	ck_assert(digest_equal(file->sha256, digest));
	ck_assert_uint_eq(file->raw_offset, (size_t)(strstr(file_mail, "SGVs") - file_mail));
	ck_assert_uint_eq(file->raw_length, strlen("SGVsbG8=\r\n"));
	ck_assert(file->is_attachment);

	static const char inner[] = "Subject: in\r\n\r\ninner";
	ck_assert_uint_eq(message->raw_offset, (size_t)(strstr(file_mail, inner) - file_mail));
	ck_assert_uint_eq(message->raw_length, strlen(inner));
	ck_assert_uint_eq(message->size, strlen(inner));
	sha256(inner, strlen(inner), digest);
	ck_assert(digest_equal(message->sha256, digest));
	ck_assert_str_eq(m->parts[3].path, "3.1");
	ck_assert_str_eq(m->parts[3].encoding, "7bit");
	ck_assert_ptr_null(m->parts[3].disposition);
}
END_TEST

START_TEST(a_large_part_is_decoded_in_pieces_to_the_same_bytes)
{
	size_t lines = 3000, n = 0;
	char *raw = malloc(lines * 80), *to = raw, *plain = malloc(lines * 57);
	uint8_t digest[SHA256_BYTES];

	to = stpcpy(to, "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	for (size_t i = 0; i < lines; i++) {
		to = stpcpy(to, "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=\r\n" + (i % 2 == 0 ? 0 : 0));
		memcpy(plain + n, "abcdefghijklmnopqrstuvwxyz", 26);
		n += 26;
	}
	parse(raw);
	sha256(plain, n, digest);
	ck_assert_uint_eq(m->parts[0].size, n);
	ck_assert(digest_equal(m->parts[0].sha256, digest));
	assert_defects("base64_padding");
	free(raw);
	free(plain);
}
END_TEST

static const struct {
	const char *parameter, *filename, *defects;
} filenames[] = {
	{ "filename=plain.txt", "plain.txt", "" },
	{ "filename=two words.txt", "two words.txt", "" },
	{ "filename=\"a;b\\\"c\"", "a;b\"c", "" },
	{ "filename=(comment)x.txt", "(comment)x.txt", "" },
	{ "x=1; FileName = \"y\" ; z=2", "y", "" },
	{ "filename*=utf-8''%e2%82%ac%20rates", "\u20ac rates", "" },
	{ "filename*=iso-8859-1'en'%A3", "\u00a3", "" },
	/* without the star, and what only looks so */
	{ "filename=\"UTF-8''%e2%82%ac%20rates\"", "\u20ac rates", "" },
	{ "filename*0=\"utf-8''%e2%82\"; filename*1=\"%ac\"", "\u20ac", "" },
	{ "filename=\"utf-8''5% off\"", "5% off", "" },
	{ "filename=\"it's 5%25 o'c\"", "it's 5%25 o'c", "" },
	/* a name that was folded with a tab */
	{ "filename=\"two\r\n\twords\"", "two words", "" },
	{ "filename*0*=utf-8''%e2%82; filename*1*=%ac; filename*2=\".txt\"", "\u20ac.txt", "" },
	{ "filename*1=b; filename*0=a", "ab", "" },
	{ "filename=plain; filename*=utf-8''%C3%BC", "\u00fc", "" },
	{ "filename*=utf-8''%", "%", "" },
	{ "filename*=x-none''%e9", "\u00e9", "unknown_charset" },
	{ "filename=\"=?UTF-8?B?SGVsbG8=?= =?UTF-8?B?IHdvcmxk?=\"", "Hello world", "" },
	{ "filename==?utf-8?q?=C3=BC?=", "\u00fc", "" },
	{ "filename=\"\xc3\xbc\"", "\u00fc", "" },
	{ "filename=\"\xfc\"", "\u00fc", "header_charset" },
	{ "filename=\"../../etc/passwd\"", "passwd", "bad_filename" },
	{ "filename=\"C:\\temp\\new.doc\"", "new.doc", "bad_filename" },
	{ "filename=\"a/\"", "part-1.bin", "bad_filename" },
	{ "filename=\"..\"", "part-1.bin", "bad_filename" },
	{ "filename=\" \"", "part-1.bin", "" },
	{ "filename=\"\"", "part-1.bin", "" },
	{ "filename", "part-1.bin", "" },
	{ "filename*=utf-8''a%00%0a%1fb", "a\ufffdb", "bad_filename" },
	{ "filename*=utf-8''a%e2%80%aegpj.exe", "agpj.exe", "bad_filename" },
	{ "filename=\"0123456789abcdef\xc3\xbc\"", "0123456789abcdef", "limit_filename" },
	{ "filename=\"unclosed", "unclosed", "" },
	/* words in numbered pieces, numbers from 1, a piece that is missing, literal percent signs */
	{ "filename*0=\"=?utf-8?q?=C3=BC?=\"; filename*1=\".txt\"", "\u00fc.txt", "" },
	{ "filename*1=a; filename*2=b; filename*4=d", "ab", "" },
	{ "filename*0=\"50%\"; filename*1*=%20off", "50% off", "" },
	{ "filename=x; filename*0=a; filename*1=b", "ab", "" },
	{ "filename*=''a%2Fb", "b", "bad_filename" },
	{ "filename*=utf-8''a%E2%80%A9%D8%9Cb", "ab", "bad_filename" },
};

START_TEST(filenames_are_decoded_and_harmless)
{
	char raw[512];

	limits.filename_bytes = 17;
	snprintf(raw, sizeof(raw),
		"Content-Type: application/x\r\nContent-Disposition: attachment; %s\r\n\r\nx",
		filenames[_i].parameter);
	parse(raw);
	assert_same(m->parts[0].filename, filenames[_i].filename, filenames[_i].parameter);
	ck_assert_str_eq(m->parts[0].disposition, "attachment");
	assert_defects(filenames[_i].defects);
}
END_TEST

START_TEST(a_name_in_the_content_type_is_a_filename_too)
{
	parse("Content-Type: image/png; name*=utf-8''%C3%BC.png; charset=KOI8-R\r\n\r\nx");
	ck_assert_str_eq(m->parts[0].filename, "\u00fc.png");
	ck_assert_str_eq(m->parts[0].charset, "koi8-r");
	/* without a semicolon, or without the word that should stand first */
	parse("Content-Type: image/png name=\"a b.png\"\r\n\r\nx");
	ck_assert_str_eq(m->parts[0].filename, "a b.png");
	assert_defects("bad_content_type");
	parse("Content-Type: image/png\r\nContent-Disposition: filename=c.png\r\n\r\nx");
	ck_assert_str_eq(m->parts[0].filename, "c.png");
	parse("Content-Type: image/png;\r\nname=\"f.png\"\r\nX: y;\r\nz=1\r\n\r\nx");
	ck_assert_str_eq(m->parts[0].filename, "f.png");
	ck_assert_str_eq(m->headers[1].value, "y; z=1");
	assert_defects("bad_header");
	parse("Content-Type: image/png (a; name=d.png); name=e.png\r\n\r\nx");
	ck_assert_str_eq(m->parts[0].filename, "e.png");
	assert_defects("");
}
END_TEST

/* Limits */

START_TEST(over_a_limit_the_header_section_is_still_read)
{
	limits.parts = 3;
	parse("Subject: s\r\n" MULTI("mixed", "--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n"));
	assert_defects("");
	parse("Subject: s\r\n" MULTI("mixed", "--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n"));
	ck_assert_int_eq(m->status, MIME_FAILED);
	ck_assert_str_eq(defects(), "limit_parts");
	ck_assert_str_eq(m->subject, "s");
	ck_assert_uint_eq(m->part_count, 0);
	ck_assert_ptr_null(m->text);

	limits = mime_limits_default;
	limits.depth = 2;
	parse(MULTI("mixed", INNER("mixed", "c", PART_C("text/plain", "x"))));
	assert_defects("");
	limits.depth = 1;
	parse("To: a@b\r\n" MULTI("mixed", INNER("mixed", "c", PART_C("text/plain", "x"))));
	ck_assert_int_eq(m->status, MIME_FAILED);
	ck_assert_str_eq(defects(), "limit_depth");
	ck_assert_uint_eq(m->to.count, 1);
}
END_TEST

START_TEST(header_limits_keep_what_lies_within_them)
{
	limits.header_fields = 2;
	parse("Subject: s\r\nX: y\r\n folded\r\n\r\nbody");
	assert_defects("");
	parse("Subject: s\r\nX: y\r\nTo: a@b\r\n\r\nbody");
	ck_assert_int_eq(m->status, MIME_FAILED);
	ck_assert_str_eq(defects(), "limit_header_fields");
	ck_assert_str_eq(m->subject, "s");
	ck_assert_uint_eq(m->header_count, 2);

	limits = mime_limits_default;
	limits.header_bytes = 20;
	parse("Subject: s\r\nX: 0123456789\r\n\r\nbody");
	ck_assert_int_eq(m->status, MIME_FAILED);
	ck_assert_str_eq(defects(), "limit_header_bytes");
	ck_assert_str_eq(m->subject, "s");
}
END_TEST

static void *parse_often(void *arg)
{
	size_t good = 0;

	for (int i = 0; i < 300; i++) {
		struct mime_message *mine = mime_parse(
			file_mail, sizeof(file_mail) - 1, &mime_limits_default);
		good += mine->part_count == 4 && strcmp(mine->parts[1].filename, "x.pdf") == 0;
		mime_message_free(&mine);
	}
	return (void *)good;
}

START_TEST(threads_do_not_disturb_each_other)
{
	pthread_t threads[4];
	void *good;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, parse_often, NULL), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &good);
		ck_assert_uint_eq((size_t)good, 300);
	}
}
END_TEST

static const char *const behind_a_type[] = { ";a=(", ";a(", "(", ";(", " (", "(a) ", ";a=\"",
	"\";a=(\r\n ", ";a*0=b;", "; boundary=", "\\(", "=", "/" };

/* GMime alone would take minutes for the first of them. */
START_TEST(a_megabyte_behind_a_type_is_read_to_its_end)
{
	enum { BYTES = 900000 };
	size_t count = BYTES / strlen(behind_a_type[_i]);
	char *raw = malloc(BYTES + 100), *to = stpcpy(raw, "Content-Type: multipart/mixed");

	for (size_t i = 0; i < count; i++)
		to = stpcpy(to, behind_a_type[_i]);
	stpcpy(to, "\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\nx\r\n--b--\r\n");
	parse(raw);
	ck_assert_str_eq(m->html, "x");
	free(raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_parts");
	TCase *tc = tcase_create("mime_parts");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	LOOP(tc, structure_gives_parts_and_bodies, structures);
	LOOP(tc, a_megabyte_behind_a_type_is_read_to_its_end, behind_a_type);
	tcase_add_test(tc, text_full_of_dashes_is_no_bomb);
	tcase_add_test(tc, a_part_says_what_it_is_and_where_it_lies);
	tcase_add_test(tc, a_large_part_is_decoded_in_pieces_to_the_same_bytes);
	LOOP(tc, filenames_are_decoded_and_harmless, filenames);
	tcase_add_test(tc, a_name_in_the_content_type_is_a_filename_too);
	tcase_add_test(tc, over_a_limit_the_header_section_is_still_read);
	tcase_add_test(tc, header_limits_keep_what_lies_within_them);
	tcase_add_test(tc, threads_do_not_disturb_each_other);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
