/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage_fixture.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Quotes, braces, commas, backslashes, a control character and letters of one to four bytes. */
#define AWKWARD                                                                                    \
	"\"{a,b}\" 'c' \\d\\ \x01 %s NULL Gr\xc3\xbc\xc3\x9f"                                      \
	"e \xe2\x82\xac \xf0\x9f\x93\xac"

static const char *recipients[] = { "b@example.com", "\"o,{d}d\"@example.com", AWKWARD, "" };
static const char *references[] = { "<r1@example.org>", "<r2{,\"\\}@example.org>" };
static const char *defects[] = { "bad_charset", "limit_parts" };
static struct mime_address from[] = { { AWKWARD, "alice@example.org" },
	{ NULL, "second@example.org" } };
static struct mime_part parts[] = {
	{
		.n = 1,
		.path = "1",
		.content_type = "text/plain",
		.charset = "utf-8",
		.encoding = "quoted-printable",
		.size = 11,
		.sha256 = { 0x00, 0x01, 0xfe, 0xff },
		.raw_offset = 100,
		.raw_length = 20,
	},
	{
		.n = 2,
		.path = "2.1",
		.content_type = "application/pdf",
		.filename = AWKWARD ".pdf",
		.disposition = "attachment",
		.content_id = "cid@example.org",
		.encoding = "base64",
		.size = 5000000000,
		.sha256 = { 0xab },
		.raw_offset = 200,
		.raw_length = 6666666666,
		.inside = "tnef:12+5000000000",
		.is_attachment = true,
	},
};

static const char headers_json[] =
	"[{\"name\":\"Received\",\"value\":\"one\"},{\"name\":\"Received\",\"value\":\"two\"},"
	"{\"name\":\"Subject\",\"value\":\"\\\"{a,b}\\\" \\\\ \\u0001 \xf0\x9f\x93\xac\"}]";
static const char addresses_json[] =
	"{\"from\":[{\"name\":\"A\",\"address\":\"alice@example.org\"},"
	"{\"name\":null,\"address\":\"second@example.org\"}],"
	"\"sender\":[],\"to\":[],\"cc\":[],\"bcc\":[],\"reply_to\":[]}";

static const char report_json[] =
	"{\"type\":\"delivery-status\",\"recipients\":[{\"recipient\":\"a@example.org\","
	"\"status\":\"5.1.1\",\"diagnostic\":\"\\\"{a,b}\\\" \\\\ \xf0\x9f\x93\xac\"}]}";

/* Eight bytes that no other call in this run gives. */
static void put_unique(uint8_t out[8])
{
	static atomic_uint_fast64_t last;
	uint64_t n = ++last;

	memcpy(out, &n, sizeof(n));
}

static void sample_init(struct sample *s)
{
	s->envelope = (struct envelope){
		.sender = "a+{b,c}@example.org",
		.recipients = recipients,
		.recipient_count = sizeof(recipients) / sizeof(recipients[0]),
		.queue_id = "4XyZ",
		.client_address = "2001:db8::1",
		.client_hostname = "mx.example.org",
		.client_helo = AWKWARD,
		.orig_recipient = AWKWARD,
	};
	s->mime = (struct mime_message){
		.status = MIME_DEGRADED,
		.defects = { defects, 2 },
		.subject = AWKWARD,
		.message_id = "<id@example.org>",
		.in_reply_to = "<r2@example.org>",
		.references = { references, 2 },
		.has_date = true,
		.date_us = INT64_C(1136239445000000),
		.from = { from, 2 },
		.text = "line\r\n" AWKWARD "\r\n",
		.html = "<p>" AWKWARD "</p>",
		.text_is_derived = true,
		.reply_text = AWKWARD,
		.security = "signed",
		.auto_submitted = "auto-replied",
		.list_id = "list.example.org",
		.parts = parts,
		.part_count = sizeof(parts) / sizeof(parts[0]),
	};
	s->message = (struct storage_message){
		.tenant = "default",
		.received_us = INT64_C(1767323045678901),
		.envelope = &s->envelope,
		.sha256 = { 0xff, 0x00, 0x27, 0x5c },
		.mime = &s->mime,
		.headers_json = headers_json,
		.addresses_json = addresses_json,
		.report_json = report_json,
		.mailbox_tag = AWKWARD,
		.is_bounce = true,
	};
	put_unique(s->message.id.bytes + 8);
	s->message.id.bytes[6] = 0x70;
	put_unique(s->message.key + 4);
	snprintf(s->raw, sizeof(s->raw), "Subject: sample\r\n\r\n%02x%02x%02x\r\n",
		s->message.key[6], s->message.key[5], s->message.key[4]);
	s->message.raw = slice_str(s->raw);
	s->put.message = &s->message;
}

struct sample *samples_new(size_t count)
{
	struct sample *list = calloc(count, sizeof(*list));

