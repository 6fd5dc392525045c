/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/lock.h"
#include "storage/sqlite/trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	PATIENCE_MS = 5000, /* with a server that is just starting */
	STEP_MS = 20,
	MAX_STRANGERS = 2,     /* one may have ended while it was looked at */
	MAX_TEXT_BYTES = 1024, /* of another's text in an error */
	FILE_MODE = 0640,
};

struct sqlite_lock {
	int fd;
	char *path;       /* the lock's */
	const char *text; /* the taker's; not used once it is taken */
};

/* One name for the database, whatever links lead to it; it need not be there yet. free() it, or
 * NULL with errno. */
static char *resolve(const char *path)
{
	char *resolved = realpath(path, NULL);

	if (resolved != NULL || errno != ENOENT)
		return resolved;
	char *for_folder = strdup(path), *for_name = strdup(path);
	char *folder = realpath(dirname(for_folder), NULL);
	if (folder != NULL)
		resolved = sqlite_text("%s/%s", folder, basename(for_name));
	int saved = errno;
	free(folder);
	free(for_folder);
	free(for_name);
	errno = saved;
	return resolved;
}

/* What the file says, as one line that can be shown; free() it. */
static char *read_text(const struct sqlite_lock *l)
{
	char *text = calloc(1, MAX_TEXT_BYTES + 1);
	ssize_t len = text != NULL ? pread(l->fd, text, MAX_TEXT_BYTES, 0) : -1;

	for (ssize_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = text[i] == '\n' && i + 1 == len ? '\0' : '?';
	return text;
}

static bool text_is_ours(const struct sqlite_lock *l)
{
	size_t len = strlen(l->text);
	char *there = malloc(len + 1);
	bool same = there != NULL && pread(l->fd, there, len + 1, 0) == (ssize_t)len &&
		    memcmp(there, l->text, len) == 0;

	free(there);
	return same;
}

/* Over the old one and not after it, which may need no new block on a full disk. */
static bool write_text(const struct sqlite_lock *l)
{
	size_t len = strlen(l->text);
	ssize_t written = pwrite(l->fd, l->text, len, 0);

	if (written >= 0 && (size_t)written < len)
		errno = ENOSPC;
	return written == (ssize_t)len && ftruncate(l->fd, (off_t)len) == 0;
}

enum look {
	LOOK_OURS,     /* held, shared with none but those who accept on the same addresses */
	LOOK_BUSY,     /* somebody is about to write his text */
	LOOK_STRANGER, /* held by others, and not by us */
	LOOK_FAILED,   /* errno says why */
};

static enum look failed_or_busy(void)
{
	return errno == EWOULDBLOCK ? LOOK_BUSY : LOOK_FAILED;
}

/* Whoever holds it alone may write. All who have read their own text while they hold it shared have
 * the same one, since nobody writes as long as any of them does. */
static enum look look(const struct sqlite_lock *l)
{
	bool alone = flock(l->fd, LOCK_EX | LOCK_NB) == 0;

	if (!alone && errno != EWOULDBLOCK)
		return LOOK_FAILED;
	if (alone && !text_is_ours(l) && !write_text(l))
		return LOOK_FAILED;
	/* From alone to shared is two steps: another may have come between them. */
	if (flock(l->fd, LOCK_SH | LOCK_NB) == -1)
		return failed_or_busy();
	if (text_is_ours(l))
		return LOOK_OURS;
	flock(l->fd, LOCK_UN);
	return LOOK_STRANGER;
}

static enum look look_until_clear(const struct sqlite_lock *l)
{
	int waited_ms = 0, strangers = 0;

	for (;;) {
		enum look found = look(l);
		if (found == LOOK_STRANGER)
			strangers++;
		if (found == LOOK_OURS || found == LOOK_FAILED || strangers == MAX_STRANGERS ||
			waited_ms >= PATIENCE_MS)
			return found;
		waited_ms += sqlite3_sleep(STEP_MS);
	}
}

static char *cannot_be_locked(const struct sqlite_lock *l, int error)
{
	return sqlite_text("the lock file %s cannot be written: %s; the server must be able to "
			   "write to the directory of its database",
		l->path, strerror(error));
}

static char *explain(const struct sqlite_lock *l, enum look found, const char *path)
{
	if (found == LOOK_FAILED)
		return cannot_be_locked(l, errno);
	if (found == LOOK_BUSY)
		return sqlite_text(
			"the database %s: another server is starting on it and has not come "
			"to an end of that (it holds %s); stop it, or try again",
			path, l->path);
	char *text = read_text(l);
	char *error = sqlite_text(
		"the database %s is in use by another server, which listens on "
		"%s (this one: %s); give this one a data_dir of its own, or stop "
		"the other, or use Postgres, which any number of servers may share",
		path, text != NULL ? text : "other addresses", l->text);
	free(text);
	return error;
}

static int take(struct sqlite_lock *l, const char *path, char **error_r)
{
	l->path = resolve(path);
	if (l->path == NULL) {
		*error_r = sqlite_cannot_create(path, errno);
		return -1;
	}
	char *beside = sqlite_text("%s.lock", l->path);
	free(l->path);
	l->path = beside;
	l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
	if (l->fd == -1) {
		*error_r = cannot_be_locked(l, errno);
		return -1;
	}
	enum look found = look_until_clear(l);
	if (found == LOOK_OURS)
		return 0;
	*error_r = explain(l, found, path);
	return -1;
}

int sqlite_lock_take(
	const char *path, const char *listeners, struct sqlite_lock **lock_r, char **error_r)
{
	*lock_r = NULL;
	if (listeners == NULL)
		return 0;
	struct sqlite_lock *l = malloc(sizeof(*l));
	if (l == NULL)
		abort();
	*l = (struct sqlite_lock){ .fd = -1, .text = listeners };
	if (take(l, path, error_r) == 0) {
		*lock_r = l;
		return 0;
	}
	sqlite_lock_release(&l);
	return -1;
}

void sqlite_lock_release(struct sqlite_lock **lock)
{
	if (*lock == NULL)
		return;
	if ((*lock)->fd != -1)
		close((*lock)->fd);
	free((*lock)->path);
	free(*lock);
	*lock = NULL;
}
