# SPDX-License-Identifier: MIT
"""`mailserver reparse`: what was derived from mail is derived anew from its bytes."""
import re
import signal
import sqlite3
import subprocess
import time

import psycopg2
import pytest

from servers.ledger import check_ledger
from servers.load import Load
from servers.mailserver import BINARY, ROOT, message
from servers.waiting import wait_for

MIGRATIONS = ROOT / "storage"
DERIVED = ("message_id", "in_reply_to", "refs", "date", "subject", "from_address", "from_name", "addresses",
           "headers", "text", "html", "parse_status", "defects", "text_is_derived", "reply_text", "security",
           "auto_submitted", "list_id", "is_bounce", "report", "mailbox_tag", "parser_version")
# What an older parser might have made of everything.
DAMAGE = ("update messages set subject = 'old', text = null, html = 'old', message_id = null, from_name = 'x',"
          " parse_status = 'failed', reply_text = null, security = 'old', list_id = 'old', report = null,"
          " mailbox_tag = null, date = null, parser_version = 0")
DAMAGE_PARTS = ("delete from message_parts where n > 1",
                "update message_parts set filename = 'old', inside = 'old'")

REPLY = message(subject="Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", body=(
    "Yes, at nine.\r\n\r\nOn Mon, 2 Jan 2026, Bob <bob@example.com> wrote:\r\n> When?\r\n"),
    List_Id="The list <The-List.example.org>", Auto_Submitted="auto-replied",
    Date="Mon, 05 Jan 2026 10:00:00 +0000")
BOUNCE = message(subject="Undelivered Mail Returned to Sender", MIME_Version="1.0",
                 Content_Type='multipart/report; report-type=delivery-status; boundary="b"', body=(
                     "--b\r\n\r\nIt was not delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
                     "Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; gone@example.com\r\n"
                     "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no such user\r\n"
                     "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <first@example.org>\r\n"
                     "--b--\r\n"))
UUENCODED = message(subject="A file", MIME_Version="1.0", Content_Transfer_Encoding="quoted-printable", body=(
    "Here it is.\r\n\r\nbegin 644 note.txt\r\n#0V%T\r\n`\r\nend\r\n"))
HTML = message(subject="Only HTML", MIME_Version="1.0", Content_Type="text/html; charset=utf-8",
               body="<p>Hello <b>you</b></p>\r\n")
DAMAGED = message(subject="=?x?z?broken?=", Content_Type="text/plain; charset=no-such", body="\xff\xfe")
MAILS = {"reply": REPLY, "bounce": BOUNCE, "file": UUENCODED, "html": HTML, "damaged": DAMAGED,
         "empty": b"\r\n"}


class Database:
    """Past the server; statements that both databases know."""

    def __init__(self, server):
        self.url, self.is_sqlite = server.storage_url, server.backend == "SQLite"

    def run(self, *statements):
        connection = (sqlite3.connect(self.url.removeprefix("sqlite://"), timeout=30) if self.is_sqlite
                      else psycopg2.connect(self.url))
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows
        finally:
            connection.close()

    def damage(self, where=""):
        self.run(f"{DAMAGE} {where}", *DAMAGE_PARTS)

    def rows(self):
        """Everything that must never change, and everything derived."""
        return (self.run(f"select id, {', '.join(DERIVED)} from messages order by id"),
                self.run("select * from message_parts order by id, n"),
                self.untouched())

    def untouched(self):
        kept = ("id, tenant, received_at, envelope_sender, envelope_recipients, orig_recipient, queue_id,"
                " client_address, client_hostname, client_helo, size, sha256")
        return (self.run(f"select {kept} from messages order by id"),
                self.run("select id, raw from message_raw order by id"),
                self.run("select * from message_keys order by id"))

    def count(self, where):
        return self.run(f"select count(*) from messages where {where}")[0][0]


@pytest.fixture(name="database")
def database_of(server):
    return Database(server)


