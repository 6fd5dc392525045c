# SPDX-License-Identifier: MIT
"""Fixtures: a real Postgres for the whole run, and servers on either database."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("servers")  # what was compared is shown there, too

from servers import faults, program  # noqa: E402
from servers.authority import Authority  # noqa: E402
from servers.mailserver import Mailserver  # noqa: E402
from servers.postgres import Postgres  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    lines = list(faults.summary())
    if lines:
        terminalreporter.section("faults injected")
    for line in lines:
        terminalreporter.write_line(line)


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
        return None
    server = request.getfixturevalue("postgres")
    return server.url(server.create_database())


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
