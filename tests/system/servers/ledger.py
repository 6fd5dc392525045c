# SPDX-License-Identifier: MIT
"""Does the database hold what the senders were told: each message exactly once, to the byte?"""
import collections
import contextlib
import hashlib
import sqlite3
import uuid

import psycopg2

from servers import faults
from servers.load import attempt, connect

MAX_RETRIES = 50
SHOWN = 10
CLOCK_S = 0.002  # ids hold milliseconds


@contextlib.contextmanager
def opened(url):
    """A function that runs a query and gives its rows. `url` is the server's storage.url."""
    if url.startswith("sqlite://"):
        connection = sqlite3.connect(url.removeprefix("sqlite://"), timeout=30)
    else:
        connection = psycopg2.connect(url, connect_timeout=10)
    try:
        cursor = connection.cursor()

        def query(sql):
            cursor.execute(sql)
            return cursor.fetchall()

        yield query
    finally:
        connection.close()


def kept_ids(url):
    with opened(url) as query:
        return {i for i, in query("select cast(id as text) from messages")}


class Rows:
    """Of the tables, by the ids as text. Of messages, what the row says of the bytes, and in `raw`
    what they are: digest and size."""

    def __init__(self, url):
        with opened(url) as query:
            messages = query("select cast(id as text), sha256, size from messages")
            raw = query("select cast(id as text), raw from message_raw")
            keys = query("select cast(id as text) from message_keys")
            parts = query("select cast(id as text) from message_parts")
        self.messages = {i: (bytes(sha256), size) for i, sha256, size in messages}
        self.raw = {i: (hashlib.sha256(bytes_).digest(), len(bytes_)) for i, bytes_ in raw}
        self.keys = {i for i, in keys}
        self.parts = {i for i, in parts}
        self.counts = len(messages), len(raw), len(keys), len(parts)


def check_rows(rows):
    """The tables agree with each other; of each message, which has one part, all is there once."""
    ids = set(rows.messages)
    assert rows.counts == (len(ids),) * 4, f"messages, bytes, keys, parts: {rows.counts}"
    assert set(rows.raw) == ids and rows.keys == ids and rows.parts == ids
    wrong = [i for i in ids if rows.messages[i] != rows.raw[i]]
    assert not wrong, f"{len(wrong)} rows whose digest is not that of their bytes: {wrong[:SHOWN]}"


def born(id_):
    """The moment in a UUID of version 7, in seconds."""
    return (uuid.UUID(id_).int >> 80) / 1000


def faults_of(mail, ids, proxied):
    """What is wrong with the answers to a message that is kept under `ids`."""
    last = mail.answers[-1]
    if len(ids) != 1:
        yield f"is there {len(ids)} times"
        return
    if last.id != ids[0]:
        yield f"was answered with {last.id} and is kept as {ids[0]}"
    if last.duplicate and len(mail.answers) == 1 and not proxied:
        yield "was called a duplicate the first time it was sent"
    # Ids are proposed on arrival: an older one is of an attempt that was not answered 200.
    if not last.duplicate and born(ids[0]) < last.began - CLOCK_S:
        yield "was there already, and not called a duplicate"
    if born(ids[0]) < mail.answers[0].began - CLOCK_S:
        yield "is kept under an id older than itself"


def check_ledger(url, *loads, proxied=False):
    """All that was sent, and nothing else, exactly once, to the byte, under the ids that were
    answered. `proxied`: something between may have sent it again."""
    mails = [mail for load in loads for mail in load.mails]
    rows = Rows(url)
    check_rows(rows)
    by_digest = collections.defaultdict(list)
    for id_, (digest, _) in rows.raw.items():
        by_digest[digest].append(id_)
    faults_found = [f"{mail.answers}: {fault}" for mail in mails
                    for fault in faults_of(mail, by_digest.get(mail.sha256, []), proxied)]
    assert not faults_found, (f"{len(faults_found)} of {len(mails)} messages:\n"
                              + "\n".join(faults_found[:SHOWN]))
    assert len(rows.messages) == len(mails), "there is mail that nobody sent"


def check_retries(server, load):
    """Sent once more, those whose answer had been another than 200 are duplicates of themselves."""
    connection = connect(server.url("/"))
    retried = [mail for mail in load.mails if len(mail.answers) > 1][:MAX_RETRIES]
    for mail in retried:
        answer = attempt(connection, mail.raw)
        assert (answer.status, answer.duplicate, answer.id) == (200, True, mail.kept.id), answer
    connection.close()


def settle(name, server, *loads):
    """The end of a fault that the server itself has lived through: all is there, exactly once."""
    check_ledger(server.storage_url, *loads)
    for load in loads:
        assert set(load.statuses) <= {200, 503, 507}, load.statuses
        check_retries(server, load)
        faults.survived(name, **load.counts())
