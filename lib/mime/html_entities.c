/* SPDX-License-Identifier: MIT */
/* Character references of HTML: the names of HTML 4 (24), and those that mail has of the later ones. */
#include "lib/mime/html.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 8, LATIN_1_END = 0x100 };

static const struct entity {
	char name[NAME_MAX_BYTES + 1];
	uint16_t c;
} entities[] = {
	/* in the order of strcmp() */
	{ "AElig", 0xc6 },
	{ "AMP", 0x26 },
	{ "Aacute", 0xc1 },
	{ "Acirc", 0xc2 },
	{ "Agrave", 0xc0 },
	{ "Alpha", 0x391 },
	{ "Aring", 0xc5 },
	{ "Atilde", 0xc3 },
	{ "Auml", 0xc4 },
	{ "Beta", 0x392 },
	{ "COPY", 0xa9 },
	{ "Ccaron", 0x10c },
	{ "Ccedil", 0xc7 },
	{ "Chi", 0x3a7 },
	{ "Dagger", 0x2021 },
	{ "Delta", 0x394 },
	{ "ETH", 0xd0 },
	{ "Eacute", 0xc9 },
	{ "Ecirc", 0xca },
	{ "Egrave", 0xc8 },
	{ "Epsilon", 0x395 },
	{ "Eta", 0x397 },
	{ "Euml", 0xcb },
	{ "GT", 0x3e },
	{ "Gamma", 0x393 },
	{ "Hat", 0x5e },
	{ "Iacute", 0xcd },
	{ "Icirc", 0xce },
	{ "Igrave", 0xcc },
	{ "Iota", 0x399 },
	{ "Iuml", 0xcf },
	{ "Kappa", 0x39a },
	{ "LT", 0x3c },
	{ "Lambda", 0x39b },
	{ "Lstrok", 0x141 },
	{ "Mu", 0x39c },
	{ "NewLine", 0xa },
	{ "Ntilde", 0xd1 },
	{ "Nu", 0x39d },
	{ "OElig", 0x152 },
	{ "Oacute", 0xd3 },
	{ "Ocirc", 0xd4 },
	{ "Ograve", 0xd2 },
	{ "Omega", 0x3a9 },
	{ "Omicron", 0x39f },
	{ "Oslash", 0xd8 },
	{ "Otilde", 0xd5 },
	{ "Ouml", 0xd6 },
	{ "Phi", 0x3a6 },
	{ "Pi", 0x3a0 },
	{ "Prime", 0x2033 },
	{ "Psi", 0x3a8 },
	{ "QUOT", 0x22 },
	{ "REG", 0xae },
	{ "Rho", 0x3a1 },
	{ "Scaron", 0x160 },
	{ "Sigma", 0x3a3 },
	{ "THORN", 0xde },
	{ "Tab", 0x9 },
	{ "Tau", 0x3a4 },
	{ "Theta", 0x398 },
	{ "Uacute", 0xda },
	{ "Ucirc", 0xdb },
	{ "Ugrave", 0xd9 },
	{ "Upsilon", 0x3a5 },
	{ "Uuml", 0xdc },
	{ "Xi", 0x39e },
	{ "Yacute", 0xdd },
	{ "Yuml", 0x178 },
	{ "Zcaron", 0x17d },
	{ "Zeta", 0x396 },
	{ "aacute", 0xe1 },
	{ "acirc", 0xe2 },
	{ "acute", 0xb4 },
	{ "aelig", 0xe6 },
	{ "agrave", 0xe0 },
	{ "alefsym", 0x2135 },
	{ "alpha", 0x3b1 },
	{ "amp", 0x26 },
	{ "and", 0x2227 },
	{ "ang", 0x2220 },
	{ "aogon", 0x105 },
	{ "apos", 0x27 },
	{ "aring", 0xe5 },
	{ "ast", 0x2a },
	{ "asymp", 0x2248 },
	{ "atilde", 0xe3 },
	{ "auml", 0xe4 },
	{ "bdquo", 0x201e },
	{ "beta", 0x3b2 },
	{ "brvbar", 0xa6 },
	{ "bsol", 0x5c },
	{ "bull", 0x2022 },
	{ "cacute", 0x107 },
	{ "cap", 0x2229 },
	{ "ccaron", 0x10d },
	{ "ccedil", 0xe7 },
	{ "cedil", 0xb8 },
	{ "cent", 0xa2 },
	{ "check", 0x2713 },
	{ "chi", 0x3c7 },
	{ "circ", 0x2c6 },
	{ "clubs", 0x2663 },
	{ "colon", 0x3a },
	{ "comma", 0x2c },
	{ "commat", 0x40 },
	{ "cong", 0x2245 },
	{ "copy", 0xa9 },
	{ "crarr", 0x21b5 },
	{ "cup", 0x222a },
	{ "curren", 0xa4 },
	{ "dArr", 0x21d3 },
	{ "dagger", 0x2020 },
	{ "darr", 0x2193 },
	{ "dash", 0x2010 },
	{ "deg", 0xb0 },
	{ "delta", 0x3b4 },
	{ "diams", 0x2666 },
	{ "divide", 0xf7 },
	{ "dollar", 0x24 },
	{ "eacute", 0xe9 },
	{ "ecaron", 0x11b },
	{ "ecirc", 0xea },
	{ "egrave", 0xe8 },
	{ "empty", 0x2205 },
	{ "emsp", 0x2003 },
	{ "ensp", 0x2002 },
	{ "eogon", 0x119 },
	{ "epsilon", 0x3b5 },
	{ "equals", 0x3d },
	{ "equiv", 0x2261 },
	{ "eta", 0x3b7 },
	{ "eth", 0xf0 },
	{ "euml", 0xeb },
	{ "euro", 0x20ac },
	{ "excl", 0x21 },
	{ "exist", 0x2203 },
	{ "fnof", 0x192 },
	{ "forall", 0x2200 },
	{ "frac12", 0xbd },
	{ "frac14", 0xbc },
	{ "frac34", 0xbe },
	{ "frasl", 0x2044 },
	{ "gamma", 0x3b3 },
	{ "ge", 0x2265 },
	{ "grave", 0x60 },
	{ "gt", 0x3e },
	{ "hArr", 0x21d4 },
	{ "harr", 0x2194 },
	{ "hearts", 0x2665 },
	{ "hellip", 0x2026 },
	{ "horbar", 0x2015 },
	{ "iacute", 0xed },
	{ "icirc", 0xee },
	{ "iexcl", 0xa1 },
	{ "igrave", 0xec },
	{ "image", 0x2111 },
	{ "infin", 0x221e },
	{ "int", 0x222b },
	{ "iota", 0x3b9 },
	{ "iquest", 0xbf },
	{ "isin", 0x2208 },
	{ "iuml", 0xef },
	{ "kappa", 0x3ba },
	{ "lArr", 0x21d0 },
	{ "lambda", 0x3bb },
	{ "lang", 0x2329 },
	{ "laquo", 0xab },
	{ "larr", 0x2190 },
	{ "lbrace", 0x7b },
	{ "lbrack", 0x5b },
	{ "lceil", 0x2308 },
	{ "lcub", 0x7b },
	{ "ldquo", 0x201c },
	{ "le", 0x2264 },
	{ "lfloor", 0x230a },
	{ "lowast", 0x2217 },
	{ "lowbar", 0x5f },
	{ "loz", 0x25ca },
	{ "lpar", 0x28 },
	{ "lrm", 0x200e },
	{ "lsaquo", 0x2039 },
	{ "lsqb", 0x5b },
	{ "lsquo", 0x2018 },
	{ "lstrok", 0x142 },
	{ "lt", 0x3c },
	{ "macr", 0xaf },
	{ "mdash", 0x2014 },
	{ "micro", 0xb5 },
	{ "middot", 0xb7 },
	{ "minus", 0x2212 },
	{ "mu", 0x3bc },
	{ "nabla", 0x2207 },
	{ "nacute", 0x144 },
	{ "nbsp", 0xa0 },
	{ "ndash", 0x2013 },
	{ "ne", 0x2260 },
	{ "ni", 0x220b },
	{ "not", 0xac },
	{ "notin", 0x2209 },
	{ "nsub", 0x2284 },
	{ "ntilde", 0xf1 },
	{ "nu", 0x3bd },
	{ "num", 0x23 },
	{ "oacute", 0xf3 },
	{ "ocirc", 0xf4 },
	{ "oelig", 0x153 },
	{ "ograve", 0xf2 },
	{ "oline", 0x203e },
	{ "omega", 0x3c9 },
	{ "omicron", 0x3bf },
	{ "oplus", 0x2295 },
	{ "or", 0x2228 },
	{ "ordf", 0xaa },
	{ "ordm", 0xba },
	{ "oslash", 0xf8 },
	{ "otilde", 0xf5 },
	{ "otimes", 0x2297 },
	{ "ouml", 0xf6 },
	{ "para", 0xb6 },
	{ "part", 0x2202 },
	{ "percnt", 0x25 },
	{ "period", 0x2e },
	{ "permil", 0x2030 },
	{ "perp", 0x22a5 },
	{ "phi", 0x3c6 },
	{ "phone", 0x260e },
	{ "pi", 0x3c0 },
	{ "piv", 0x3d6 },
	{ "plus", 0x2b },
	{ "plusmn", 0xb1 },
	{ "pound", 0xa3 },
	{ "prime", 0x2032 },
	{ "prod", 0x220f },
	{ "prop", 0x221d },
	{ "psi", 0x3c8 },
	{ "quest", 0x3f },
	{ "quot", 0x22 },
	{ "rArr", 0x21d2 },
	{ "radic", 0x221a },
	{ "rang", 0x232a },
	{ "raquo", 0xbb },
	{ "rarr", 0x2192 },
	{ "rbrace", 0x7d },
	{ "rbrack", 0x5d },
	{ "rcaron", 0x159 },
	{ "rceil", 0x2309 },
	{ "rcub", 0x7d },
	{ "rdquo", 0x201d },
	{ "real", 0x211c },
	{ "reg", 0xae },
	{ "rfloor", 0x230b },
	{ "rho", 0x3c1 },
	{ "rlm", 0x200f },
	{ "rpar", 0x29 },
	{ "rsaquo", 0x203a },
	{ "rsqb", 0x5d },
	{ "rsquo", 0x2019 },
	{ "sacute", 0x15b },
	{ "sbquo", 0x201a },
	{ "scaron", 0x161 },
	{ "sdot", 0x22c5 },
	{ "sect", 0xa7 },
	{ "semi", 0x3b },
	{ "shy", 0xad },
	{ "sigma", 0x3c3 },
	{ "sigmaf", 0x3c2 },
	{ "sim", 0x223c },
	{ "sol", 0x2f },
	{ "spades", 0x2660 },
	{ "star", 0x2606 },
	{ "starf", 0x2605 },
	{ "sub", 0x2282 },
	{ "sube", 0x2286 },
	{ "sum", 0x2211 },
	{ "sup", 0x2283 },
	{ "sup1", 0xb9 },
	{ "sup2", 0xb2 },
	{ "sup3", 0xb3 },
	{ "supe", 0x2287 },
	{ "szlig", 0xdf },
	{ "tau", 0x3c4 },
	{ "there4", 0x2234 },
	{ "theta", 0x3b8 },
	{ "thetasym", 0x3d1 },
	{ "thinsp", 0x2009 },
	{ "thorn", 0xfe },
	{ "tilde", 0x2dc },
	{ "times", 0xd7 },
	{ "trade", 0x2122 },
	{ "uArr", 0x21d1 },
	{ "uacute", 0xfa },
	{ "uarr", 0x2191 },
	{ "ucirc", 0xfb },
	{ "ugrave", 0xf9 },
	{ "uml", 0xa8 },
	{ "upsih", 0x3d2 },
	{ "upsilon", 0x3c5 },
	{ "uring", 0x16f },
	{ "uuml", 0xfc },
	{ "verbar", 0x7c },
	{ "vert", 0x7c },
	{ "weierp", 0x2118 },
	{ "xi", 0x3be },
	{ "yacute", 0xfd },
	{ "yen", 0xa5 },
	{ "yuml", 0xff },
	{ "zcaron", 0x17e },
	{ "zdot", 0x17c },
	{ "zeta", 0x3b6 },
	{ "zwj", 0x200d },
	{ "zwnj", 0x200c },
};

