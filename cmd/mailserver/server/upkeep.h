/* SPDX-License-Identifier: MIT */
/* upkeep.h - what the database needs done now and then, on a thread of its own: its schema brought
 * up to date, which includes partitions for the mail to come
 *
 * About an hour apart, when SIGHUP asks for it, and never in step with other instances. The server does it once by itself before it
 * starts the thread. */
#ifndef CMD_MAILSERVER_SERVER_UPKEEP_H
#define CMD_MAILSERVER_SERVER_UPKEEP_H

#include "storage/storage.h"

struct upkeep;

/* Borrows the settings. NULL when no thread could be started. */
struct upkeep *upkeep_start(const struct storage_settings *set);
/* Has a turn now. Accepts NULL. */
void upkeep_wake(struct upkeep *upkeep);
/* Does not wait for a turn under way, which a database may keep for long: true when there was none
 * and all is freed. Otherwise the thread is left to itself, and the process has to be ended without
 * taking anything down that it uses. Accepts a pointer to NULL. */
bool upkeep_stop(struct upkeep **upkeep);

#endif
