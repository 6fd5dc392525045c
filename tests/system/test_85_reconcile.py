# SPDX-License-Identifier: MIT
"""`mailserver reconcile`: what an MTA's log says was handed over, against what the database holds."""
import datetime
import gzip
import itertools
import json
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import uuid

import pytest

from servers.deliver import environment
from servers.mailserver import BINARY, ROOT, message

RELEASE = os.environ.get("MAILSERVER_RELEASE", str(ROOT / "build/release/bin/mailserver"))
UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
R = "r@example.com"
numbers = itertools.count(1)


def now():
    return datetime.datetime.now(UTC)


def queue_id():
    return f"4Fx{next(numbers):07d}zK"


def exim_id():
    return f"1r6Abc-{next(numbers):06d}-1A"


class Postfix:
    """Lines of its log, in the order of the calls; each a second later than the one before."""

    def __init__(self, at=None, until=None):
        self.at = at or now() - HOUR
        self.until = until or now() + HOUR
        self.lines = [self.frame("qmgr", "A0: removed")]

    def frame(self, program, text, at=None):
        self.at += SECOND
        return f"{(at or self.at).isoformat()} mx postfix/{program}[4711]: {text}"

    def delivery(self, queue, to, status, relay="mailserver", orig_to=None, at=None):
        orig = f", orig_to=<{orig_to}>" if orig_to else ""
        self.lines.append(self.frame(
            "pipe", f"{queue}: to=<{to}>{orig}, relay={relay}, delay=0.2, delays=0/0/0/0.2,"
                    f" dsn=2.0.0, status={status}", at))

    def sent(self, queue, to=R, said=None, **more):
        said = f" ({said})" if said else ""
        relay = more.get("relay", "mailserver")
        self.delivery(queue, to, f"sent (delivered via {relay} service{said})", **more)

    def sent_as(self, queue, identity, to=R, **more):
        self.sent(queue, to, f"2.0.0 id={identity}", **more)

    def deferred(self, queue, to=R, **more):
        self.delivery(queue, to, "deferred (temporary failure)", **more)

    def bounced(self, queue, to=R, **more):
        self.delivery(queue, to, "bounced (data format error)", **more)

    def expired(self, queue):
        self.lines.append(self.frame("qmgr", f"{queue}: from=<s@example.org>, status=expired,"
                                             " returned to sender"))

    def text(self):
        return "\n".join([*self.lines, self.frame("qmgr", "A0: removed", self.until)]) + "\n"

    def write(self, path):
        path.write_text(self.text())
        return path


class Exim(Postfix):
    """The same of its main log; local time."""

    def frame(self, program, text, at=None):
        self.at += SECOND
        return f"{(at or self.at).astimezone():%Y-%m-%d %H:%M:%S} {text}"

    def line(self, queue, text, at=None):
        self.lines.append(self.frame("", f"{queue} {text}", at))

    def sent(self, queue, to=R, flag="=>", relay="mailserver", at=None):
        self.line(queue, f"{flag} {to} R=router T={relay} S=4711", at)


@pytest.fixture(name="sql")
def sql_of(request, storage_url):
    """Runs one statement on the database of a server."""
    def run(server, statement):
        if storage_url is None:
            with sqlite3.connect(server.database, timeout=30) as connection:
                connection.execute(statement)
        else:
            postgres = request.getfixturevalue("postgres")
            postgres.psql(statement, database=storage_url.rpartition("/")[2])
    return run


