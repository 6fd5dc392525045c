# SPDX-License-Identifier: MIT
"""What other processes can do to a SQLite database, under load."""
import contextlib
import sqlite3

from servers import faults
from servers.ledger import settle
from servers.load import Load
from servers.mailserver import message
from servers.waiting import wait_for


@contextlib.contextmanager
def opened(server):
    """By another process than the server: this one."""
    connection = sqlite3.connect(server.database, isolation_level=None, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def test_locked_by_another_process(sqlite_server):
    name = "SQLite: locked"

    @contextlib.contextmanager
    def locked():
        other.execute("begin immediate")
        yield
        other.execute("rollback")

    with Load(sqlite_server.url("/mail/inbound")) as load, opened(sqlite_server) as other:
        faults.endure(
            name, load, locked,
            lambda: wait_for(lambda: not sqlite_server.is_ready(), "readiness to follow"),
            lambda: wait_for(sqlite_server.is_ready, "the server to be ready"))
    settle(name, sqlite_server, load)


def add_migration(connection):
    connection.execute("insert into schema_migrations (number, name, applied_at)"
                       " values (9999, 'of_the_future', '')")


def test_newer_schema_stops_the_start_and_says_what_would_help(sqlite_server, launch):
    assert sqlite_server.post(message()).status_code == 200
    assert sqlite_server.stop() == 0
    with opened(sqlite_server) as other:
        add_migration(other)
    late = launch(start=False, storage_url=sqlite_server.storage_url).launch()
    assert late.process.wait(30) == 1
    said = [e["event"] for e in late.events() if e["level"] == "error"]
    assert len(said) == 1 and "9999" in said[0] and "newer mailserver" in said[0], said


def test_newer_schema_under_a_running_server_loses_nothing(sqlite_server):
    """It comes by an upgrade that adds to the schema."""
    name = "SQLite: newer schema"
    with Load(sqlite_server.url("/mail/inbound")) as load, opened(sqlite_server) as other:
        load.wait_for_more()
        add_migration(other)
        faults.injected(name)
        load.wait_for_more()
    settle(name, sqlite_server, load)
