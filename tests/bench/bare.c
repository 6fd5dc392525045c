/* SPDX-License-Identifier: MIT */
/* bare.c - how fast a message's rows can get into Postgres when nothing else is done
 *
 * usage: bare URL ID CONNECTIONS BATCH SECONDS
 *
 * Reads all rows of the message ID, which the server stored, and inserts copies of them, each
 * message under an id and a digest of its own, BATCH messages a commit: one prepared statement a
 * table, its rows sent as binary arrays. Every connection has a thread, and sends the next batch
 * while the last one commits. Nothing is known of the tables but their names and these two columns.
 *
 * Prints `RESULT messages rate`: what was committed, and how much of it a second. */
#include "lib/ids.h"

#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_COLUMNS = 64, MAX_CONNECTIONS = 64, DIGEST_BYTES = 32, BATCHES_UNDER_WAY = 2 };

/* Before an array's elements: dimensions, "may hold NULLs", the elements' type, then of the one
 * dimension its length and first index. Before each element its length. */
enum { ARRAY_HEAD = 5 * sizeof(uint32_t), ELEMENT_HEAD = sizeof(uint32_t) };

/* What a batch puts into one table, as the parameters of its statement. Only the ids and digests
 * change from batch to batch. */
struct arrays {
	char *values[MAX_COLUMNS];
	int lengths[MAX_COLUMNS];
};

struct table {
	const char *name;
	char *insert;
	int columns, id_at, digest_at; /* digest_at: -1 in all tables but one */
	int rows;                      /* of one message */
	struct arrays sample;          /* a batch of copies */
};

/* Keys first, as a server that looks for duplicates must. */
static struct table tables[] = {
	{ .name = "message_keys" },
	{ .name = "messages" },
	{ .name = "message_raw" },
	{ .name = "message_parts" },
};
enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

static int all_binary[MAX_COLUMNS];

/* What all connections share. */
static const char *url;
static unsigned batch;
static atomic_bool stop;
static pthread_barrier_t connected;

struct worker {
	pthread_t thread;
	PGconn *conn;
	struct arrays arrays[TABLES]; /* ids and digests are its own, the rest the sample's */
	uint64_t committed;
	double rate;
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static PGconn *connect_to(const char *to)
{
	PGconn *conn = PQconnectdb(to);

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	return conn;
}

/* Never returns an error: without its answer there is nothing to measure. */
static PGresult *query(PGconn *conn, const char *sql, const char *parameter, int result_format)
{
	PGresult *res = PQexecParams(
		conn, sql, parameter != NULL, NULL, &parameter, NULL, NULL, result_format);

	if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK)
		die("%s: %s", sql, PQresultErrorMessage(res));
	return res;
}

/* ---- the sample ---- */

/* Two statements for a table: one reads the sample, the other inserts arrays of rows. They name all
 * columns that an INSERT may name. An array of arrays cannot be unnested by rows: what is an array
 * already travels as text. */
static const char statements_sql[] =
	"WITH c AS (SELECT quote_ident(attname) AS name, format_type(atttypid, NULL) AS type,"
	"  typcategory = 'A' AS is_array, row_number() OVER (ORDER BY attnum) AS n"
	" FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid"
	" WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
	"  AND attgenerated = '' AND attidentity <> 'a')"
	"SELECT format('SELECT %s FROM %s WHERE id = $1::uuid',"
	"  string_agg(name || CASE WHEN is_array THEN '::text' ELSE '' END, ', ' ORDER BY n), $1),"
	" format('INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS u(%s)', $1,"
	"  string_agg(name, ', ' ORDER BY n),"
	"  string_agg('c' || n || CASE WHEN is_array THEN '::' || type ELSE '' END, ', ' ORDER BY "
	"n),"
	"  string_agg(format('$%s::%s[]', n, CASE WHEN is_array THEN 'text' ELSE type END), ', '"
	"   ORDER BY n),"
	"  string_agg('c' || n, ', ' ORDER BY n))"
	" FROM c";

static char *put_int4(char *out, uint32_t v)
{
	uint32_t big = htobe32(v);

	memcpy(out, &big, sizeof(big));
	return out + sizeof(big);
}