def take_in(server, queue=None, to=R, body=None, **more):
    """What the server has taken in; its id."""
    headers = {"X-Original-Sender": "s@example.org", "X-Original-Queue-Id": queue,
               "X-Original-Recipient": to, **more}
    answer = server.post(body or message(), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


class Done:
    """One run, as an operator sees it."""

    def __init__(self, server, *arguments, stdin=None, env=None, expect=None, preexec=None,
                 binary=BINARY):
        done = subprocess.run(
            [binary, "reconcile", "-c", str(server.folder / "mailserver.yaml"), *map(str, arguments)],
            capture_output=True, timeout=300, check=False, input=stdin, preexec_fn=preexec,
            env=environment(token=None, **(env or {})))
        self.code, self.said = done.returncode, done.stderr.decode()
        self.lines = done.stdout.decode().splitlines()
        assert "Sanitizer" not in self.said and "runtime error" not in self.said, self.said
        if expect is not None:
            assert self.code == expect, (self.lines, self.said)

    def words(self):
        return [line.split()[0] for line in self.lines]

    def line(self, queue):
        found = [line for line in self.lines if f" queue={queue} " in line]
        assert len(found) == 1, self.lines
        return found[0]


def check(server, log, tmp_path, *arguments, **more):
    return Done(server, "--maillog", log.write(tmp_path / "mail.log"), *arguments, **more)


# ---- one kind of finding after the other, in Postfix's log ----

def test_nothing_is_said_when_all_is_there(server, tmp_path):
    log = Postfix()
    for _ in range(3):
        queue = queue_id()
        log.sent_as(queue, take_in(server, queue))
    done = check(server, log, tmp_path, expect=0)
    assert done.lines == []
    assert "5 lines, 3 deliveries, from " in done.said
    assert ": 3 in the database, 0 missing, 0 spooled, 0 deleted, 0 unlogged, 0 pending" in done.said
    assert "warning" not in done.said


def test_what_was_handed_over_and_is_not_there_is_missing(server, tmp_path):
    log, kept, lost, no_id = Postfix(), queue_id(), queue_id(), queue_id()
    log.sent_as(kept, take_in(server, kept))
    at, identity = log.at + SECOND, uuid.uuid4()
    log.sent_as(lost, identity, to='"a b"@example.com')
    log.sent(no_id)
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["missing", "missing"]
    assert done.line(lost) == (f"missing  {at:%Y-%m-%dT%H:%M:%SZ} queue={lost} id={identity}"
                               ' to="a b"@example.com')
    assert done.line(no_id).endswith(f" queue={no_id} to={R}")
    assert "1 in the database, 2 missing" in done.said


def test_what_is_there_and_was_not_handed_over_is_unlogged(server, tmp_path):
    log, kept, extra = Postfix(), queue_id(), queue_id()
    log.sent_as(kept, take_in(server, kept))
    identity = take_in(server, extra, to="a@example.com,b@example.com")
    take_in(server)  # not from an MTA: no queue id
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["unlogged"]
    assert done.line(extra).endswith(f" queue={extra} id={identity} to=a@example.com,b@example.com")


def test_what_the_mta_gave_up_and_is_there_is_unlogged(server, tmp_path):
    log, bounced, expired = Postfix(), queue_id(), queue_id()
    for queue in (bounced, expired):
        take_in(server, queue)
        log.deferred(queue)
    log.bounced(bounced)
    log.expired(expired)
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["unlogged", "unlogged"]
    assert " log=bounced to=" in done.line(bounced) and " log=bounced to=" in done.line(expired)


@pytest.mark.parametrize("relay", ["mailserver", "none"])
def test_what_is_there_and_was_deferred_is_pending_and_no_error(server, tmp_path, relay):
    log, queue, refused = Postfix(), queue_id(), queue_id()
    take_in(server, queue)
    log.deferred(queue, relay=relay)
    log.deferred(refused)  # and is not there
    done = check(server, log, tmp_path, expect=0)
    assert done.words() == ["pending"]
    assert " log=deferred to=" in done.line(queue)


def test_second_copy_is_unlogged_once_the_first_was_handed_over(server, tmp_path):
    log, queue = Postfix(), queue_id()
    first, second = take_in(server, queue), take_in(server, queue)
    log.deferred(queue)
    log.sent_as(queue, second)
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["unlogged"] and f" id={first} " in done.lines[0]


def test_retry_whose_first_answer_was_lost_is_found(server, tmp_path, sql):
    log, with_id, without = Postfix(), queue_id(), queue_id()
    for queue in (with_id, without):  # taken in two days before the log begins
        old = f"{int((now() - 2 * DAY).timestamp() * 1000):012x}"
        old = f"{old[:8]}-{old[8:]}-7000-8000-{next(numbers):012d}"
        sql(server, f"update messages set id = '{old}' where id = '{take_in(server, queue)}'")
        log.deferred(queue)
        if queue == with_id:
            log.sent_as(queue, old)
        else:
            log.sent(queue)
    assert check(server, log, tmp_path, expect=0).lines == []


def test_spooled_is_said_until_it_is_flushed(server, tmp_path):
    log, queue = Postfix(until=now() - HOUR / 2), queue_id()
    log.sent(queue, said="2.0.0 spooled=1795.a7.msg")
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["spooled"]
    assert done.line(queue).endswith(f" queue={queue} file=1795.a7.msg to={R}")
    take_in(server, queue)  # long after the log's end
    assert check(server, log, tmp_path, expect=0).lines == []


def test_what_was_deleted_since_is_no_error(server, tmp_path, sql):
    log, queue, forgotten = Postfix(), queue_id(), queue_id()
    for each in (queue, forgotten):
        identity = take_in(server, each)
        log.sent_as(each, identity)
        sql(server, f"delete from messages where id = '{identity}'")
    sql(server, f"delete from message_keys where id = '{identity}'")
    done = check(server, log, tmp_path, expect=1)
    assert sorted(done.words()) == ["deleted", "missing"]
    assert done.line(queue).startswith("deleted") and done.line(forgotten).startswith("missing")


def test_other_transports_are_others_business(server, tmp_path):
    log, ours = Postfix(), queue_id()
    log.sent(queue_id(), relay="dovecot")
    log.sent_as(ours, take_in(server, ours), relay="mailserver-slow")
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["unlogged"]
    assert "warning: the log has no delivery by this transport" in done.said
    done = check(server, log, tmp_path, "--transport", "mailserver-slow", expect=0)
    assert done.lines == [] and "1 delivery," in done.said
    done = check(server, log, tmp_path, "--transport=mailserver-slow", "--transport=dovecot", expect=1)
    assert done.words() == ["missing"]


# ---- recipients ----

def test_recipients_of_one_call_are_one_message(server, tmp_path):
    log, queue, to = Postfix(), queue_id(), [f"r{n}@example.com" for n in range(20)]
    identity = take_in(server, queue, to=",".join(to))
    for each in to:
        log.sent_as(queue, identity, to=each)
    done = check(server, log, tmp_path, expect=0)
    assert "20 deliveries" in done.said and done.lines == []


def test_recipient_of_a_lost_call_is_missing_whatever_became_of_the_others(server, tmp_path):
    log, queue = Postfix(), queue_id()
    for to in ("a@example.com", "b@example.com", "c@example.com"):
        if to != "b@example.com":
            take_in(server, queue, to=to)
        log.sent(queue, to=to)
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["missing"] and done.lines[0].endswith("to=b@example.com")


def test_recipient_that_was_lost_is_not_taken_for_one_that_was_deferred(server, tmp_path):
    log, queue = Postfix(), queue_id()
    log.sent(queue, to="a@example.com")
    take_in(server, queue, to="b@example.com")
    log.deferred(queue, to="b@example.com")
    done = check(server, log, tmp_path, expect=1)
    assert sorted(done.words()) == ["missing", "pending"]
    assert [line for line in done.lines if line.endswith("to=a@example.com")][0].startswith("missing")


@pytest.mark.parametrize("logged,orig,stored", [
    ("R@Example.COM", None, R),
    ("a b@example.com", None, '"a b"@example.com'),
    ("user@internal.example", "alias@example.com", "alias@example.com"),
])
def test_addresses_may_be_written_otherwise(server, tmp_path, logged, orig, stored):
    log, queue = Postfix(), queue_id()
    log.sent(queue, to="lost@example.com")
    take_in(server, queue, to=stored)
    log.sent(queue, to=logged, orig_to=orig)
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["missing"] and done.lines[0].endswith(" to=lost@example.com")


def test_as_many_as_both_sides_have_are_the_same_though_rewritten(server, tmp_path):
    log, queue = Postfix(), queue_id()
    log.sent(queue, to="rewritten@internal.example")
    log.sent(queue, to="anew@internal.example")
    take_in(server, queue, to="a@example.com")
    assert check(server, log, tmp_path, expect=1).words() == ["missing"]
    take_in(server, queue, to="b@example.com")
    assert check(server, log, tmp_path, expect=0).lines == []


def test_original_recipient_counts(server, tmp_path):
    log, queue = Postfix(), queue_id()
    log.sent(queue, to="lost@example.com")
    take_in(server, queue, to="x@example.com", **{"X-Original-Orig-Recipient": "alias@example.com"})
    log.sent(queue, to="y@example.com", orig_to="alias@example.com")
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["missing"] and done.lines[0].endswith(" to=lost@example.com")


# ---- Exim ----

def test_exims_log_is_understood(server, tmp_path):
    log = Exim()
    kept, several, lost, pending, output = (exim_id() for _ in range(5))
    take_in(server, kept, to="bob@example.com")
    log.sent(kept, to="bob <bob@example.com>")
    take_in(server, several, to="a@example.com,b@example.com")
    log.sent(several, to="a@example.com")
    log.sent(several, to="b@example.com", flag="->")
    log.line(lost, "<= s@example.org H=(x) [192.0.2.1] P=esmtp S=4711")
    log.sent(lost)
    log.line(lost, "Completed")
    take_in(server, pending)
    log.line(pending, f"== {R} R=router T=mailserver defer (0): Child process returned 75")
    identity = uuid.uuid4()
    log.line(output, f"<{R}>: mailserver transport output: 2.0.0 id={identity}")
    log.sent(output)
    done = check(server, log, tmp_path, expect=1)
    assert sorted(done.words()) == ["missing", "missing", "pending"]
    assert done.line(lost).startswith("missing") and done.line(pending).startswith("pending")
    assert f" id={identity} " in done.line(output)
    assert "5 deliveries" in done.said


def test_what_exims_transport_prints_counts_for_all_of_a_call(server, tmp_path):
    log, queue, other = Exim(), exim_id(), exim_id()
    first, second = uuid.uuid4(), uuid.uuid4()
    for identity, names in ((first, "abc"), (second, "de")):
        log.line(queue, f"<{names[0]}@example.com>: mailserver transport output: 2.0.0 id={identity}")
        log.sent(queue, to=f"{names[0]} <{names[0]}@example.com>")
        log.sent(other)
        for name in names[1:]:
            log.sent(queue, to=f"{name} <{name}@example.com>", flag="->")
    log.line(queue, "<f@example.com>: mailserver transport output: 2.0.0 spooled=1795.a7.msg")
    log.sent(queue, to="f <f@example.com>")
    log.sent(queue, to="g <g@example.com>", flag="->")
    take_in(server, other)
    done = check(server, log, tmp_path, expect=1)
    assert [line.split()[3:] for line in done.lines] == [
        *([f"id={first}", f"to={name}", f"<{name}@example.com>"] for name in "abc"),
        *([f"id={second}", f"to={name}", f"<{name}@example.com>"] for name in "de"),
        *(["file=1795.a7.msg", f"to={name}", f"<{name}@example.com>"] for name in "fg")]
    assert done.words() == ["missing"] * 5 + ["spooled"] * 2


def test_exims_local_parts_may_have_spaces(server, tmp_path):
    log, queue = Exim(), exim_id()
    log.sent(queue, to="lost <lost@example.com>")
    log.sent(queue, to='a b <"a b"@example.com>', flag="->")
    take_in(server, queue, to='"a b"@example.com')
    assert check(server, log, tmp_path, expect=1).lines[0].endswith(" to=lost <lost@example.com>")


def test_exims_deferral_and_later_delivery_are_one(server, tmp_path):
    log, queue = Exim(), exim_id()
    log.line(queue, "== bob@example.com R=router T=mailserver defer (0): later")
    take_in(server, queue, to="bob@example.com")
    log.sent(queue, to="bob <bob@example.com>")
    assert check(server, log, tmp_path, expect=0).lines == []


def test_exims_alias_is_found_by_its_local_part(server, tmp_path):
    log, queue = Exim(), exim_id()
    take_in(server, queue, to="bob@example.com")
    take_in(server, queue, to="carol@example.com")
    log.sent(queue, to="bob <staff@example.com>")
    log.sent(queue, to="dave <staff@example.com>")
    log.line(queue, "== carol@example.com <staff@example.com> R=r T=mailserver defer (0): later")
    done = check(server, log, tmp_path, expect=1)
    assert sorted(done.words()) == ["missing", "pending"]
    assert " to=dave" in [line for line in done.lines if line.startswith("missing")][0]


# ---- the period ----

@pytest.mark.parametrize("before,after", [(10 * SECOND, HOUR), (HOUR, 10 * SECOND)])
def test_edges_of_the_log_are_not_judged(server, tmp_path, before, after):
    log = Postfix(at=now() - before, until=now() + after)
    take_in(server, queue_id())
    assert check(server, log, tmp_path, expect=0).lines == []
    assert check(server, log, tmp_path, "--tolerance", 1, expect=1).words() == ["unlogged"]


def test_what_is_older_than_the_log_is_not_judged(server, tmp_path):
    take_in(server, queue_id())
    log = Postfix(at=now() - 2 * HOUR, until=now() - HOUR)
    assert check(server, log, tmp_path, "--tolerance", 1, expect=0).lines == []


def test_days_without_a_log_are_not_judged(server, tmp_path):
    take_in(server, queue_id())
    before = Postfix(at=now() - 3 * DAY, until=now() - 2 * DAY).write(tmp_path / "mail.log.2")
    after = Postfix(at=now() + 2 * DAY, until=now() + 3 * DAY).write(tmp_path / "mail.log")
    assert Done(server, "--maillog", before, after, expect=0).lines == []
    both = before.read_text() + after.read_text()
    assert Done(server, "--maillog", "-", stdin=both.encode(), expect=0).lines == []
    today = Postfix(at=now() - 2 * DAY, until=now() + 2 * DAY)
    for _ in range(3):  # hours, not days, between its lines
        today.at += DAY * 0.9
        today.sent_as(queue_id(), uuid.uuid4())
    done = check(server, today, tmp_path, expect=1)
    assert sorted(done.words()) == ["missing"] * 3 + ["unlogged"]


def test_since_and_until_bound_what_is_reported(server, tmp_path):
    log, early, late, unlogged = Postfix(at=now() - 3 * DAY), queue_id(), queue_id(), queue_id()
    log.sent(early)
    log.at = now() - HOUR
    log.sent(late)
    take_in(server, unlogged)
    day = f"{now() - DAY:%Y-%m-%dT%H:%M:%SZ}"
    done = check(server, log, tmp_path, expect=1)
    assert done.words() == ["missing", "missing", "unlogged"]
    done = check(server, log, tmp_path, "--since", day, expect=1)
    assert done.words() == ["missing", "unlogged"] and done.line(late) and done.line(unlogged)
    done = check(server, log, tmp_path, "--until", day, expect=1)
    assert done.words() == ["missing"] and done.line(early)
    done = check(server, log, tmp_path, "--since", day, "--until", day, expect=0)
    assert done.lines == []


def test_order_is_that_of_time(server, tmp_path):
    log = Postfix()
    times = [now() - minutes * SECOND * 60 for minutes in (5, 50, 20, 40)]
    for at in times:
        log.sent_as(queue_id(), uuid.uuid4(), at=at)
    done = check(server, log, tmp_path, expect=1)
    assert [line.split()[1] for line in done.lines] == [
        f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in sorted(times)]


# ---- tenants ----

def test_tenant_bounds_what_is_unlogged(server, tmp_path, sql):
    log, ours, theirs = Postfix(), queue_id(), queue_id()
    log.sent_as(ours, take_in(server, ours))
    identity = take_in(server, theirs)
    sql(server, f"update messages set tenant = 'theirs' where id = '{identity}'")
    assert check(server, log, tmp_path, expect=1).words() == ["unlogged"]
    assert check(server, log, tmp_path, "--tenant", "default", expect=0).lines == []


# ---- files ----

def test_rotated_and_compressed_logs_are_one_in_any_order(server, tmp_path):
    start, whole = now() - 3 * HOUR, []
    deliveries = [queue_id() for _ in range(40)]
    for part in range(4):
        log = Postfix(at=start + part * HOUR, until=start + (part + 1) * HOUR - SECOND)
        for queue in deliveries[part::4]:
            log.sent_as(queue, take_in(server, queue))
        whole.append(log.text().encode())
    extra = queue_id()
    take_in(server, extra)
    (tmp_path / "mail.log").write_bytes(whole[3])
    (tmp_path / "mail.log.1").write_bytes(whole[2])
    (tmp_path / "mail.log.2.gz").write_bytes(gzip.compress(whole[1]))
    (tmp_path / "mail.log.3.gz").write_bytes(gzip.compress(whole[0][:999]) + gzip.compress(whole[0][999:]))
    files = sorted(tmp_path.glob("mail.log*"))
    for order in (files, files[::-1]):
        done = Done(server, "--maillog", *order, expect=1)
        assert done.words() == ["unlogged"] and "40 deliveries" in done.said
    done = Done(server, *itertools.chain(*(("--maillog", file) for file in files)), expect=1)
    assert done.words() == ["unlogged"]


def test_line_in_two_files_counts_once(server, tmp_path):
    log = Postfix()
    log.sent(queue_id())
    log.sent_as(queue_id(), uuid.uuid4())
    file = log.write(tmp_path / "mail.log")
    assert Done(server, "--maillog", file, file, expect=1).words() == ["missing", "missing"]


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_standard_input_is_read(server, tmp_path, pack):
    log, queue = Postfix(), queue_id()
    log.sent(queue)
    done = Done(server, "--maillog", "-", stdin=pack(log.text().encode()), expect=1)
    assert done.line(queue).startswith("missing")


def test_dates_without_a_year_are_of_the_files_time(sqlite_server, tmp_path):
    """A log of last year's end, that was last written to in this one."""
    path = tmp_path / "mail.log"
    path.write_text("Dec 31 23:50:00 mx postfix/pipe[1]: 4FxYz12abczK: to=<r@example.com>, "
                    "relay=mailserver, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (x)\n"
                    "Jan  1 00:05:00 mx postfix/qmgr[1]: 4FxYz12abczK: removed\n")
    written = datetime.datetime(2024, 1, 1, 0, 6, tzinfo=UTC).timestamp()
    os.utime(path, (written, written))
    done = Done(sqlite_server, "--maillog", path, env={"TZ": "UTC"}, expect=1)
    assert done.lines[0].startswith("missing  2023-12-31T23:50:00Z ")
    assert "from 2023-12-31T23:50:00Z to 2024-01-01T00:05:00Z" in done.said
    done = Done(sqlite_server, "--maillog", path, env={"TZ": "America/New_York"}, expect=1)
    assert done.lines[0].startswith("missing  2024-01-01T04:50:00Z ")


def test_junk_in_a_log_is_passed_over(sqlite_server, tmp_path):
    log, queue = Postfix(), queue_id()
    log.sent(queue)
    junk = [b"\0" * 5000, b"x" * 1_000_000, b"\xff\xfe", b"", b"Nov 99 99:99:99 mx x: y"]
    data = b"\n".join([*junk, log.text().encode(), *junk])
    done = Done(sqlite_server, "--maillog", "-", stdin=data, expect=1)
    assert done.line(queue) and "14 lines (11 without a date)" in done.said


# ---- when it cannot be done ----

def failure(server, *arguments, **more):
    done = Done(server, *arguments, expect=1, **more)
    assert done.lines == [] and "nothing was compared to the end" in done.said
    return done.said


def test_log_that_cannot_be_read_is_said(sqlite_server, tmp_path):
    good = Postfix().write(tmp_path / "good.log")
    assert "cannot read /no/such: No such file" in failure(sqlite_server, "--maillog", good, "/no/such")
    assert "Is a directory" in failure(sqlite_server, "--maillog", tmp_path)
    packed = gzip.compress(os.urandom(100_000))
    (tmp_path / "cut.gz").write_bytes(packed[:-50_000])
    assert "its end is missing" in failure(sqlite_server, "--maillog", tmp_path / "cut.gz")
    (tmp_path / "bad.gz").write_bytes(packed[:20] + bytes(50_000) + packed[50_020:])
    assert "cannot read" in failure(sqlite_server, "--maillog", tmp_path / "bad.gz")
    (tmp_path / "mail.log.xz").write_bytes(b"\xfd7zXZ\0\0\4")
    assert "xz -dc" in failure(sqlite_server, "--maillog", tmp_path / "mail.log.xz")


def test_log_without_anything_in_it_is_warned_of(sqlite_server, tmp_path):
    path = tmp_path / "mail.log"
    for text, warning in (("", "no line begins with a date"), ("a\nb\n", "no line begins with a date"),
                          (Postfix().text(), "no delivery by this transport")):
        path.write_text(text)
        assert warning in Done(sqlite_server, "--maillog", path, expect=0).said


def test_database_that_cannot_be_read_is_said(server, tmp_path):
    log = Postfix()
    log.sent(queue_id())
    path = log.write(tmp_path / "mail.log")
    server.stop()
    gone = str(tmp_path / "gone.db")
    server.settings["storage"]["url"] = (
        f"sqlite://{gone}" if server.backend == "SQLite" else "postgresql://nobody@127.0.0.1:1/gone")
    server.write_settings()
    said = failure(server, "--maillog", path)
    assert "gone.db" in said or "no connection to the database" in said


def test_full_disk_of_its_own_is_said(sqlite_server, tmp_path):
    """Files may grow to a megabyte: its temporary database cannot hold this log."""
    log = Postfix()
    line = log.frame("pipe", "%s: to=<r@example.com>, relay=mailserver, delay=1, delays=0/0/0/1,"
                             " dsn=2.0.0, status=sent (x)")
    data = "".join(line % f"4Fx{n:012d}zK" + "\n" for n in range(200_000)).encode()

    def bound():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    path = tmp_path / "mail.log"
    path.write_bytes(data)
    said = failure(sqlite_server, "--maillog", path, preexec=bound)
    assert "the temporary database" in said


def test_output_that_cannot_be_written_is_said(sqlite_server, tmp_path):
    log = Postfix()
    log.sent(queue_id())
    path = log.write(tmp_path / "mail.log")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "reconcile", "-c", sqlite_server.folder / "mailserver.yaml",
                               "--maillog", path], stdout=full, stderr=subprocess.PIPE, timeout=60,
                              check=False)
    assert done.returncode == 1 and b"standard output cannot be written to" in done.stderr


