/* SPDX-License-Identifier: MIT */
/* envelope.h - who sent it to whom, as the MTA knows it (RFC 5321), not as the message says */
#ifndef LIB_ENVELOPE_H
#define LIB_ENVELOPE_H

#include "lib/arena.h"
#include "lib/mime/mime.h"
#include "lib/slice.h"

struct envelope {
	const char *sender; /* "" is the null sender; NULL: not known yet */
	const char **recipients;
	size_t recipient_count;
	const char *queue_id; /* these five: NULL when not given */
	const char *orig_recipient;
	const char *client_address; /* text of an IPv4 or IPv6 address that parses; else NULL */
	const char *client_hostname;
	const char *client_helo;
};

enum { ENVELOPE_MAX_RECIPIENTS = 10000, ENVELOPE_MAX_BYTES = 1024 }; /* per value */

/* `value` as a mailbox: white space and one pair of angle brackets off, cleaned to UTF-8. The null
 * sender in each of its forms (`<>`, empty, MAILER-DAEMON) is "". */
const char *envelope_sender(struct arena *arena, struct slice value);

/* A value kept as it is but for white space around it, and cleaned; NULL when nothing is left. */
const char *envelope_text(struct arena *arena, struct slice value);

/* Appends one recipient; one value may hold several, with commas between them (outside of quotes). */
void envelope_add_recipients(struct arena *arena, struct envelope *env, struct slice value);

/* What stands behind the first "+" of a recipient's local part ("user+tag@example.org"), quotes and
 * backslashes taken off; NULL when there is none, or no user in front of it. */
const char *envelope_mailbox_tag(struct arena *arena, const char *recipient);

/* NULL unless it is an IP address; Postfix' "unknown" and an "IPv6:" prefix are understood. */
const char *envelope_client_address(struct arena *arena, struct slice value);

/* GoMail's pipe script sends the recipient as sender and "unknown" as recipient: puts that right.
 * The sender is then not known. */
void envelope_unswap(struct envelope *env);

/* Fills what the MTA did not say from the message: Return-Path, Delivered-To, X-Original-To, then
 * From and To. Afterwards `sender` is not NULL. */
void envelope_complete(struct arena *arena, struct envelope *env, const struct mime_message *mime);

/* What makes a retry harmless (contract 1.1, "same message"): a digest of the sender, the
 * recipients in any order, the queue id and the message's own digest; or, when the caller gave an
 * Idempotency-Key, of that key and the message's digest. */
void envelope_digest(const struct envelope *env, struct slice idempotency_key,
	const uint8_t message_sha256[SHA256_BYTES], uint8_t digest_r[SHA256_BYTES]);

#endif
