# SPDX-License-Identifier: MIT
"""The Check programs that need a Postgres server: the storage contract, and the driver's own."""
import os
import re
import subprocess

import pytest

from servers.postgres import Postgres

DEADLINE_S = 600


@pytest.fixture(name="server")
def server_of_its_own():
    """The suite stops and starts it: nobody else's."""
    with Postgres() as server:
        yield server


def run_suite(server, program):
    environment = {
        **os.environ,
        "CK_VERBOSITY": "verbose",
        "TEST_POSTGRES_URL": server.url(),
        "TEST_POSTGRES_STOP": server.stop_command(),
        "TEST_POSTGRES_START": server.start_command(),
    }
    return subprocess.run([f"{os.environ['CHECKS']}/{program}"], env=environment, timeout=DEADLINE_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)


def passed(output, suite):
    """The cases that passed, of one suite, in Check's verbose output."""
    return set(re.findall(rf":P:{suite}:(\w+):", output))


@pytest.mark.parametrize("program, only_postgres", [
    ("check_storage", {"stopped_server_is_unavailable_and_used_again_once_back"}),
    ("check_storage_retries", set()), ("check_storage_large", set()),
    ("check_storage_parts", set())])
def test_contract_holds_over_sqlite_and_postgres(server, program, only_postgres):
    done = run_suite(server, program)
    summary = re.search(r"\d+%: Checks: \d+, Failures: 0, Errors: 0", done.stdout)
    assert done.returncode == 0 and summary, done.stdout
    print(summary.group())
    assert passed(done.stdout, "sqlite")
    assert passed(done.stdout, "postgres") == passed(done.stdout, "sqlite") | only_postgres


@pytest.mark.parametrize("program, more_than", [("check_postgres", 20), ("check_postgres_large", 4)])
def test_postgres_driver_alone(server, program, more_than):
    done = run_suite(server, program)
    summary = re.search(r"\d+%: Checks: (\d+), Failures: 0, Errors: 0", done.stdout)
    assert done.returncode == 0 and summary, done.stdout
    assert int(summary[1]) > more_than, "they were skipped"


@pytest.mark.parametrize("program", ["check_purge", "check_receipts", "check_reparse"])
def test_what_else_is_promised_holds_over_sqlite_and_postgres(server, program):
    done = run_suite(server, program)
    summary = re.search(r"\d+%: Checks: \d+, Failures: 0, Errors: 0", done.stdout)
    assert done.returncode == 0 and summary, done.stdout
    assert passed(done.stdout, "sqlite") and passed(done.stdout, "postgres"), done.stdout
