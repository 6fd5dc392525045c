# SPDX-License-Identifier: MIT
"""Many clients send the same message at the same moment: it is kept once, and each is told so."""
import hashlib
import random
import threading

import pytest

from servers import faults
from servers.ledger import Rows, check_rows
from servers.load import HEADERS, PATIENCE_S, attempt, compose, connect

CLIENTS = 32
ROUNDS = faults.times(10, 300)


class Crowd:
    """Clients with open connections, to one of the servers in turn, who all send at once."""

    def __init__(self, *servers):
        self.barrier = threading.Barrier(CLIENTS)
        self.connections = [connect(servers[i % len(servers)].url("/")) for i in range(CLIENTS)]
        for connection in self.connections:
            connection.connect()

    def send(self, raws, headers=HEADERS):
        """One of each client; the answers in that order."""
        answers = [None] * CLIENTS

        def client(i):
            self.barrier.wait(PATIENCE_S)
            answers[i] = attempt(self.connections[i], raws[i], headers)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


def check_one(answers):
    """The id that all were told; one of them alone was the first."""
    assert {a.status for a in answers} == {200}, answers
    assert len({a.id for a in answers}) == 1, answers
    assert sorted(a.duplicate for a in answers) == [False] + [True] * (CLIENTS - 1), answers
    return answers[0].id


def race(name, servers):
    crowd, rng = Crowd(*servers), random.Random()
    ids = {check_one(crowd.send([compose(rng, "the same")] * CLIENTS)) for _ in range(ROUNDS)}
    # With a key of the caller's own, the envelope does not matter.
    raw = [compose(rng, "the same")] * CLIENTS
    ids.add(check_one(crowd.send(raw, {**HEADERS, "Idempotency-Key": "k"})))
    assert check_one(crowd.send(raw)) not in ids, "another envelope and no key: another message"
    rows = Rows(servers[0].storage_url)
    check_rows(rows)
    assert len(rows.messages) == ROUNDS + 2 and ids <= set(rows.messages)
    faults.injected(name, ROUNDS)
    faults.survived(name, messages=ROUNDS, duplicates=ROUNDS * (CLIENTS - 1))


def test_each_is_told_of_its_own_message(server):
    """New ones, one that comes several times, and some that were there: all in one batch."""
    crowd, rng = Crowd(server), random.Random()
    digests, told = {}, {}
    for _ in range(ROUNDS):
        old = rng.sample(list(digests), min(len(digests), CLIENTS // 4))
        new = [compose(rng, "one of many") for _ in range(CLIENTS // 4)]
        raws = old + new + rng.choices(new, k=CLIENTS - len(old) - len(new))
        rng.shuffle(raws)
        digests.update((raw, hashlib.sha256(raw).digest()) for raw in new)
        answers = crowd.send(raws)
        assert {a.status for a in answers} == {200}, answers
        assert sum(not a.duplicate for a in answers) == len(new)
        for raw, answer in zip(raws, answers):
            assert told.setdefault(raw, answer.id) == answer.id
    rows = Rows(server.storage_url)
    check_rows(rows)
    assert {id_: digest for id_, (digest, _) in rows.raw.items()} == {
        told[raw]: digest for raw, digest in digests.items()}


def test_same_message_from_all_at_once(server):
    race(f"{server.backend}: {CLIENTS} times the same message at once", [server])


@pytest.mark.parametrize("count", [2, 3])
def test_same_message_over_several_servers(launch, postgres, count):
    url = postgres.url(postgres.create_database())
    servers = [launch(storage_url=url) for _ in range(count)]
    race(f"Postgres, {count} servers: {CLIENTS} times the same message at once", servers)
