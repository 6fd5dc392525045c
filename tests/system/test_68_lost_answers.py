# SPDX-License-Identifier: MIT
"""The message is committed and its answer lost, behind the server or before it: who sends it again
is told that it is there, and under which id."""
import concurrent.futures
import random
import socket
import struct

import pytest

from servers import faults
from servers.ledger import kept_ids
from servers.load import HEADERS
from servers.mailserver import http_request, message
from servers.postgres_site import PostgresSite
from servers.waiting import wait_for

LOST = faults.times(2, 20)
HANG_UPS = faults.times(60, 2000)
HEADER_LINES = [f"{name}: {value}" for name, value in HEADERS.items() if name != "Authorization"]


@pytest.fixture
def site(launch, postgres):
    """With one link, which has taken mail: what the database says next is about the next batch."""
    with PostgresSite(postgres, launch, workers=1, storage={"connections": 1}) as made:
        yield made


def test_answer_of_the_commit_is_lost(site):
    assert site.server.post(message(), headers=HEADERS).status_code == 200
    old, mail = kept_ids(site.server.storage_url), message()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        site.relay.mute()
        first = pool.submit(site.server.post, mail, headers=HEADERS)
        wait_for(lambda: site.relay.swallowed > 0, "its answer to be lost")
        (id_,) = {i for i, in site.sql("select id::text from messages")} - old
        assert not first.done()
        site.relay.cut()
        answer = first.result()
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["X-Mail-Status"] == "4.3.2" and answer.json()["retryable"] is True
    site.relay.unmute()
    site.await_health()
    again = site.server.post(mail, headers=HEADERS)
    assert again.status_code == 200 and again.json()["duplicate"] is True
    assert again.json()["id"] == id_
    assert kept_ids(site.server.storage_url) == old | {id_}


def test_answers_of_commits_are_lost_under_load(site):
    name = "Postgres: answer to the commit lost"
    with site.load() as load:
        for _ in range(LOST):
            load.wait_for_more()
            site.relay.mute()
            wait_for(lambda: site.relay.swallowed > 0, "an answer to be lost")
            site.relay.cut()
            site.relay.unmute()
            faults.injected(name)
            site.await_health()
    site.settle(name, load)
    assert load.counts()["duplicates"] >= LOST


def hang_up(server, mail, rng):
    """After the request is out, without a look at the answer. A reset may come before the request
    was read; an end of the stream comes behind it."""
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    sock.sendall(http_request(mail, HEADER_LINES))
    if rng.random() < 0.5:
        sock.settimeout(rng.random() / 200)
        try:
            sock.recv(1)
        except TimeoutError:
            pass
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def send_twice(server, rng):
    """Hangs up on the server, then asks again; (whether it was there, under which id)."""
    mail = message(body="x" * rng.randint(1, 20_000))
    hang_up(server, mail, rng)
    answer = server.post(mail, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer.json()["duplicate"], answer.json()["id"]


def test_client_hangs_up_before_it_reads(server):
    name = f"{server.backend}: client hung up"
    rng = random.Random()
    answers = [send_twice(server, rng) for _ in range(HANG_UPS)]
    ids = {id_ for _, id_ in answers}
    assert len(ids) == HANG_UPS
    # What was still on its way when it was sent again, has been answered since.
    wait_for(lambda: server.get("/metrics").json()["active_requests"] <= 1, "the last of them")
    assert kept_ids(server.storage_url) == ids
    found = sum(duplicate for duplicate, _ in answers)
    assert found > 0
    faults.injected(name, HANG_UPS)
    faults.survived(name, messages=HANG_UPS, unanswered=HANG_UPS, duplicates=found)
