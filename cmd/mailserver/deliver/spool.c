/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/spool.h"
#include "cmd/mailserver/deliver/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char format_line[] = "mailserver-spool 1\r\n";
static const char suffix[] = ".mail", refused_suffix[] = ".refused", unfinished[] = ".new-";

enum { COPY_BYTES = 64 * 1024, UNFINISHED_S = 24 * 3600 };

static bool say(char *error_r, size_t size, const char *what, const char *where)
{
	snprintf(error_r, size, "%s %s: %s", what, where, strerror(errno));
	return false;
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* Bytes of everything in the folder. */
static bool count_bytes(int folder_fd, uint64_t *bytes_r)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct stat status;
	uint64_t bytes = 0;

	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL)
		if (fstatat(folder_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(status.st_mode))
			bytes += (uint64_t)status.st_size;
	closedir(dir);
	*bytes_r = bytes;
	return true;
}

static bool write_file(int fd, struct slice headers, const struct message *message)
{
	char piece[COPY_BYTES];

	if (!write_all(fd, format_line, sizeof(format_line) - 1) ||
		!write_all(fd, headers.base, headers.len) || !write_all(fd, "\r\n", 2))
		return false;
	for (uint64_t at = 0; at < message->size;) {
		ssize_t n = message_read_at(message, at, piece, sizeof(piece));
		if (n < 0 || !write_all(fd, piece, (size_t)n))
			return false;
		at += (uint64_t)n;
	}
	return fsync(fd) == 0;
}

static void make_name(char name_r[SPOOL_NAME_SIZE])
{
	struct timespec now;
	uint64_t random = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint64_t)getpid() << 32 | (uint64_t)now.tv_nsec;
	snprintf(name_r, SPOOL_NAME_SIZE, "%013" PRId64 "-%016" PRIx64 "%s",
		now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000, random, suffix);
}

