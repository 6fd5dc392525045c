/* SPDX-License-Identifier: MIT */
/* statement.h - a statement that a session may have prepared, and how it goes into a pipeline */
#ifndef STORAGE_POSTGRES_STATEMENT_H
#define STORAGE_POSTGRES_STATEMENT_H

#include "storage/postgres/params.h"

enum { PG_STATEMENT_DIGITS = 16 };

/* Its name is made of its text: behind a pooler, sessions are shared by clients that may be of other
 * versions of this program. */
struct pg_statement {
	const char *sql;
	const Oid *types;
	int param_count;
	char name[sizeof("mailserver_") + PG_STATEMENT_DIGITS];
	bool is_prepared;
};

/* Borrows the text and the types. */
void pg_statement_init(struct pg_statement *st, const char *sql, const Oid *types, int param_count);

/* Each of these is false when libpq does not take it. */
bool pg_statement_queue(PGconn *pg, const struct pg_statement *st, bool prepared,
	const struct pg_params *params, int result_format);
bool pg_statement_queue_prepare(PGconn *pg, const struct pg_statement *st);
/* Without parameters, or a name. */
bool pg_command_queue(PGconn *pg, const char *sql);

#endif
