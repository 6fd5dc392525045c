/* SPDX-License-Identifier: MIT */
#include "storage/postgres/conninfo.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "storage/postgres/trouble.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_KEYWORDS = 64, MAX_LIST_BYTES = 64 * 1024, MAX_TARGETS = 32 };

struct list { /* a value that may hold one item per host, with commas between */
	struct slice *items;
	unsigned count;
};

struct pg_conninfo {
	struct arena *arena;
	const char *keywords[MAX_KEYWORDS + 1];
	const char *values[MAX_KEYWORDS + 1];
	unsigned count;
	struct list host, hostaddr, port;
	uint32_t connect_timeout_ms;
};

bool pg_conninfo_is(const char *url)
{
	if (strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0)
		return true;
	return strchr(url, '=') != NULL && strstr(url, "://") == NULL &&
	       strncmp(url, "sqlite:", 7) != 0;
}

static const char **value_of(struct pg_conninfo *info, const char *keyword)
{
	for (unsigned i = 0; i < info->count; i++)
		if (strcmp(info->keywords[i], keyword) == 0)
			return &info->values[i];
	return NULL;
}

static void set(struct pg_conninfo *info, const char *keyword, const char *value)
{
	const char **known = value_of(info, keyword);

	if (known != NULL) {
		*known = value;
	} else if (info->count < MAX_KEYWORDS) {
		info->keywords[info->count] = keyword;
		info->values[info->count++] = value;
	}
}

static void set_default(struct pg_conninfo *info, const char *keyword, const char *value)
{
	if (value_of(info, keyword) == NULL)
		set(info, keyword, value);
}

static void set_defaults(struct pg_conninfo *info, const struct storage_settings *settings)
{
	set(info, "client_encoding", "UTF8");
	set_default(info, "fallback_application_name", "mailserver");
	set_default(info, "target_session_attrs", "read-write");
	set_default(info, "keepalives_idle", "30");
	set_default(info, "keepalives_interval", "10");
	set_default(info, "keepalives_count", "3");
	set_default(info, "tcp_user_timeout",
		arena_printf(info->arena, "%u", settings->statement_timeout_ms));
}

static struct list list_of(struct pg_conninfo *info, const char *keyword)
{
	const char **value = value_of(info, keyword);
	struct list list = { NULL, 0 };

	if (value == NULL)
		return list;
	list.items = arena_alloc(info->arena, (strlen(*value) + 1) * sizeof(list.items[0]));
	for (const char *s = *value;; s++) {
		size_t len = strcspn(s, ",");
		list.items[list.count++] = (struct slice){ s, len };
		s += len;
		if (*s == '\0')
			return list;
	}
}

/* libpq says so only when it connects, and then for ever: better at once. */
static bool ports_are_numbers(const struct list *ports)
{
	for (unsigned i = 0; i < ports->count; i++) {
		struct slice s = slice_trim(ports->items[i]);
		unsigned long port = 0;
		if (s.len > 5)
			return false;
		for (size_t j = 0; j < s.len; j++) {
			if (!isdigit((unsigned char)s.base[j]))
				return false;
			port = port * 10 + (unsigned long)(s.base[j] - '0');
		}
		if (s.len > 0 && (port < 1 || port > 65535)) /* empty: the default port */
			return false;
	}
	return true;
}

unsigned pg_conninfo_host_count(const struct pg_conninfo *info)
{
	return info->hostaddr.count > info->host.count ? info->hostaddr.count : info->host.count;
}

static const char *fault_of(const struct pg_conninfo *info)
{
	unsigned hosts = pg_conninfo_host_count(info);

	if (!ports_are_numbers(&info->port))
		return "a port must be a number from 1 to 65535";
	if (info->host.count > 0 && info->hostaddr.count > 0 &&
		info->host.count != info->hostaddr.count)
		return "host and hostaddr must name equally many hosts";
	if (info->port.count > 1 && info->port.count != hosts)
		return "there must be one port for all hosts, or one for each";
	return NULL;
}

static char *error_text(const char *what)
{
	char *text = NULL;

	if (asprintf(&text, "storage.url: %s", what) == -1)
		abort();
	return text;
}

struct pg_conninfo *pg_conninfo_parse(const struct storage_settings *settings, char **error_r)
{
	char *why = NULL;
	PQconninfoOption *options = PQconninfoParse(settings->url, &why);

	if (options == NULL) {
		*error_r = error_text(pg_one_line(why));
		PQfreemem(why);
		return NULL;
	}
	struct arena *arena = arena_new();
	struct pg_conninfo *info = arena_zalloc(arena, sizeof(*info));
	info->arena = arena;
	info->connect_timeout_ms = settings->connect_timeout_ms;
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (o->val != NULL)
			set(info, arena_strdup(arena, o->keyword), arena_strdup(arena, o->val));
	PQconninfoFree(options);
	set_defaults(info, settings);
	info->host = list_of(info, "host");
	info->hostaddr = list_of(info, "hostaddr");
	info->port = list_of(info, "port");
	const char *fault = fault_of(info);
	if (fault != NULL) {
		*error_r = error_text(fault);
		pg_conninfo_free(&info);
	}
	return info;
}

void pg_conninfo_free(struct pg_conninfo **info)
{
	if (*info == NULL)
		return;
	struct arena *arena = (*info)->arena;
	arena_free(&arena);
	*info = NULL;
}

/* --- where to connect to --- */

