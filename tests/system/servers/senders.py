# SPDX-License-Identifier: MIT
"""Clients that behave as MTAs do: what is not answered 200 is sent again until it is."""
import hashlib
import http.client
import json
import random
import threading
import time
from typing import NamedTuple

from servers.mailserver import TOKEN
from servers.waiting import wait_for

PATIENCE_S = 60  # no answer within that is one that was lost
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


class Mail:
    """One message, and every answer to it. Its bytes are kept while somebody may want them."""

    def __init__(self, raw):
        self.raw, self.sha256 = raw, hashlib.sha256(raw).digest()
        self.answers = []

    @property
    def kept(self):
        """The answer 200, or None."""
        return self.answers[-1] if self.answers and self.answers[-1].status == 200 else None


def compose(rng, subject):
    """A message of its own: mostly small, some large, with bytes that are no text."""
    size = rng.choices([rng.randint(200, 6_000), rng.randint(6_000, 50_000), 200_000],
                       [90, 9, 1])[0]
    number = rng.getrandbits(64)
    head = (f"From: Alice <alice@example.org>\r\nTo: bob@example.com\r\nSubject: {subject}\r\n"
            f"Message-ID: <{number:x}@example.org>\r\n\r\n").encode()
    words = rng.randbytes(size // 4).hex().encode()
    return head + words + b"\r\n" + rng.randbytes(size // 4) + b"\x00\xff\r\n"


def attempt(connection, raw, headers=HEADERS):
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
    return answer(200, id=told["id"], duplicate=told["duplicate"])


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


class Senders:
    """with Senders(server.port) as senders: they send, from the start until finish()

    Each client has one connection, kept while it may be, to one of the ports in turn."""

    def __init__(self, *ports, clients=12, subject="load"):
        self.subject = subject
        self.no_more, self.give_up = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.mails, self.bugs = [], []
        self.kept = self.refused = self.unanswered = 0
        self.threads = [threading.Thread(target=self._client, args=(ports[i % len(ports)],),
                                         daemon=True) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.give_up.set()
        self._join(PATIENCE_S)

    # ---- what a test asks for ----

    def await_kept(self, count=100, deadline_s=30):
        """So many more."""
        wanted = self.kept + count
        wait_for(lambda: self.kept >= wanted, f"{count} more messages to be taken", deadline_s)

    def finish(self, deadline_s=60):
        """No new messages; returns once each was answered 200, and gives them all."""
        self.no_more.set()
        self._join(deadline_s)
        waiting = [mail.answers[-3:] for mail in self.mails if not mail.kept]
        assert not waiting, f"{len(waiting)} still waiting after {deadline_s} s: {waiting[:3]}"
        assert not self.bugs, self.bugs
        faults = [a for mail in self.mails for a in mail.answers if a.status and a.said]
        assert not faults, f"{len(faults)} answers are not as they should be: {faults[:3]}"
        return self.mails

    def counts(self):
        """As faults.survived() wants them."""
        return {"messages": self.kept, "refused": self.refused, "unanswered": self.unanswered,
                "duplicates": sum(a.duplicate for a in self.answers(200))}

    def answers(self, *statuses):
        with self.lock:
            return [a for mail in self.mails for a in mail.answers if a.status in statuses]

    def acknowledged(self):
        """The ids that were answered 200 so far."""
        return {a.id for a in self.answers(200)}

    # ---- how ----

    def _client(self, port):
        try:
            self._send_all(port)
        except Exception as error:  # pylint: disable=broad-except
            self.bugs.append(error)
            raise

    def _send_all(self, port):
        rng = random.Random()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        while not self.no_more.is_set() and not self.give_up.is_set():
            mail = Mail(compose(rng, self.subject))
            with self.lock:
                self.mails.append(mail)
            self._send_until_kept(connection, mail)
        connection.close()

    def _send_until_kept(self, connection, mail):
        while not mail.kept and not self.give_up.is_set():
            answer = attempt(connection, mail.raw)
            with self.lock:
                mail.answers.append(answer)
                self.kept += answer.status == 200
                self.refused += answer.status > 200
                self.unanswered += answer.status == 0
            if answer.status != 200:
                self.give_up.wait(RETRY_S)
            elif len(mail.answers) == 1:
                mail.raw = None

    def _join(self, deadline_s):
        end = time.monotonic() + deadline_s
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
