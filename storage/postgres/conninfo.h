/* SPDX-License-Identifier: MIT */
/* conninfo.h - the url, and what libpq is told in addition
 *
 * The url may be any libpq URI or keyword string, with several hosts too. What it sets is kept;
 * what it leaves open gets defaults that suit a server which must notice a dead link: keepalives,
 * tcp_user_timeout, and target_session_attrs=read-write, so that of several hosts the primary is
 * found. client_encoding is always UTF8.
 *
 * libpq gives up on a host that does not answer only when its caller does, and would then begin
 * with the same one again: so each attempt may begin with another host. */
#ifndef STORAGE_POSTGRES_CONNINFO_H
#define STORAGE_POSTGRES_CONNINFO_H

#include "lib/lookup.h"
#include "storage/storage.h"

#include <libpq-fe.h>

struct pg_conninfo;

/* Is it meant for this driver: postgresql://…, postgres://…, or `keyword=value …`? */
bool pg_conninfo_is(const char *url);

/* NULL, with `*error_r` (free() it), for an url that libpq or this driver does not understand. */
struct pg_conninfo *pg_conninfo_parse(const struct storage_settings *set, char **error_r);
void pg_conninfo_free(struct pg_conninfo **info);

/* Are there hosts that must be looked up before pg_conninfo_start(), which would wait for them? Not
 * seen are those that libpq takes from its environment or a service file. */
bool pg_conninfo_has_names(const struct pg_conninfo *info);
struct lookup *pg_conninfo_look_up(
	const struct pg_conninfo *info, struct loop *loop, void (*done)(void *data), void *data);
/* Why there is nowhere to connect to, once looked up; NULL when there is. */
const char *pg_conninfo_unknown(const struct pg_conninfo *info, const struct lookup *lookup);

/* Begins to connect, to each address in turn from the first_target-th on (any number: they are
 * counted round). What PQconnectStartParams says; NULL when out of memory. The server's notices are
 * not printed. Without a lookup (NULL) libpq looks names up itself. */
PGconn *pg_conninfo_start(
	struct pg_conninfo *info, const struct lookup *lookup, unsigned first_target);

unsigned pg_conninfo_host_count(const struct pg_conninfo *info);
/* Begins with that host, and waits: connect_timeout_ms at most. Connected, if PQstatus says so. The message of
 * one that is not holds the SQLSTATE of what the server said. */
PGconn *pg_conninfo_connect(struct pg_conninfo *info, unsigned first_host);

#endif
