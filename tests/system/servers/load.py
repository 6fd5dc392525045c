# SPDX-License-Identifier: MIT
"""Load as MTAs make it: what is not answered 200 is sent again until it is."""
import collections
import hashlib
import http.client
import json
import random
import threading
import time
import urllib.parse
from typing import NamedTuple

from servers.mailserver import TOKEN
from servers.waiting import wait_for

PATIENCE_S = 60  # no answer within that is one that was lost
LAST_ANSWER_S = 60  # until every message must have been answered 200
RETRY_S = 0.1
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "message/rfc822",
           "X-Original-Sender": "alice@example.org", "X-Original-Recipient": "bob@example.com"}


class Answer(NamedTuple):
    """To one attempt. `status` is 0 when there was none, and `said` then tells what went wrong."""
    began: float  # on the wall's clock, which the ids are made by
    seconds: float
    status: int
    id: str = ""
    duplicate: bool = False
    said: str = ""
    told: dict = None  # all that a 200 says, for who wants the `whole`


class Mail:
    """One message, and every answer to it. Its bytes are kept while somebody may want them."""

    def __init__(self, raw):
        self.raw, self.sha256 = raw, hashlib.sha256(raw).digest()
        self.answers = []

    @property
    def kept(self):
        """The answer 200, or None."""
        return self.answers[-1] if self.answers and self.answers[-1].status == 200 else None


def compose(rng, subject, large=True, sizes=None):
    """A message of its own: small, or in one of ten large; with bytes that are no text. Or between
    two `sizes`."""
    size = rng.randint(*(sizes or (200, 6_000)))
    if large and not sizes:
        size = rng.choices([size, rng.randint(6_000, 50_000), 200_000], [90, 9, 1])[0]
    number = rng.getrandbits(64)
    head = (f"From: Alice <alice@example.org>\r\nTo: bob@example.com\r\nSubject: {subject}\r\n"
            f"Message-ID: <{number:x}@example.org>\r\n\r\n").encode()
    words = rng.randbytes(size // 4).hex().encode()
    return head + words + b"\r\n" + rng.randbytes(size // 4) + b"\x00\xff\r\n"


def attempt(connection, raw, headers=HEADERS, whole=False):
    """What came of sending a message once; the connection opens again by itself when needed."""
    began, clock = time.time(), time.monotonic()

    def answer(status, **more):
        return Answer(began, time.monotonic() - clock, status, **more)

    try:
        connection.request("POST", "/mail/inbound", raw, headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return answer(0, said=repr(error))
    if response.status != 200:
        return answer(response.status, said=fault_of(response, body))
    told = json.loads(body)
    return answer(200, id=told["id"], duplicate=told["duplicate"],
                  told=told if whole else None)


def fault_of(response, body):
    """What is wrong with an answer that says "later", or "" when it says so as it should."""
    enhanced = {503: "4.3.2", 507: "4.3.1"}.get(response.status)
    wait = response.headers.get("Retry-After", "")
    try:
        told = json.loads(body)
    except ValueError:
        return f"no JSON: {body[:200]}"
    if (response.headers.get("X-Mail-Status") != enhanced or told.get("enhanced_status") != enhanced
            or told.get("retryable") is not True):
        return f"{response.status} {dict(response.headers)} {told}"
    if response.status == 503 and not (wait.isdigit() and int(wait) >= 1):
        return f"Retry-After: {wait!r}"
    return ""


def connect(url):
    address = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=PATIENCE_S)


class Load:
    """with Load(server.url("/mail/inbound")) as load: …

    Clients that each send one message after the other, on a connection kept while it may be, to one
    of the urls in turn. At the end each message has been answered 200."""

    def __init__(self, *urls, clients=12, large=True, sizes=None):
        self.large, self.sizes = large, sizes
        self.mails = []
        self.kept = 0  # answers 200
        self.statuses = collections.Counter()  # of all attempts; 0: no answer
        self.last_kept_began = 0  # when the latest attempt that was answered 200 began
        self._lock = threading.Lock()
        self._no_more, self._give_up = threading.Event(), threading.Event()
        self._bugs = []
        self.clients = [threading.Thread(target=self._client, args=(urls[i % len(urls)],),
                                         daemon=True) for i in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, kind, *exc):
        self._no_more.set()
        if kind is None:
            self._join(LAST_ANSWER_S)
        self._give_up.set()
        self._join(PATIENCE_S)
        if kind is None:
            self._check()

    # ---- what a test asks for ----

    def wait_for_more(self, count=100):
        """Until so many more messages were answered 200."""
        goal = self.kept + count
        wait_for(lambda: self.kept >= goal, f"{count} more messages; {self.statuses}")

    def wait_for_refused(self, count):
        """Until so many more attempts were answered otherwise, or not at all."""
        goal = self.refused() + count
        wait_for(lambda: self.refused() >= goal, f"{count} refused attempts; {self.statuses}")

    def check_keeps_nothing(self, count):
        """Of the attempts from now on: so many are refused, and none is answered 200 meanwhile."""
        now = time.time()
        self.wait_for_refused(count)
        assert self.last_kept_began < now, self.statuses

    def refused(self):
        with self._lock:
            return sum(count for status, count in self.statuses.items() if status != 200)

    def answers(self, *statuses):
        with self._lock:
            return [a for mail in self.mails for a in mail.answers if a.status in statuses]

    def acknowledged(self):
        """The ids that were answered 200 so far."""
        return {a.id for a in self.answers(200)}

    def counts(self):
        """As faults.survived() wants them."""
        return {"messages": self.kept, "refused": self.statuses[503] + self.statuses[507],
                "unanswered": self.statuses[0],
                "duplicates": sum(a.duplicate for a in self.answers(200))}

    # ---- how ----

    def _client(self, url):
        try:
            self._send_all(connect(url))
        except Exception as error:  # pylint: disable=broad-except
            self._bugs.append(error)
            raise

    def _send_all(self, connection):
        rng = random.Random()
        while not self._no_more.is_set() and not self._give_up.is_set():
            mail = Mail(compose(rng, "load", self.large, self.sizes))
            with self._lock:
                self.mails.append(mail)
            self._send_until_kept(connection, mail)
        connection.close()

    def _send_until_kept(self, connection, mail):
        while not mail.kept and not self._give_up.is_set():
            answer = attempt(connection, mail.raw)
            with self._lock:
                mail.answers.append(answer)
                self.statuses[answer.status] += 1
                self.kept += answer.status == 200
                if answer.status == 200:
                    self.last_kept_began = max(self.last_kept_began, answer.began)
            if answer.status != 200:
                self._give_up.wait(RETRY_S)
            elif len(mail.answers) == 1:
                mail.raw = None

    def _join(self, deadline_s):
        end = time.monotonic() + deadline_s
        for client in self.clients:
            client.join(max(0.0, end - time.monotonic()))

    def _check(self):
        assert not self._bugs, self._bugs
        waiting = [mail.answers[-3:] for mail in self.mails if not mail.kept]
        assert not waiting, (f"{len(waiting)} messages were never answered 200: {self.statuses},"
                             f" {waiting[:3]}")
        wrong = [a for a in self.answers(503, 507) if a.said]
        assert not wrong, f"{len(wrong)} answers are not as they should be: {wrong[:3]}"