/* A name, and not an address, a socket in the file system, or a host whose address is given. */
static bool is_name(const struct pg_conninfo *info, unsigned i)
{
	struct slice host = i < info->host.count ? info->host.items[i] : (struct slice){ "", 0 };
	char text[INET6_ADDRSTRLEN];
	struct in6_addr any;

	if (host.len == 0 || host.base[0] == '/' || host.base[0] == '@' ||
		(i < info->hostaddr.count && info->hostaddr.items[i].len > 0))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)host.len, host.base);
	return host.len >= sizeof(text) ||
	       (inet_pton(AF_INET, text, &any) != 1 && inet_pton(AF_INET6, text, &any) != 1);
}

bool pg_conninfo_has_names(const struct pg_conninfo *info)
{
	for (unsigned i = 0; i < info->host.count; i++)
		if (is_name(info, i))
			return true;
	return false;
}

struct lookup *pg_conninfo_look_up(
	const struct pg_conninfo *info, struct loop *loop, void (*done)(void *data), void *data)
{
	struct slice *names = h2o_mem_alloc(info->host.count * sizeof(names[0]));

	for (unsigned i = 0; i < info->host.count; i++)
		names[i] = is_name(info, i) ? info->host.items[i] : (struct slice){ "", 0 };
	struct lookup *lookup = lookup_begin(loop, names, info->host.count, done, data);
	free(names);
	return lookup;
}

const char *pg_conninfo_unknown(const struct pg_conninfo *info, const struct lookup *lookup)
{
	for (unsigned i = 0; i < info->host.count; i++)
		if (!is_name(info, i) || lookup_found(lookup, i) != NULL)
			return NULL;
	return lookup_error(lookup, 0);
}

struct target { /* a host, or one of its addresses */
	struct slice host, port;
	char address[NI_MAXHOST]; /* "": as the host says */
};

struct targets {
	struct target list[MAX_TARGETS];
	unsigned count;
};

static void add_target(
	struct targets *targets, const struct pg_conninfo *info, unsigned i, const char *address)
{
	static const struct slice none = { "", 0 };
	unsigned port = info->port.count == 1 ? 0 : i;

	if (targets->count == MAX_TARGETS)
		return;
	struct target *t = &targets->list[targets->count++];
	t->host = i < info->host.count ? info->host.items[i] : none;
	t->port = port < info->port.count ? info->port.items[port] : none;
	snprintf(t->address, sizeof(t->address), "%s", address);
}

static void list_targets(
	struct targets *targets, const struct pg_conninfo *info, const struct lookup *lookup)
{
	char address[NI_MAXHOST];

	targets->count = 0;
	for (unsigned i = 0; i < pg_conninfo_host_count(info); i++) {
		struct slice given = i < info->hostaddr.count ? info->hostaddr.items[i]
							      : (struct slice){ "", 0 };
		if (lookup == NULL || !is_name(info, i)) {
			snprintf(address, sizeof(address), "%.*s", (int)given.len, given.base);
			add_target(targets, info, i, address);
			continue;
		}
		for (const struct addrinfo *a = lookup_found(lookup, i); a != NULL; a = a->ai_next)
			if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL,
				    0, NI_NUMERICHOST) == 0)
				add_target(targets, info, i, address);
	}
}

enum { HOST, HOSTADDR, PORT, LISTS };

/* libpq's three lists, with commas, from the first-th target on, round. */
static void write_lists(struct targets *targets, unsigned first, struct buf lists[LISTS])
{
	for (unsigned i = 0; i < targets->count; i++) {
		const struct target *t = &targets->list[(first + i) % targets->count];
		for (unsigned l = 0; i > 0 && l < LISTS; l++)
			buf_putc(&lists[l], ',');
		buf_add(&lists[HOST], t->host.base, t->host.len);
		buf_puts(&lists[HOSTADDR], t->address);
		buf_add(&lists[PORT], t->port.base, t->port.len);
	}
}

/* libpq's own would print. */
static void ignore_notice(void *data, const char *message) {}

PGconn *pg_conninfo_start(
	struct pg_conninfo *info, const struct lookup *lookup, unsigned first_target)
{
	static const char *const names[LISTS] = { "host", "hostaddr", "port" };
	struct pg_conninfo with = *info;
	struct buf lists[LISTS];
	struct targets targets;

	list_targets(&targets, info, lookup);
	for (unsigned l = 0; l < LISTS; l++)
		buf_init(&lists[l], MAX_LIST_BYTES);
	write_lists(&targets, first_target, lists);
	for (unsigned l = 0; l < LISTS; l++)
		if (lists[l].len > 0)
			set(&with, names[l], lists[l].base);
	PGconn *pg = PQconnectStartParams(with.keywords, with.values, 0);
	for (unsigned l = 0; l < LISTS; l++)
		buf_deinit(&lists[l]);
	PQsetNoticeProcessor(pg, ignore_notice, NULL);
	return pg;
}

/* --- connecting, and waiting for it --- */

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool wait_for(PGconn *pg, PostgresPollingStatusType what, int64_t until_ms)
{
	struct pollfd fd = { PQsocket(pg), what == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0 };
	int64_t left;

	while ((left = until_ms - monotonic_ms()) > 0) {
		int ready = poll(&fd, 1, (int)left);
		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
	return false;
}

PGconn *pg_conninfo_connect(struct pg_conninfo *info, unsigned first_host)
{
	PGconn *pg = pg_conninfo_start(info, NULL, first_host);
	int64_t until_ms = monotonic_ms() + info->connect_timeout_ms;
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	if (PQstatus(pg) == CONNECTION_BAD)
		return pg;
	PQsetErrorVerbosity(pg, PQERRORS_VERBOSE); /* the only way to see a SQLSTATE so early */
	while (next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED &&
		wait_for(pg, next, until_ms))
		next = PQconnectPoll(pg);
	PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
	return pg;
}
