/* SPDX-License-Identifier: MIT */
/* storage.h - where accepted mail is kept
 *
 * Threads    A store is called, and calls back, on the loop it was opened on. Any number may be
 *            open on the same database, one per worker.
 * Callbacks  Every operation is answered once, never before its call returns.
 * Ownership  An operation and the bytes it points at are borrowed until it is answered. What an
 *            answer points at is the store's, until the callback returns.
 *
 * STORAGE_OK to a put means that the message is committed and on the disk. */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "lib/envelope.h"
#include "lib/ids.h"
#include "lib/loop.h"
#include "lib/mime/mime.h"

#include <stdatomic.h>

struct storage;

enum storage_result {
	STORAGE_OK,
	STORAGE_DUPLICATE,   /* already kept: answer 200 again */
	STORAGE_NOT_FOUND,   /* no such message, for this tenant */
	STORAGE_UNAVAILABLE, /* nothing was written: 503, a retry is safe */
	STORAGE_UNCERTAIN,   /* the link broke after sending: 503, the retry may be a duplicate */
	STORAGE_FULL,        /* disk or database full, nothing was written: 507 */
};

const char *storage_result_name(enum storage_result result);

enum storage_log_level { STORAGE_LOG_ERROR, STORAGE_LOG_WARNING, STORAGE_LOG_INFO };

struct storage_settings {
	const char *url; /* sqlite:///absolute/path, postgresql://…, or a libpq keyword string */
	/* sqlite: a server's addresses, in a text that is the same for the same ones. While one has
	 * the file open, or brings its schema up to date, those who name others are refused. NULL
	 * for a program that accepts no mail: it is not refused. */
	const char *listeners;
	uint32_t connect_timeout_ms; /* this and statement_timeout_ms: postgres */
	/* Then an operation that was sent is STORAGE_UNCERTAIN, its link cut. One that was not is
	 * UNAVAILABLE after half of it. */
	uint32_t statement_timeout_ms;
	unsigned connections;     /* per worker: postgres */
	bool prepared_statements; /* postgres: false behind a pooler that shares sessions */
	uint32_t partition_days;  /* postgres: of mail in one partition; 0: a week's */
	unsigned batch_messages;  /* at most so many in one commit */
	size_t batch_bytes;       /* and so many raw bytes, but always one message */
	size_t queue_messages;    /* over these a put is STORAGE_UNAVAILABLE at once */
	size_t queue_bytes;
	/* Called on a store's loop or on a driver's thread; may be NULL. */
	void (*log)(void *log_data, enum storage_log_level level, const char *message);
	void *log_data;
	/* After a commit, with how many messages it held; called and optional as `log` is. */
	void (*committed)(void *committed_data, unsigned messages);
	void *committed_data;
};

/* The driver that understands the url: "sqlite" or "postgres"; NULL when none does. */
const char *storage_backend_for(const char *url);

/* Brings the database's schema up to date, waiting for it (a program's start may). Any number of
 * instances may try at once. Unless it is done, `*error_r` says what is wrong and what would help
 * (free() it). `*applied_r`: how many migrations were run. */
enum storage_migrated {
	STORAGE_MIGRATED,
	STORAGE_MIGRATE_LATER, /* the database cannot be reached now: trying again may help */
	STORAGE_MIGRATE_FAILED, /* stays wrong until somebody acts: newer schema, no privilege, … */
};
enum storage_migrated storage_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r);

/* How long things are kept, counted from when they were taken in, which their ids tell. 0 days: for
 * ever. */
struct storage_tenant_retention {
	const char *tenant;
	uint32_t days;
};
struct storage_retention {
	uint32_t days; /* messages of tenants that are not in the list */
	const struct storage_tenant_retention *tenants; /* each once */
	size_t tenant_count;
	uint32_t key_days; /* what a retry is known by, whether its message is still kept or not */
	bool only_count;   /* nothing is deleted: what would be is counted */
};

struct storage_purged {
	uint64_t messages, keys;
	unsigned partitions; /* that were dropped; their messages are counted as well */
};

/* Deletes what is older, in small transactions between which others get their turn, and waits for
 * all of it, on a connection of its own. Any number of instances may purge at once, and beside any
 * stores. A message, its bytes and its parts go together.
 *
 * STORAGE_OK; or STORAGE_UNAVAILABLE, and `*error_r` (free() it) says why the rest is still there.
 * In both cases `*purged_r` is what was deleted. Once `*stop` is true (it may be NULL) it ends early,
 * with OK. */
enum storage_result storage_purge(const struct storage_settings *set,
	const struct storage_retention *keep, int64_t now_us, const atomic_bool *stop,
	struct storage_purged *purged_r, char **error_r);

