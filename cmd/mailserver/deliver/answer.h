/* SPDX-License-Identifier: MIT */
/* answer.h - what a server says to a POST: an HTTP/1.1 response (RFC 9112), read from its bytes
 *
 * Pure: no socket in here. */
#ifndef CMD_MAILSERVER_DELIVER_ANSWER_H
#define CMD_MAILSERVER_DELIVER_ANSWER_H

#include "lib/buf.h"

enum { ANSWER_MAX_BYTES = 256 * 1024, ENHANCED_STATUS_SIZE = sizeof("5.123.123") };

struct http_answer {
	int status;                          /* 200-599 */
	char enhanced[ENHANCED_STATUS_SIZE]; /* X-Mail-Status (RFC 3463); "" without a sound one */
	long retry_after_s;                  /* Retry-After in seconds; -1 without one */
	struct buf body;                     /* answer_deinit() frees it */
};

void answer_init(struct http_answer *answer);
void answer_deinit(struct http_answer *answer);

enum answer_state {
	ANSWER_MORE,  /* is not whole yet; at the end of the stream: was cut short */
	ANSWER_WHOLE, /* `answer_r` is filled */
	ANSWER_BAD,   /* is not HTTP */
};

/* Looks at everything that came so far; interim responses (1xx) are passed over, and
 * `*continue_r` becomes true at a 100. `at_end`: nothing more will come. */
enum answer_state answer_read(
	struct slice bytes, bool at_end, struct http_answer *answer_r, bool *continue_r);

/* One field of the response's head, for who reads heads by other means. */
void answer_note_field(struct http_answer *answer, struct slice name, struct slice value);

/* "4.3.2" and the like: class 2, 4 or 5 and two numbers of at most three digits (RFC 3463, 2). */
bool is_enhanced_status(struct slice text);

#endif
