/* SPDX-License-Identifier: MIT */
/* stream.h - the bytes of one large message on their way into message_raw, by COPY
 *
 * As a parameter of a statement libpq would copy them into a buffer as large as they are, once more
 * for every piece that the socket takes, while the loop waits. COPY takes them in pieces: neither the
 * memory nor the loop feels how large a message is.
 *
 * Belongs into a transaction that is open, between two pipelines: libpq knows no COPY within one. */
#ifndef STORAGE_POSTGRES_STREAM_H
#define STORAGE_POSTGRES_STREAM_H

#include "lib/ids.h"
#include "lib/slice.h"

#include <libpq-fe.h>
#include <stdbool.h>

struct pg_stream {
	const struct uuid *id;
	struct slice raw;
	size_t sent;
	enum { PG_STREAM_ASKED, PG_STREAM_SENDING, PG_STREAM_SENT } state;
};

enum pg_stream_step {
	PG_STREAM_TO_READ,  /* call pg_stream_step() again when there is input, */
	PG_STREAM_TO_WRITE, /* or room for output as well */
	PG_STREAM_DONE,     /* with or without an error of the server's */
	PG_STREAM_LOST,     /* with the link; libpq says why */
};

/* Leaves pipeline mode, in which nothing may be under way. `*id` and the bytes are borrowed. False
 * when libpq does not take it. */
bool pg_stream_begin(struct pg_stream *s, PGconn *pg, const struct uuid *id, struct slice raw);
/* As much as is possible, and fair to others, at this moment; what there is to read has been taken in
 * by PQconsumeInput. `*error_r`, where it was NULL, may be set: PQclear() it. */
enum pg_stream_step pg_stream_step(struct pg_stream *s, PGconn *pg, PGresult **error_r);

#endif
