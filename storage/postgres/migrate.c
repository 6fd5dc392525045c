/* SPDX-License-Identifier: MIT */
/* Each step is one transaction: take the lock, see how far the schema is, run the next file, note
 * it. The lock ends with its transaction, so this works through a pooler too, and of many instances
 * that start at once each finds the steps of the others done. */
#include "storage/postgres/migrate.h"
#include "storage/postgres/conninfo.h"
#include "storage/postgres/trouble.h"
#include "storage/storage_driver.h"

#include <stdio.h>
#include <stdlib.h>

/* The advisory lock's number, the same for all instances; any other would do. */
#define MIGRATION_LOCK "7161390478312459"

#define MIGRATION_LOCK_TIMEOUT "60s"
/* Who reads all partitions waits behind this: better to try again another time. */
#define PARTITION_LOCK_TIMEOUT "2s"

enum { DEFAULT_PARTITION_DAYS = 7, PARTITION_DAYS_AHEAD = 14 };

struct migration {
	PGconn *pg;
	const struct storage_settings *set;
	unsigned applied;
	enum storage_migrated outcome;
	char *error;
};

__attribute__((format(printf, 3, 4))) static bool fail(
	struct migration *m, enum storage_migrated outcome, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&m->error, fmt, args) == -1)
		abort();
	va_end(args);
	m->outcome = outcome;
	return false;
}

