/* SPDX-License-Identifier: MIT */
/* trouble.h - what the server's errors mean to the mail, and how they are told */
#ifndef STORAGE_POSTGRES_TROUBLE_H
#define STORAGE_POSTGRES_TROUBLE_H

#include "storage/storage.h"

enum pg_trouble {
	PG_TROUBLE_MESSAGE,  /* with what is stored: it alone is to blame */
	PG_TROUBLE_CONFLICT, /* with another transaction: it may go well the next time */
	PG_TROUBLE_FULL,     /* with the disk's space */
	PG_TROUBLE_SERVER, /* with the server, its schema or its privileges: not the message's fault */
};

/* By SQLSTATE (appendix A of the manual); "" when the server said nothing. */
enum pg_trouble pg_trouble_of(const char *sqlstate);

#define PG_READ_ONLY "25006" /* read_only_sql_transaction: this is not the primary, or no longer */

#define PG_NOT_PREPARED     "26000" /* invalid_sql_statement_name */
#define PG_ALREADY_PREPARED "42P05" /* duplicate_prepared_statement */

/* libpq's messages have several lines; ours have one. In place; NULL is "". */
const char *pg_one_line(char *message);

void pg_log(const struct storage_settings *set, enum storage_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
