# SPDX-License-Identifier: MIT
"""Load with a ledger: what was sent and answered, and whether the database agrees with it."""
import collections
import hashlib
import itertools
import threading
import time

import requests

from servers.mailserver import TOKEN, message
from servers.waiting import wait_for

THREADS = 16
RETRY_PAUSE_S = 0.1
LAST_ANSWER_S = 60  # until every message must have been answered 200
SMALL, LARGE = 400, 40_000  # bytes of text; one in LARGE_EVERY is large
LARGE_EVERY = 8
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "message/rfc822"}


class Load:
    """with Load(url) as load: …

    Clients that each send one fresh message after the other, and each of them again until it is
    answered 200, like an MTA does. At the end none is left unanswered."""

    def __init__(self, url, threads=THREADS, large=True):
        self.url, self.large = url, large
        self.statuses = collections.Counter()  # of all requests: a status, or an exception's name
        self.kept = {}  # the digest of a message that was answered 200: its id
        self.last_kept_began = 0  # when the latest request that was answered 200 was sent
        self.unanswered = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._late = None  # when the clients give up, once they are stopping
        self._clients = [threading.Thread(target=self._client, args=(number,), daemon=True)
                         for number in range(threads)]

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, kind, *exc):
        self._late = time.monotonic() + (LAST_ANSWER_S if kind is None else 0)
        self._stopping.set()
        for client in self._clients:
            client.join()
        assert kind is not None or not self.unanswered, \
            f"{self.unanswered} messages were never answered 200: {self.statuses}"

    def wait_for_more(self, count):
        """Until so many more messages were answered 200."""
        goal = len(self.kept) + count
        wait_for(lambda: len(self.kept) >= goal, f"{count} more messages; {self.statuses}")

    def wait_for_refused(self, count):
        """Until so many more requests were answered otherwise, or not at all."""
        goal = self.refused() + count
        wait_for(lambda: self.refused() >= goal, f"{count} refused requests")

    def check_keeps_nothing(self, count):
        """Of the requests from now on: so many are refused, and none is answered 200 meanwhile."""
        now = time.monotonic()
        self.wait_for_refused(count)
        assert self.last_kept_began < now, self.statuses

    def refused(self):
        with self._lock:
            return sum(count for status, count in self.statuses.items() if status != 200)

    def _client(self, number):
        session = requests.Session()
        session.headers.update(HEADERS)
        for count in itertools.count():
            if self._stopping.is_set():
                return
            text = "x" * (LARGE if self.large and count % LARGE_EVERY == 0 else SMALL)
            mail = message(body=text + "\r\n", Message_ID=f"<{number}.{count}.{id(self)}@load>")
            stored = self._send(session, mail)
            with self._lock:
                if stored is None:
                    self.unanswered += 1
                else:
                    self.kept[hashlib.sha256(mail).hexdigest()] = stored

    def _send(self, session, mail):
        """The id, once there is one; None when time has run out."""
        while not self._stopping.is_set() or time.monotonic() < self._late:
            began = time.monotonic()
            status, stored = self._post(session, mail)
            with self._lock:
                self.statuses[status] += 1
                if status == 200:
                    self.last_kept_began = max(self.last_kept_began, began)
            if status == 200:
                return stored
            time.sleep(RETRY_PAUSE_S)
        return None

    def _post(self, session, mail):
        try:
            answer = session.post(self.url, data=mail, timeout=60)
            return answer.status_code, answer.json()["id"] if answer.status_code == 200 else None
        except (requests.RequestException, ValueError) as error:
            return type(error).__name__, None


LEDGER_SQL = """
    select encode(m.sha256, 'hex'), m.id::text, sha256(r.raw) = m.sha256, k.count, p.count
    from messages m left join message_raw r using (id)
    left join (select id, count(*) from message_keys group by id) k using (id)
    left join (select id, count(*) from message_parts group by id) p using (id)"""


def check_exactly_once(postgres, database, *loads):
    """All that was answered 200, whole, under the id that was told, once; and nothing else."""
    kept = {digest: stored for load in loads for digest, stored in load.kept.items()}
    rows = postgres.psql(LEDGER_SQL, database=database)
    found = collections.Counter((digest, stored) for digest, stored, *_ in rows)
    expected = collections.Counter(kept.items())
    assert found == expected, (f"of {len(kept)} messages: lost {list(expected - found)[:5]}, "
                               f"doubled or unknown {list(found - expected)[:5]}")
    broken = [row for row in rows if row[2:] != (True, 1, 1)]
    assert not broken, f"bytes, keys or parts are not there once: {broken[:5]}"
