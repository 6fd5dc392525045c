/* SPDX-License-Identifier: MIT */
/* spool.h - messages that wait on this machine's disk for a server that cannot be reached
 *
 * One file a message, `<ms since 1970>-<random>.mail`: a line that names the format, the header
 * fields of its POST, an empty line, and the message's bytes. A file has that name only when all of
 * it is on the disk; what is being written is `.new-…`. */
#ifndef CMD_MAILSERVER_DELIVER_SPOOL_H
#define CMD_MAILSERVER_DELIVER_SPOOL_H

#include "cmd/mailserver/deliver/message.h"
#include "lib/buf.h"

enum { SPOOL_NAME_SIZE = 64, SPOOL_MAX_HEADER_BYTES = 512 * 1024 };

/* Keeps a message: when it answers true, file and directory are synced, and `name_r` is the file's
 * name. False, with a text in `error_r` and nothing left behind, when that cannot be done, or when
 * the folder would hold more than `max_bytes`. */
bool spool_keep(const char *folder, uint64_t max_bytes, struct slice headers,
	const struct message *message, char name_r[SPOOL_NAME_SIZE], char *error_r,
	size_t error_size);

/* One message of the spool, which nobody else is sending. */
struct spooled {
	const char *name; /* of the file */
	struct buf headers;
	struct message message;
	int fd; /* the rest is spool.c's */
	int folder_fd;
};

/* Calls `send` for each message, oldest first, and removes those for which it answers
 * SPOOL_SENT. Those of which the file is damaged are left as they are, and counted. -1 with a text
 * in `error_r` when the folder cannot be read. */
enum spool_next {
	SPOOL_SENT,    /* remove it */
	SPOOL_REFUSED, /* keep it as `.refused`, which nobody sends again, for somebody to look at */
	SPOOL_LEFT,    /* leave it, go on with the next one */
	SPOOL_STOP,    /* leave it and the rest */
};
struct spool_counts {
	size_t sent, refused, left, damaged;
};
int spool_flush(const char *folder, enum spool_next (*send)(void *data, struct spooled *spooled),
	void *data, struct spool_counts *counts_r, char *error_r, size_t error_size);

#endif