@pytest.mark.parametrize("arguments", [
    [], ["--maillog"], ["mail.log"], ["--maillog", "-", "--since", "yesterday"],
    ["--maillog", "-", "--until", "2026-02-30"], ["--maillog", "-", "--tolerance", "-1"],
    ["--maillog", "-", "--tolerance", "x"], ["--maillog", "-", "--frobnicate"],
    ["--maillog", "-", "--transport", ""],
])
def test_wrong_usage_is_exit_2(sqlite_server, arguments):
    done = Done(sqlite_server, *arguments, stdin=b"", expect=2)
    assert "usage: mailserver reconcile" in done.said and done.lines == []


def test_wrong_configuration_is_exit_1(sqlite_server, tmp_path):
    done = subprocess.run([BINARY, "reconcile", "-c", "/no/such.yaml", "--maillog", "-"], input=b"",
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"/no/such.yaml" in done.stderr


# ---- output ----

def test_json_has_the_same_to_say(server, tmp_path):
    log, lost, pending = Postfix(), queue_id(), queue_id()
    identity = str(uuid.uuid4())
    log.sent_as(lost, identity)
    to = [f"r{n}@example.com" for n in range(13)]
    taken = take_in(server, pending, to=",".join(to))
    log.deferred(pending)
    done = check(server, log, tmp_path, "--json", expect=1)
    missing, waiting = (json.loads(line) for line in done.lines)
    assert missing.pop("time").endswith("Z") and waiting.pop("time").endswith("Z")
    assert missing == {"what": "missing", "queue_id": lost, "id": identity, "spooled": None,
                       "log": None, "to": R, "more": 0}
    assert waiting == {"what": "pending", "queue_id": pending, "id": taken, "spooled": None,
                       "log": "deferred", "to": ",".join(to[:10]), "more": 3}


def test_addresses_cannot_play_with_the_terminal(server, tmp_path):
    log, queue = Postfix(), queue_id()
    mail = {"sender": "s@example.org", "recipient": "x\x1b]0;y\x07\x9b1mü@example.com", "body": "Hi"}
    assert server.post_json(mail, headers={"X-Original-Queue-Id": queue}).status_code == 200
    done = check(server, log, tmp_path, expect=1)
    assert done.line(queue).endswith(" to=x?]0;y??1mü@example.com")


# ---- size ----

MEMORY = 48 << 20


@pytest.mark.skipif(not pathlib.Path(RELEASE).exists(),
                    reason=f"memory is measured without sanitizers, and there is no {RELEASE}")
def test_memory_does_not_depend_on_the_logs_size(sqlite_server, tmp_path):
    """A million lines, two hundred thousand deliveries that the database has nothing of but one."""
    log, kept = Postfix(), queue_id()
    log.sent_as(kept, take_in(sqlite_server, kept))
    frame, path = f"{log.at.isoformat()} mx postfix/", tmp_path / "mail.log.gz"
    with gzip.open(path, "wt", compresslevel=1) as out:
        out.write(log.text())
        for n in range(200_000):
            queue, identity = f"4Fy{n:09d}zK", uuid.UUID(int=n + 1 << 64)
            said = f" (2.0.0 id={identity})" if n % 2 else ""
            out.write(f"{frame}smtpd[1]: {queue}: client=mx.example.org[192.0.2.1]\n"
                      f"{frame}cleanup[1]: {queue}: message-id=<{n}@example.org>\n"
                      f"{frame}qmgr[1]: {queue}: from=<s@example.org>, size=4711, nrcpt=1 (queue active)\n"
                      f"{frame}pipe[1]: {queue}: to=<r{n}@example.com>, relay=mailserver, delay=0.2,"
                      " delays=0/0/0/0.2, dsn=2.0.0, status=sent (delivered via mailserver"
                      f" service{said})\n{frame}qmgr[1]: {queue}: removed\n")

    def bound():
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    done = Done(sqlite_server, "--maillog", path, binary=RELEASE, preexec=bound, expect=1)
    assert "1000003 lines, 200001 deliveries" in done.said
    assert "1 in the database, 200000 missing" in done.said
    assert set(done.words()) == {"missing"} and len(done.lines) == 200_000, done.said