/* One column of the sample's rows, as often as there are messages in a batch. */
static void make_array(struct table *t, PGresult *res, int column)
{
	size_t bytes = ARRAY_HEAD;

	for (int r = 0; r < t->rows; r++)
		bytes += batch * (ELEMENT_HEAD + (size_t)PQgetlength(res, r, column));
	char *out = malloc(bytes);
	if (out == NULL || bytes > INT32_MAX)
		die("a batch of %zu bytes is too much", bytes);
	t->sample.values[column] = out;
	t->sample.lengths[column] = (int)bytes;
	out = put_int4(out, 1);
	out = put_int4(out, 1);
	out = put_int4(out, PQftype(res, column));
	out = put_int4(out, batch * (unsigned)t->rows);
	out = put_int4(out, 1);
	for (unsigned m = 0; m < batch; m++)
		for (int r = 0; r < t->rows; r++) {
			size_t len = (size_t)PQgetlength(res, r, column); /* 0 for NULL */
			out = put_int4(
				out, PQgetisnull(res, r, column) ? UINT32_MAX : (uint32_t)len);
			memcpy(out, PQgetvalue(res, r, column), len);
			out += len;
		}
}

static void read_sample(struct table *t, PGconn *conn, const char *id)
{
	PGresult *statements = query(conn, statements_sql, t->name, 0);
	PGresult *res = query(conn, PQgetvalue(statements, 0, 0), id, 1);

	t->insert = strdup(PQgetvalue(statements, 0, 1));
	t->columns = PQnfields(res);
	t->rows = PQntuples(res);
	t->id_at = PQfnumber(res, "id");
	t->digest_at = PQfnumber(res, "digest");
	if (t->insert == NULL || t->rows == 0 || t->columns > MAX_COLUMNS || t->id_at < 0)
		die("%s: %d rows, %d columns of the sample", t->name, t->rows, t->columns);
	if (t->digest_at >= 0 && PQgetlength(res, 0, t->digest_at) != DIGEST_BYTES)
		die("%s: a digest is not of %d bytes", t->name, DIGEST_BYTES);
	for (int c = 0; c < t->columns; c++)
		make_array(t, res, c);
	PQclear(res);
	PQclear(statements);
}

/* ---- copies of it ---- */

static char *copy_of(const struct arrays *arrays, int column)
{
	char *copy = malloc((size_t)arrays->lengths[column]);

	if (copy == NULL)
		die("out of memory");
	return memcpy(copy, arrays->values[column], (size_t)arrays->lengths[column]);
}

static void worker_connect(struct worker *w)
{
	w->conn = connect_to(url);
	PQclear(query(w->conn, "SET plan_cache_mode = force_generic_plan", NULL, 0));
	for (size_t t = 0; t < TABLES; t++) {
		PGresult *res = PQprepare(w->conn, tables[t].name, tables[t].insert, 0, NULL);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			die("%s: %s", tables[t].insert, PQresultErrorMessage(res));
		PQclear(res);
		w->arrays[t] = tables[t].sample;
		w->arrays[t].values[tables[t].id_at] = copy_of(&tables[t].sample, tables[t].id_at);
		if (tables[t].digest_at >= 0)
			w->arrays[t].values[tables[t].digest_at] = copy_of(
				&tables[t].sample, tables[t].digest_at);
	}
	if (PQsetnonblocking(w->conn, 1) != 0 || !PQenterPipelineMode(w->conn))
		die("%s", PQerrorMessage(w->conn));
}

static void worker_disconnect(struct worker *w)
{
	PQfinish(w->conn);
	for (size_t t = 0; t < TABLES; t++) {
		free(w->arrays[t].values[tables[t].id_at]);
		if (tables[t].digest_at >= 0)
			free(w->arrays[t].values[tables[t].digest_at]);
	}
}

/* Where the i-th element of an array is, all of them being `bytes` long. */
static char *element(char *array, unsigned i, size_t bytes)
{
	return array + ARRAY_HEAD + i * (ELEMENT_HEAD + bytes) + ELEMENT_HEAD;
}

