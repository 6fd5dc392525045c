/* SPDX-License-Identifier: MIT */
/* Each step is one transaction: take the lock, see how far the schema is, run the next file, note
 * it. The lock ends with its transaction, so this works through a pooler too, and of many instances
 * that start at once each finds the steps of the others done. */
#include "storage/postgres/migrate.h"
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
	struct pg_session session;
	const struct storage_settings *set;
	unsigned applied;
};

static bool run(struct migration *m, const char *doing, const char *sql)
{
	return pg_session_run(&m->session, doing, sql);
}

static bool read_number(
	struct pg_session *s, const char *doing, const char *sql, unsigned *number_r)
{
	PGresult *res = pg_session_query(s, doing, sql, 0, NULL);

	if (res == NULL)
		return false;
	*number_r = (unsigned)strtoul(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return true;
}

static bool read_version(struct pg_session *s, unsigned *version_r)
{
	return read_number(s, "reading schema_migrations",
		"SELECT coalesce(max(number), 0) FROM schema_migrations", version_r);
}

/* Without the lock: 0 for a database that has no schema yet. */
static bool look_at_version(struct pg_session *s, unsigned *version_r)
{
	unsigned there;

	*version_r = 0;
	return read_number(s, "looking for schema_migrations",
		       "SELECT (to_regclass('schema_migrations') IS NOT NULL)::int", &there) &&
	       (there == 0 || read_version(s, version_r));
}

static unsigned latest_version(void)
{
	unsigned latest = 0;

	while (postgres_migrations[latest].number != 0)
		latest++;
	return latest;
}

static bool check_version(struct pg_session *s, unsigned version)
{
	if (version <= latest_version())
		return true;
	return pg_session_fail(s, false,
		"the database's schema has version %u, and this program knows versions up to %u: "
		"run a newer mailserver, or restore a database of this one's",
		version, latest_version());
}

bool pg_schema_is_current(struct pg_session *s)
{
	unsigned version;

	if (!look_at_version(s, &version) || !check_version(s, version))
		return false;
	if (version == latest_version())
		return true;
	return pg_session_fail(s, false,
		"the database's schema has version %u, and this program needs version %u: run "
		"`mailserver migrate`",
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
	PGresult *res = pg_session_query(&m->session, doing,
		"INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", 2, values);
	PQclear(res);
	return res != NULL;
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
	if (!begin_with_lock(m) || !read_version(&m->session, version_r) ||
		!check_version(&m->session, *version_r))
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
	if (!read_number(&m->session, "looking at the partitions", sql, &due) || due == 0)
		return due == 0;
	snprintf(sql, sizeof(sql), "SELECT mailserver_make_partitions('%d days', '%d days')",
		partition_days(m), PARTITION_DAYS_AHEAD + partition_days(m));
	if (!begin_with_lock(m) ||
		!run(m, "making partitions",
			"SET LOCAL lock_timeout = '" PARTITION_LOCK_TIMEOUT "'") ||
		!read_number(&m->session, "making partitions", sql, &made) ||
		!run(m, "committing", "COMMIT"))
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
		m->session.error);
	free(m->session.error);
	m->session.error = NULL;
	PQclear(PQexec(m->session.pg, "ROLLBACK"));
}

static bool migrate(struct migration *m)
{
	struct pg_session *s = &m->session;
	unsigned version;

	/* Where there is nothing to do, neither a lock nor a privilege is needed. */
	if (!pg_session_open(s, m->set) || !look_at_version(s, &version) ||
		!check_version(s, version))
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
	struct migration m = {
		.session.missing_privilege =
			": let the schema's owner run `mailserver migrate`, or "
			"GRANT CREATE ON SCHEMA to this user",
		.set = set,
	};
	bool migrated = migrate(&m);

	pg_session_close(&m.session);
	if (migrated) {
		*applied_r = m.applied;
		return STORAGE_MIGRATED;
	}
	*error_r = m.session.error;
	return m.session.may_pass ? STORAGE_MIGRATE_LATER : STORAGE_MIGRATE_FAILED;
}
