# SPDX-License-Identifier: MIT
"""Several instances behind HAProxy, all of them through one PgBouncer to one Postgres: the files in
configs/ are what runs here."""
import http.client
import signal

import pytest
import requests

from servers.haproxy import HAProxy
from servers.ledger import check_ledger
from servers.load import HEADERS, Load
from servers.mailserver import message
from servers.pgbouncer import PASSWORD, ROLE, PgBouncer
from servers.postgres import Postgres
from servers.waiting import wait_for

SETTINGS = {"trusted_proxies": ["127.0.0.1"], "storage": {"connect_timeout": 1}}
DRAIN = {"drain_delay": 5}  # as configs/haproxy/haproxy.cfg asks for


class Site:
    """The whole of it; `instances` are mail1 and mail2."""

    def __init__(self, postgres, pooler, launch, settings):
        self.postgres, self.pooler = postgres, pooler
        self.instances = [launch(start=False, storage_url=pooler.url(), settings=settings)
                          for _ in range(2)]
        for instance in self.instances:
            instance.launch()
        for instance in self.instances:
            wait_for(lambda: instance.answers() and is_ready(instance), "a ready instance")
        self.proxy = HAProxy(*(instance.port for instance in self.instances))

    def wait_for_state(self, name, state):
        wait_for(lambda: self.proxy.states().get(name) == state, f"{name} to be {state}")

    def taken(self):
        """How many messages each instance has kept since its start."""
        return [instance.get("/metrics").json()["total_emails"] for instance in self.instances]

    def check(self, *loads):
        url = self.postgres.url(self.pooler.database)
        # HAProxy sends again what an instance did not answer.
        check_ledger(url, *loads, proxied=True)


def is_ready(instance):
    return instance.get("/health/ready").status_code == 200


@pytest.fixture(scope="module", name="database_server")
def database_server_fixture():
    with Postgres() as postgres:
        postgres.secret = postgres.create_role(ROLE, PASSWORD)
        yield postgres


@pytest.fixture(name="pooler")
def pooler_fixture(database_server):
    database = database_server.create_database(owner=ROLE)
    with PgBouncer(database_server, database, database_server.secret) as pooler:
        yield pooler


@pytest.fixture(name="site")
def site_fixture(request, database_server, pooler, launch):
    """Its parameter: more settings."""
    site = Site(database_server, pooler, launch, {**SETTINGS, **getattr(request, "param", {})})
    with site.proxy:
        yield site


def test_load_is_spread_and_each_message_is_kept_once(site):
    assert site.proxy.check()[0] == 0, site.proxy.check()[1]
    with Load(site.proxy.url()) as load:
        load.wait_for_more(500)
    assert set(load.statuses) == {200}
    site.check(load)
    taken = site.taken()
    assert sum(taken) == load.kept and min(taken) > load.kept / 4, taken


def test_instances_that_start_at_once_migrate_an_empty_database_once(site):
    numbers = site.postgres.psql("select number from schema_migrations order by number",
                                 database=site.pooler.database)
    done = [line for instance in site.instances for line in instance.events()
            if "migration" in line["event"] and line["event"].endswith("is done")]
    assert numbers == [(number,) for number in range(1, len(numbers) + 1)] and numbers
    assert len(done) == len(numbers), done


def test_client_is_known_through_haproxy(site):
    connection = http.client.HTTPConnection("127.0.0.1", site.proxy.port, timeout=30,
                                            source_address=("127.0.0.9", 0))
    connection.request("POST", "/mail/inbound", message(), HEADERS)
    assert connection.getresponse().status == 200
    connection.close()
    lines = wait_for(lambda: [line for instance in site.instances
                              for line in instance.events("request")
                              if line["route"] == "/mail/inbound"], "the request's line")
    assert [line["client"] for line in lines] == ["127.0.0.9"]


@pytest.mark.parametrize("site", [DRAIN], indirect=True, ids=["drain"])
def test_restarts_of_one_instance_after_the_other_fail_no_request(site):
    with Load(site.proxy.url()) as load:
        for name, instance in zip(("mail1", "mail2"), site.instances):
            load.wait_for_more(100)
            assert instance.stop(signal.SIGTERM) == 0
            assert site.proxy.states()[name] == "DOWN"
            load.wait_for_more(100)
            instance.start()
            site.wait_for_state(name, "UP")
        load.wait_for_more(100)
    assert set(load.statuses) == {200}
    assert min(site.taken()) > 0
    site.check(load)


# HAProxy keeps small requests until they are answered, and sends them elsewhere.
@pytest.mark.parametrize("large,seen", [(False, {200}), (True, {200, 502, 0})],
                         ids=["small", "large"])
def test_kill_of_an_instance_loses_and_doubles_nothing(site, large, seen):
    with Load(site.proxy.url(), large=large) as load:
        for name, instance in zip(("mail1", "mail2"), site.instances):
            load.wait_for_more(100)
            instance.kill9()
            site.wait_for_state(name, "DOWN")
            load.wait_for_more(100)
            instance.start()
            site.wait_for_state(name, "UP")
    assert set(load.statuses) <= seen, load.statuses
    site.check(load)


def test_message_of_20_megabytes_passes(site):
    mail = message(body="twenty megabytes of mail\r\n" * 800_000)
    assert len(mail) > 20_000_000
    answer = requests.post(site.proxy.url(), data=mail, headers=HEADERS, timeout=120)
    assert answer.status_code == 200, answer.text
    raw = requests.get(site.proxy.url(answer.json()["stored_at"] + "/raw"), headers=HEADERS,
                       timeout=120)
    assert raw.content == mail


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_restart_of_pgbouncer_is_503_at_worst_and_passes_by_itself(site, signum):
    with Load(site.proxy.url()) as load:
        load.wait_for_more(100)
        site.pooler.stop(signum)
        load.wait_for_refused(20)
        site.pooler.start()
        load.wait_for_more(200)
    assert set(load.statuses) == {200, 503}
    site.check(load)
    wait_for(lambda: all(map(is_ready, site.instances)), "both to be ready")


def test_what_pgbouncer_saw_first_does_not_last(launch, database_server, pooler):
    """It tells every later client what the server was at the pool's first login."""
    database_server.configure(default_transaction_read_only="on")
    try:
        pooler.stop()
        pooler.start()
        server = launch(storage_url=pooler.url(), settings=SETTINGS)
        assert server.post(message()).status_code == 503
    finally:
        database_server.configure(default_transaction_read_only="off")
    wait_for(lambda: server.post(message()).status_code == 200, "mail to be taken")
    wait_for(lambda: is_ready(server), "the server to be ready")


def test_haproxy_without_a_ready_instance_says_later(site):
    for name, instance in zip(("mail1", "mail2"), site.instances):
        assert instance.stop(signal.SIGTERM) == 0
        site.wait_for_state(name, "DOWN")
    answer = requests.post(site.proxy.url(), data=message(), headers=HEADERS, timeout=30)
    assert answer.status_code == 503 and answer.headers["X-Mail-Status"] == "4.3.2"
    assert int(answer.headers["Retry-After"]) >= 1 and answer.json()["retryable"] is True
