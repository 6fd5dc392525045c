/* SPDX-License-Identifier: MIT */
/* core.h - what all stores on one database file share: its threads and their queues
 *
 * One writer thread takes whatever waits and commits it at once, two readers answer the rest. A core
 * lives in a table of the process for as long as a store holds it.
 *
 * Threads    Any, except where a function says otherwise. */
#ifndef STORAGE_SQLITE_CORE_H
#define STORAGE_SQLITE_CORE_H

#include "lib/arena.h"
#include "storage/storage_driver.h"

struct sqlite_core;

struct sqlite_store {
	struct storage base;
	struct sqlite_core *core;
	struct loop_mailbox answers;
	struct sqlite_store *next; /* the core's list */
	struct storage_settings settings;
	size_t puts, put_bytes, reads, pings; /* not answered yet */
};

enum sqlite_verb {
	SQLITE_VERB_PUT,
	SQLITE_VERB_PING,
	SQLITE_VERB_GET,
	SQLITE_VERB_RAW,
	SQLITE_VERB_PART,
	SQLITE_VERB_RANGE,
};

/* One operation on its way to a thread and back. */
struct sqlite_job {
	struct loop_mail mail;
	struct sqlite_job *next;
	struct sqlite_store *store;
	enum sqlite_verb verb;
	union {
		struct storage_put *put;
		struct storage_ping *ping;
		struct storage_get *get;
		struct storage_raw *raw;
		struct storage_part *part;
		struct storage_range *range;
	} op;

	enum storage_result result;
	struct arena *arena; /* of what a read found; or NULL */
	const struct storage_record *record;
	const struct storage_part_record *part;
	struct slice raw; /* or a range of it */
};

/* The core for this store's file, which takes the store into its list. NULL with `*error_r` (free()
 * it) when another server has the file, or no thread could be started. */
struct sqlite_core *sqlite_core_attach(
	struct sqlite_store *store, const char *path, char **error_r);
/* From the store's thread, everything being answered. The last store waits for the threads. */
void sqlite_core_detach(struct sqlite_store *store);

void sqlite_core_submit(struct sqlite_core *core, struct sqlite_job *job);

/* For the core's threads: tells one of the stores. */
void sqlite_core_log(struct sqlite_core *core, enum storage_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For the writer: tells one of the stores that so many messages were committed. */
void sqlite_core_committed(struct sqlite_core *core, unsigned messages);

/* For the writer, after a commit: whether the log is long. While it is, no reader keeps a transaction
 * open when it has read. Between these two none is at work. */
void sqlite_core_note_log(struct sqlite_core *core, bool is_long);
bool sqlite_core_log_is_long(const struct sqlite_core *core);
void sqlite_core_pause_reading(struct sqlite_core *core);
void sqlite_core_resume_reading(struct sqlite_core *core);

/* write.c: one transaction for the whole list; sets each job's result. */
extern const char *const sqlite_write_statements[];
struct sqlite_connection;
void sqlite_write_batch(
	struct sqlite_core *core, struct sqlite_connection *c, struct sqlite_job *batch);

/* read.c: sets the job's result, and what was found. */
struct sqlite_blobs;
extern const char *const sqlite_read_statements[];
void sqlite_read(struct sqlite_connection *c, struct sqlite_blobs *blobs, struct sqlite_job *job);

#endif