class Done:
    """One run, to its end; what it says."""

    def __init__(self, server, *arguments, code=0):
        done = subprocess.run([BINARY, "reparse", "-c", str(server.write_settings()), *arguments],
                              capture_output=True, text=True, timeout=120, check=False)
        self.out, self.said = done.stdout, done.stderr
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)

    @property
    def counts(self):
        """Looked at, derived, changed."""
        return tuple(map(int, re.match(r"looked at (\d+) messages?, derived (\d+) anew, (?:changed|would"
                                       r" change) (\d+)\n", self.out).groups()))

    @property
    def lines(self):
        return {name.strip(): int(count) for name, count in re.findall(r"^  (.+?) +(\d+)$", self.out, re.M)}


def send(server, raw, recipient="bob@example.com", sender="alice@example.org"):
    answer = server.post(raw, headers={"X-Original-Sender": sender, "X-Original-Recipient": recipient})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def send_all(server):
    return {name: send(server, raw, "bob+tag@example.com", "<>" if name == "bounce" else "a@example.org")
            for name, raw in MAILS.items()}


def show(server, ids):
    return {name: server.get(f"/api/emails/{id_}").json() for name, id_ in ids.items()}


def test_more_is_shown_than_the_fields_and_the_bodies(server):
    shown = show(server, send_all(server))
    reply, bounce = shown["reply"], shown["bounce"]
    assert reply["reply_text"].strip() == "Yes, at nine." and "> When?" in reply["text"]
    assert reply["auto_submitted"] == "auto-replied" and reply["list_id"] == "the-list.example.org"
    assert not reply["text_is_derived"] and not reply["is_bounce"] and reply["report"] is None
    assert reply["security"] is None and reply["mailbox_tag"] == "tag" and reply["parser_version"] >= 1
    assert bounce["is_bounce"] and bounce["report"]["type"] == "delivery-status"
    assert bounce["report"]["recipients"][0]["status"] == "5.1.1"
    assert shown["html"]["text_is_derived"] and shown["html"]["reply_text"] == "Hello you"
    assert [part.get("inside", "")[:3] for part in shown["file"]["parts"]] == ["", "uu:"]
    assert "inside" not in shown["file"]["parts"][0]
    plain = show(server, {"plain": send(server, message())})["plain"]
    assert plain["mailbox_tag"] is None and plain["reply_text"] == plain["text"].strip()


def test_envelope_counts_for_what_is_a_bounce(server):
    """A notice that is no report, and that the MTA has put no Return-Path into."""
    raw = message(subject="Undeliverable: Hello")
    ids = {"bounce": send(server, raw, sender="<>"), "forwarded": send(server, raw)}
    shown = show(server, ids)
    assert shown["bounce"]["is_bounce"] and not shown["forwarded"]["is_bounce"]


def test_damaged_rows_come_out_as_they_were(server, database):
    ids = send_all(server)
    before, rows = show(server, ids), database.rows()
    database.damage()
    assert show(server, ids) != before
    done = Done(server, "--older-parser")
    assert done.counts == (len(MAILS),) * 3
    assert sum(count for move, count in done.lines.items() if move.startswith("failed -> ")) == len(MAILS)
    assert show(server, ids) == before and database.rows() == rows
    assert Done(server, "--older-parser").counts == (len(MAILS), 0, 0)
    assert Done(server).counts == (len(MAILS), len(MAILS), 0)
    assert database.rows() == rows


def test_what_is_the_same_is_only_given_the_version(server, database):
    send_all(server)
    rows = database.rows()
    database.run("update messages set parser_version = 0")
    assert Done(server, "--older-parser").counts == (len(MAILS), len(MAILS), 0)
    assert database.rows() == rows


def test_dry_run_changes_nothing(server, database):
    send_all(server)
    database.damage()
    rows = database.rows()
    done = Done(server, "--dry-run")
    assert done.counts == (len(MAILS),) * 3 and "would change" in done.out
    assert database.rows() == rows


def test_status_picks_by_what_came_out_before(server, database):
    ids = send_all(server)
    database.run(f"update messages set subject = 'old', parse_status = 'ok' where id = '{ids['html']}'",
                 f"update messages set subject = 'old', parse_status = 'degraded' where id = '{ids['reply']}'",
                 f"update messages set subject = 'old', parse_status = 'failed' where id = '{ids['bounce']}'")
    degraded = database.count("parse_status = 'degraded'")
    assert Done(server, "--status", "degraded,failed").lines["failed -> ok"] == 1
    assert database.run("select id from messages where subject = 'old'") == \
        database.run(f"select id from messages where id = '{ids['html']}'")
    assert degraded > 1 and database.count("parse_status = 'degraded'") == degraded - 1
    assert "\"bad\"" in Done(server, "--status", "bad", code=2).said


