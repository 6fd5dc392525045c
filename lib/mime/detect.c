/* SPDX-License-Identifier: MIT */
/* What charset a text is in when nobody says so, or says it wrongly. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>
#include <uchardet.h>

enum {
	SAMPLE_BYTES = 2048,   /* more of it makes the detector slower, and no better */
	PROLOGUE_BYTES = 4096, /* of an HTML text, where its charset is looked for */
	SURE_BYTES = 6,        /* fewer bytes over 127 prove nothing */
};

/* What the detector's answers are worth. Its models of rare charsets win over the common ones on
 * little evidence ("It's" in windows-1252 is MAC-CENTRALEUROPE to it), so only these count. */
static const struct {
	const char *answer, *label;
	bool foreign; /* a script of its own: most letters must be over 127 */
} answers[] = {
	{ "SHIFT_JIS", "shift_jis", true },
	{ "EUC-JP", "euc-jp", true },
	{ "ISO-2022-JP", "iso-2022-jp", false },
	{ "ISO-2022-KR", "iso-2022-kr", false },
	{ "GB18030", "gb18030", true },
	{ "BIG5", "big5", true },
	{ "EUC-TW", "euc-tw", true },
	{ "UHC", "euc-kr", true },
	{ "EUC-KR", "euc-kr", true },
	{ "WINDOWS-1251", "windows-1251", true },
	{ "KOI8-R", "koi8-r", true },
	{ "ISO-8859-5", "iso-8859-5", true },
	{ "IBM866", "cp866", true },
	{ "MAC-CYRILLIC", "maccyrillic", true },
	{ "WINDOWS-1253", "windows-1253", true },
	{ "ISO-8859-7", "iso-8859-7", true },
	{ "WINDOWS-1255", "windows-1255", true },
	{ "ISO-8859-8", "iso-8859-8", true },
	{ "WINDOWS-1256", "windows-1256", true },
	{ "ISO-8859-6", "iso-8859-6", true },
	{ "TIS-620", "windows-874", true },
	{ "ISO-8859-11", "windows-874", true },
	{ "WINDOWS-1250", "windows-1250", false },
	{ "ISO-8859-2", "iso-8859-2", false },
	{ "WINDOWS-1254", "windows-1254", false },
	{ "ISO-8859-9", "iso-8859-9", false },
	{ "WINDOWS-1257", "windows-1257", false },
	{ "WINDOWS-1258", "windows-1258", false },
};

/* Whether the answer fits what the bytes look like. */
static bool plausible(struct slice sample, bool foreign)
{
	size_t high = 0, letters = 0;

	for (size_t i = 0; i < sample.len; i++) {
		if ((unsigned char)sample.base[i] > 0x7f)
			high++;
		else if (isalpha((unsigned char)sample.base[i]))
			letters++;
	}
	return high >= SURE_BYTES && (!foreign || 2 * high >= letters);
}

static struct slice sample_of(struct slice bytes)
{
	size_t i = 0;

	while (i < bytes.len && (unsigned char)bytes.base[i] < 0x80)
		i++;
	while (i > 0 && bytes.base[i - 1] != '\n' && bytes.len - i < SAMPLE_BYTES / 2)
		i--; /* a short text as a whole; of a long one from its first foreign byte */
	size_t left = bytes.len - i;
	return (struct slice){ bytes.base + i, left < SAMPLE_BYTES ? left : SAMPLE_BYTES };
}

const char *mime_detect(struct slice bytes)
{
	struct slice sample = sample_of(bytes);
	const char *label = NULL;

	if (!plausible(sample, false))
		return NULL;
	uchardet_t detector = uchardet_new();
	if (uchardet_handle_data(detector, sample.base, sample.len) == 0)
		uchardet_data_end(detector);
	const char *answer = uchardet_get_charset(detector);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (strcmp(answer, answers[i].answer) == 0 && plausible(sample, answers[i].foreign))
			label = answers[i].label;
	}
	uchardet_delete(detector);
	return label;
}

const char *mime_escape_charset(struct slice bytes)
{
	for (const char *p = memchr(bytes.base, '\033', bytes.len); p != NULL;
		p = memchr(p + 1, '\033', bytes.len - (size_t)(p + 1 - bytes.base))) {
		size_t left = bytes.len - (size_t)(p - bytes.base);
		if (left >= 3 && p[1] == '$' && (p[2] == 'B' || p[2] == '@'))
			return "iso-2022-jp";
		if (left >= 4 && memcmp(p, "\033$)C", 4) == 0)
			return "iso-2022-kr";
	}
	return NULL;
}

const char *mime_bom_charset(struct slice bytes)
{
	static const struct {
		const char *mark, *label;
		size_t len;
	} marks[] = {
		{ "\xef\xbb\xbf", "utf-8", 3 },
		{ "\xff\xfe\0\0", "utf-32", 4 }, /* before the UTF-16 that it begins with */
		{ "\0\0\xfe\xff", "utf-32", 4 },
		{ "\xff\xfe", "utf-16", 2 },
		{ "\xfe\xff", "utf-16", 2 },
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (bytes.len >= marks[i].len &&
			memcmp(bytes.base, marks[i].mark, marks[i].len) == 0)
			return marks[i].label;
	}
	return NULL;
}

/* The value behind `charset` within a tag: `charset="x"`, or `content="text/html; charset=x"`. */
static struct slice charset_in_tag(struct slice tag)
{
	static const char key[] = "charset";

	for (size_t i = 0; i + sizeof(key) - 1 < tag.len; i++) {
		if (strncasecmp(tag.base + i, key, sizeof(key) - 1) != 0)
			continue;
		struct slice rest = { tag.base + i + sizeof(key) - 1,
			tag.len - i - (sizeof(key) - 1) };
		rest = slice_trim(rest);
		if (rest.len == 0 || rest.base[0] != '=')
			continue;
		rest = slice_trim((struct slice){ rest.base + 1, rest.len - 1 });
		while (rest.len > 0 && (rest.base[0] == '"' || rest.base[0] == '\''))
			rest.base++, rest.len--;
		size_t n = 0;
		while (n < rest.len &&
			(isalnum((unsigned char)rest.base[n]) ||
				(rest.base[n] != '\0' && strchr("-_.:+", rest.base[n]) != NULL)))
			n++;
		return (struct slice){ rest.base, n };
	}
	return (struct slice){ "", 0 };
}

struct slice mime_meta_charset(struct slice html)
{
	size_t len = html.len < PROLOGUE_BYTES ? html.len : PROLOGUE_BYTES;

	for (size_t i = 0; i + 5 < len; i++) {
		const char *tag = memchr(html.base + i, '<', len - i);
		if (tag == NULL)
			break;
		i = (size_t)(tag - html.base);
		if (len - i < 6 || strncasecmp(tag, "<meta", 5) != 0)
			continue;
		const char *end = memchr(tag, '>', len - i);
		if (end == NULL)
			break;
		struct slice charset = charset_in_tag((struct slice){ tag, (size_t)(end - tag) });
		/* What could be read as ASCII so far is no UTF-16, whatever it says. */
		if (charset.len >= 5 && strncasecmp(charset.base, "utf-1", 5) == 0)
			return SLICE_LIT("utf-8");
		if (charset.len > 0)
			return charset;
		i = (size_t)(end - html.base);
	}
	return (struct slice){ "", 0 };
}
