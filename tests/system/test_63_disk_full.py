# SPDX-License-Identifier: MIT
"""The database's disk is full under load: mail waits, and is kept once there is room again."""
import contextlib
import os
import pathlib
import pwd
import shutil

import pytest

from servers import faults
from servers.ledger import check_ledger, check_retries
from servers.load import Load
from servers.mailserver import message
from servers.postgres import Postgres
from servers.postgres_site import PostgresSite
from servers.tiny_disk import NoTinyDisk, TinyDisk
from servers.waiting import DEADLINE_S, wait_for


@pytest.fixture
def disk():
    try:
        with TinyDisk(megabytes=faults.times(64, 256)) as made:
            yield made
    except NoTinyDisk as error:
        pytest.skip(f"no disk to fill: {error}")


def fill_and_free(name, disk, load, server, heal=lambda: None):
    """While they send."""

    @contextlib.contextmanager
    def full():
        disk.fill()
        yield
        disk.free()

    def healed():
        heal()
        wait_for(server.is_ready, "the server to be ready")

    faults.endure(name, load, full,
                  lambda: wait_for(lambda: not server.is_ready(), "readiness to follow"), healed)


def test_postgres_has_no_room_for_tables(launch, disk):
    name = "Postgres: disk full"
    space = pathlib.Path(disk.seen_from_outside("space"))
    space.mkdir()
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    if owner:
        os.chown(space, owner.pw_uid, owner.pw_gid)
    with Postgres(enter=disk.enter) as pg:
        pg.psql(f"create tablespace tiny location '{disk.path}/space'")
        with PostgresSite(pg, launch, tablespace="tiny", relayed=False) as site, \
                site.load() as load:
            fill_and_free(name, disk, load, site.server)
            site.await_health()
        assert load.statuses[507] > 0
        site.settle(name, load)


def test_postgres_has_no_room_for_its_log(launch, disk):
    """Then it ends itself, and what it does next depends on where its recovery stood."""
    name = "Postgres: disk full, of the write-ahead log"
    with Postgres(enter=disk.enter, initdb=["--waldir", f"{disk.path}/wal", "--wal-segsize", "1"],
                  min_wal_size="2MB", max_wal_size="8MB") as pg:

        def start_it():
            if pg.pid() is None:
                pg.start()

        with PostgresSite(pg, launch, relayed=False) as site, \
                site.load() as load:
            fill_and_free(name, disk, load, site.server, heal=start_it)
            site.await_health()
        assert "PANIC:  could not write to file \"pg_wal/" in pathlib.Path(pg.log).read_text()
        site.settle(name, load)


def test_sqlite_has_no_room(launch, disk, tmp_path):
    name = "SQLite: disk full"
    server = launch(enter=disk.enter, storage_url=f"sqlite://{disk.path}/mail.db")
    with Load(server.url("/mail/inbound")) as load:
        fill_and_free(name, disk, load, server)
    assert load.statuses[507] > 0 and set(load.statuses) <= {200, 503, 507}, load.statuses
    check_retries(server, load)
    assert server.stop() == 0
    shutil.copy(disk.seen_from_outside("mail.db"), tmp_path)
    check_ledger(f"sqlite://{tmp_path}/mail.db", load)
    faults.survived(name, **load.counts())


def test_sqlite_server_that_finds_no_room_at_its_start_says_so(launch, disk):
    server = launch(enter=disk.enter, storage_url=f"sqlite://{disk.path}/mail.db")
    assert server.stop() == 0
    disk.fill()
    server.launch()
    assert server.process.wait(DEADLINE_S) == 1
    assert "its disk is full; make room there" in server.log(), server.log()
    os.remove(disk.seen_from_outside("filler"))
    server.start()
    assert server.post(message()).status_code == 200
