/* SPDX-License-Identifier: MIT */
/* message.h - the message on standard input, which can be read again and again
 *
 * A file is read where it lies. What comes through a pipe is kept: the first MESSAGE_IN_MEMORY bytes
 * in memory, everything in an unlinked temporary file once there is more. So a message may be sent
 * twice, or sent and then put into the spool, and costs no memory to speak of whatever its size. */
#ifndef CMD_MAILSERVER_DELIVER_MESSAGE_H
#define CMD_MAILSERVER_DELIVER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MESSAGE_IN_MEMORY = 1024 * 1024, MESSAGE_MAX_BYTES = 1024 * 1024 * 1024 };

struct message {
	char *memory; /* NULL: all of it is in the file */
	int fd;       /* -1: all of it is in memory */
	bool owns_fd;
	uint64_t base; /* where the message begins in the file */
	uint64_t size; /* bytes */
};

/* Reads `fd` to its end. False, and `error_r` (of `error_size`) says why, when it cannot be read or
 * kept, is longer than MESSAGE_MAX_BYTES, ends after `deadline_ms` (of clock_ms()), or when who started this process has
 * died: a pipe whose writer was killed ends like one that is complete.
 * `folder` is where the temporary file is made. */
bool message_read(struct message *m, int fd, const char *folder, int64_t deadline_ms, char *error_r,
	size_t error_size);

/* The rest of a file from `offset` on, which stays the caller's. */
bool message_of_file(struct message *m, int fd, uint64_t offset);

void message_close(struct message *m);

/* Up to `len` bytes from `offset`: how many; 0 at the end; -1 with errno. */
ssize_t message_read_at(const struct message *m, uint64_t offset, void *p, size_t len);

#endif