static bool keep_in(
	int folder_fd, struct slice headers, const struct message *message, const char *name)
{
	char new_name[SPOOL_NAME_SIZE + sizeof(unfinished)];

	snprintf(new_name, sizeof(new_name), "%s%s", unfinished, name);
	int fd = openat(folder_fd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	bool kept = write_file(fd, headers, message);
	kept = close(fd) == 0 && kept;
	if (kept && renameat(folder_fd, new_name, folder_fd, name) == 0) {
		if (fsync(folder_fd) == 0)
			return true;
		memcpy(new_name, name, strlen(name) + 1);
	}
	int error = errno;
	unlinkat(folder_fd, new_name, 0);
	errno = error;
	return false;
}

bool spool_keep(const char *folder, uint64_t max_bytes, struct slice headers,
	const struct message *message, char name_r[SPOOL_NAME_SIZE], char *error_r,
	size_t error_size)
{
	int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t bytes = 0;
	bool kept = false;

	if (folder_fd < 0 || !count_bytes(folder_fd, &bytes)) {
		say(error_r, error_size, "cannot read the spool", folder);
	} else if (bytes + headers.len + message->size > max_bytes) {
		snprintf(error_r, error_size, "the spool %s is full (%" PRIu64 " bytes)", folder,
			bytes);
	} else {
		make_name(name_r);
		kept = keep_in(folder_fd, headers, message, name_r);
		if (!kept)
			say(error_r, error_size, "cannot write to the spool", folder);
	}
	if (folder_fd >= 0)
		close(folder_fd);
	return kept;
}

/* ---- flush ---- */

/* Reads the head of a file up to the empty line; false when it is none of ours. */
static bool read_head(struct spooled *spooled)
{
	size_t room = sizeof(format_line) - 1 + SPOOL_MAX_HEADER_BYTES + 2;
	char *head = malloc(room);
	ssize_t n = head != NULL ? pread(spooled->fd, head, room, 0) : -1;
	size_t skip = sizeof(format_line) - 1;
	bool is_ours = false;

	if (n > (ssize_t)skip && memcmp(head, format_line, skip) == 0) {
		/* The empty line may follow the first one at once. */
		const char *end = memmem(head + skip - 2, (size_t)n - skip + 2, "\r\n\r\n", 4);
		if (end != NULL) {
			size_t len = (size_t)(end + 2 - (head + skip));
			buf_add(&spooled->headers, head + skip, len);
			is_ours = message_of_file(&spooled->message, spooled->fd, skip + len + 2);
		}
	}
	free(head);
	return is_ours;
}

/* Opens one file, unless somebody else is sending it or has just sent it. */
static bool open_spooled(struct spooled *spooled, int folder_fd, const char *name)
{
	struct stat status;

	*spooled = (struct spooled){ .name = name, .folder_fd = folder_fd };
	spooled->fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (spooled->fd < 0)
		return false;
	buf_init(&spooled->headers, SPOOL_MAX_HEADER_BYTES + 1);
	return flock(spooled->fd, LOCK_EX | LOCK_NB) == 0 && fstat(spooled->fd, &status) == 0 &&
	       status.st_nlink > 0;
}

static void close_spooled(struct spooled *spooled)
{
	if (spooled->fd < 0)
		return;
	close(spooled->fd);
	buf_deinit(&spooled->headers);
}

/* Answers whether the next one is to be tried. */
static bool settle(struct spooled *spooled, enum spool_next next, struct spool_counts *counts)
{
	char name[SPOOL_NAME_SIZE + sizeof(refused_suffix)];

	switch (next) {
	case SPOOL_SENT:
		/* Should it still be there after a crash, it is sent again and found known. */
		unlinkat(spooled->folder_fd, spooled->name, 0);
		counts->sent++;
		return true;
	case SPOOL_REFUSED:
		snprintf(name, sizeof(name), "%s%s", spooled->name, refused_suffix);
		renameat(spooled->folder_fd, spooled->name, spooled->folder_fd, name);
		counts->refused++;
		return true;
	case SPOOL_LEFT:
		counts->left++;
		return true;
	case SPOOL_STOP:
		break;
	}
	counts->left++;
	return false;
}

static int is_message(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && ends_with(entry->d_name, suffix);
}

static int is_unfinished(const struct dirent *entry)
{
	return strncmp(entry->d_name, unfinished, sizeof(unfinished) - 1) == 0;
}

/* Of writers that were killed: their MTA has the message. */
static void remove_unfinished(const char *folder, int folder_fd)
{
	struct dirent **list;
	struct stat status;
	int n = scandir(folder, &list, is_unfinished, NULL);

	for (int i = 0; i < n; i++) {
		if (fstatat(folder_fd, list[i]->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			status.st_mtime < time(NULL) - UNFINISHED_S)
			unlinkat(folder_fd, list[i]->d_name, 0);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

typedef enum spool_next (*send_fn)(void *data, struct spooled *spooled);

/* Answers whether the next one is to be tried. */
static bool flush_one(
	int folder_fd, const char *name, send_fn send, void *data, struct spool_counts *counts)
{
	struct spooled spooled;
	bool go_on = true;

	if (open_spooled(&spooled, folder_fd, name)) {
		if (read_head(&spooled))
			go_on = settle(&spooled, send(data, &spooled), counts);
		else
			counts->damaged++;
	}
	close_spooled(&spooled);
	return go_on;
}

int spool_flush(const char *folder, enum spool_next (*send)(void *data, struct spooled *spooled),
	void *data, struct spool_counts *counts_r, char *error_r, size_t error_size)
{
	int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list = NULL;
	int n = folder_fd >= 0 ? scandir(folder, &list, is_message, alphasort) : -1;
	bool go_on = true;

	*counts_r = (struct spool_counts){ 0 };
	if (n < 0)
		say(error_r, error_size, "cannot read the spool", folder);
	else
		remove_unfinished(folder, folder_fd);
	for (int i = 0; i < n; i++) {
		if (go_on)
			go_on = flush_one(folder_fd, list[i]->d_name, send, data, counts_r);
		else
			counts_r->left++;
		free(list[i]);
	}
	if (n >= 0) {
		free(list);
		fsync(folder_fd);
	}
	if (folder_fd >= 0)
		close(folder_fd);
	return n < 0 ? -1 : 0;
}
