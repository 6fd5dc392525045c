/* SPDX-License-Identifier: MIT */
/* lock.h - whose a database file is
 *
 * Two servers must not share a file by accident. The old and the new one of a restart do on purpose,
 * for a while: they accept mail on the same addresses, and by that they are known. Beside the
 * database lies mail.db.lock, whose text says where its holders accept; all hold it shared. The
 * kernel lets go of it when a process ends, however that happens; the file stays.
 *
 * Other programs (the sqlite3 shell, `mailserver purge`) do not ask for it.
 *
 * Threads    Any. */
#ifndef STORAGE_SQLITE_LOCK_H
#define STORAGE_SQLITE_LOCK_H

struct sqlite_lock;

/* For who accepts on `listeners`, a text that is the same for the same addresses; NULL takes nothing.
 * Waits a moment for others who are just starting. -1 with `*error_r` (free() it): who holds it, or what is wrong with
 * the file, and what would help. */
int sqlite_lock_take(
	const char *path, const char *listeners, struct sqlite_lock **lock_r, char **error_r);
/* Accepts a pointer to NULL. */
void sqlite_lock_release(struct sqlite_lock **lock);

#endif
