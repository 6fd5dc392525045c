/* SPDX-License-Identifier: MIT */
/* maillog.h - what a line of an MTA's log says about one delivery
 *
 * Postfix:  syslog's lines, with its traditional date or RFC 3339's, or postlogd's:
 *           "Nov 25 09:10:18 mx postfix/pipe[47]: 4FxYz12abc: to=<r@example.com>,
 *           relay=mailserver, …, status=sent (delivered via mailserver service (2.0.0 id=…))"
 * Exim:     its main log, with any of the log selectors, or the same by syslog:
 *           "2026-11-25 09:10:18 1r6Abc-0000xx-1A => r@example.com R=… T=mailserver …"
 *
 * Everything in a line but its frame may have been chosen by whoever sent the mail. What is not
 * understood is passed over, never refused. No memory is allocated; the slices lie in the line. */
#ifndef LIB_MAILLOG_H
#define LIB_MAILLOG_H

#include "lib/ids.h"
#include "lib/slice.h"

/* A moment as it stands in a log. */
struct maillog_stamp {
	int year; /* 0: traditional syslog leaves it out */
	int month, day, hour, minute, second;
	int microsecond;
	bool has_offset;
	int offset_s; /* east of UTC; without one it is local time */
};

enum maillog_kind {
	MAILLOG_OTHER,    /* nothing about a delivery */
	MAILLOG_SENT,     /* handed over */
	MAILLOG_DEFERRED, /* it will be tried again */
	MAILLOG_BOUNCED,  /* given up for this recipient */
	MAILLOG_EXPIRED,  /* Postfix gave up on the whole message; no recipient */
	MAILLOG_OUTPUT,   /* what Exim's transport printed (its option log_output) */
};

struct maillog_line {
	enum maillog_kind kind;
	bool has_stamp;
	struct maillog_stamp stamp;
	/* The rest is empty for MAILLOG_OTHER. */
	struct slice queue_id;
	struct slice to;      /* the recipient; Exim: perhaps its local part alone */
	struct slice orig_to; /* as it was before aliases and the like; empty: the same */
	struct slice relay;   /* the transport's name; Postfix: "none" where there was none */
	struct slice via;     /* Postfix: from "delivered via NAME service" */
	bool is_joined;       /* Exim: in one call with the recipient before it in the log */
	bool has_id;          /* these two: from what `mailserver deliver` printed */
	struct uuid id;
	struct slice spooled; /* the file's name, on the client's disk */
};

void maillog_parse(struct slice line, struct maillog_line *line_r);

/* From stamps to microseconds since 1970. One clock for the lines of one file, one thread. */
struct maillog_clock {
	int64_t not_after_us; /* of dates without a year: the file was not written later */
	struct maillog_stamp hour;
	int64_t hour_s; /* when that began; mktime() is slow */
	bool has_hour;
};
void maillog_clock_init(struct maillog_clock *clock, int64_t not_after_us);
/* False for a date that does not exist. */
bool maillog_when(struct maillog_clock *clock, const struct maillog_stamp *stamp, int64_t *us_r);

/* A moment as people write it: "2026-11-25", "2026-11-25 09:10[:18[.123]]", with a T for the space
 * or an offset behind it ("Z", "+01:00"). */
bool maillog_parse_moment(struct slice text, struct maillog_stamp *stamp_r);

#endif
