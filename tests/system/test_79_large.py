# SPDX-License-Identifier: MIT
"""Large messages beside small ones. On Postgres their bytes follow their statement, in pieces, so
there is a while in which such a transaction is half done: whatever happens then, no message is lost,
doubled, or kept without its bytes."""
import contextlib
import time

import pytest

from servers import faults
from servers.ledger import check_ledger, check_retries
from servers.load import Load
from servers.pgbouncer import PASSWORD, ROLE, PgBouncer
from servers.postgres import Postgres
from servers.postgres_site import PostgresSite
from servers.waiting import wait_for

KILLS = faults.times(2, 20)
CUTS = faults.times(3, 30)
LARGE = (1_100_000, 3_000_000)
LARGE_CLIENTS, SMALL_CLIENTS = 3, 6


@pytest.fixture(scope="module", name="pg")
def pg_fixture():
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module", name="secret")
def secret_fixture(pg):
    return pg.create_role(ROLE, PASSWORD)


@pytest.fixture(name="site")
def site_fixture(launch, pg):
    with PostgresSite(pg, launch) as made:
        yield made


@contextlib.contextmanager
def both_loads(url):
    """(large, small)"""
    with Load(url, clients=LARGE_CLIENTS, sizes=LARGE) as large, \
            Load(url, clients=SMALL_CLIENTS) as small:
        yield large, small


def half_done(site):
    """Is a large message's transaction at its bytes?"""
    return site.sql("select count(*) from pg_stat_activity where usename = %s and state = 'active'"
                    " and query like 'COPY message_raw%%'", (site.role,))[0][0] > 0


def wait_until_half_done(site):
    end = time.monotonic() + 30
    while not half_done(site):  # as often as can be: it takes some milliseconds
        assert time.monotonic() < end, "no large message was ever under way"


def test_large_and_small_ones_are_each_kept_once(launch, storage_url):
    server = launch(storage_url=storage_url)
    with both_loads(server.url("/mail/inbound")) as (large, small):
        large.wait_for_more(12)
        small.wait_for_more()
    assert set(large.statuses) == set(small.statuses) == {200}
    check_ledger(server.storage_url, large, small)


def test_postgres_killed_with_a_large_one_half_done(site):
    name = "Postgres: killed, with a large message half done"
    with both_loads(site.server.url("/mail/inbound")) as (large, small):
        for _ in range(KILLS):
            large.wait_for_more(2)
            small.wait_for_more(10)
            wait_until_half_done(site)
            site.pg.kill9()
            faults.injected(name)
            site.pg.start()
            site.await_health()
        large.wait_for_more(2)
    assert large.refused() > 0
    site.settle(name, large, small)


def cut(site):
    site.relay.cut()


def backends_terminated(site):
    site.terminate()


@pytest.mark.parametrize("blip", [cut, backends_terminated], ids=lambda blip: blip.__name__)
def test_link_lost_with_a_large_one_half_done(site, blip):
    name = f"Postgres: {blip.__name__.replace('_', ' ')}, with a large message half done"
    with both_loads(site.server.url("/mail/inbound")) as (large, small):
        for _ in range(CUTS):
            large.wait_for_more(2)
            wait_until_half_done(site)
            blip(site)
            faults.injected(name)
        site.await_health()
        large.wait_for_more(2)
        small.wait_for_more()
    site.settle(name, large, small)


def test_server_killed_with_a_large_one_half_done(site):
    """Nobody is left to roll it back but Postgres itself."""
    name = "server killed, with a large message half done"
    with both_loads(site.server.url("/mail/inbound")) as (large, small):
        for _ in range(KILLS):
            large.wait_for_more(2)
            wait_until_half_done(site)
            site.server.kill9()
            faults.injected(name)
            site.server.start()
        large.wait_for_more(2)
        small.wait_for_more()
    assert large.statuses[0] > 0 and set(large.statuses) <= {0, 200, 503}, large.statuses
    check_ledger(site.server.storage_url, large, small)
    check_retries(site.server, large)
    faults.survived(name, **large.counts())


@pytest.mark.parametrize("prepared", [True, False], ids=["left_to_notice", "told"])
def test_large_ones_through_a_pooler(launch, pg, secret, prepared):
    """With prepared statements left on, it may be a large one that finds its session shared."""
    database = pg.create_database(owner=ROLE)
    with PgBouncer(pg, database, secret) as pooler:
        server = launch(storage_url=pooler.url(),
                        settings={"storage": {"prepared_statements": prepared}})
        wait_for(server.is_ready, "the server to be ready")
        with both_loads(server.url("/mail/inbound")) as (large, small):
            large.wait_for_more(10)
            small.wait_for_more()
        assert set(large.statuses) == set(small.statuses) == {200}, large.statuses
        check_ledger(pg.url(database), large, small)
        noticed = [e for e in server.events() if "a pooler is between" in e["event"]]
        assert bool(noticed) == prepared, noticed
        assert server.stop() == 0
