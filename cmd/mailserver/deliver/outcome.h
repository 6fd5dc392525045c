/* SPDX-License-Identifier: MIT */
/* outcome.h - what an MTA is told of a delivery: one line, and an exit code (contract.md, section 4)
 *
 * Only an answer that says by itself that no retry can help is final. Everything else is a deferral:
 * the mail stays in the MTA's queue. */
#ifndef CMD_MAILSERVER_DELIVER_OUTCOME_H
#define CMD_MAILSERVER_DELIVER_OUTCOME_H

#include "cmd/mailserver/deliver/answer.h"

enum mta { MTA_POSTFIX, MTA_EXIM, MTA_QMAIL };

struct outcome {
	enum {
		OUTCOME_DELIVERED,
		OUTCOME_AWAY,     /* the server cannot be reached, or says "later" */
		OUTCOME_DEFERRED, /* and trying again soon is of no use: somebody must act */
		OUTCOME_REFUSED,  /* for good: bounce */
	} kind;
	char line[512]; /* begins with the enhanced status; printable, no line end */
	int sysexit;    /* of sysexits.h: 0, 65, 67, 75 or 77 */
	long retry_after_s;
};

/* What a server's answer means. */
void outcome_of_answer(const struct http_answer *answer, struct outcome *outcome_r);

/* `what` is behind the status. */
void outcome_delivered(struct outcome *outcome_r, const char *what);

/* A failure on the way: OUTCOME_AWAY or OUTCOME_DEFERRED. What is not printable becomes "?". */
void outcome_failed(struct outcome *outcome_r, int kind, const char *enhanced, const char *why);

/* sysexits.h for Postfix and Exim; 0, 100 or 111 for qmail (qmail-command(8)). */
int outcome_exit_code(const struct outcome *outcome, enum mta mta);

#endif
