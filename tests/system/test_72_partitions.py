# SPDX-License-Identifier: MIT
"""The big tables of Postgres: partitions are there before the mail is, and nothing the server asks
reads a whole table."""
import re
import subprocess

import pytest

from servers.mailserver import BINARY, ROOT, message
from servers.postgres import Postgres
from servers.waiting import wait_for

MIGRATIONS = ROOT / "storage/postgres/migrations"
TABLES = ("messages", "message_raw", "message_parts")
ROWS = 100_000


@pytest.fixture(name="database")
def fresh_database(postgres):
    name = postgres.create_database()
    return lambda sql, *parameters: postgres.psql(sql, parameters or None, database=name), name


def migrate(url):
    return subprocess.run([BINARY, "migrate"], env={"MAIL_STORAGE_URL": url, "MAIL_BEARER_TOKEN": "x" * 32},
                          capture_output=True, text=True, timeout=60, check=False)


def partitions_of(query, table):
    """By name; how many messages are in each."""
    return dict(query(f"select tableoid::regclass::text, count(*) from {table} group by 1"))


def test_partitions_are_made_ahead_for_all_three_tables(launch, postgres, database):
    query, name = database
    server = launch(storage_url=postgres.url(name))
    assert server.post(message()).status_code == 200
    for table in TABLES:
        assert list(partitions_of(query, table).values()) == [1]
        assert f"{table}_default" not in partitions_of(query, table)
    [(enough,)] = query("select mailserver_partitions_end() >= now() + interval '14 days'")
    assert enough
    assert query("select count(*) from mailserver_partitions where to_id = mailserver_id_at("
                 "mailserver_time_of(from_id) + interval '7 days')") == query(
                     "select count(*) from mailserver_partitions")


def test_width_is_a_setting(launch, postgres, database):
    query, name = database
    launch(storage_url=postgres.url(name), settings={"storage": {"partition_days": 1}})
    assert query("select distinct mailserver_time_of(to_id) - mailserver_time_of(from_id) ="
                 " interval '1 day' from mailserver_partitions") == [(True,)]
    assert query("select count(*) >= 14 from mailserver_partitions") == [(True,)]


def test_mail_of_the_first_schema_stays_and_is_found(launch, postgres, database):
    query, name = database
    query((MIGRATIONS / "0001_messages.sql").read_text())
    query("create table schema_migrations (number integer primary key, name text not null,"
          " applied_at timestamptz not null default now());"
          "insert into schema_migrations values (1, 'messages')")
    query("insert into messages select '01900000-0000-7000-8000-000000000001', 'default', now(), '', '{}',"
          " null, null, null, null, null, null, null, '{}', null, 'Old', null, null, '{}', '[]',"
          " null, null, 3, '\\x00', 'ok', '{}'")
    query("insert into message_raw values ('01900000-0000-7000-8000-000000000001', 'old')")
    server = launch(storage_url=postgres.url(name))
    kept = server.get("/api/emails/01900000-0000-7000-8000-000000000001")
    assert kept.status_code == 200 and kept.json()["subject"] == "Old"
    assert server.get(kept.url.partition(str(server.port))[2] + "/raw").content == b"old"
    assert server.post(message()).status_code == 200
    # What comes today still belongs to it: an instance of the older version may be running.
    assert partitions_of(query, "messages") == {"messages_before": 2}
    assert query("select max(mailserver_time_of(from_id)) > now() from mailserver_partitions") == [(True,)]


def drop_partitions(query):
    for (suffix,) in query("select suffix from mailserver_partitions"):
        for table in TABLES:
            query(f"drop table {table}_{suffix}")


def test_mail_without_a_partition_is_taken_and_moved_when_there_is_one(launch, postgres, database):
    query, name = database
    server = launch(storage_url=postgres.url(name))
    drop_partitions(query)
    mails = [message() for _ in range(3)]
    stored = [server.post(mail).json() for mail in mails]
    assert partitions_of(query, "messages") == {"messages_default": 3}
    done = migrate(postgres.url(name))
    assert done.returncode == 0, done.stderr
    for table in TABLES:
        [(partition, count)] = partitions_of(query, table).items()
        assert partition != f"{table}_default" and count == 3
    for mail, answer in zip(mails, stored):
        assert server.get(answer["stored_at"] + "/raw").content == mail
        assert server.post(mail).json()["duplicate"] is True


def test_running_server_makes_them_when_told_to_look_again(launch, postgres, database):
    """By itself it looks once in an hour."""
    query, name = database
    server = launch(storage_url=postgres.url(name))
    drop_partitions(query)
    assert server.post(message()).status_code == 200
    server.reload()
    wait_for(lambda: query("select count(*) from mailserver_partitions") == [(4,)], "partitions")
    wait_for(lambda: "messages_default" not in partitions_of(query, "messages"), "the mail to be moved")


