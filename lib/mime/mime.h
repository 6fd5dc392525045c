/* SPDX-License-Identifier: MIT */
/* mime.h - what can be derived from a message's bytes
 *
 * The only interface to MIME in the program, and lib/mime/ the only folder that knows GMime.
 * Parsing never fails: whatever the bytes, there is a result, and its status says how far it can be
 * trusted. All text in it is valid UTF-8 without NUL; nothing in it refers to the input.
 *
 * Threads    mime_parse() may run on any number of threads at once. mime_init() goes first, once.
 * Ownership  A result and all it points at live in the result's arena: mime_message_free().
 *
 * RFC 5322 (messages), 2045-2049 (MIME), 2047 (encoded words), 2231 (parameters), 6532 (UTF-8). */
#ifndef LIB_MIME_MIME_H
#define LIB_MIME_MIME_H

#include "lib/arena.h"
#include "lib/digest.h"
#include "lib/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which parser this is; stored with every message, so that older results can be told and derived anew
 * (`mailserver reparse --older-parser`). One more whenever some message comes out differently than it
 * did in a release. 0 stands for all that came before there was a number. */
enum { MIME_PARSER_VERSION = 2 };

/* Over header_bytes, header_fields, parts or depth the message is not parsed: MIME_FAILED. Over the
 * others the surplus is cut, and that is a defect. */
struct mime_limits {
	size_t header_bytes;  /* of one header section, the top one or a part's */
	size_t header_fields; /* header lines of all parts together, folded ones counted once */
	size_t parts;         /* leaves, containers and attached messages together */
	size_t depth;         /* multiparts and attached messages inside one another */
	size_t addresses;     /* kept per field */
	size_t text_bytes;    /* of `text` and of `html`, in UTF-8 */
	size_t filename_bytes;
};

extern const struct mime_limits mime_limits_default;

enum mime_status {
	MIME_OK,
	MIME_DEGRADED, /* all there, but something was damaged, cut or guessed: see defects */
	MIME_FAILED, /* not parsed: see defects; only what the header section gave is there, if that */
};

const char *mime_status_name(enum mime_status status); /* "ok", "degraded", "failed" */
/* The one of that name; false when there is none. */
bool mime_status_parse(struct slice name, enum mime_status *status_r);

struct mime_strings {
	const char **list;
	size_t count;
};

struct mime_address {
	const char *name;    /* decoded display name; NULL when there is none */
	const char *address; /* as written, without angle brackets; may lack an "@" */
};

struct mime_addresses { /* groups are flattened */
	struct mime_address *list;
	size_t count;
};

struct mime_header {
	const char *name;  /* as written */
	const char *value; /* unfolded and decoded (RFC 2047) */
};

/* A leaf, or an attached message (which is one part; its own parts follow under its path). */
struct mime_part {
	unsigned n;       /* 1, 2, 3 … in the order of the message */
	const char *path; /* "1", "2.1": position at each level, as IMAP counts (RFC 3501, 6.4.5) */
	const char *content_type; /* "text/plain", lower case; never NULL */
	const char *filename;     /* decoded, harmless, or made up for an attachment; or NULL */
	const char *disposition;  /* "inline", "attachment", …, lower case; or NULL */
	const char *content_id;   /* without angle brackets; or NULL */
	const char *charset;      /* as labelled, lower case; or NULL */
	const char *encoding;     /* "base64", "quoted-printable", "7bit", …; never NULL */
	uint64_t size;            /* of the decoded bytes */
	uint8_t sha256[SHA256_BYTES];
	uint64_t raw_offset, raw_length; /* its still encoded content within the raw message */
	/* Of a file within another part's content, where it lies there, for mime_content_begin():
	 * "tnef:OFFSET+LENGTH", "uu:…", "yenc:…" in the bytes that `encoding` decodes to. Else NULL. */
	const char *inside;
	bool is_attachment; /* not one of the bodies that text and html were taken from, nor blank */
};

struct mime_report_recipient {          /* each may be NULL */
	const char *recipient;          /* the final one, else the original one */
	const char *original_recipient; /* as the sender wrote it */
	const char *action; /* "failed", "delayed", …; of a disposition "displayed", "deleted" */
	const char *status; /* "5.1.1" (RFC 3463) */
	const char *diagnostic; /* what the other server said, without "smtp;" */
};

/* What a machine says about mail that was sent earlier. */
struct mime_report {
	/* "delivery-status" (RFC 3464, or a mailer's words), "disposition-notification" (RFC 8098),
	 * "feedback-report" (RFC 5965), "dmarc" (RFC 7489); NULL: it is none */
	const char *type;
	const char *feedback_type;       /* "abuse", …; or NULL, as the next two */
	const char *original_message_id; /* with its angle brackets */
	const char *reporting_mta;
	struct mime_report_recipient *recipients; /* limits.addresses at most */
	size_t recipient_count;
};

struct mime_message {
	struct arena *arena;
	enum mime_status status;
	struct mime_strings defects; /* short words, each once: "bad_charset", "limit_parts", … */

	const char *subject;            /* decoded; NULL when there is none */
	const char *message_id;         /* with its angle brackets; or NULL */
	const char *in_reply_to;        /* the first id, with brackets; or NULL */
	struct mime_strings references; /* ids with brackets, in order */
	bool has_date;
	int64_t date_us; /* of the Date field, microseconds since 1970, UTC */
	struct mime_addresses from, sender, to, cc, bcc, reply_to;
	struct mime_header *headers; /* of the top header section, order and repeats kept */
	size_t header_count;

	const char *text, *html; /* the bodies a mail reader would show; or NULL */
	bool text_is_derived;   /* all or some of `text` was made from HTML, or another rich form */
	const char *reply_text; /* of `text`, what was newly written; NULL when there is no text */
	const char *security;   /* "signed", "encrypted", or NULL; nothing has been verified */
	struct mime_part *parts;
	size_t part_count;

	const char *auto_submitted; /* "auto-replied", "auto-generated", …; NULL: by a person */
	const char *list_id;        /* RFC 2919, lower case, without angle brackets; or NULL */
	bool is_bounce;             /* says that mail was not delivered; see mime_is_bounce() */
	struct mime_report report;
};

void mime_init(void);

/* `raw` is borrowed until the call returns. A leading mbox "From " line should have been taken off.
 * Linear in len; at most a few times len of memory. */
struct mime_message *mime_parse(const char *raw, size_t len, const struct mime_limits *limits);

/* The result for a message that was not parsed at all: MIME_FAILED with that one defect. */
struct mime_message *mime_unparsed(const char *defect);

void mime_message_free(struct mime_message **m); /* accepts a pointer to NULL */

/* `is_bounce`, or the same of a message whose envelope says what its fields do not: that it came from
 * the null sender. Replies of machines come from there too, so that alone does not make it one. */
bool mime_is_bounce(const struct mime_message *m, bool from_null_sender);

/* JSON text from the message's arena, in the shape of the REST API: `[{"name":…,"value":…},…]`,
 * and `{"from":[{"name":…,"address":…},…],"sender":…,"to":…,"cc":…,"bcc":…,"reply_to":…}`. */
const char *mime_headers_json(const struct mime_message *m);
const char *mime_addresses_json(const struct mime_message *m);

/* `{"type":…,"feedback_type":…,"original_message_id":…,"reporting_mta":…,"recipients":[{"recipient":…,
 * "original_recipient":…,"action":…,"status":…,"diagnostic":…},…]}`; NULL when it is no report. */
const char *mime_report_json(const struct mime_message *m);

#endif
