/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

static const char default_path[] = "/mail/inbound";

static char *copy(const char *p, size_t len)
{
	char *text = strndup(p, len);

	if (text == NULL)
		abort();
	return text;
}

/* What may stand in a request's first line and in a Host field. */
static bool is_clean(const char *url)
{
	for (const char *p = url; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return true;
}

static bool parse_unix(const char *path, struct http_target *target, const char **error_r)
{
	if (path[0] != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		*error_r = "a Unix socket is unix:/absolute/path of at most 107 bytes";
		return false;
	}
	target->kind = HTTP_UNIX;
	target->socket = copy(path, strlen(path));
	target->path = copy(default_path, strlen(default_path));
	target->authority = copy("localhost", 9);
	return true;
}

/* "host", "host:port", "[::1]:port" */
static bool parse_authority(
	const char *at, size_t len, const char *scheme_port, struct http_target *target)
{
	const char *end = at + len, *host = at, *host_end, *port;

	if (len > 0 && at[0] == '[') {
		host++;
		host_end = memchr(at, ']', len);
		if (host_end == NULL)
			return false;
		port = host_end + 1;
	} else {
		host_end = memchr(at, ':', len);
		if (host_end == NULL)
			host_end = end;
		port = host_end;
	}
	if (host_end == host || (port < end && *port != ':'))
		return false;
	if (port < end)
		port++;
	if (end - port > 5 || strspn(port, "0123456789") < (size_t)(end - port))
		return false;
	target->host = copy(host, (size_t)(host_end - host));
	target->port = port < end ? copy(port, (size_t)(end - port))
				  : copy(scheme_port, strlen(scheme_port));
	target->authority = copy(at, len);
	return true;
}

bool http_target_parse(const char *url, struct http_target *target_r, const char **error_r)
{
	struct http_target target = { .kind = HTTP_TCP };
	const char *at = NULL, *scheme_port = "80";

	*target_r = target;
	*error_r = "the url must be http://host:port, https://host:port or unix:/path";
	if (!is_clean(url))
		return false;
	if (strncmp(url, "unix:", 5) == 0)
		return parse_unix(url + 5, target_r, error_r);
	if (strncasecmp(url, "http://", 7) == 0) {
		at = url + 7;
	} else if (strncasecmp(url, "https://", 8) == 0) {
		at = url + 8;
		target.kind = HTTP_TLS;
		scheme_port = "443";
	} else {
		return false;
	}
	size_t len = strcspn(at, "/?#");
	if (memchr(at, '@', len) != NULL) {
		*error_r = "the url must hold no user and no password: use a token";
		return false;
	}
	if (!parse_authority(at, len, scheme_port, &target))
		return false;
	const char *path = at + len;
	size_t path_len = strcspn(path, "#");
	if (path[0] != '/' || path_len == 1) {
		path = default_path;
		path_len = strlen(path);
	}
	target.path = copy(path, path_len);
	if (target.kind == HTTP_TLS &&
		asprintf(&target.url, "https://%s%s", target.authority, target.path) < 0)
		abort();
	*target_r = target;
	return true;
}

void http_target_free(struct http_target *target)
{
	free(target->url);
	free(target->socket);
	free(target->host);
	free(target->port);
	free(target->path);
	free(target->authority);
	*target = (struct http_target){ .kind = HTTP_TCP };
}
