/* SPDX-License-Identifier: MIT */
#include "storage/sqlite/blobs.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/core.h"

#include <stdlib.h>

/* What a handle remembers is some 2 KB for each MB of its message. */
enum { MAX_HANDLES = 16 };

enum statement { FIND_ROW, STATEMENTS };

static const char *const statements[] = {
	[FIND_ROW] = "select rowid from message_raw where id = ?1",
	[STATEMENTS] = NULL,
};

struct handle {
	struct uuid id;
	sqlite3_blob *blob; /* NULL: free */
};

struct sqlite_blobs {
	struct sqlite_core *core;
	/* Of their own: on one where a handle is open, nothing newer than that handle is seen. */
	struct sqlite_connection *connection;
	struct handle handles[MAX_HANDLES + 1]; /* the last is for one piece, and never kept */
	int64_t due_us;                         /* 0: none is kept */
};

struct sqlite_blobs *sqlite_blobs_new(struct sqlite_core *core, const char *path)
{
	struct sqlite_blobs *b = h2o_mem_alloc(sizeof(*b));

	*b = (struct sqlite_blobs){ .core = core };
	b->connection = sqlite_connection_new(core, path, statements);
	return b;
}

void sqlite_blobs_free(struct sqlite_blobs **b)
{
	if (*b == NULL)
		return;
	sqlite_blobs_let_go(*b);
	sqlite_connection_free(&(*b)->connection);
	free(*b);
	*b = NULL;
}

int64_t sqlite_blobs_due_us(const struct sqlite_blobs *b)
{
	return b->due_us;
}

static void handle_close(struct handle *h)
{
	sqlite3_blob_close(h->blob);
	h->blob = NULL;
}

void sqlite_blobs_let_go(struct sqlite_blobs *b)
{
	for (size_t i = 0; i <= MAX_HANDLES; i++)
		handle_close(&b->handles[i]);
	b->due_us = 0;
}

/* The message's, or a free one. When all are taken whoever came first keeps his: in turns, none would
 * last until it is needed. */
static struct handle *handle_for(struct sqlite_blobs *b, const struct uuid *id)
{
	struct handle *free_one = &b->handles[MAX_HANDLES];

	for (size_t i = 0; i < MAX_HANDLES; i++) {
		struct handle *h = &b->handles[i];
		if (h->blob == NULL)
			free_one = h;
		else if (memcmp(&h->id, id, sizeof(*id)) == 0)
			return h;
	}
	free_one->id = *id;
	return free_one;
}

/* SQLITE_ROW, SQLITE_DONE when there is no such message, or an error. */
static int handle_open(struct sqlite_blobs *b, struct handle *h)
{
	sqlite3_stmt *stmt = sqlite_connection_statement(b->connection, FIND_ROW);
	char id_text[UUID_TEXT + 1];

	uuid_format(&h->id, id_text);
	sqlite3_bind_text(stmt, 1, id_text, UUID_TEXT, SQLITE_STATIC);
	int opened = SQLITE_OK, rc = sqlite3_step(stmt);
	/* Before the statement is reset, which may end the transaction: in the next one the number may
	 * be another message's. */
	if (rc == SQLITE_ROW)
		opened = sqlite3_blob_open(sqlite3_db_handle(stmt), "main", "message_raw", "raw",
			sqlite3_column_int64(stmt, 0), 0, &h->blob);
	sqlite3_reset(stmt);
	return opened != SQLITE_OK ? opened : rc;
}

/* All handles are closed: the connection may be, too. */
static enum storage_result note(struct sqlite_blobs *b, int rc)
{
	if (rc != SQLITE_OK)
		sqlite_blobs_let_go(b);
	sqlite_connection_note(b->connection, rc, "reading a message's bytes");
	return rc == SQLITE_OK ? STORAGE_OK : STORAGE_UNAVAILABLE;
}

static enum storage_result find(struct sqlite_blobs *b, struct handle *h)
{
	int rc = SQLITE_DONE;

	if (b->due_us != 0)
		rc = handle_open(b, h);
	if (rc == SQLITE_DONE) {
		/* It may be newer than the transaction. */
		sqlite_blobs_let_go(b);
		if (sqlite_connection_ready(b->connection) != STORAGE_OK)
			return STORAGE_UNAVAILABLE;
		rc = handle_open(b, h);
	}
	if (rc == SQLITE_DONE)
		return STORAGE_NOT_FOUND;
	return note(b, rc == SQLITE_ROW ? SQLITE_OK : rc);
}

static int copy(sqlite3_blob *blob, const struct storage_range *op, struct arena *arena,
	struct slice *bytes_r)
{
	uint64_t size = (uint64_t)sqlite3_blob_bytes(blob);
	uint64_t left = op->offset < size ? size - op->offset : 0;
	size_t len = left < op->length ? (size_t)left : op->length;
	char *bytes = arena_alloc(arena, len);
	int rc = len > 0 ? sqlite3_blob_read(blob, bytes, (int)len, (int)op->offset) : SQLITE_OK;

	if (rc == SQLITE_OK)
		*bytes_r = (struct slice){ bytes, len };
	return rc;
}

static bool must_let_go(const struct sqlite_blobs *b)
{
	return b->due_us != 0 && (monotonic_us() >= b->due_us || sqlite_core_log_is_long(b->core));
}

enum storage_result sqlite_blobs_read(struct sqlite_blobs *b, const struct storage_range *op,
	struct arena *arena, struct slice *bytes_r)
{
	enum storage_result result = STORAGE_OK;

	if (must_let_go(b))
		sqlite_blobs_let_go(b);
	struct handle *h = handle_for(b, &op->id);
	if (h->blob == NULL)
		result = find(b, h);
	if (result == STORAGE_OK)
		result = note(b, copy(h->blob, op, arena, bytes_r));
	bool keep = result == STORAGE_OK && op->more && h != &b->handles[MAX_HANDLES] &&
		    !sqlite_core_log_is_long(b->core);
	if (!keep)
		handle_close(h);
	else if (b->due_us == 0)
		b->due_us = monotonic_us() + SQLITE_BLOBS_HELD_US;
	return result;
}
