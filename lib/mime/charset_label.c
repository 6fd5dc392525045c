/* SPDX-License-Identifier: MIT */
/* Charset labels, as mail has them. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Labels that mail carries and iconv does not know, or takes too literally: mail that calls itself
 * by the old name uses the newer, larger set (as web browsers assume, encoding.spec.whatwg.org).
 * Written without what the comparison leaves out. */
static const struct {
	const char *label;
	enum mime_charset_kind kind;
	const char *iconv_name;
} labels[] = {
	{ "", CHARSET_ASCII, NULL },
	{ "usascii", CHARSET_ASCII, NULL },
	{ "ascii", CHARSET_ASCII, NULL },
	{ "ansix341968", CHARSET_ASCII, NULL },
	{ "iso646us", CHARSET_ASCII, NULL },
	{ "646", CHARSET_ASCII, NULL },
	{ "utf8", CHARSET_UTF8, NULL },
	{ "utf8mb4", CHARSET_UTF8, NULL },
	{ "utf8mac", CHARSET_UTF8, NULL },
	{ "unicode11utf8", CHARSET_UTF8, NULL },
	{ "iso88591", CHARSET_WINDOWS_1252, NULL },
	{ "iso885911987", CHARSET_WINDOWS_1252, NULL },
	{ "iso88591windows31latin1", CHARSET_WINDOWS_1252, NULL },
	{ "latin1", CHARSET_WINDOWS_1252, NULL },
	{ "l1", CHARSET_WINDOWS_1252, NULL },
	{ "csisolatin1", CHARSET_WINDOWS_1252, NULL },
	{ "isoir100", CHARSET_WINDOWS_1252, NULL },
	{ "cp819", CHARSET_WINDOWS_1252, NULL },
	{ "ibm819", CHARSET_WINDOWS_1252, NULL },
	{ "windows1252", CHARSET_WINDOWS_1252, NULL },
	{ "cp1252", CHARSET_WINDOWS_1252, NULL },
	{ "xcp1252", CHARSET_WINDOWS_1252, NULL },
	{ "gb2312", CHARSET_ICONV, "GB18030" },
	{ "gb231280", CHARSET_ICONV, "GB18030" },
	{ "csgb2312", CHARSET_ICONV, "GB18030" },
	{ "csiso58gb231280", CHARSET_ICONV, "GB18030" },
	{ "isoir58", CHARSET_ICONV, "GB18030" },
	{ "chinese", CHARSET_ICONV, "GB18030" },
	{ "cngb", CHARSET_ICONV, "GB18030" },
	{ "euccn", CHARSET_ICONV, "GB18030" },
	{ "gbk", CHARSET_ICONV, "GB18030" },
	{ "xgbk", CHARSET_ICONV, "GB18030" },
	{ "xgb18030", CHARSET_ICONV, "GB18030" },
	{ "cp936", CHARSET_ICONV, "GB18030" },
	{ "big5", CHARSET_ICONV, "BIG5-HKSCS" },
	{ "cnbig5", CHARSET_ICONV, "BIG5-HKSCS" },
	{ "csbig5", CHARSET_ICONV, "BIG5-HKSCS" },
	{ "xbig5", CHARSET_ICONV, "BIG5-HKSCS" },
	{ "xxbig5", CHARSET_ICONV, "BIG5-HKSCS" },
	{ "xeuctw", CHARSET_ICONV, "EUC-TW" },
	{ "euckr", CHARSET_ICONV, "CP949" },
	{ "cseuckr", CHARSET_ICONV, "CP949" },
	{ "korean", CHARSET_ICONV, "CP949" },
	{ "ksc5601", CHARSET_ICONV, "CP949" },
	{ "ksc56011987", CHARSET_ICONV, "CP949" },
	{ "ksc56011989", CHARSET_ICONV, "CP949" },
	{ "csksc56011987", CHARSET_ICONV, "CP949" },
	{ "isoir149", CHARSET_ICONV, "CP949" },
	{ "windows949", CHARSET_ICONV, "CP949" },
	{ "xwindows949", CHARSET_ICONV, "CP949" },
	{ "shiftjis", CHARSET_ICONV, "CP932" },
	{ "csshiftjis", CHARSET_ICONV, "CP932" },
	{ "sjis", CHARSET_ICONV, "CP932" },
	{ "xsjis", CHARSET_ICONV, "CP932" },
	{ "mskanji", CHARSET_ICONV, "CP932" },
	{ "ms932", CHARSET_ICONV, "CP932" },
	{ "windows31j", CHARSET_ICONV, "CP932" },
	{ "eucjp", CHARSET_ICONV, "EUC-JP-MS" },
	{ "xeucjp", CHARSET_ICONV, "EUC-JP-MS" },
	{ "cseucpkdfmtjapanese", CHARSET_ICONV, "EUC-JP-MS" },
	{ "iso2022jp", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "csiso2022jp", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "iso2022jp1", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "iso2022jp2", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "iso2022jpms", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "cp50220", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "cp50221", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "cp50222", CHARSET_JIS, "ISO-2022-JP-2" },
	{ "koi", CHARSET_ICONV, "KOI8-R" },
	{ "koi8", CHARSET_ICONV, "KOI8-R" },
	{ "koi8r", CHARSET_ICONV, "KOI8-R" },
	{ "xcp1250", CHARSET_ICONV, "CP1250" },
	{ "xcp1251", CHARSET_ICONV, "CP1251" },
	{ "win1251", CHARSET_ICONV, "CP1251" },
	{ "windows1251", CHARSET_ICONV, "CP1251" },
	{ "dos862", CHARSET_ICONV, "CP862" },
	{ "dos866", CHARSET_ICONV, "CP866" },
	{ "cp850", CHARSET_ICONV, "CP850" },
	{ "visual", CHARSET_ICONV, "ISO-8859-8" },
	{ "logical", CHARSET_ICONV, "ISO-8859-8" },
	{ "iso88598i", CHARSET_ICONV, "ISO-8859-8" },
	{ "iso88598e", CHARSET_ICONV, "ISO-8859-8" },
	{ "csiso88598i", CHARSET_ICONV, "ISO-8859-8" },
	{ "csiso88598e", CHARSET_ICONV, "ISO-8859-8" },
	{ "iso88596i", CHARSET_ICONV, "ISO-8859-6" },
	{ "iso88596e", CHARSET_ICONV, "ISO-8859-6" },
	{ "suneugreek", CHARSET_ICONV, "ISO-8859-7" },
	{ "iso88599", CHARSET_ICONV, "CP1254" },
	{ "latin5", CHARSET_ICONV, "CP1254" },
	{ "iso885911", CHARSET_ICONV, "CP874" },
	{ "tis620", CHARSET_ICONV, "CP874" },
	{ "dos874", CHARSET_ICONV, "CP874" },
	{ "windows874", CHARSET_ICONV, "CP874" },
	{ "l9", CHARSET_ICONV, "ISO-8859-15" },
	{ "latin9", CHARSET_ICONV, "ISO-8859-15" },
	{ "csisolatin9", CHARSET_ICONV, "ISO-8859-15" },
	{ "unicode11utf7", CHARSET_ICONV, "UTF-7" },
	{ "xmacroman", CHARSET_ICONV, "MACINTOSH" },
	{ "xmaccyrillic", CHARSET_ICONV, "MAC-CYRILLIC" },
	{ "xmacukrainian", CHARSET_ICONV, "MAC-UK" },
	{ "utf16", CHARSET_ICONV, "UTF-16" },
	{ "unicode", CHARSET_ICONV, "UTF-16" },
	{ "utf32", CHARSET_ICONV, "UTF-32" },
};

