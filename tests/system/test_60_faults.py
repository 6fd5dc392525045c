# SPDX-License-Identifier: MIT
"""The database is away, full or read-only: never 200 for what is not on disk, nothing lost."""
import os
import resource
import shutil
import signal
import sqlite3
import subprocess

import pytest

from servers.mailserver import message
from servers.waiting import wait_for

AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def check_unavailable(answer):
    assert answer.status_code == 503, answer.text
    assert answer.headers["X-Mail-Status"] == "4.3.2"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["type"] == "SERVICE_UNAVAILABLE" and answer.json()["retryable"] is True


def test_sqlite_locked_by_somebody_else_is_503_then_taken(sqlite_server):
    mail = message()
    with sqlite3.connect(sqlite_server.database, isolation_level=None) as blocker:
        blocker.execute("begin exclusive")
        check_unavailable(sqlite_server.post(mail, timeout=60))
        blocker.execute("rollback")
    answer = sqlite_server.post(mail)
    assert answer.status_code == 200 and answer.json()["duplicate"] is False


def test_disk_full_is_507_or_503_and_never_200(launch):
    limit = 2 * 1024 * 1024

    def no_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    server = launch(preexec=no_large_files, settings={"limits": {"spool_threshold_bytes": 67108864}})
    kept, refused = [], None
    for _ in range(200):
        answer = server.post(message(body="x" * 50_000))
        if answer.status_code != 200:
            refused = answer
            break
        kept.append(answer.json())
    assert refused is not None and refused.status_code in (503, 507), refused
    assert refused.json()["retryable"] is True
    if refused.status_code == 507:
        assert refused.headers["X-Mail-Status"] == "4.3.1"
        assert refused.json()["type"] == "STORAGE_ERROR"
    assert len(kept) > 5
    for stored in kept:
        assert server.get(stored["stored_at"] + "/raw").status_code == 200
    assert server.get("/metrics").json()["total_emails"] == len(kept)


def read_only(folder):
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o444)
    folder.chmod(0o555)


def test_read_only_database_is_never_200(launch, tmp_path):
    server = launch()
    stored = server.post(message()).json()
    assert server.stop() == 0
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(server.database, folder / "mail.db")
    (tmp_path / "spool").mkdir()
    for path in (tmp_path, tmp_path / "spool"):
        path.chmod(0o777)
    read_only(folder)
    if os.getuid() != 0:
        def drop():
            return None
    else:
        def drop():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
    again = launch(start=False, storage_url=f"sqlite://{folder}/mail.db", preexec=drop,
                   settings={"data_dir": str(tmp_path), "spool_dir": str(tmp_path / "spool")})
    again.folder.chmod(0o755)
    again.launch()
    try:
        wait_for(lambda: again.process.poll() is not None or again.answers(), "a decision")
        if again.process.poll() is None:
            check_unavailable(again.post(message()))
            assert again.get("/health/ready").status_code == 503
            assert again.get(stored["stored_at"]).status_code in (200, 503)
        else:
            assert again.process.returncode == 1
            assert "read" in again.log() or "writ" in again.log(), again.log()
    finally:
        folder.chmod(0o755)


def test_database_that_is_none_is_said_at_the_start(launch, tmp_path):
    broken = tmp_path / "mail.db"
    broken.write_bytes(b"this is not a database at all, it only has the name of one\n" * 100)
    server = launch(start=False, storage_url=f"sqlite://{broken}").launch()
    assert server.process.wait(30) == 1
    assert str(broken) in server.log() and "not a database" in server.log()


def test_postgres_away_at_the_start(launch, postgres):
    url = postgres.url(postgres.create_database())
    postgres.stop()
    try:
        server = launch(storage_url=url)
        check_unavailable(server.post(message()))
        assert server.get("/health/ready").status_code == 503
        health = server.get("/health")
        assert health.status_code == 503 and health.json()["status"] == "unhealthy"
        assert health.json()["services"]["storage"]["status"] == "down"
        assert server.get("/health/live").status_code == 200
        assert any("503" in e["event"] for e in server.events() if e["level"] == "warning")
    finally:
        postgres.start()
    wait_for(lambda: server.get("/health/ready").status_code == 200, "the server to be ready")
    assert server.post(message()).status_code == 200


def test_postgres_goes_away_and_comes_back(launch, postgres):
    server = launch(storage_url=postgres.url(postgres.create_database()))
    before = server.post(message()).json()
    mail = message()
    postgres.stop(mode="immediate")
    try:
        check_unavailable(server.post(mail))
        check_unavailable(server.get(before["stored_at"]))
        assert server.get("/health/ready").status_code == 503
    finally:
        postgres.start()
    answer = wait_for(lambda: (a := server.post(mail)).status_code == 200 and a, "mail to be taken")
    assert server.get(answer.json()["stored_at"] + "/raw").content == mail
    assert server.get(before["stored_at"]).status_code == 200
    assert server.get("/health/ready").status_code == 200


def test_postgres_that_hangs_is_503_within_the_timeout(launch, postgres):
    database = postgres.create_database()
    server = launch(storage_url=postgres.url(database),
                    settings={"storage": {"statement_timeout": 2}})
    assert server.post(message()).status_code == 200
    mail = message()
    processes = [int(pid) for pid in subprocess.run(
        ["pgrep", "-P", str(postgres.pid())], capture_output=True, text=True, check=True
    ).stdout.split()]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        check_unavailable(server.post(mail, timeout=20))
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    answer = wait_for(lambda: (a := server.post(mail)).status_code == 200 and a, "mail to be taken")
    rows = postgres.psql("select count(*) from messages", database=database)
    assert rows == [(2,)], (rows, answer.json())


@pytest.mark.parametrize("url,words", [
    ("mysql://localhost/mail", "sqlite://"),
    ("sqlite:///nowhere/at/all/mail.db", "/nowhere/at/all"),
    ("postgresql://localhost/mail?nonsense=1", "nonsense"),
])
def test_storage_url_that_cannot_work_stops_the_start(launch, url, words):
    server = launch(start=False, storage_url=url).launch()
    assert server.process.wait(30) == 1
    assert words in server.log(), server.log()