def send_in_a_later_second(server, than):
    """The id, and the beginning of the second that it was taken in."""
    wait_for(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > than, "another second")
    id_ = send(server, message())
    return id_, server.get(f"/api/emails/{id_}").json()["received_at"][:19] + "Z"


def test_since_and_until_pick_by_when_it_was_taken_in(server, database):
    first, earlier = send_in_a_later_second(server, "")
    second, moment = send_in_a_later_second(server, earlier)
    third, later = send_in_a_later_second(server, moment)
    database.damage()
    assert Done(server, "--since", moment, "--until", later).counts == (1, 1, 1)
    subjects = {id_: server.get(f"/api/emails/{id_}").json()["subject"] for id_ in (first, second, third)}
    assert subjects == {first: "old", second: "Hello", third: "old"}
    assert "\"never\"" in Done(server, "--since", "never", code=2).said


def test_server_takes_mail_meanwhile(server, database):
    with Load(server.url("/mail/inbound"), large=False, clients=4) as load:
        load.wait_for_more(300)
        before = database.count("parser_version > 0")
        assert before >= 300
        database.damage()
        done = Done(server, "--older-parser")
        load.wait_for_more(20)
    assert set(load.statuses) == {200}, load.statuses
    assert done.counts[2] >= 300 and database.count("parser_version = 0 or subject = 'old'") == 0
    check_ledger(server.storage_url, load)


