/* SPDX-License-Identifier: MIT */
/* bare.c - how fast a message's rows can get into Postgres when nothing else is done
 *
 * usage: bare URL ID CONNECTIONS BATCH SECONDS
 *
 * Reads all rows of the message ID, which the server stored, and inserts copies of them, each
 * message under an id and a digest of its own, BATCH messages a commit. Every connection has a
 * thread, and sends the next batch while the last one commits. Nothing is known of the tables but
 * their names and these two columns.
 *
 * Prints `RESULT messages rate`: what was committed, and how much of it a second. */
#include "lib/ids.h"

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

/* One row, as the parameters of its INSERT. */
struct row {
	const char *values[MAX_COLUMNS];
	int lengths[MAX_COLUMNS];
};

struct table {
	const char *name;
	char *insert;
	Oid types[MAX_COLUMNS];
	int columns, id_at, digest_at; /* digest_at: -1 in all tables but one */
	int rows;
	struct row *sample;
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

/* All columns that an INSERT may name, quoted. */
static const char columns_sql[] =
	"SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
	" WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
	" AND attgenerated = '' AND attidentity <> 'a'";

static void make_insert(struct table *t, const char *columns)
{
	size_t size;
	FILE *sql = open_memstream(&t->insert, &size);

	fprintf(sql, "INSERT INTO %s (%s) VALUES (", t->name, columns);
	for (int i = 1; i <= t->columns; i++)
		fprintf(sql, "%s$%d", i > 1 ? ", " : "", i);
	fprintf(sql, ")");
	fclose(sql);
}

/* The result stays: the rows point into it. */
static void take_rows(struct table *t, PGresult *res)
{
	t->columns = PQnfields(res);
	t->rows = PQntuples(res);
	if (t->rows == 0 || t->columns > MAX_COLUMNS)
		die("%s: %d rows, %d columns of the sample", t->name, t->rows, t->columns);
	t->id_at = PQfnumber(res, "id");
	t->digest_at = PQfnumber(res, "digest");
	t->sample = calloc((size_t)t->rows, sizeof(t->sample[0]));
	if (t->sample == NULL || t->id_at < 0)
		die("%s has no id", t->name);
	for (int c = 0; c < t->columns; c++)
		t->types[c] = PQftype(res, c);
	for (int r = 0; r < t->rows; r++)
		for (int c = 0; c < t->columns; c++) {
			t->sample[r].values[c] = PQgetisnull(res, r, c) ? NULL
									: PQgetvalue(res, r, c);
			t->sample[r].lengths[c] = PQgetlength(res, r, c);
		}
}

static void read_sample(struct table *t, PGconn *conn, const char *id)
{
	PGresult *columns = query(conn, columns_sql, t->name, 0);
	char *select;

	if (asprintf(&select, "SELECT %s FROM %s WHERE id = $1::uuid", PQgetvalue(columns, 0, 0),
		    t->name) == -1)
		die("out of memory");
	take_rows(t, query(conn, select, id, 1));
	make_insert(t, PQgetvalue(columns, 0, 0));
	free(select);
	PQclear(columns);
}

/* ---- copies of it ---- */

static void worker_connect(struct worker *w)
{
	w->conn = connect_to(url);
	PQclear(query(w->conn, "SET plan_cache_mode = force_generic_plan", NULL, 0));
	for (size_t t = 0; t < TABLES; t++) {
		PGresult *res = PQprepare(w->conn, tables[t].name, tables[t].insert,
			tables[t].columns, tables[t].types);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			die("%s: %s", tables[t].insert, PQresultErrorMessage(res));
		PQclear(res);
	}
	if (PQsetnonblocking(w->conn, 1) != 0 || !PQenterPipelineMode(w->conn))
		die("%s", PQerrorMessage(w->conn));
}

static void send_row(struct worker *w, const struct table *t, const struct row *sample,
	const struct uuid *id, const uint8_t *digest)
{
	struct row row;

	memcpy(row.values, sample->values, (size_t)t->columns * sizeof(row.values[0]));
	row.values[t->id_at] = (const char *)id->bytes;
	if (t->digest_at >= 0)
		row.values[t->digest_at] = (const char *)digest;
	if (!PQsendQueryPrepared(
		    w->conn, t->name, t->columns, row.values, sample->lengths, all_binary, 1))
		die("%s", PQerrorMessage(w->conn));
}

/* Table by table, so that each one's pages stay at hand. All up to the sync is one transaction. */
static void send_batch(struct worker *w, struct uuid *ids)
{
	int64_t now = now_us();
	uint8_t digest[DIGEST_BYTES];

	for (unsigned m = 0; m < batch; m++)
		ids[m] = uuid7(now);
	for (size_t t = 0; t < TABLES; t++)
		for (unsigned m = 0; m < batch; m++) {
			if (tables[t].digest_at >= 0)
				random_bytes(digest, sizeof(digest));
			for (int r = 0; r < tables[t].rows; r++)
				send_row(w, &tables[t], &tables[t].sample[r], &ids[m], digest);
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
	PQfinish(w->conn);
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
