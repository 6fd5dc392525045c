/* SPDX-License-Identifier: MIT */
#include "storage/postgres/stream.h"

#include <endian.h>
#include <string.h>

enum {
	PIECE_BYTES = 64 * 1024, /* a larger one would be moved to and fro in libpq's buffer */
	PIECES_A_STEP = 8,       /* then others of the loop have their turn */
};

static const char copy_sql[] = "COPY message_raw (id, raw) FROM STDIN (FORMAT binary)";

/* The format's signature, flags and the length of an extension; then the only row: how many fields,
 * and each behind its length. Of the second one, the bytes follow. */
struct __attribute__((packed)) head {
	char signature[11];
	uint32_t flags, extension_bytes;
	uint16_t fields;
	uint32_t id_bytes;
	uint8_t id[UUID_BYTES];
	uint32_t raw_bytes;
};

static const char tail[] = { '\xff', '\xff' }; /* in place of a row's number of fields */

bool pg_stream_begin(struct pg_stream *s, PGconn *pg, const struct uuid *id, struct slice raw)
{
	*s = (struct pg_stream){ .id = id, .raw = raw, .state = PG_STREAM_ASKED };
	return PQexitPipelineMode(pg) == 1 && PQsendQuery(pg, copy_sql) == 1;
}

static bool put_head(struct pg_stream *s, PGconn *pg)
{
	struct head head = {
		.signature = "PGCOPY\n\xff\r\n", /* and a NUL */
		.fields = htobe16(2),
		.id_bytes = htobe32(UUID_BYTES),
		.raw_bytes = htobe32((uint32_t)s->raw.len),
	};

	memcpy(head.id, s->id->bytes, UUID_BYTES);
	return PQputCopyData(pg, (const char *)&head, sizeof(head)) == 1;
}

static bool put_piece(struct pg_stream *s, PGconn *pg)
{
	size_t left = s->raw.len - s->sent;
	size_t len = left < PIECE_BYTES ? left : PIECE_BYTES;
	bool ok = s->sent > 0 || put_head(s, pg);

	ok = ok && PQputCopyData(pg, s->raw.base + s->sent, (int)len) == 1;
	s->sent += len;
	if (s->sent < s->raw.len)
		return ok;
	s->state = PG_STREAM_SENT;
	return ok && PQputCopyData(pg, tail, sizeof(tail)) == 1 && PQputCopyEnd(pg, NULL) == 1;
}

/* False when the link is lost. A piece is only given to libpq when it has got rid of the one before:
 * that bounds its buffer. */
static bool put_pieces(struct pg_stream *s, PGconn *pg)
{
	for (unsigned n = 0; n < PIECES_A_STEP && s->state == PG_STREAM_SENDING; n++) {
		int unsent = PQflush(pg);
		if (unsent < 0)
			return false;
		if (unsent > 0)
			break;
		if (!put_piece(s, pg))
			return false;
	}
	return true;
}

enum pg_stream_step pg_stream_step(struct pg_stream *s, PGconn *pg, PGresult **error_r)
{
	for (;;) {
		if (s->state == PG_STREAM_SENDING) {
			if (!put_pieces(s, pg))
				return PG_STREAM_LOST;
			if (s->state == PG_STREAM_SENDING)
				return PG_STREAM_TO_WRITE;
		}
		int unsent = PQflush(pg);
		if (unsent < 0)
			return PG_STREAM_LOST;
		if (PQisBusy(pg))
			return unsent > 0 ? PG_STREAM_TO_WRITE : PG_STREAM_TO_READ;
		PGresult *res = PQgetResult(pg);
		if (res == NULL)
			return PG_STREAM_DONE;
		ExecStatusType status = PQresultStatus(res);
		if (status == PGRES_COPY_IN)
			s->state = PG_STREAM_SENDING;
		if (status == PGRES_COPY_IN || status == PGRES_COMMAND_OK || *error_r != NULL)
			PQclear(res);
		else
			*error_r = res;
	}
}
