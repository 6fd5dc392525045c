/* SPDX-License-Identifier: MIT */
#include "storage/postgres/trouble.h"
#include "lib/buf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

enum { MAX_LOG_BYTES = 1024 };

enum pg_trouble pg_trouble_of(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		enum pg_trouble trouble;
	} known[] = {
		{ "22", PG_TROUBLE_MESSAGE },    /* data exception */
		{ "23", PG_TROUBLE_MESSAGE },    /* integrity constraint violation */
		{ "54", PG_TROUBLE_MESSAGE },    /* program limit exceeded */
		{ "P0", PG_TROUBLE_MESSAGE },    /* raised by a trigger of the operator's own */
		{ "XX000", PG_TROUBLE_MESSAGE }, /* internal error: nobody foresaw this message */
		{ "40", PG_TROUBLE_CONFLICT },   /* deadlock, serialization failure */
		{ "53100", PG_TROUBLE_FULL },    /* disk full */
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(sqlstate, known[i].prefix, strlen(known[i].prefix)) == 0)
			return known[i].trouble;
	return PG_TROUBLE_SERVER;
}

const char *pg_one_line(char *message)
{
	char *out = message;

	if (message == NULL)
		return "";
	for (const char *in = message; *in != '\0'; in++) {
		if (!isspace((unsigned char)*in))
			*out++ = *in;
		else if (out > message && out[-1] != ' ')
			*out++ = ' ';
	}
	while (out > message && out[-1] == ' ')
		out--;
	*out = '\0';
	return message;
}

void pg_log(const struct storage_settings *set, enum storage_log_level level, const char *fmt, ...)
{
	char message[MAX_LOG_BYTES];
	va_list args;

	if (set->log == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	set->log(set->log_data, level, message);
}
