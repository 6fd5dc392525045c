/* SPDX-License-Identifier: MIT */
/* storage_fixture.h - what the storage suites share: fresh databases, sample messages, and
 * operations that are waited for
 *
 * Threads    All of it belongs to the test's main thread, except where a function takes a loop. */
#ifndef TESTS_UNIT_STORAGE_FIXTURE_H
#define TESTS_UNIT_STORAGE_FIXTURE_H

#include "storage/storage.h"
#include "tests/unit/storage_databases.h"

/* A message with every field filled, and some awkward text in each. No two have the same id or
 * key; a test changes what it is about before it puts it. */
struct sample {
	struct storage_message message;
	struct envelope envelope;
	struct mime_message mime;
	struct storage_put put; /* `message` is set; `done` and `data` are the test's */

	bool returned; /* storage_put() did */
	bool answered;
	enum storage_result result;

	char raw[256];
};

struct sample *sample_new(void);
/* `count` of them, in one piece of memory. */
struct sample *samples_new(size_t count);
/* So many bytes for each of them, that are the caller's to free(); they keep their own keys. */
char *samples_enlarge(struct sample *list, size_t count, size_t size);
/* More than a driver sends as it does the small ones, and no multiple of anything. */
enum { LARGE_BYTES = 3000001 };
/* Another delivery of the same message: its own proposed id, the same key. */
struct sample *sample_retry_of(const struct sample *first);

/* Gives it an id of that moment. */
void sample_set_moment(struct sample *s, int64_t taken_in_us);

/* What a test finds: a database, a loop, and a store open on both. Changed settings count from the
 * next world_reopen() on. */
struct world {
	const struct test_backend *backend;
	struct test_database database;
	struct storage_settings settings;
	struct loop *loop;
	struct storage *store;
};
extern struct world world;

void world_begin(const struct test_backend *backend); /* up to an empty database */
void world_open(void);                                /* migrates it and opens a store */
void world_reopen(void);
void world_end(void);
/* Root may write everywhere: the test goes on as nobody, who owns the files that SQLite makes. */
void world_become_nobody(void);
/* The last line that the store logged; "" for none. */
const char *world_last_log(void);

struct storage *store_open_on(struct loop *loop);
/* False when `*what` did not come true in time. */
bool run_until(struct loop *loop, const bool *what);

/* Puts without waiting; the sample's fields tell what became of it. That it was answered once, and
 * not before the call returned, is asserted. */
void put_begin(struct storage *store, struct sample *s);
/* On the world's store, waited for. */
enum storage_result put(struct sample *s);
/* That it is STORAGE_OK, under its own id. */
void put_ok(struct sample *s);
/* For the answers to what was begun on the world's store. */
void wait_for_all(const struct sample *list, size_t count);
/* At once, and waited for. */
void put_all(struct sample *list, size_t count);
size_t count_results(const struct sample *list, size_t count, enum storage_result result);
enum storage_result ping(void);
/* A store connects, and notices that its database went or came back, in its own time. */
void wait_until_ping_is(enum storage_result result);
/* `look` (may be NULL) is called with a record, when there is one, and with `expected`. */
enum storage_result get(const char *tenant, struct uuid id,
	void (*look)(const struct storage_record *record, const struct sample *expected),
	const struct sample *expected);
/* With STORAGE_OK the bytes are those of `expected`, unless that is NULL. */
enum storage_result raw(const char *tenant, struct uuid id, const struct sample *expected);

/* With STORAGE_OK it is as `expected` was put. */
enum storage_result part(
	const char *tenant, struct uuid id, unsigned n, const struct mime_part *expected);
/* With STORAGE_OK the bytes are those of `expected` there, as far as it has any. */
enum storage_result range(const char *tenant, struct uuid id, uint64_t offset, uint32_t length,
	const struct sample *expected);

/* Results compare as words, so that a failure can be read. */
#define ck_assert_result(is, should)                                                               \
	ck_assert_str_eq(storage_result_name(is), storage_result_name(should))

#endif
