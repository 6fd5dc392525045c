/* SPDX-License-Identifier: MIT */
/* ledger.h - what an MTA's log says it handed over, and what the database holds, side by side
 *
 * Both are of any size: they lie in a temporary database on the disk ($SQLITE_TMPDIR, $TMPDIR, else
 * /var/tmp), which is gone when the ledger is closed, and take as much of memory as its cache.
 *
 * In this order: every line of the log, ledger_close_log(), receipts, ids, ledger_match(), and the
 * report. A hand-over is known again by the id that the log shows, or else by queue id and recipient.
 *
 * Threads    One.
 * Errors     The first one makes everything after it do nothing; ledger_error() tells. */
#ifndef CMD_MAILSERVER_LEDGER_H
#define CMD_MAILSERVER_LEDGER_H

#include "lib/maillog.h"
#include "storage/storage.h"

struct ledger;

/* A moment of the period is `since` or later, and before `until`. Nothing outside of it is reported, but
 * it counts as evidence. */
struct ledger *ledger_open(int64_t since_us, int64_t until_us);
void ledger_close(struct ledger **l);
/* NULL: all is well. */
const char *ledger_error(const struct ledger *l);

/* --- the log's side --- */

/* Any kind but MAILLOG_OTHER; its strings are copied. */
void ledger_add_line(struct ledger *l, const struct maillog_line *line, int64_t at_us);
void ledger_close_log(struct ledger *l);

/* --- the database's side --- */

void ledger_add_receipt(struct ledger *l, const struct storage_receipt *receipt);
/* The same, but for those that the log has no id of, and that were not found yet, alone. */
void ledger_add_wanted_receipt(struct ledger *l, const struct storage_receipt *receipt);

/* Ids that the log shows and that no receipt has; at most `max`, each once, in their order: all of them
 * after `after` (NULL: from the first). How many. */
size_t ledger_ids_unseen(
	struct ledger *l, const struct uuid *after, struct uuid *ids_r, size_t max);
void ledger_set_fate(struct ledger *l, const struct uuid *id, enum storage_fate fate);

/* --- comparing --- */

/* By queue ids and recipients, as far as receipts are there; may be called again with more. True when
 * hand-overs without an id are left: from when to when, and whether one of them was spooled. */
bool ledger_match(struct ledger *l, int64_t *first_us_r, int64_t *last_us_r, bool *spooled_r);
/* Of what is left in one queue id, as many recipients are taken to be the same as both sides have:
 * addresses may be written anew on their way. */
void ledger_match_rest(struct ledger *l);

enum ledger_word {
	LEDGER_MISSING,  /* handed over, and not in the database */
	LEDGER_SPOOLED,  /* the same, and still on the client's disk as the log has it */
	LEDGER_DELETED,  /* handed over, taken in, and deleted since */
	LEDGER_UNLOGGED, /* in the database, and not handed over as the log has it */
	LEDGER_PENDING,  /* the same, but it was tried: the MTA will send it again */
	LEDGER_WORDS,
};

struct ledger_entry {
	enum ledger_word word;
	int64_t at_us;
	const char *queue_id;
	const char *id; /* this and the next two: or NULL */
	const char *spooled;
	bool given_up;  /* by the MTA, as the log has it: LEDGER_UNLOGGED */
	const char *to; /* one recipient, or some with commas between them */
	uint64_t more;  /* recipients than these */
};

/* In order of time. */
void ledger_report(
	struct ledger *l, void (*each)(void *data, const struct ledger_entry *entry), void *data);
/* Recipients that were handed over within the period, and found. */
uint64_t ledger_found(struct ledger *l);

#endif
