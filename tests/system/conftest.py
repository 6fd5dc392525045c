# SPDX-License-Identifier: MIT
"""Fixtures: a real Postgres for the whole run, and servers on either database."""
import pathlib
import sqlite3
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from servers import faults  # noqa: E402
from servers.authority import Authority  # noqa: E402
from servers.mailserver import Mailserver  # noqa: E402
from servers.postgres import Postgres  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    lines = list(faults.summary())
    if lines:
        terminalreporter.section("faults injected")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def postgres():
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def storage_url(request):
    """None means SQLite in the server's own folder."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres")
    return server.url(server.create_database())


@pytest.fixture(name="sql")
def sql_of(request, storage_url):
    """Runs one statement on the database of a server: its rows."""
    def run(server, statement):
        if storage_url is None:
            with sqlite3.connect(server.database, timeout=30) as connection:
                return connection.execute(statement).fetchall()
        postgres = request.getfixturevalue("postgres")
        return postgres.psql(statement, database=storage_url.rpartition("/")[2])
    return run


@pytest.fixture(name="launch")
def launch_fixture():
    """Makes servers that are stopped at the end, cleanly: exit code 0, no sanitizer report."""
    made = []

    def launch(start=True, **options):
        server = Mailserver(**options)
        made.append(server)
        return server.start() if start else server

    yield launch
    codes = []
    try:
        for server in made:
            if server.process is not None and server.process.poll() is None:
                codes.append((server.stop(), server.log()[-3000:]))
    finally:
        for server in made:
            server.close()
    for code, log in codes:
        assert code == 0, log


@pytest.fixture
def server(launch, storage_url):
    """A server on each of the databases."""
    return launch(storage_url=storage_url)


@pytest.fixture
def sqlite_server(launch):
    return launch()


@pytest.fixture(name="authority", scope="session")
def authority_fixture(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(name="tls", scope="session")
def tls_fixture(authority):
    return authority.issue("first")
