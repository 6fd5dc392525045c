/* SPDX-License-Identifier: MIT */
#include "lib/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *advice(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "check the path, or make the file";
	case EACCES:
	case EPERM:
		return "let the user that the server runs as read it (chown, chmod)";
	case EISDIR:
		return "name a file within it";
	default:
		return "check the file and the disk it is on";
	}
}

static void note_unreadable(struct findings *findings, struct origin at, const char *pointer,
	const char *path, int error)
{
	findings_add(findings, CONFIG_ERROR, at, pointer, "%s cannot be read: %s: %s",
		findings_quote(findings->arena, path), strerror(error), advice(error));
}

/* Bytes read, one more than `max_bytes` when there are more; -1 with errno. */
static ssize_t read_all(int fd, char *out, size_t max_bytes)
{
	size_t len = 0;

	while (len <= max_bytes) {
		ssize_t n = read(fd, out + len, max_bytes + 1 - len);
		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			return -1;
	}
	return (ssize_t)len;
}

char *config_file_read(struct findings *findings, struct origin at, const char *pointer,
	const char *path, size_t max_bytes, size_t *len_r, struct stat *status_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = arena_alloc(findings->arena, max_bytes + 2);
	ssize_t len = fd >= 0 ? read_all(fd, text, max_bytes) : -1;
	int error = errno;

	if (fd >= 0 && status_r != NULL)
		fstat(fd, status_r);
	if (fd >= 0)
		close(fd);
	if (len < 0) {
		note_unreadable(findings, at, pointer, path, error);
		return NULL;
	}
	if ((size_t)len > max_bytes) {
		findings_add(findings, CONFIG_ERROR, at, pointer,
			"%s is larger than %zu bytes: is it the right file?",
			findings_quote(findings->arena, path), max_bytes);
		return NULL;
	}
	text[len] = '\0';
	*len_r = (size_t)len;
	return text;
}

const char *config_file_find(struct arena *arena)
{
	const char *home = getenv("HOME");
	const char *const places[] = {
		"mailserver.yaml",
		"/etc/mailserver/mailserver.yaml",
		home != NULL ? arena_printf(arena, "%s/.mailserver/mailserver.yaml", home) : NULL,
		"/etc/gomail.yaml",
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i] != NULL && access(places[i], F_OK) == 0)
			return places[i];
	return NULL;
}
