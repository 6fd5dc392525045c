/* SPDX-License-Identifier: MIT */
/* content.h - header values that tell what a file is, made of what somebody else's mail says
 *
 * Whatever goes in, what comes out is one well-formed value: no control character, no second header. */
#ifndef MIDDLEWARE_CONTENT_H
#define MIDDLEWARE_CONTENT_H

#include "lib/buf.h"

/* A media type that is well-formed, with `charset` (may be NULL) as its parameter when it is a text and
 * the charset a plain token; "application/octet-stream" instead of one that is not. */
void content_type_value(struct buf *out, const char *type, const char *charset);

/* "attachment", with the file's name (UTF-8; may be NULL) by RFC 6266: as a quoted string when that can
 * carry it; else as an ASCII likeness for old clients, and whole by RFC 8187. */
void content_disposition_value(struct buf *out, const char *filename);

#endif