def test_two_at_once_are_no_trouble(server, database):
    with Load(server.url("/mail/inbound"), large=False, clients=4) as load:
        load.wait_for_more(300)
    rows = database.rows()
    database.damage()
    running = [subprocess.Popen([BINARY, "reparse", "-c", str(server.write_settings())], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert database.rows() == rows


def test_refused_message_is_kept_bare_and_the_rest_goes_on(server, database):
    """The operator's own constraint came after the message."""
    ids = send_all(server)
    before, untouched = show(server, ids), database.untouched()
    database.damage()
    database.run("create trigger refuse before update on messages when new.subject = 'A file'"
                 " begin select raise(abort, 'poison'); end" if database.is_sqlite else
                 "alter table messages add check (subject <> 'A file')")
    done = Done(server)
    assert done.counts == (len(MAILS),) * 3 and done.lines["kept bare"] == 1
    after = show(server, ids)
    bare = after.pop("file")
    before.pop("file")
    assert after == before and database.untouched() == untouched
    assert bare["parse_status"] == "failed" and bare["defects"] == ["storage"] and bare["parts"] == []
    assert bare["headers"] == [] and bare["mailbox_tag"] is None
    assert server.get(f"/api/emails/{ids['file']}/raw").content == UUENCODED


def test_limits_are_those_of_the_configuration(launch, storage_url):
    server = launch(storage_url=storage_url)
    id_ = send(server, message(body="x" * 5000))
    server.settings["limits"] = {"text_bytes": 1024}
    assert Done(server).counts == (1, 1, 1)
    shown = show(server, {"it": id_})["it"]
    assert len(shown["text"]) == 1024 and shown["defects"] == ["limit_text"]


def test_message_over_the_deadline_keeps_what_it_has(launch, storage_url):
    server = launch(storage_url=storage_url, settings={"limits": {"max_message_bytes": 60_000_000}})
    big = message(body="<p>x</p>=20\r\n" * 2_500_000, MIME_Version="1.0", Content_Type="text/html",
                  Content_Transfer_Encoding="quoted-printable")
    ids = {"big": send(server, big), "small": send(server, message())}
    database = Database(server)
    database.run(DAMAGE)
    before = show(server, ids)
    server.settings["limits"]["parse_cpu_ms"] = 10
    done = Done(server)
    after = show(server, ids)
    assert done.lines["over the deadline"] == 1 and done.counts == (2, 2, 1)
    assert after["big"] == before["big"] and after["small"]["subject"] == "Hello"


def test_interrupted_it_says_so_and_the_rest_is_done_the_next_time(server, database):
    with Load(server.url("/mail/inbound"), large=False, clients=4) as load:
        load.wait_for_more(400)
    rows = database.rows()
    database.damage()
    count = database.count("true")
    running = subprocess.Popen([BINARY, "reparse", "-c", str(server.write_settings())], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(lambda: database.count("parser_version > 0") > 0, "a first batch")
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[0]
    left = database.count("parser_version = 0")
    assert running.returncode == (1 if left else 0), said
    assert left == 0 or (left < count and "interrupted; run it again" in said), said
    Done(server, "--older-parser")
    assert database.rows() == rows


def schema_of_before(database, folder, tables):
    """A database as the schema's second version has it, with a row."""
    for path in sorted((MIGRATIONS / folder / "migrations").glob("000[12]_*.sql")):
        for statement in ([path.read_text()] if not database.is_sqlite
                          else re.sub(r"--[^\n]*", "", path.read_text()).split(";")):
            if statement.strip():
                database.run(statement)
        if path.name.startswith("0001"):
            database.run("insert into messages (id, tenant, received_at, envelope_sender, envelope_recipients,"
                         " refs, addresses, headers, size, sha256, parse_status, defects) values"
                         " ('01900000-0000-7000-8000-000000000001', 'default', '2026-01-02T03:04:05.000000Z',"
                         f" '', {tables['list']}, {tables['none']}, '{{}}', '[]', {len(REPLY)}, '00', 'ok',"
                         f" {tables['none']})")
            database.run("insert into message_raw values ('01900000-0000-7000-8000-000000000001',"
                         f" {tables['hex'].format(REPLY.hex())})")
    database.run("create table schema_migrations (number integer primary key, name text not null,"
                 f" applied_at text not null default {tables['now']})")
    database.run("insert into schema_migrations (number, name) values (1, 'a'), (2, 'b')")


def test_mail_of_the_schema_before_gets_the_new_fields(launch, storage_url):
    server = launch(start=False, storage_url=storage_url)
    database = Database(server)
    if database.is_sqlite:
        schema_of_before(database, "sqlite", {
            "list": "'[\"bob+old@example.com\"]'", "none": "'[]'", "hex": "x'{}'", "now": "'now'"})
        database.run("pragma journal_mode = wal")
    else:
        schema_of_before(database, "postgres", {
            "list": "'{bob+old@example.com}'", "none": "'{}'", "hex": "'\\x{}'", "now": "now()"})
    server.start()
    path = "/api/emails/01900000-0000-7000-8000-000000000001"
    old = server.get(path).json()
    assert old["parser_version"] == 0 and old["reply_text"] is None and old["is_bounce"] is False
    assert old["mailbox_tag"] is None and old["report"] is None
    assert send(server, message())
    done = Done(server, "--older-parser")
    assert done.counts == (2, 1, 1)
    new = server.get(path).json()
    assert new["reply_text"].strip() == "Yes, at nine." and new["mailbox_tag"] == "old"
    assert new["parser_version"] >= 1 and new["received_at"] == old["received_at"]


def test_every_partition_has_the_columns_and_their_compression(launch, postgres):
    name = postgres.create_database()
    launch(storage_url=postgres.url(name))
    sql = ("select attname, count(*), count(*) filter (where attcompression = 'l') from pg_attribute"
           " where attrelid in (select relid from pg_partition_tree('messages'))"
           " and attname in ('text', 'reply_text', 'report', 'mailbox_tag') group by 1")
    rows = {column: (count, lz4) for column, count, lz4 in postgres.psql(sql, database=name)}
    count = rows["mailbox_tag"][0]
    assert count > 4 and rows["mailbox_tag"][1] == 0
    assert rows["text"] == rows["reply_text"] == rows["report"] == (count, count)


def test_usage_and_help(server):
    assert "usage: mailserver reparse" in Done(server, "--help").out
    assert "usage: mailserver reparse" in Done(server, "--no-such", code=2).said
    assert "not expected here" in Done(server, "more", code=2).said
    assert "no such" in Done(server, "-c", "/no/such.yaml", code=1).said.lower()