static const char *advice_for(const char *sqlstate)
{
	static const struct {
		const char *sqlstate, *advice;
	} known[] = {
		{ "42501", ": let the schema's owner run `mailserver migrate`, or GRANT CREATE ON "
			   "SCHEMA to this user" },
		{ "55P03", ": another instance is at work, or a table is in use" },
		{ PG_READ_ONLY, ": storage.url must name the primary" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(sqlstate, known[i].sqlstate) == 0)
			return known[i].advice;
	return "";
}

/* A lost link, a lock that others hold and a server short of something: all that may pass. */
static bool may_pass(const PGconn *pg, const char *sqlstate)
{
	static const char *const passing[] = { "08", "40", "53", "55P03", "57", "58",
		PG_READ_ONLY };

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
			return true;
	return PQstatus(pg) != CONNECTION_OK;
}

/* What went wrong while `doing`, and what would help. Takes the result over. */
static bool fail_result(struct migration *m, const char *doing, PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *user = PQuser(m->pg);
	char *message = strdup(primary != NULL ? primary : PQerrorMessage(m->pg));

	if (sqlstate == NULL)
		sqlstate = "";
	fail(m, may_pass(m->pg, sqlstate) ? STORAGE_MIGRATE_LATER : STORAGE_MIGRATE_FAILED,
		"%s as user \"%s\": %s%s", doing, user != NULL ? user : "", pg_one_line(message),
		advice_for(sqlstate));
	free(message);
	PQclear(res);
	return false;
}

static bool run(struct migration *m, const char *doing, const char *sql)
{
	PGresult *res = PQexec(m->pg, sql);
	ExecStatusType status = PQresultStatus(res);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		return fail_result(m, doing, res);
	PQclear(res);
	return true;
}

static bool read_number(struct migration *m, const char *doing, const char *sql, unsigned *number_r)
{
	PGresult *res = PQexec(m->pg, sql);

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return fail_result(m, doing, res);
	*number_r = (unsigned)strtoul(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return true;
}

static bool read_version(struct migration *m, unsigned *version_r)
{
	return read_number(m, "reading schema_migrations",
		"SELECT coalesce(max(number), 0) FROM schema_migrations", version_r);
}

/* Without the lock: 0 for a database that has no schema yet. */
static bool look_at_version(struct migration *m, unsigned *version_r)
{
	unsigned there;

	*version_r = 0;
	return read_number(m, "looking for schema_migrations",
		       "SELECT (to_regclass('schema_migrations') IS NOT NULL)::int", &there) &&
	       (there == 0 || read_version(m, version_r));
}

static unsigned latest_version(void)
{
	unsigned latest = 0;

	while (postgres_migrations[latest].number != 0)
		latest++;
	return latest;
}

static bool check_version(struct migration *m, unsigned version)
{
	if (version <= latest_version())
		return true;
	return fail(m, STORAGE_MIGRATE_FAILED,
		"the database's schema has version %u, and this program knows versions up to %u: "
		"run a newer mailserver, or restore a database of this one's",
		version, latest_version());
}

static bool apply(struct migration *m, const struct storage_migration *step)
{
	char doing[128], number[16];
	const char *values[] = { number, step->name };

	snprintf(doing, sizeof(doing), "running migration %04u_%s", step->number, step->name);
	snprintf(number, sizeof(number), "%u", step->number);
	if (!run(m, doing, step->sql))
		return false;
	PGresult *res = PQexecParams(m->pg,
		"INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", 2, NULL, values,
		NULL, NULL, 0);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		return fail_result(m, doing, res);
	PQclear(res);
	return true;
}

static bool begin_with_lock(struct migration *m)
{
	return run(m, "beginning", "BEGIN") &&
	       run(m, "waiting for the migration lock",
		       "SET LOCAL statement_timeout = 0;"
		       "SET LOCAL lock_timeout = '" MIGRATION_LOCK_TIMEOUT "';"
		       "SELECT pg_advisory_xact_lock(" MIGRATION_LOCK ")") &&
	       run(m, "creating schema_migrations",
		       "CREATE TABLE IF NOT EXISTS schema_migrations ("
		       " number integer PRIMARY KEY, name text NOT NULL,"
		       " applied_at timestamptz NOT NULL DEFAULT now())");
}

/* The next migration, or nothing when another instance has been faster. `*version_r`: after it. */
static bool take_step(struct migration *m, unsigned *version_r)
{
	if (!begin_with_lock(m) || !read_version(m, version_r) || !check_version(m, *version_r))
		return false;
	if (*version_r == latest_version())
		return run(m, "committing", "COMMIT");
	const struct storage_migration *step = &postgres_migrations[*version_r];
	if (!apply(m, step) || !run(m, "committing", "COMMIT"))
		return false;
	++*version_r;
	m->applied++;
	pg_log(m->set, STORAGE_LOG_INFO, "migration %04u_%s is done", step->number, step->name);
	return true;
}

/* The server answers and does not let this user in, or not to this database; or libpq does not take
 * a setting. */
static bool is_refused(const char *message)
{
	return strncmp(message, "invalid ", 8) == 0 || strstr(message, ": 28000:") != NULL ||
	       strstr(message, ": 28P01:") != NULL || strstr(message, ": 3D000:") != NULL;
}

static bool fail_connect(struct migration *m)
{
	char *message = strdup(m->pg != NULL ? PQerrorMessage(m->pg) : "out of memory");

	/* Where in the server's source, the last line of each report, helps nobody here. */
	for (char *where; (where = strstr(message, "LOCATION:")) != NULL;) {
		char *end = where + strcspn(where, "\n");
		memmove(where, end, strlen(end) + 1);
	}
	pg_one_line(message);
	fail(m, is_refused(message) ? STORAGE_MIGRATE_FAILED : STORAGE_MIGRATE_LATER,
		"no connection to the database: %s",
		message[0] != '\0' ? message : "no answer within connect_timeout");
	free(message);
	return false;
}

static bool connect_to_any(struct migration *m, struct pg_conninfo *info)
{
	unsigned hosts = pg_conninfo_host_count(info);

	for (unsigned first = 0; first == 0 || first < hosts; first++) {
		PQfinish(m->pg);
		m->pg = pg_conninfo_connect(info, first);
		if (PQstatus(m->pg) == CONNECTION_OK)
			return true;
	}
	return fail_connect(m);
}

static int partition_days(const struct migration *m)
{
	return m->set->partition_days > 0 ? (int)m->set->partition_days : DEFAULT_PARTITION_DAYS;
}

static bool make_partitions(struct migration *m)
{
	char sql[128];
	unsigned due, made;

	snprintf(sql, sizeof(sql),
		"SELECT (mailserver_partitions_end() < now() + interval '%d days')::int",
		PARTITION_DAYS_AHEAD);
	if (!read_number(m, "looking at the partitions", sql, &due) || due == 0)
		return due == 0;
	snprintf(sql, sizeof(sql), "SELECT mailserver_make_partitions('%d days', '%d days')",
		partition_days(m), PARTITION_DAYS_AHEAD + partition_days(m));
	if (!begin_with_lock(m) ||
		!run(m, "making partitions",
			"SET LOCAL lock_timeout = '" PARTITION_LOCK_TIMEOUT "'") ||
		!read_number(m, "making partitions", sql, &made) || !run(m, "committing", "COMMIT"))
		return false;
	if (made > 0)
		pg_log(m->set, STORAGE_LOG_INFO, "%u %s made", made,
			made == 1 ? "partition was" : "partitions were");
	return true;
}

/* Mail is taken without one, too: so nobody has to wait for it. */
static void try_to_make_partitions(struct migration *m)
{
	if (make_partitions(m))
		return;
	pg_log(m->set, STORAGE_LOG_WARNING, "partitions for the mail to come could not be made: %s",
		m->error);
	free(m->error);
	m->error = NULL;
	PQclear(PQexec(m->pg, "ROLLBACK"));
}

static bool migrate(struct migration *m, struct pg_conninfo *info)
{
	unsigned version;

	/* Where there is nothing to do, neither a lock nor a privilege is needed. */
	if (!connect_to_any(m, info) || !look_at_version(m, &version) || !check_version(m, version))
		return false;
	while (version < latest_version())
		if (!take_step(m, &version))
			return false;
	try_to_make_partitions(m);
	return true;
}

enum storage_migrated pg_migrate(
	const struct storage_settings *set, unsigned *applied_r, char **error_r)
{
	struct pg_conninfo *info = pg_conninfo_parse(set, error_r);
	struct migration m = { .set = set };

	if (info == NULL)
		return STORAGE_MIGRATE_FAILED;
	if (migrate(&m, info)) {
		m.outcome = STORAGE_MIGRATED;
		*applied_r = m.applied;
	} else {
		*error_r = m.error;
	}
	PQfinish(m.pg);
	pg_conninfo_free(&info);
	return m.outcome;
}
