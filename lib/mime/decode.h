/* SPDX-License-Identifier: MIT */
/* decode.h - Content-Transfer-Encodings (RFC 2045, section 6), decoded piece by piece
 *
 * What comes out of a part's raw bytes here is what its `size` and `sha256` are of. Damaged input is
 * never refused: what can be decoded is, and the decoder says what it met.
 *
 * `mime_content_*` reads any part of a message; `mime_decoder_*` undoes a single encoding.
 *
 * Threads    A decoder or content belongs to one thread at a time. It holds no memory. */
#ifndef LIB_MIME_DECODE_H
#define LIB_MIME_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mime_encoding {
	MIME_ENCODING_IDENTITY, /* 7bit, 8bit, binary, and every word we do not know */
	MIME_ENCODING_BASE64,
	MIME_ENCODING_QUOTED,
	MIME_ENCODING_UU, /* from its "begin" line to its "end" line; other lines around do no harm */
	MIME_ENCODING_YENC, /* from "=ybegin" to "=yend", likewise */
};

struct mime_decoder {
	enum mime_encoding encoding;
	bool bad_base64;     /* characters outside the alphabet, or a quantum of one */
	bool inside_padding; /* base64 went on after a "=": decoded all the same */
	bool padded;
	bool bad_quoted; /* a "=" of quoted-printable with no code behind it: kept as it stands */
	bool bad_block;  /* uuencode or yEnc: no beginning, no end, or a line that is too short */
	int state;
	uint32_t save;
	int uu_left, uu_quad;
	int yenc_seen; /* characters of a keyword line's "=yend" */
};

/* Room that `out` needs beyond the length of the input. */
enum { MIME_DECODE_SLACK = 8 };

/* `encoding` as in struct mime_part. False when it is a word we do not know. */
bool mime_decoder_init(struct mime_decoder *d, const char *encoding);
/* Decodes the next piece into `out` (len + MIME_DECODE_SLACK bytes) and returns how many came out. */
size_t mime_decoder_step(struct mime_decoder *d, const char *in, size_t len, char *out);
/* What is left at the end: MIME_DECODE_SLACK bytes at most. */
size_t mime_decoder_end(struct mime_decoder *d, char *out);

/* False for what is plainly no base64, however damaged, but text: an eighth of it is foreign, or a
 * sixteenth with words that no base64 has. */
bool mime_is_base64(const char *in, size_t len);

/* A part's content, from the raw bytes at its `raw_offset`, `raw_length` of them, in pieces of any
 * size. No more memory than this struct, even for a file within a file. */
struct mime_content {
	struct mime_decoder outer, inner;
	bool within;         /* only a stretch of what `outer` gives is the content, */
	bool encoded_within; /* and `inner` is still to decode it */
	uint64_t skip, left; /* of the stretch */
};

/* `encoding` and `inside` as in struct mime_part. False when one of them is not understood: the
 * content is then what the other one gives. */
bool mime_content_begin(struct mime_content *c, const char *encoding, const char *inside);
/* As mime_decoder_step(), into `out` (len + 2 * MIME_DECODE_SLACK bytes). */
size_t mime_content_step(struct mime_content *c, const char *in, size_t len, char *out);
/* What is left at the end: 2 * MIME_DECODE_SLACK bytes at most. */
size_t mime_content_end(struct mime_content *c, char *out);
/* True when no further input can add anything, so that none need be read. */
bool mime_content_done(const struct mime_content *c);

#endif
