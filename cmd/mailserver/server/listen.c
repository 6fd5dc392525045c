/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/listen.h"
#include "lib/arena.h"
#include "lib/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 4096,
	LISTEN_FDS_START = 3, /* sd_listen_fds(3) */
	/* h2o reads all that has come before it looks at another connection. By itself the kernel
	 * lets some megabytes come. */
	RECEIVE_BUFFER_BYTES = 256 * 1024,
};

/* Of sockets in the file system. */
struct socket_access {
	bool has_mode, has_group;
	mode_t mode;
	gid_t group;
};

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len;
};

static bool address_parse(const char *text, uint16_t port, struct address *a_r)
{
	*a_r = (struct address){ .len = 0 };
	if (strncmp(text, "unix:", 5) == 0) {
		if (strlen(text + 5) >= sizeof(a_r->un.sun_path) || text[5] == '\0')
			return false;
		a_r->un.sun_family = AF_UNIX;
		strcpy(a_r->un.sun_path, text + 5);
		a_r->len = sizeof(a_r->un);
	} else if (inet_pton(AF_INET, text, &a_r->in.sin_addr) == 1) {
		a_r->in.sin_family = AF_INET;
		a_r->in.sin_port = htons(port);
		a_r->len = sizeof(a_r->in);
	} else if (inet_pton(AF_INET6, text, &a_r->in6.sin6_addr) == 1) {
		a_r->in6.sin6_family = AF_INET6;
		a_r->in6.sin6_port = htons(port);
		a_r->len = sizeof(a_r->in6);
	}
	return a_r->len > 0;
}

/* A socket file that nobody listens on any more is in the way of bind(2). */
static void remove_stale_socket(const struct address *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return;
	if (connect(fd, &a->any, a->len) == -1 && errno == ECONNREFUSED)
		unlink(a->un.sun_path);
	close(fd);
}

/* Before listen(2): until then nobody can connect, whatever the umask was. */
static int set_access(const char *path, const struct socket_access *access)
{
	if (access->has_group && chown(path, (uid_t)-1, access->group) == -1)
		return -1;
	return access->has_mode ? chmod(path, access->mode) : 0;
}

/* Connections have it from their listener. */
static void bound_receive_buffer(int fd)
{
	int bytes = RECEIVE_BUFFER_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int open_socket(const struct address *a, const struct socket_access *access)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd == -1)
		return -1;
	if (a->any.sa_family == AF_UNIX) {
		remove_stale_socket(a);
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	}
	bound_receive_buffer(fd);
	if (a->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	/* A Unix socket that is bound and nobody listens on looks like a stale one. */
	if (bind(fd, &a->any, a->len) == 0 &&
		(a->any.sa_family != AF_UNIX ||
			(set_access(a->un.sun_path, access) == 0 && listen(fd, BACKLOG) == 0)))
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* Room for one more socket in every worker's row. */
static void set_widen(struct listen_set *set)
{
	unsigned old = set->per_worker++;
	int *fds = malloc(sizeof(*fds) * set->workers * set->per_worker);

	if (fds == NULL)
		abort();
	for (unsigned w = 0; w < set->workers; w++) {
		for (unsigned i = 0; i < old; i++)
			fds[w * set->per_worker + i] = set->fds[w * old + i];
		fds[w * set->per_worker + old] = -1;
	}
	free(set->fds);
	set->fds = fds;
}

static int *last_slot(struct listen_set *set, unsigned worker)
{
	return &set->fds[worker * set->per_worker + set->per_worker - 1];
}

static int share(struct listen_set *set, int fd)
{
	set_widen(set);
	for (unsigned w = 0; w < set->workers; w++) {
		int copy = w == 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy == -1)
			return -1;
		*last_slot(set, w) = copy;
	}
	return 0;
}

static int listen_on(
	struct listen_set *set, const struct address *a, const struct socket_access *access)
{
	int fd = open_socket(a, access);

	if (fd == -1)
		return -1;
	if (a->any.sa_family == AF_UNIX)
		return share(set, fd);
	set_widen(set);
	*last_slot(set, 0) = fd;
	for (unsigned w = 1; w < set->workers; w++)
		if ((*last_slot(set, w) = open_socket(a, access)) == -1)
			return -1;
	return 0;
}

static const char *advice(int error, const struct address *a)
{
	switch (error) {
	case EADDRINUSE:
		return a->any.sa_family == AF_UNIX
			       ? "another server listens there; stop it, or choose another path"
			       : "another program listens there; stop it, or choose another port";
	case EADDRNOTAVAIL:
		return "no interface of this machine has that address";
	case EACCES:
		return "not allowed; use a port above 1023, or a directory the server may write to";
	case EPERM:
		return "not allowed to set socket_group: the server's user must be a member of it";
	default:
		return strerror(error);
	}
}

static int read_access(
	const struct listen_settings *set, struct socket_access *access_r, char **error_r)
{
	const char *group = set->socket_group;
	struct socket_access access = {
		.has_mode = set->socket_mode[0] != '\0',
		.has_group = group[0] != '\0',
		.mode = (mode_t)strtoul(set->socket_mode, NULL, 8),
	};

	if (access.has_group) {
		const struct group *entry = getgrnam(group);
		if (entry == NULL) {
			if (asprintf(error_r, "socket_group: there is no group \"%s\"", group) ==
				-1)
				abort();
			return -1;
		}
		access.group = entry->gr_gid;
	}
	*access_r = access;
	return 0;
}

