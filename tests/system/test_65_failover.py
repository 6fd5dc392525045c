# SPDX-License-Identifier: MIT
"""A primary and a standby that follows it synchronously: what was answered 200 is on both, and the
server finds its new primary by itself."""
import pytest

from servers.ledger import check_ledger
from servers.load import Load
from servers.mailserver import message
from servers.pgbouncer import PASSWORD, ROLE, PgBouncer
from servers.postgres import Postgres, Standby
from servers.waiting import wait_for

# Shorter than an operator's, so that a test need not wait for them long.
SETTINGS = {"storage": {"connect_timeout": 1, "statement_timeout": 2}}


class Pair:
    def __init__(self, primary, standby):
        self.primary, self.standby = primary, standby
        self.database = primary.create_database()
        wait_for(lambda: standby.psql("select true from pg_database where datname = %s",
                                      [self.database]), "the database to be on both")

    def url(self):
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://postgres@{hosts}/{self.database}?target_session_attrs=read-write"


@pytest.fixture(name="pair")
def pair_fixture():
    with Postgres() as primary, Standby(primary) as standby:
        standby.follow_synchronously()
        yield Pair(primary, standby)


@pytest.fixture(name="server")
def server_fixture(pair, launch):
    """On the pair's hosts; ended before they are."""
    return launch(storage_url=pair.url(), settings=SETTINGS)


def wait_for_readiness(server, status):
    wait_for(lambda: server.get("/health/ready").status_code == status, f"readiness to be {status}")


def kill(primary):
    primary.kill9()


def freeze(primary):
    primary.freeze()


@pytest.mark.parametrize("lose", [kill, freeze])
def test_failover_under_load(pair, server, lose):
    with Load(server.url("/mail/inbound")) as load:
        load.wait_for_more(200)
        lose(pair.primary)
        try:
            wait_for_readiness(server, 503)
            load.check_keeps_nothing(100)
            assert server.get("/health/ready").status_code == 503
            pair.standby.promote()
            load.wait_for_more(200)
            wait_for_readiness(server, 200)
        finally:
            if lose is freeze:
                pair.primary.thaw()
    assert set(load.statuses) == {200, 503}
    check_ledger(pair.standby.url(pair.database), load)


def test_primary_may_be_any_host_of_the_url(pair, launch):
    first = f"127.0.0.1:{pair.standby.port},127.0.0.1:{pair.primary.port}"
    server = launch(storage_url=f"postgresql://postgres@{first}/{pair.database}")
    assert server.post(message()).status_code == 200


def test_failover_behind_pgbouncer_that_is_told_of_it(pair, launch):
    secret = pair.primary.create_role(ROLE, PASSWORD)
    pair.primary.psql(f"alter database {pair.database} owner to {ROLE}")
    with PgBouncer(pair.primary, pair.database, secret) as pooler:
        server = launch(storage_url=pooler.url(), settings=SETTINGS)
        with Load(server.url("/mail/inbound")) as load:
            load.wait_for_more(200)
            pair.primary.kill9()
            load.check_keeps_nothing(50)
            wait_for_readiness(server, 503)
            pair.standby.promote()
            pooler.point_at(pair.standby)
            pooler.reload()
            load.wait_for_more(200)
            wait_for_readiness(server, 200)
        assert set(load.statuses) == {200, 503}
        check_ledger(pair.standby.url(pair.database), load)
        assert server.stop() == 0


def test_standby_that_is_away_is_waited_for(pair, server):
    with Load(server.url("/mail/inbound")) as load:
        load.wait_for_more(200)
        pair.standby.stop()
        load.check_keeps_nothing(50)
        pair.standby.start()
        load.wait_for_more(200)
    assert set(load.statuses) == {200, 503}
    pair.primary.kill9()
    pair.standby.promote()
    check_ledger(pair.standby.url(pair.database), load)


def test_retry_waits_for_the_standby_like_the_first_copy(pair, server):
    """A primary that restarts has committed what it was still waiting with."""
    mail = message()
    pair.standby.stop()
    assert server.post(mail).status_code == 503
    pair.primary.kill9()
    pair.primary.start()
    wait_for_readiness(server, 200)
    assert server.post(mail).status_code == 503
    pair.standby.start()
    answer = wait_for(lambda: (a := server.post(mail)).status_code == 200 and a, "mail to be taken")
    assert answer.json()["duplicate"] is True


def turn_read_only(postgres):
    postgres.configure(default_transaction_read_only="on")


def turn_back(postgres):
    postgres.configure(default_transaction_read_only="off")


@pytest.mark.parametrize("turn,back", [(turn_read_only, turn_back),
                                       (Postgres.demote, Postgres.promote)],
                         ids=["read-only", "standby"])
def test_host_that_cannot_write_any_more_is_never_answered_200(launch, turn, back):
    with Postgres() as postgres:
        database = postgres.create_database()
        server = launch(storage_url=postgres.url(database), settings=SETTINGS)
        with Load(server.url("/mail/inbound")) as load:
            load.wait_for_more(200)
            turn(postgres)
            load.check_keeps_nothing(100)
            wait_for_readiness(server, 503)
            back(postgres)
            load.wait_for_more(200)
            wait_for_readiness(server, 200)
        check_ledger(postgres.url(database), load)
        assert server.stop() == 0