/* What references to the control characters 128-159 mean to every reader: windows-1252. */
static const uint16_t controls[32] = { 0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c,
	0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e,
	0x0178 };

static int compare(const void *name, const void *entity)
{
	return strcmp(name, ((const struct entity *)entity)->name);
}

static size_t numeric(struct slice s, uint32_t *c_r)
{
	bool hex = s.len > 2 && (s.base[2] == 'x' || s.base[2] == 'X');
	size_t i = hex ? 3 : 2, first = i;
	uint32_t c = 0;

	for (; i < s.len &&
		(hex ? isxdigit((unsigned char)s.base[i]) : isdigit((unsigned char)s.base[i]));
		i++) {
		uint32_t digit = isdigit((unsigned char)s.base[i])
					 ? (uint32_t)(s.base[i] - '0')
					 : (uint32_t)(tolower((unsigned char)s.base[i]) - 'a' + 10);
		if (c <= 0x10ffff)
			c = c * (hex ? 16 : 10) + digit;
	}
	if (i == first)
		return 0;
	if (c >= 0x80 && c < 0xa0)
		c = controls[c - 0x80];
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		c = 0xfffd;
	*c_r = c;
	return i < s.len && s.base[i] == ';' ? i + 1 : i;
}

size_t html_reference(struct slice s, bool in_attribute, uint32_t *c_r)
{
	char name[NAME_MAX_BYTES + 1];
	size_t n = 0;

	if (s.len > 1 && s.base[1] == '#')
		return numeric(s, c_r);
	while (n < NAME_MAX_BYTES && n + 1 < s.len && isalnum((unsigned char)s.base[n + 1])) {
		name[n] = s.base[n + 1];
		n++;
	}
	name[n] = '\0';
	const struct entity *found = bsearch(name, entities, sizeof(entities) / sizeof(entities[0]),
		sizeof(entities[0]), compare);
	if (found == NULL)
		return 0;
	size_t end = n + 1;
	bool closed = end < s.len && s.base[end] == ';';
	/* Without a semicolon only the old names count, and not where an address may say "&copy=". */
	if (!closed && (in_attribute || found->c >= LATIN_1_END ||
			       (end < s.len && isalnum((unsigned char)s.base[end]))))
		return 0;
	*c_r = found->c;
	return closed ? end + 1 : end;
}

size_t html_utf8(uint32_t c, char s[4])
{
	size_t n = 0;

	if (c < 0x80) {
		s[n++] = (char)c;
	} else if (c < 0x800) {
		s[n++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		s[n++] = (char)(0xe0 | c >> 12);
		s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		s[n++] = (char)(0xf0 | c >> 18);
		s[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		s[n++] = (char)(0x80 | (c & 0x3f));
	return n;
}

size_t html_special_character(const char *s, size_t len, uint32_t *c_r)
{
	const unsigned char *u = (const unsigned char *)s;

	if (len >= 2 && (u[0] == 0xc2 || u[0] == 0xcd) && (u[1] & 0xc0) == 0x80) {
		*c_r = (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
		return 2;
	}
	if (len >= 3 && u[0] >= 0xe2 && (u[1] & 0xc0) == 0x80 && (u[2] & 0xc0) == 0x80) {
		*c_r = (uint32_t)(u[0] & 0xf) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
		return 3;
	}
	return 0;
}