	ck_assert_ptr_nonnull(list);
	for (size_t i = 0; i < count; i++)
		sample_init(&list[i]);
	return list;
}

struct sample *sample_new(void)
{
	return samples_new(1);
}

char *samples_enlarge(struct sample *list, size_t count, size_t size)
{
	char *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i ^ i >> 8 ^ i >> 16);
	for (size_t i = 0; i < count; i++)
		list[i].message.raw = (struct slice){ bytes, size };
	return bytes;
}

struct sample *sample_retry_of(const struct sample *first)
{
	struct sample *s = sample_new();

	s->message.raw = first->message.raw;
	s->message.tenant = first->message.tenant;
	memcpy(s->message.key, first->message.key, sizeof(s->message.key));
	return s;
}

void sample_set_moment(struct sample *s, int64_t taken_in_us)
{
	struct uuid time = uuid7_least(taken_in_us);

	memmove(s->message.id.bytes + 9, s->message.id.bytes + 8, 7); /* what makes it unique */
	memcpy(s->message.id.bytes, time.bytes, 9);
	s->message.received_us = taken_in_us;
}

struct world world;
static char last_log[1024];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_log(void *data, enum storage_log_level level, const char *message)
{
	pthread_mutex_lock(&log_lock);
	snprintf(last_log, sizeof(last_log), "%s", message);
	pthread_mutex_unlock(&log_lock);
	if (getenv("STORAGE_TEST_VERBOSE") != NULL)
		fprintf(stderr, "log %d: %s\n", (int)level, message);
}

const char *world_last_log(void)
{
	static char copy[sizeof(last_log)];

	pthread_mutex_lock(&log_lock);
	memcpy(copy, last_log, sizeof(copy));
	pthread_mutex_unlock(&log_lock);
	return copy;
}

void world_begin(const struct test_backend *backend)
{
	world.backend = backend;
	backend->create(&world.database);
	world.settings = (struct storage_settings){
		.url = world.database.url,
		.connect_timeout_ms = 5000,
		.statement_timeout_ms = 20000,
		.connections = 2,
		.prepared_statements = true,
		.batch_messages = 64,
		.batch_bytes = 16 << 20,
		.queue_messages = 4096,
		.queue_bytes = 256 << 20,
		.log = on_log,
	};
}

struct storage *store_open_on(struct loop *loop)
{
	struct storage *st = NULL;
	char *error = NULL;

	ck_assert_msg(storage_open(&world.settings, loop, &st, &error) == 0, "%s", error);
	return st;
}

void world_open(void)
{
	unsigned applied;
	char *error = NULL;

	ck_assert_msg(storage_migrate(&world.settings, &applied, &error) == STORAGE_MIGRATED, "%s",
		error);
	world.loop = loop_new();
	world.store = store_open_on(world.loop);
}

void world_reopen(void)
{
	storage_close(&world.store);
	world.store = store_open_on(world.loop);
}

void world_end(void)
{
	storage_close(&world.store);
	loop_free(&world.loop);
	world.backend->destroy(&world.database);
}

void world_become_nobody(void)
{
	enum { NOBODY = 65534 };

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(world.database.place, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
}

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool run_until(struct loop *loop, const bool *what)
{
	enum { DEADLINE_MS = 30000 };
	int64_t deadline = monotonic_ms() + DEADLINE_MS;

	while (!*what && monotonic_ms() < deadline)
		loop_run(loop, 100);
	return *what;
}

static void on_put(struct storage_put *op, enum storage_result result)
{
	struct sample *s = op->data;

	ck_assert_msg(s->returned, "answered before storage_put() returned");
	ck_assert_msg(!s->answered, "answered twice");
	s->answered = true;
	s->result = result;
}

void put_begin(struct storage *store, struct sample *s)
{
	s->put.done = on_put;
	s->put.data = s;
	s->returned = s->answered = false;
	storage_put(store, &s->put);
	s->returned = true;
}

enum storage_result put(struct sample *s)
{
	put_begin(world.store, s);
	ck_assert_msg(run_until(world.loop, &s->answered), "a put was not answered in time");
	return s->result;
}

void put_ok(struct sample *s)
{
	ck_assert_result(put(s), STORAGE_OK);
	ck_assert_mem_eq(&s->put.id, &s->message.id, sizeof(s->put.id));
}

void wait_for_all(const struct sample *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(run_until(world.loop, &list[i].answered), "%zu of %zu", i, count);
}

void put_all(struct sample *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_begin(world.store, &list[i]);
	wait_for_all(list, count);
}

size_t count_results(const struct sample *list, size_t count, enum storage_result result)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += list[i].result == result;
	return n;
}

struct question {
	void (*look)(const struct storage_record *record, const struct sample *expected);
	const struct sample *expected;
	bool returned, answered;
	enum storage_result result;
};