static void set_ids(const struct table *t, struct arrays *arrays, const struct uuid *ids)
{
	unsigned rows = (unsigned)t->rows;

	for (unsigned i = 0; i < batch * rows; i++)
		memcpy(element(arrays->values[t->id_at], i, UUID_BYTES), ids[i / rows].bytes,
			UUID_BYTES);
	for (unsigned i = 0; t->digest_at >= 0 && i < batch * rows; i++)
		random_bytes(element(arrays->values[t->digest_at], i, DIGEST_BYTES), DIGEST_BYTES);
}

/* All up to the sync is one transaction. */
static void send_batch(struct worker *w, struct uuid *ids)
{
	int64_t now = now_us();

	for (unsigned m = 0; m < batch; m++)
		ids[m] = uuid7(now);
	for (size_t t = 0; t < TABLES; t++) {
		const char *const *values = (const char *const *)w->arrays[t].values;
		set_ids(&tables[t], &w->arrays[t], ids);
		if (!PQsendQueryPrepared(w->conn, tables[t].name, tables[t].columns, values,
			    w->arrays[t].lengths, all_binary, 1))
			die("%s", PQerrorMessage(w->conn));
	}
	if (!PQpipelineSync(w->conn))
		die("%s", PQerrorMessage(w->conn));
}

/* Sends what is left to send, until a whole result is there. */
static void wait_for_result(struct worker *w)
{
	int unsent = PQflush(w->conn);

	while (PQisBusy(w->conn)) {
		struct pollfd fd = { .fd = PQsocket(w->conn),
			.events = (short)(POLLIN | (unsent != 0 ? POLLOUT : 0)) };
		poll(&fd, 1, -1);
		if (!PQconsumeInput(w->conn) || (unsent = PQflush(w->conn)) == -1)
			die("%s", PQerrorMessage(w->conn));
	}
}

/* Until a batch is committed. */
static void take_batch(struct worker *w)
{
	for (;;) {
		wait_for_result(w);
		PGresult *res = PQgetResult(w->conn);
		if (res == NULL)
			continue; /* the end of one command */
		ExecStatusType status = PQresultStatus(res);
		if (status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC)
			die("%s", PQresultErrorMessage(res));
		PQclear(res);
		if (status == PGRES_PIPELINE_SYNC)
			break;
	}
	w->committed += batch;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct uuid *ids = calloc(batch, sizeof(ids[0]));
	unsigned under_way = 0;

	worker_connect(w);
	pthread_barrier_wait(&connected);
	int64_t begin = monotonic_us();
	while (ids != NULL && !atomic_load(&stop)) {
		send_batch(w, ids);
		if (++under_way < BATCHES_UNDER_WAY)
			continue;
		take_batch(w);
		under_way--;
	}
	for (; under_way > 0; under_way--)
		take_batch(w);
	w->rate = (double)w->committed * 1e6 / (double)(monotonic_us() - begin);
	worker_disconnect(w);
	free(ids);
	return NULL;
}

static void read_samples(const char *id)
{
	PGconn *conn = connect_to(url);

	for (size_t t = 0; t < TABLES; t++)
		read_sample(&tables[t], conn, id);
	PQfinish(conn);
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_CONNECTIONS];
	uint64_t committed = 0;
	double rate = 0;

	if (argc != 6)
		die("usage: bare URL ID CONNECTIONS BATCH SECONDS");
	url = argv[1];
	unsigned connections = (unsigned)atoi(argv[3]);
	batch = (unsigned)atoi(argv[4]);
	double seconds = atof(argv[5]);
	if (connections < 1 || connections > MAX_CONNECTIONS || batch < 1 || !(seconds > 0))
		die("1 to %d connections, a batch of 1 or more, a time", MAX_CONNECTIONS);
	for (size_t i = 0; i < MAX_COLUMNS; i++)
		all_binary[i] = 1;
	read_samples(argv[2]);

	pthread_barrier_init(&connected, NULL, connections + 1);
	for (unsigned i = 0; i < connections; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			die("no thread %u could be started", i);
	pthread_barrier_wait(&connected);
	struct timespec pause = { .tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
	nanosleep(&pause, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < connections; i++) {
		pthread_join(workers[i].thread, NULL);
		committed += workers[i].committed;
		rate += workers[i].rate;
	}
	printf("RESULT %lu %.1f\n", (unsigned long)committed, rate);
	return 0;
}
