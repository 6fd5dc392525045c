# SPDX-License-Identifier: MIT
"""One message that the database refuses, in one commit with others: it alone is harmed."""
import contextlib
import sqlite3
import threading

import psycopg2
import pytest

from servers import faults
from servers.ledger import Rows, check_rows
from servers.load import HEADERS, attempt, connect
from servers.mailserver import message
from servers.metrics import value
from servers.waiting import wait_for

GOOD = 30
ROUNDS = faults.times(1, 20)
POISONED = {**HEADERS, "X-Original-Sender": "poison@example.org"}

# What the operator has added of his own: it refuses the envelope, or the subject alone.
POSTGRES_TRIGGER = """
create function refuse() returns trigger language plpgsql as $$ begin
	if {condition} then raise exception 'poison' using errcode = '{sqlstate}'; end if;
	return new; end $$;
create {constraint} trigger refuse {moment} insert on messages {deferred}
	for each row execute function refuse()"""
SQLITE_TRIGGER = """
create trigger refuse before insert on messages when {condition}
begin select raise(abort, 'poison'); end"""
OF_ENVELOPE = "new.envelope_sender = 'poison@example.org'"
OF_SUBJECT = "new.subject = 'poison'"
AT_ONCE = {"constraint": "", "moment": "before", "deferred": "", "sqlstate": "P0001"}
AT_THE_COMMIT = {"constraint": "constraint", "moment": "after",
                 "deferred": "deferrable initially deferred", "sqlstate": "23514"}
# SQLite has no triggers that wait for the commit.
DATABASES_AND_MOMENTS = pytest.mark.parametrize(
    "storage_url,how",
    [("sqlite", {}), ("postgres", AT_ONCE), ("postgres", AT_THE_COMMIT)],
    indirect=["storage_url"], ids=["sqlite", "postgres_at_once", "postgres_at_the_commit"])


class Database:
    """With ways past the server; statements that both databases know."""

    def __init__(self, server):
        self.url = server.storage_url
        self.is_sqlite = server.backend == "SQLite"

    @contextlib.contextmanager
    def opened(self):
        if self.is_sqlite:
            connection = sqlite3.connect(self.url.removeprefix("sqlite://"), timeout=30)
        else:
            connection = psycopg2.connect(self.url)
        try:
            yield connection.cursor()
            connection.commit()
        finally:
            connection.close()

    def refuse(self, condition, how):
        with self.opened() as cursor:
            template = SQLITE_TRIGGER if self.is_sqlite else POSTGRES_TRIGGER
            cursor.execute(template.format(condition=condition, **how))

    @contextlib.contextmanager
    def locked(self):
        with self.opened() as cursor:
            cursor.execute("begin immediate" if self.is_sqlite
                           else "lock table messages in access exclusive mode")
            yield

    def row(self, id_):
        with self.opened() as cursor:
            cursor.execute("select subject, parse_status, defects from messages"
                           f" where cast(id as text) = '{id_}'")
            return cursor.fetchone()


@pytest.fixture
def server(launch, storage_url):
    """With one queue and one link: who comes while that is busy is in the next commit."""
    return launch(storage_url=storage_url,
                  settings={"workers": 1, "storage": {"connections": 1, "batch_messages": 64}})


def send_together(server, database, mails):
    """The answers to pairs of bytes and headers that are all in the same batch, the next one after
    a first that is stuck."""
    answers = {}

    def send(i, raw, headers):
        connection = connect(server.url("/"))
        answers[i] = attempt(connection, raw, headers, whole=True)
        connection.close()

    def start(i, raw, headers):
        thread = threading.Thread(target=send, args=(i, raw, headers))
        thread.start()
        return thread

    def queued(count):
        wait_for(lambda: value(server, "storage_queue_depth") == count, f"{count} in the queue")

    with database.locked():
        threads = [start("first", message(), HEADERS)]
        queued(1)
        threads += [start(i, *mail) for i, mail in enumerate(mails)]
        queued(1 + len(mails))
    for thread in threads:
        thread.join()
    assert answers.pop("first").status == 200
    return [answers[i] for i in range(len(mails))]


def send_with(server, database, poison, headers):
    """The answer to the poison; the good ones around it must be kept."""
    mails = [(message(), HEADERS) for _ in range(GOOD)]
    mails.insert(GOOD // 2, (poison, headers))
    answers = send_together(server, database, mails)
    told = answers.pop(GOOD // 2)
    assert [(a.status, a.duplicate) for a in answers] == [(200, False)] * GOOD, answers
    assert {a.id for a in answers} <= set(Rows(server.storage_url).messages)
    return told


def check_answer(server, answer):
    """It says what a reader is told, and the log and the metrics do."""
    told, read = answer.told, server.get(f"/api/emails/{answer.id}").json()
    assert (read["parse_status"], read["message_id"]) == ("failed", None), read
    assert read["defects"][-1] == "storage", read
    same = {"id": "id", "size": "size", "sha256": "sha256", "parse_status": "parse_status",
            "defects": "defects", "rfc_message_id": "message_id"}
    assert {name: told[name] for name in same} == {name: read[of] for name, of in same.items()}
    line, = [e for e in server.events("request") if e.get("id") == answer.id]
    assert line["parse_status"] == "failed", line


def statuses(server):
    return {status: value(server, "email_parse_status_total", status=status) or 0
            for status in ("ok", "degraded", "failed")}


@DATABASES_AND_MOMENTS
def test_message_that_is_refused_in_any_form_waits_alone(server, how):
    name = f"{server.backend}: poison in a batch"
    database = Database(server)
    database.refuse(OF_ENVELOPE, how)
    for _ in range(ROUNDS):
        told = send_with(server, database, message(), POISONED)
        assert told.status == 503 and told.said == "", told
        faults.injected(name)
    rows = Rows(server.storage_url)
    check_rows(rows)
    assert len(rows.messages) == (GOOD + 1) * ROUNDS
    faults.survived(name, messages=len(rows.messages), refused=ROUNDS)


@DATABASES_AND_MOMENTS
def test_message_whose_derived_columns_are_refused_is_kept_without_them(server, how):
    name = f"{server.backend}: poison in the derived columns, in a batch"
    database = Database(server)
    database.refuse(OF_SUBJECT, how)
    for _ in range(ROUNDS):
        poison = message(subject="poison")
        told = send_with(server, database, poison, HEADERS)
        assert (told.status, told.duplicate) == (200, False), told
        subject, status, defects = database.row(told.id)
        assert (subject, status) == (None, "failed") and "storage" in defects
        check_answer(server, told)
        assert server.get(f"/api/emails/{told.id}/raw").content == poison
        faults.injected(name)
    rows = Rows(server.storage_url)
    assert len(rows.messages) == len(rows.raw) == len(rows.keys) == (GOOD + 2) * ROUNDS
    assert statuses(server) == {"ok": (GOOD + 1) * ROUNDS, "degraded": 0, "failed": ROUNDS}
    faults.survived(name, messages=len(rows.messages))