static void answer(struct question *q, enum storage_result result)
{
	ck_assert_msg(q->returned, "answered before its call returned");
	ck_assert_msg(!q->answered, "answered twice");
	q->answered = true;
	q->result = result;
}

static enum storage_result wait_for(struct question *q)
{
	q->returned = true;
	ck_assert_msg(run_until(world.loop, &q->answered), "not answered in time");
	return q->result;
}

static void on_ping(struct storage_ping *op, enum storage_result result)
{
	answer(op->data, result);
}

enum storage_result ping(void)
{
	struct question q = { .look = NULL };
	struct storage_ping op = { .done = on_ping, .data = &q };

	storage_ping(world.store, &op);
	return wait_for(&q);
}

static void on_get(
	struct storage_get *op, enum storage_result result, const struct storage_record *record)
{
	struct question *q = op->data;

	answer(q, result);
	ck_assert_int_eq(result == STORAGE_OK, record != NULL);
	if (record != NULL && q->look != NULL)
		q->look(record, q->expected);
}

enum storage_result get(const char *tenant, struct uuid id,
	void (*look)(const struct storage_record *record, const struct sample *expected),
	const struct sample *expected)
{
	struct question q = { .look = look, .expected = expected };
	struct storage_get op = { .tenant = tenant, .id = id, .done = on_get, .data = &q };

	storage_get(world.store, &op);
	return wait_for(&q);
}

static void on_raw(struct storage_raw *op, enum storage_result result, struct slice bytes)
{
	struct question *q = op->data;

	answer(q, result);
	if (result != STORAGE_OK)
		ck_assert_uint_eq(bytes.len, 0);
	else if (q->expected != NULL)
		ck_assert_msg(slice_eq(bytes, q->expected->message.raw), "the raw bytes differ");
}

enum storage_result raw(const char *tenant, struct uuid id, const struct sample *expected)
{
	struct question q = { .expected = expected };
	struct storage_raw op = { .tenant = tenant, .id = id, .done = on_raw, .data = &q };

	storage_raw(world.store, &op);
	return wait_for(&q);
}

static void assert_same_text(const char *is, const char *should)
{
	ck_assert_int_eq(is == NULL, should == NULL);
	if (is != NULL)
		ck_assert_str_eq(is, should);
}

struct part_question {
	struct question q;
	const struct mime_part *expected;
};

static void on_part(
	struct storage_part *op, enum storage_result result, const struct storage_part_record *is)
{
	struct part_question *question = op->data;
	const struct mime_part *should = question->expected;

	answer(&question->q, result);
	ck_assert_int_eq(result == STORAGE_OK, is != NULL);
	if (is == NULL)
		return;
	assert_same_text(is->content_type, should->content_type);
	assert_same_text(is->encoding, should->encoding);
	assert_same_text(is->filename, should->filename);
	assert_same_text(is->charset, should->charset);
	assert_same_text(is->inside, should->inside);
	ck_assert_uint_eq(is->size, should->size);
	ck_assert_mem_eq(is->sha256, should->sha256, SHA256_BYTES);
	ck_assert_uint_eq(is->raw_offset, should->raw_offset);
	ck_assert_uint_eq(is->raw_length, should->raw_length);
}

enum storage_result part(
	const char *tenant, struct uuid id, unsigned n, const struct mime_part *expected)
{
	struct part_question question = { .expected = expected };
	struct storage_part op = {
		.tenant = tenant, .id = id, .n = n, .done = on_part, .data = &question
	};

	storage_part(world.store, &op);
	return wait_for(&question.q);
}

static void on_range(struct storage_range *op, enum storage_result result, struct slice bytes)
{
	struct question *q = op->data;
	struct slice should = { NULL, 0 };

	answer(q, result);
	if (result == STORAGE_OK && op->offset < q->expected->message.raw.len) {
		should = q->expected->message.raw;
		slice_skip(&should, (size_t)op->offset);
		should.len = should.len < op->length ? should.len : op->length;
	}
	ck_assert_msg(slice_eq(bytes, should), "the bytes at %llu differ",
		(unsigned long long)op->offset);
}

enum storage_result range(const char *tenant, struct uuid id, uint64_t offset, uint32_t length,
	const struct sample *expected)
{
	struct question q = { .expected = expected };
	struct storage_range op = { .tenant = tenant,
		.id = id,
		.offset = offset,
		.length = length,
		.more = true, /* what goes wrong does so when something is kept for what follows */
		.done = on_range,
		.data = &q };

	storage_range(world.store, &op);
	return wait_for(&q);
}

void wait_until_ping_is(enum storage_result result)
{
	time_t deadline = time(NULL) + 20;

	while (ping() != result) {
		ck_assert_msg(
			time(NULL) < deadline, "never became %s", storage_result_name(result));
		loop_run(world.loop, 50);
	}
}
