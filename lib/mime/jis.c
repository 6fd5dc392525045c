/* SPDX-License-Identifier: MIT */
/* ISO-2022-JP as Windows and mobile phones write it: with the characters that Shift_JIS got from NEC and
 * IBM, and katakana of half width. iconv knows them in CP932 alone, so that is what this makes of it. */
#include "lib/mime/internal.h"

#include <string.h>

enum jis_set { JIS_ASCII, JIS_KANA, JIS_KANJI };

/* The length of the escape sequence `s` begins with, 0 when it is none of ours. */
static size_t escape(struct slice s, enum jis_set *set_r)
{
	static const struct {
		const char *sequence;
		enum jis_set set;
	} known[] = {
		{ "\033(B", JIS_ASCII },
		{ "\033(J", JIS_ASCII },
		{ "\033(H", JIS_ASCII },
		{ "\033(I", JIS_KANA },
		{ "\033$B", JIS_KANJI },
		{ "\033$@", JIS_KANJI },
		{ "\033$(B", JIS_KANJI },
		{ "\033$(@", JIS_KANJI },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i].sequence);
		if (s.len >= len && memcmp(s.base, known[i].sequence, len) == 0) {
			*set_r = known[i].set;
			return len;
		}
	}
	return 0;
}

/* JIS X 0208 in its two bytes of 7 bits, as Shift_JIS. */
static void add_kanji(unsigned char row, unsigned char cell, struct buf *out)
{
	int first = (row - 0x21) / 2 + (row < 0x5f ? 0x81 : 0xc1);
	int second = cell + (row % 2 == 0 ? 0x7e : cell < 0x60 ? 0x1f : 0x20);

	buf_putc(out, (char)first);
	buf_putc(out, (char)second);
}

bool mime_jis_to_cp932(struct slice bytes, struct buf *out)
{
	enum jis_set set = JIS_ASCII;

	while (bytes.len > 0) {
		unsigned char c = (unsigned char)bytes.base[0];
		unsigned char next = bytes.len > 1 ? (unsigned char)bytes.base[1] : 0;
		size_t step = 1;
		if (c == '\033') {
			step = escape(bytes, &set);
			if (step == 0)
				return false;
		} else if (c >= 0x80) {
			return false;
		} else if (set == JIS_KANJI && c > ' ' && c < 0x7f) {
			if (bytes.len == 1)
				break; /* a text that was cut */
			if (next <= ' ' || next >= 0x7f)
				return false;
			add_kanji(c, next, out);
			step = 2;
		} else {
			buf_putc(
				out, (char)(set == JIS_KANA && c > ' ' && c < 0x60 ? c | 0x80 : c));
		}
		slice_skip(&bytes, step);
	}
	return !out->truncated;
}
