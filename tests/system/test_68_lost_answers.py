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
from servers.mailserver import http_request, message
from servers.postgres_site import PostgresSite
from servers.senders import HEADERS, Senders
from servers.waiting import wait_for

LOST = faults.times(2, 20)
HANG_UPS = faults.times(60, 2000)
HEADER_LINES = [f"{name}: {value}" for name, value in HEADERS.items() if name != "Authorization"]


@pytest.fixture
def site(launch, postgres):
    # A link's first message waits until its statement is prepared: here it is the commit that counts.
    with PostgresSite(postgres, launch, storage={"prepared_statements": False}) as made:
        yield made


def test_answer_of_the_commit_is_lost(site):
    mail = message()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        site.relay.mute()
        first = pool.submit(site.server.post, mail, headers=HEADERS)
        (id_,), = wait_for(lambda: site.sql("select id::text from messages"), "the commit")
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
    assert site.sql("select id::text from message_keys") == [(id_,)]


def test_answers_of_commits_are_lost_under_load(site):
    name = "Postgres: answer to the commit lost"
    with Senders(site.server.port) as senders:
        for _ in range(LOST):
            senders.await_kept()
            site.relay.mute()
            wait_for(lambda: site.relay.swallowed > 0, "an answer to be lost")
            site.relay.cut()
            site.relay.unmute()
            faults.injected(name)
            site.await_health()
        site.settle(name, senders)
    assert sum(mail.kept.duplicate for mail in senders.mails) >= LOST


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
