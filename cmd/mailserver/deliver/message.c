/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/message.h"
#include "cmd/mailserver/deliver/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

enum { PF_EXITING = 0x4 };

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

/* Of another process, as proc(5) tells it in `stat`; false, and nothing known, when it does not. */
static bool read_stat(pid_t pid, pid_t *parent_r, unsigned *flags_r)
{
	char path[64], text[512];
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* The second field is a name that may hold anything. */
	const char *rest = strrchr(text, ')');
	if (rest == NULL || sscanf(rest + 1, " %*c %d %*d %*d %*d %*d %u", &parent, flags_r) != 2)
		return false;
	*parent_r = parent;
	return true;
}

/* The process that wrote the message, or a shell that it started and that started us; and the one
 * above that, or 0. */
struct writers {
	pid_t parent, above;
};

static struct writers find_writers(void)
{
	struct writers w = { .parent = getppid() };
	unsigned flags;

	read_stat(w.parent, &w.above, &flags);
	return w;
}

/* Whether they are there and not about to end. A process that dies closes its end of the pipe before
 * its children are given to another parent; but it has the kernel's mark by then. */
static bool are_alive(struct writers before)
{
	unsigned flags = 0, flags_above = 0;
	pid_t ignored;

	read_stat(before.parent, &ignored, &flags);
	read_stat(before.above, &ignored, &flags_above);
	/* Last: who has gone for good by now, and has no mark any more, is no parent any more. */
	struct writers now = find_writers();
	return now.parent == before.parent && now.above == before.above &&
	       ((flags | flags_above) & PF_EXITING) == 0;
}

bool message_read(struct message *m, int fd, const char *folder, int64_t deadline_ms, char *error_r,
	size_t error_size)
{
	struct writers writers = find_writers();
	off_t offset = lseek(fd, 0, SEEK_CUR);

	if (offset >= 0 && message_of_file(m, fd, (uint64_t)offset))
		return true;
	*m = (struct message){ .fd = -1 };
	if (!read_pipe(m, fd, folder, deadline_ms, error_r, error_size))
		return false;
	if (m->fd >= 0) {
		free(m->memory);
		m->memory = NULL;
	}
	if (!are_alive(writers)) {
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