/* One message that is kept and that an MTA's queue id is known of. */
struct storage_receipt {
	struct uuid id; /* its time is when the message was taken in: uuid7_time_us() */
	const char *queue_id;
	const char *recipients_json; /* of the envelope: an array of strings */
	const char *orig_recipient;  /* or NULL */
};

/* Of which messages: taken in from one moment on, and before another. */
struct storage_receipts {
	int64_t from_us, before_us;
	const char *tenant; /* NULL: everybody's */
	/* Called for each, in the order of their ids; false ends it. */
	bool (*each)(void *each_data, const struct storage_receipt *receipt);
	void *each_data;
};

/* Reads them from the database, on a connection of its own, and waits for it: for commands. The memory
 * that it takes does not depend on how many there are, and it holds up nobody who writes.
 *
 * STORAGE_OK, also when `each` ended it; or STORAGE_UNAVAILABLE, and `*error_r` (free() it) says what
 * is wrong. */
enum storage_result storage_list_receipts(
	const struct storage_settings *set, const struct storage_receipts *want, char **error_r);

enum storage_fate {
	STORAGE_UNKNOWN, /* never committed; or deleted and forgotten (retention's dedup_days) */
	STORAGE_KEPT,
	STORAGE_DELETED, /* taken in, and deleted since */
};

/* What became of the messages with these ids, whosever they are; as storage_list_receipts() does. */
enum storage_result storage_fates(const struct storage_settings *set, const struct uuid *ids,
	size_t count, enum storage_fate *fates_r, char **error_r);

/* One message that is to be derived anew. */
enum storage_anew {
	STORAGE_ANEW_LEFT,    /* the caller gave nothing new */
	STORAGE_ANEW_SAME,    /* what is kept says the same already */
	STORAGE_ANEW_CHANGED, /* or, when nothing was to be written, would be */
	STORAGE_ANEW_BARE,    /* the same, but the database refuses what was derived (see below) */
	STORAGE_ANEW_REFUSED, /* even without it; the row stays as it was */
	STORAGE_ANEW_GONE,    /* deleted meanwhile */
};
struct storage_kept {
	struct uuid id;
	struct envelope envelope; /* its sender and recipients alone */
	const char *parse_status;
	unsigned parser_version;
	struct slice raw;
	/* The caller's answer, or NULL. Of it count mime and what storage_message_derive() fills. */
	const struct storage_message *anew;
	enum storage_anew outcome;
};

struct storage_reparse {
	int64_t from_us, before_us; /* taken in from one moment on, and before another */
	unsigned statuses;          /* 1 << enum mime_status of those that are wanted; 0: all */
	bool older_parser;          /* only what a parser before this one has derived */
	bool only_look;             /* nothing is written */
	const atomic_bool *stop;    /* or NULL; once it is true, it ends early, with OK */
	void *data;                 /* goes into the calls: */
	/* For each batch of messages, in the order of their ids and bounded in bytes: sets `anew`. False
	 * ends it, with OK. What is in a batch is the store's until `settled` returns. */
	bool (*derive)(void *data, struct storage_kept *batch, size_t count);
	/* Then, when all of it is committed: the outcomes. */
	void (*settled)(void *data, const struct storage_kept *batch, size_t count);
	/* Rows were looked at, whether they were wanted or not. */
	void (*looked)(void *data, size_t rows);
};

/* Derives anew what is kept, of all tenants, and waits for it, on a connection of its own. Any store may
 * be open beside it: it holds up nobody for longer than a small batch takes to be written. Nothing but
 * derived columns and message_parts is ever written. It may be ended at any moment and run again.
 *
 * STORAGE_OK; or STORAGE_UNAVAILABLE, and `*error_r` (free() it) says why the rest was not looked at. */
enum storage_result storage_reparse(
	const struct storage_settings *set, const struct storage_reparse *want, char **error_r);

/* Opens at once, without waiting for a connection: until there is one, operations are UNAVAILABLE.
 * -1 with `*error_r` (free() it) for an url that no driver understands or settings that cannot work. */
int storage_open(const struct storage_settings *set, struct loop *loop, struct storage **st_r,
	char **error_r);
/* No operation may be unanswered. Accepts a pointer to NULL. */
void storage_close(struct storage **st);
/* "sqlite" or "postgres". */
const char *storage_backend(const struct storage *st);

/* How a store is at this moment. */
struct storage_stats {
	size_t queue_depth;   /* operations that are not answered yet */
	unsigned connections; /* to a server: up and usable. An embedded database has none. */
	bool circuit_is_open; /* the server was away for so long that nothing waits for it */
};
void storage_stats(const struct storage *st, struct storage_stats *stats_r);

