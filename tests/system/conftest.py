# SPDX-License-Identifier: MIT
"""Fixtures: a real Postgres for the whole run, and servers on either database. And what it takes to
run the tests in several processes (run.py)."""
import fcntl
import itertools
import os
import pathlib
import sqlite3
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("servers")  # what was compared is shown there, too

from servers import faults, program  # noqa: E402
from servers.authority import Authority  # noqa: E402
from servers.mailserver import Mailserver  # noqa: E402
from servers.postgres import Postgres  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    if "TEST_SUMMARY" in os.environ:
        parts, _ = terminalreporter.build_summary_stats_line()
        pathlib.Path(os.environ["TEST_SUMMARY"]).write_text(", ".join(text for text, _ in parts))
    lines = list(faults.summary())
    if lines:
        terminalreporter.section("faults injected")
    for line in lines:
        terminalreporter.write_line(line)


def take_turns(modules):
    """Those that no other process took. Files with high numbers go first: they take longest, and what
    is left for the end should be short."""
    with open(os.environ["TEST_SHARED"], "a+b") as taken:
        while True:
            fcntl.flock(taken, fcntl.LOCK_EX)
            number = taken.seek(0, os.SEEK_END)
            taken.write(b".")
            taken.flush()
            fcntl.flock(taken, fcntl.LOCK_UN)
            if number >= len(modules):
                return
            yield from modules[-1 - number]


def pytest_runtestloop(session):
    """As pytest's own, where there are other processes; None: its own."""
    if "TEST_SHARED" not in os.environ or session.testsfailed or session.config.option.collectonly:
        return None
    modules = [list(items) for _, items in itertools.groupby(session.items, lambda item: item.path)]
    items = take_turns(modules)
    item = next(items, None)
    while item is not None:
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        item = following
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
    return True


@pytest.fixture(autouse=True)
def nobody_dies():
    """A server that ends by itself fails the test in which it did, whatever that test looked at."""
    yield
    program.check_all_live()


@pytest.fixture(scope="session")
def postgres():
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def storage_url(request):
    """None means SQLite in the server's own folder."""
    if request.param == "sqlite":
        yield None
        return
    server = request.getfixturevalue("postgres")
    name = server.take_database()
    yield server.url(name)
    server.give_back(name)


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
    wrong = []
    for server in made:
        try:
            try:
                if server.process is not None and server.process.returncode is None:
                    code = server.stop()
                    assert code == 0, f"exit status {code}:\n{server.log()[-3000:]}"
            finally:
                server.close()
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


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