/* From systemd (mode: socket): LISTEN_FDS sockets, from descriptor 3 on. 0 when there are none. */
static unsigned take_systemd_sockets(struct listen_set *set)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	unsigned n = count != NULL ? (unsigned)strtoul(count, NULL, 10) : 0;

	if (n == 0 || n > 64 || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	for (unsigned i = 0; i < n; i++) {
		int fd = LISTEN_FDS_START + (int)i;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		bound_receive_buffer(fd);
		if (share(set, fd) != 0)
			return 0;
	}
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	return n;
}

int listen_open(const struct listen_settings *settings, unsigned workers, struct listen_set *set_r,
	char **error_r)
{
	struct listen_set set = { .workers = workers, .purpose = settings->purpose };
	struct socket_access access;

	if (read_access(settings, &access, error_r) != 0)
		return -1;
	if (settings->from_systemd) {
		if (take_systemd_sockets(&set) > 0) {
			*set_r = set;
			return 0;
		}
		log_say(LOG_WARNING, "mode is socket, but systemd handed over none (LISTEN_FDS): "
				     "listening on the configured addresses");
	}
	for (unsigned i = 0; i < settings->count; i++) {
		const char *text = settings->addresses[i];
		struct address a;
		int error = EINVAL;

		if (address_parse(text, (uint16_t)settings->port, &a) &&
			listen_on(&set, &a, &access) == 0)
			continue;
		if (a.len > 0)
			error = errno;
		/* The default names ::1 too, which a machine without IPv6 does not have. */
		if (strcmp(text, "::1") == 0 && (error == EADDRNOTAVAIL || error == EAFNOSUPPORT)) {
			log_say(LOG_WARNING, "not listening on ::1: this machine has no IPv6");
			continue;
		}
		if (asprintf(error_r, "cannot listen on %s, port %u, for %s: %s", text,
			    settings->port, settings->purpose,
			    a.len > 0 ? advice(error, &a) : "this is no address") == -1)
			abort();
		listen_close(&set);
		return -1;
	}
	if (set.per_worker == 0) {
		*error_r = strdup("no address to listen on: set `listen`");
		return -1;
	}
	*set_r = set;
	return 0;
}

static char *name_of_unix(struct arena *arena, const struct address *a)
{
	char path[sizeof(a->un.sun_path) + 1] = "";

	memcpy(path, a->un.sun_path, a->len - offsetof(struct sockaddr_un, sun_path));
	if (path[0] == '\0') /* abstract, unix(7) */
		return arena_printf(arena, "unix:@%s", path + 1);
	char *resolved = realpath(path, NULL);
	char *name = arena_printf(arena, "unix:%s", resolved != NULL ? resolved : path);
	free(resolved);
	return name;
}

/* "127.0.0.1:3000", "[::1]:3000", "unix:/path" */
static char *name_of(struct arena *arena, int fd)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	struct address a = { .len = offsetof(struct address, len) };

	if (getsockname(fd, &a.any, &a.len) == -1)
		return arena_strdup(arena, "a socket without a name");
	if (a.any.sa_family == AF_UNIX)
		return name_of_unix(arena, &a);
	if (getnameinfo(&a.any, a.len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return arena_printf(arena, "a socket of family %d", a.any.sa_family);
	return arena_printf(arena, a.any.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* One from systemd, and a Unix socket, is listened on already, and keeps its backlog. */
static bool listens(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

int listen_begin(struct listen_set *set, unsigned worker, char **error_r)
{
	const int *fds = listen_row(set, worker);
	struct arena *arena = arena_new();
	int rc = 0;

	for (unsigned i = 0; i < set->per_worker && rc == 0; i++) {
		const char *name = name_of(arena, fds[i]);
		struct log_line line;

		if (!listens(fds[i]) && listen(fds[i], BACKLOG) == -1) {
			if (asprintf(error_r, "cannot listen on %s for %s: %s", name, set->purpose,
				    strerror(errno)) == -1)
				abort();
			rc = -1;
		} else if (worker == 0 && log_begin(&line, LOG_INFO, "listening")) {
			log_str(&line, "for", set->purpose);
			log_str(&line, "address", name);
			log_end(&line);
		}
	}
	arena_free(&arena);
	return rc;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *listen_names(const struct listen_set *set)
{
	struct arena *arena = arena_new();
	char **names = arena_alloc(arena, sizeof(*names) * set->per_worker), *all;
	uint64_t network;
	socklen_t len = sizeof(network);

	for (unsigned i = 0; i < set->per_worker; i++)
		names[i] = name_of(arena, set->fds[i]);
	qsort(names, set->per_worker, sizeof(*names), by_text);
	all = names[0];
	for (unsigned i = 1; i < set->per_worker; i++)
		all = arena_printf(arena, "%s, %s", all, names[i]);
	/* The same address in two containers is not the same. */
	if (getsockopt(set->fds[0], SOL_SOCKET, SO_NETNS_COOKIE, &network, &len) == 0)
		all = arena_printf(arena, "%s (network namespace %" PRIu64 ")", all, network);
	all = strdup(all);
	if (all == NULL)
		abort();
	arena_free(&arena);
	return all;
}

void listen_close(struct listen_set *set)
{
	for (unsigned i = 0; i < set->workers * set->per_worker; i++)
		if (set->fds[i] != -1)
			close(set->fds[i]);
	free(set->fds);
	*set = (struct listen_set){ .fds = NULL };
}

int *listen_row(struct listen_set *set, unsigned worker)
{
	return &set->fds[worker * set->per_worker];
}