def test_many_instances_may_make_them_at_once(postgres, database):
    query, name = database
    running = [subprocess.Popen([BINARY, "migrate"], env={
        "MAIL_STORAGE_URL": postgres.url(name), "MAIL_BEARER_TOKEN": "x" * 32},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(8)]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 8, said
    assert "warning" not in " ".join(said).lower() and "could not" not in " ".join(said), said
    assert query("select count(*), count(distinct from_id) from mailserver_partitions") == [(4, 4)]


def test_server_that_may_not_make_them_takes_mail_all_the_same(launch, postgres, database):
    query, name = database
    assert migrate(postgres.url(name)).returncode == 0
    drop_partitions(query)
    query(f"create role clerk_{name} login")
    query(f"grant select, insert, update, delete on all tables in schema public to clerk_{name}")
    server = launch(storage_url=postgres.url(name).replace("postgres@", f"clerk_{name}@"))
    assert server.post(message()).status_code == 200
    assert partitions_of(query, "messages") == {"messages_default": 1}
    wait_for(lambda: "partitions for the mail to come could not be made" in server.log(), "a warning")


def past_partition(query, suffix, tenant):
    """One of January 2023, with a message of this tenant in it."""
    name, month = suffix, ("mailserver_id_at('2023-01-01')", "mailserver_id_at('2023-02-01')")
    bounds = [query(f"select {bound}::text")[0][0] for bound in month]
    for table in TABLES:
        query(f"create table {table}_{name} (like {table} including all)")
        query(f"alter table {table} attach partition {table}_{name}"
              f" for values from ('{bounds[0]}') to ('{bounds[1]}')")
    query("update messages set tenant = '" + tenant + "', id = '01858000-0000-7000-8000-000000000001'")
    query("update message_raw set id = '01858000-0000-7000-8000-000000000001'")


@pytest.mark.parametrize("tenant,dropped", [("default", True), ("archive", False)])
def test_old_partition_is_dropped_unless_somebody_keeps_it(launch, postgres, database, tenant, dropped):
    query, name = database
    server = launch(storage_url=postgres.url(name))
    server.post(message())
    past_partition(query, "20230101", tenant)
    server.post(message())
    server.settings["retention"] = {"days": 30, "tenants": [{"tenant": "archive", "days": 0}]}
    server.write_settings()
    purge = [BINARY, "purge", "-c", str(server.folder / "mailserver.yaml")]
    said = subprocess.run([*purge, "--dry-run"], capture_output=True, text=True, check=True).stdout
    assert ("would delete 1 message and" in said) is dropped, said
    assert ("would drop 1 partition" in said) is dropped, said
    said = subprocess.run(purge, capture_output=True, text=True, check=True).stdout
    assert ("dropped 1 partition" in said and "deleted 1 message and" in said) is dropped, said
    for table in TABLES:
        assert (query(f"select to_regclass('{table}_20230101') is null") == [(True,)]) is dropped
    assert query("select count(*) from messages") == [(1 if dropped else 2,)]
    assert server.post(message()).status_code == 200


# ---- what is asked ----

FILL = f"""
create temp table seed as select n, overlay(mailserver_id_at(now() - n * interval '1 ms')::text
	placing substr(md5(n::text), 1, 12) from 25)::uuid as id from generate_series(1, {ROWS}) n;
insert into messages select id, 'tenant' || n % 10, now(), 'a@example.org', '{{b@example.com}}', null, null,
	null, null, null, '<' || n || '@example.org>', null, '{{}}', null, 'Row ' || n, null, null,
	'{{}}', '[]', 'text', null, 4, '\\x00', 'ok', '{{}}' from seed;
insert into message_raw select id, 'text' from seed;
insert into message_parts select id, 1, '1', 'text/plain', null, null, null, null, '7bit', 4, '\\x00',
	false, 0, 4 from seed;
insert into message_keys (tenant, digest, id) select 'tenant' || n % 10, sha256(n::text::bytea), id from seed;
"""


def test_no_question_of_the_server_reads_a_whole_table(launch):
    """Postgres itself writes down how it went about each statement."""
    with Postgres(session_preload_libraries="auto_explain", **{
            "auto_explain.log_min_duration": "0", "auto_explain.log_analyze": "on"}) as postgres:
        name = postgres.create_database()
        server = launch(storage_url=postgres.url(name))
        postgres.psql(FILL, database=name)
        for table in (*TABLES, "message_keys"):
            postgres.psql(f"analyze {table}", database=name)
        with open(postgres.log, encoding="utf-8") as file:
            file.seek(0, 2)
            mail = message()
            stored = server.post(mail).json()
            assert server.post(mail).json()["duplicate"] is True
            assert server.get(stored["stored_at"]).json()["subject"] == "Hello"
            assert server.get(stored["stored_at"] + "/raw").content == mail
            assert server.get(stored["stored_at"] + "/parts/1").content == b"It works.\r\n"
            assert server.get("/health/ready").status_code == 200
            plans = wait_for(lambda: (text := file.read()) and text, "plans in the log")
        large = {row[0] for row in postgres.psql(
            f"select relname from pg_class where relkind = 'r' and reltuples > {ROWS / 2}", database=name)}
        assert len(large) == 4, large
        for asked in ("INSERT INTO message_raw", "FROM messages message", "SELECT raw FROM",
                      "FROM message_parts part JOIN", "SELECT substring(raw FROM"):
            assert asked in plans, asked
        assert "Index" in plans
        whole = re.findall(r"(?:Seq Scan|Index Only Scan|Index Scan) .*", plans)
        assert not [line for line in whole
                    if "Seq Scan" in line and "never executed" not in line
                    and any(re.search(rf"\bon {table}\b", line) for table in large)], plans
        # An index that is read from one end to the other is no better.
        for rows in map(int, re.findall(r"actual time=\S+ rows=(\d+)", plans)):
            assert rows < 1000, plans
        server.stop()