/* One message, ready to be kept. */
struct storage_message {
	struct uuid id; /* proposed; a duplicate keeps its first one */
	const char *tenant;
	int64_t received_us;
	const struct envelope *envelope;
	struct slice raw;
	uint8_t sha256[SHA256_BYTES]; /* of raw */
	uint8_t key[SHA256_BYTES];    /* envelope_digest(): unique within the tenant */
	const struct mime_message *mime;
	/* storage_message_derive() fills these five. */
	const char *headers_json, *addresses_json; /* mime_headers_json(), mime_addresses_json() */
	const char *report_json;                   /* mime_report_json(); or NULL */
	const char *mailbox_tag; /* of the first recipient that has one; or NULL */
	bool is_bounce;          /* mime_is_bounce() */
};

/* What stands in a message's row beside `mime` itself; from `mime` and `envelope`, which are set. It
 * lives as long as the two and the arena. */
void storage_message_derive(struct storage_message *m, struct arena *arena);

/* A message is kept bare when the database takes it, but not what was derived from it: then that is
 * empty, its parse status is "failed", and this stands behind its own defects. */
#define STORAGE_BARE_DEFECT "storage"

struct storage_put {
	const struct storage_message *message;
	void (*done)(struct storage_put *op, enum storage_result result); /* any but NOT_FOUND */
	void *data;                                                       /* the caller's */
	struct uuid id;  /* out, with OK and DUPLICATE: under which it is kept */
	bool bare;       /* out, with OK: it is kept without what was derived from it */
	void *driver[4]; /* the driver's */
};
void storage_put(struct storage *st, struct storage_put *op);

/* What a get gives back. Strings may be NULL where the message had none. */
struct storage_record {
	struct uuid id;
	const char *tenant;
	int64_t received_us;
	uint64_t size;
	uint8_t sha256[SHA256_BYTES];
	const char *envelope_sender;
	const char *envelope_recipients_json; /* this and the other _json: JSON text */
	const char *orig_recipient, *queue_id, *client_address, *client_hostname, *client_helo;
	const char *message_id, *in_reply_to, *references_json, *subject;
	bool has_date;
	int64_t date_us;
	const char *addresses_json, *headers_json, *text, *html;
	const char *parts_json; /* the API's array; sha256 in hex */
	const char *parse_status, *defects_json;
	bool text_is_derived, is_bounce;
	struct slice reply_text; /* its base is NULL where there is none */
	const char *security, *auto_submitted, *list_id, *report_json, *mailbox_tag;
	unsigned parser_version; /* MIME_PARSER_VERSION of then; 0: before there was one */
};

struct storage_get {
	const char *tenant;
	struct uuid id;
	/* OK with a record; NOT_FOUND or UNAVAILABLE with NULL. */
	void (*done)(struct storage_get *op, enum storage_result result,
		const struct storage_record *record);
	void *data;
	void *driver[4];
};
void storage_get(struct storage *st, struct storage_get *op);

struct storage_raw {
	const char *tenant;
	struct uuid id;
	/* OK with the bytes as they were put; NOT_FOUND or UNAVAILABLE with none. */
	void (*done)(struct storage_raw *op, enum storage_result result, struct slice raw);
	void *data;
	void *driver[4];
};
void storage_raw(struct storage *st, struct storage_raw *op);

/* One part of a message, and where its content lies: as in struct mime_part. */
struct storage_part_record {
	const char *content_type, *encoding;
	const char *filename, *charset, *inside; /* each may be NULL */
	uint64_t size;                           /* this and sha256: of the decoded bytes */
	uint8_t sha256[SHA256_BYTES];
	uint64_t raw_offset, raw_length;
};

struct storage_part {
	const char *tenant;
	struct uuid id;
	unsigned n; /* 1, 2, 3 … */
	/* OK with a part; NOT_FOUND or UNAVAILABLE with NULL. */
	void (*done)(struct storage_part *op, enum storage_result result,
		const struct storage_part_record *part);
	void *data;
	void *driver[4];
};
void storage_part(struct storage *st, struct storage_part *op);

/* A stretch of a message's bytes: no more of them are read, or held in memory. */
struct storage_range {
	const char *tenant;
	struct uuid id;
	uint64_t offset;
	uint32_t length; /* STORAGE_MAX_RANGE at most */
	bool more;       /* what follows will be asked for soon: for speed alone */
	/* OK with the bytes, fewer than `length` where the message ends before; NOT_FOUND or
	 * UNAVAILABLE with none. */
	void (*done)(struct storage_range *op, enum storage_result result, struct slice bytes);
	void *data;
	void *driver[4];
};
enum { STORAGE_MAX_RANGE = 1 << 20 };
void storage_range(struct storage *st, struct storage_range *op);

/* Can it write? OK, UNAVAILABLE or FULL. */
struct storage_ping {
	void (*done)(struct storage_ping *op, enum storage_result result);
	void *data;
	void *driver[4];
};
void storage_ping(struct storage *st, struct storage_ping *op);

#endif