/* Whether a label is the table's, but for case and for what stands between its letters and digits. */
static bool is_label(struct slice label, const char *known)
{
	for (size_t i = 0; i < label.len; i++) {
		unsigned char c = (unsigned char)label.base[i];
		if (strchr("-_.: ", c) != NULL)
			continue;
		if (*known == '\0' || *known != tolower(c))
			return false;
		known++;
	}
	return *known == '\0';
}

/* What stands around the name in `charset="charset='utf-8'"`. */
static struct slice bare(struct slice label)
{
	static const char key[] = "charset=";

	label = slice_trim(label);
	if (label.len >= sizeof(key) - 1 && strncasecmp(label.base, key, sizeof(key) - 1) == 0)
		slice_skip(&label, sizeof(key) - 1);
	while (label.len > 0 && (label.base[0] == '"' || label.base[0] == '\''))
		slice_skip(&label, 1);
	while (label.len > 0 &&
		(label.base[label.len - 1] == '"' || label.base[label.len - 1] == '\''))
		label.len--;
	return label;
}

/* Names of code pages and of ISO 8859's parts in the ways that people write them: "win-1250",
 * "x-cp1250" and "windows-cp1250" are CP1250, "iso8859_2" is ISO-8859-2. */
static void usual_name(struct slice label, char name[41])
{
	static const char *const pages[] = { "windowscp", "windows", "win", "cp", "xcp", "ms",
		"xwindows", "ibm" };
	char plain[41], *to = plain;

	for (size_t i = 0; i < label.len; i++) {
		if (strchr("-_.: ", label.base[i]) == NULL)
			*to++ = (char)tolower((unsigned char)label.base[i]);
	}
	*to = '\0';
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		size_t len = strlen(pages[i]), digits = 0;
		if (strncmp(plain, pages[i], len) == 0)
			digits = strspn(plain + len, "0123456789");
		if (digits >= 3 && digits <= 4 && plain[len + digits] == '\0') {
			snprintf(name, 41, "CP%.4s", plain + len);
			return;
		}
	}
	if (strncmp(plain, "iso8859", 7) == 0) {
		size_t digits = strspn(plain + 7, "0123456789");
		if ((digits == 1 || digits == 2) && plain[7 + digits] == '\0')
			snprintf(name, 41, "ISO-8859-%.2s", plain + 7);
	}
}

bool mime_charset_find(struct slice label, struct mime_charset *charset_r)
{
	label = label.len > 0 ? bare(label) : SLICE_LIT("");
	*charset_r = (struct mime_charset){ .kind = CHARSET_ICONV };
	if (label.len >= sizeof(charset_r->name) || memchr(label.base, '\0', label.len) != NULL)
		return false;
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		if (is_label(label, labels[i].label)) {
			charset_r->kind = labels[i].kind;
			if (labels[i].iconv_name != NULL)
				memcpy(charset_r->name, labels[i].iconv_name,
					strlen(labels[i].iconv_name) + 1);
			return true;
		}
	}
	for (size_t i = 0; i < label.len; i++) {
		unsigned char c = (unsigned char)label.base[i];
		if (!isalnum(c) && strchr("-_.:+", c) == NULL)
			return false;
		charset_r->name[i] = (char)c;
	}
	usual_name(label, charset_r->name);
	return true;
}
