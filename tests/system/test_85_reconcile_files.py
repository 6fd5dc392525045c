# SPDX-License-Identifier: MIT
"""`mailserver reconcile`: the files it is given, what is in its way, and how much it can take."""
import datetime
import gzip
import itertools
import os
import pathlib
import resource
import signal
import subprocess
import uuid

import pytest

from servers.mailserver import BINARY, ROOT
from servers.reconcile import HOUR, SECOND, UTC, Done, Postfix, now, queue_id, take_in

RELEASE = os.environ.get("MAILSERVER_RELEASE", str(ROOT / "build/release/bin/mailserver"))


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
