/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/message.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

short wait_for_fd(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left_ms = deadline_ms - clock_ms();
		if (left_ms <= 0)
			return 0;
		int n = poll(&p, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
		if (n > 0)
			return p.revents;
		if (n < 0 && errno != EINTR)
			return 0;
	}
}

bool message_of_file(struct message *m, int fd, uint64_t offset)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return false;
	*m = (struct message){
		.fd = fd,
		.base = offset,
		.size = (uint64_t)status.st_size > offset ? (uint64_t)status.st_size - offset : 0,
	};
	return true;
}

static bool write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static int open_temporary(const char *folder)
{
	char path[PATH_MAX];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	/* A file system without O_TMPFILE. */
	if (snprintf(path, sizeof(path), "%s/mailserver-XXXXXX", folder) >= (int)sizeof(path))
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Everything that came so far goes to a file, and what comes from now on too. */
static bool spill(struct message *m, const char *folder)
{
	m->fd = open_temporary(folder);
	if (m->fd < 0)
		return false;
	m->owns_fd = true;
	if (!write_all(m->fd, m->memory, m->size))
		return false;
	return true;
}

static bool say(char *error_r, size_t size, const char *what, const char *where)
{
	snprintf(error_r, size, "%s%s: %s", what, where, strerror(errno));
	return false;
}

static bool read_pipe(struct message *m, int fd, const char *folder, int64_t deadline_ms,
	char *error_r, size_t error_size)
{
	char *piece;

	m->memory = malloc(MESSAGE_IN_MEMORY);
	if (m->memory == NULL)
		return say(error_r, error_size, "no memory", "");
	for (;;) {
		if (!wait_for_fd(fd, POLLIN, deadline_ms)) {
			snprintf(error_r, error_size, "standard input did not end in time");
			return false;
		}
		bool in_file = m->fd >= 0;
		piece = in_file ? m->memory : m->memory + m->size;
		ssize_t n = read(fd, piece, MESSAGE_IN_MEMORY - (size_t)(piece - m->memory));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return say(error_r, error_size, "cannot read standard input", "");
		if (n == 0)
			return true;
		if (in_file && !write_all(m->fd, piece, (size_t)n))
			return say(error_r, error_size, "cannot write to a file in ", folder);
		m->size += (uint64_t)n;
		if (m->size > MESSAGE_MAX_BYTES) {
			snprintf(error_r, error_size, "the message is longer than %d bytes",
				MESSAGE_MAX_BYTES);
			return false;
		}
		if (!in_file && m->size == MESSAGE_IN_MEMORY && !spill(m, folder))
			return say(error_r, error_size, "cannot make a file in ", folder);
	}
}

/* The process that wrote the message, and the one above it: a shell may stand between the MTA and us.
 * 0 for what is not known. */
static void read_parents(pid_t parents_r[2])
{
	char path[64], line[128];
	int pid;

	parents_r[0] = getppid();
	parents_r[1] = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)parents_r[0]);
	FILE *status = fopen(path, "re");
	if (status == NULL)
		return;
	while (fgets(line, sizeof(line), status) != NULL)
		if (sscanf(line, "PPid: %d", &pid) == 1)
			parents_r[1] = pid;
	fclose(status);
}

bool message_read(struct message *m, int fd, const char *folder, int64_t deadline_ms, char *error_r,
	size_t error_size)
{
	pid_t before[2], after[2];
	off_t offset = lseek(fd, 0, SEEK_CUR);

	if (offset >= 0 && message_of_file(m, fd, (uint64_t)offset))
		return true;
	*m = (struct message){ .fd = -1 };
	read_parents(before);
	if (!read_pipe(m, fd, folder, deadline_ms, error_r, error_size))
		return false;
	if (m->fd >= 0) {
		free(m->memory);
		m->memory = NULL;
	}
	read_parents(after);
	if (before[0] != after[0] || before[1] != after[1]) {
		snprintf(error_r, error_size,
			"the program that sent the message has died; the message may not be whole");
		return false;
	}
	return true;
}

void message_close(struct message *m)
{
	free(m->memory);
	if (m->owns_fd)
		close(m->fd);
	*m = (struct message){ .fd = -1 };
}

ssize_t message_read_at(const struct message *m, uint64_t offset, void *p, size_t len)
{
	ssize_t n;

	if (offset >= m->size)
		return 0;
	if (len > m->size - offset)
		len = (size_t)(m->size - offset);
	if (m->memory != NULL) {
		memcpy(p, m->memory + offset, len);
		return (ssize_t)len;
	}
	do
		n = pread(m->fd, p, len, (off_t)(m->base + offset));
	while (n < 0 && errno == EINTR);
	if (n == 0) { /* the file was cut short under us */
		errno = EIO;
		return -1;
	}
	return n;
}
