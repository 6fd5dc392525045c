/* SPDX-License-Identifier: MIT */
#include "storage/postgres/statement.h"
#include "lib/digest.h"

#include <stdio.h>
#include <string.h>

void pg_statement_init(struct pg_statement *st, const char *sql, const Oid *types, int param_count)
{
	uint8_t digest[SHA256_BYTES];
	char digits[PG_STATEMENT_DIGITS + 1];

	*st = (struct pg_statement){ .sql = sql, .types = types, .param_count = param_count };
	sha256(sql, strlen(sql), digest);
	hex_encode(digest, PG_STATEMENT_DIGITS / 2, digits);
	snprintf(st->name, sizeof(st->name), "mailserver_%s", digits);
}

bool pg_statement_queue(PGconn *pg, const struct pg_statement *st, bool prepared,
	const struct pg_params *params, int result_format)
{
	if (!prepared)
		return PQsendQueryParams(pg, st->sql, params->count, st->types, params->values,
			       params->lengths, params->formats, result_format) == 1;
	return PQsendQueryPrepared(pg, st->name, params->count, params->values, params->lengths,
		       params->formats, result_format) == 1;
}

bool pg_statement_queue_prepare(PGconn *pg, const struct pg_statement *st)
{
	return PQsendPrepare(pg, st->name, st->sql, st->param_count, st->types) == 1;
}

bool pg_command_queue(PGconn *pg, const char *sql)
{
	return PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}
