/* SPDX-License-Identifier: MIT */
/* decode.h - Content-Transfer-Encodings (RFC 2045, section 6), decoded piece by piece
 *
 * What comes out of a part's raw bytes here is what its `size` and `sha256` are of. Damaged input is
 * never refused: what can be decoded is, and the decoder says what it met.
 *
 * Threads    A decoder belongs to one thread at a time. It holds no memory. */
#ifndef LIB_MIME_DECODE_H
#define LIB_MIME_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mime_encoding {
	MIME_ENCODING_IDENTITY, /* 7bit, 8bit, binary, and every word we do not know */
	MIME_ENCODING_BASE64,
	MIME_ENCODING_QUOTED,
	MIME_ENCODING_UU,
};

struct mime_decoder {
	enum mime_encoding encoding;
	bool bad_base64;     /* characters outside the alphabet, or a quantum of one */
	bool inside_padding; /* base64 went on after a "=": decoded all the same */
	bool padded;
	int state;
	uint32_t save;
	int uu_left, uu_quad;
};

/* Room that `out` needs beyond the length of the input. */
enum { MIME_DECODE_SLACK = 8 };

/* `encoding` as in struct mime_part. False when it is a word we do not know. */
bool mime_decoder_init(struct mime_decoder *d, const char *encoding);
/* Decodes the next piece into `out` (len + MIME_DECODE_SLACK bytes) and returns how many came out. */
size_t mime_decoder_step(struct mime_decoder *d, const char *in, size_t len, char *out);
/* What is left at the end: MIME_DECODE_SLACK bytes at most. */
size_t mime_decoder_end(struct mime_decoder *d, char *out);

#endif
