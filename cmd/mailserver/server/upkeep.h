/* SPDX-License-Identifier: MIT */
/* upkeep.h - what the database needs done now and then, on a thread of its own: its schema brought
 * up to date, which includes partitions for the mail to come, and old mail deleted
 *
 * A turn comes when it is asked for, about an hour after the last one, and about a minute after one
 * that failed; never in step with other instances. What fails again and again is logged once.
 *
 * Threads    The main thread calls. */
#ifndef CMD_MAILSERVER_SERVER_UPKEEP_H
#define CMD_MAILSERVER_SERVER_UPKEEP_H

#include "lib/config/config.h"
#include "storage/storage.h"

struct upkeep;

struct upkeep_settings {
	struct storage_settings storage;
	bool migrate; /* of the second turn on: the server does it once by itself, before it serves */
	uint32_t period_ms, retry_ms; /* 0: an hour, and a minute */
	/* On the upkeep's thread, with what a turn deleted; may be NULL. */
	void (*purged)(void *purged_data, const struct storage_purged *purged);
	void *purged_data;
};

/* The first turn comes when it is asked for. NULL when no thread could be started. */
struct upkeep *upkeep_start(const struct upkeep_settings *set, const struct config *config);

/* These accept NULL. */

/* Has a turn now. */
void upkeep_wake(struct upkeep *upkeep);
/* Mail is kept from now on as this configuration says, of which it takes a copy; a turn under way
 * ends early. */
void upkeep_reload(struct upkeep *upkeep, const struct config *config);
/* No turn begins any more, and one under way ends as soon as it can. */
void upkeep_leave(struct upkeep *upkeep);

/* Waits a moment for that. True when all is freed. Otherwise the database keeps the thread waiting:
 * it is left to itself, and the process has to be ended without taking anything down that it uses.
 * Accepts a pointer to NULL. */
bool upkeep_stop(struct upkeep **upkeep);

#endif
