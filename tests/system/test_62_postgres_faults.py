# SPDX-License-Identifier: MIT
"""What can happen to a Postgres, under load: mail is told "later" in time, the circuit opens and
closes by itself, readiness follows, and in the end every message is there once."""
import contextlib
import random

import psycopg2
import pytest

from servers import faults
from servers.mailserver import message
from servers.postgres import Postgres
from servers.postgres_site import PostgresSite
from servers.waiting import wait_for

BLIPS = faults.times(4, 40)
MAX_CONNECTIONS = 40
TABLES = ("messages", "message_raw", "message_parts", "message_keys")


@pytest.fixture(scope="module")
def pg():
    with Postgres(max_connections=MAX_CONNECTIONS) as server:
        yield server


@pytest.fixture
def site(launch, pg):
    with PostgresSite(pg, launch) as made:
        yield made


# ---- faults that last, as contexts: the fault is there within ----


@contextlib.contextmanager
def killed(site):
    site.pg.kill9()
    try:
        yield
    finally:
        site.pg.start()


@contextlib.contextmanager
def stopped_immediately(site):
    site.pg.stop("immediate")
    try:
        yield
    finally:
        site.pg.start()


@contextlib.contextmanager
def unreachable(site):
    site.relay.refuse()
    site.relay.cut()
    try:
        yield
    finally:
        site.relay.accept()


@contextlib.contextmanager
def black_hole(site):
    """The network swallows everything, and what it had swallowed still arrives when it heals."""
    site.relay.hold()
    try:
        yield
    finally:
        site.relay.release()


@contextlib.contextmanager
def role_without_connections(site):
    site.sql(f"alter role {site.role} connection limit 0")
    site.terminate()
    try:
        yield
    finally:
        site.sql(f"alter role {site.role} connection limit -1")


@contextlib.contextmanager
def no_connection_left(site):
    """Somebody else has them all, those for superusers too."""
    with contextlib.ExitStack() as others:
        admin = psycopg2.connect(site.pg.url())
        others.callback(admin.close)
        admin.autocommit = True

        def ours():
            with admin.cursor() as cursor:
                cursor.execute("select count(pg_terminate_backend(pid)) from pg_stat_activity"
                               " where usename = %s", (site.role,))
                return cursor.fetchone()[0]

        def take_all():
            with contextlib.suppress(psycopg2.OperationalError):
                while True:
                    others.callback(psycopg2.connect(site.pg.url()).close)
            return ours() == 0

        wait_for(take_all, "all connections to be somebody else's")
        yield


@contextlib.contextmanager
def read_only(site):
    """As a primary that was demoted: also for who is connected already."""
    site.pg.configure(default_transaction_read_only="on")
    try:
        yield
    finally:
        site.pg.configure(default_transaction_read_only="off")


@contextlib.contextmanager
def locked(site):
    blocker = psycopg2.connect(site.pg.url(site.database))
    try:
        with blocker.cursor() as cursor:
            cursor.execute("lock table messages in access exclusive mode")
        yield
    finally:
        blocker.close()


@contextlib.contextmanager
def schema_missing(site):
    def rename(suffix, to):
        # In the order in which mail takes them, or there would be deadlocks.
        site.sql(";".join(f"alter table {table}{suffix} rename to {table}{to}"
                          for table in reversed(TABLES)))

    rename("", "_away")
    try:
        yield
    finally:
        rename("_away", "")


AWAY = [killed, stopped_immediately, unreachable, black_hole, role_without_connections,
        no_connection_left, read_only]
UNUSABLE = [locked, schema_missing]


def name_of(fault):
    return "Postgres: " + fault.__name__.replace("_", " ")


@pytest.mark.parametrize("fault", AWAY + UNUSABLE, ids=lambda fault: fault.__name__)
def test_mail_waits_and_is_kept_once(site, fault):
    def felt():
        if fault in AWAY:
            wait_for(lambda: site.circuit() == 1, "the circuit to open")
        wait_for(lambda: not site.server.is_ready(), "readiness to follow")
        assert site.server.get("/health/live").status_code == 200

    with site.load() as load:
        faults.endure(name_of(fault), load, lambda: fault(site), felt, site.await_health)
    site.settle(name_of(fault), load)


# ---- faults that are over at once ----


def one_backend_terminated(site):
    wait_for(lambda: site.terminate(1), "a backend to terminate")


def all_backends_terminated(site):
    wait_for(site.terminate, "backends to terminate")


def socket_cut(site):
    site.relay.cut()


@pytest.mark.parametrize("blip", [one_backend_terminated, all_backends_terminated, socket_cut],
                         ids=lambda blip: blip.__name__)
def test_blip_costs_no_mail(site, blip):
    with site.load() as load:
        for _ in range(BLIPS):
            load.wait_for_more(random.randint(1, 100))
            blip(site)
            faults.injected(name_of(blip))
        site.await_health()
        load.wait_for_more()
    site.settle(name_of(blip), load)


# ---- a schema of the future ----


def add_migration(site):
    site.sql("insert into schema_migrations (number, name) values (9999, 'of_the_future')")


def test_newer_schema_stops_the_start_and_says_what_would_help(site, launch):
    assert site.server.post(message()).status_code == 200
    add_migration(site)
    late = launch(start=False, storage_url=site.server.storage_url).launch()
    assert late.process.wait(30) == 1
    said = [e["event"] for e in late.events() if e["level"] == "error"]
    assert len(said) == 1 and "version 9999" in said[0] and "newer mailserver" in said[0], said


def test_newer_schema_under_a_running_server_loses_nothing(site):
    """It comes by an upgrade that adds to the schema."""
    name = "Postgres: newer schema"
    with site.load() as load:
        load.wait_for_more()
        add_migration(site)
        faults.injected(name)
        load.wait_for_more()
    site.settle(name, load)
