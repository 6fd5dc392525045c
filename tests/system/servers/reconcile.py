# SPDX-License-Identifier: MIT
"""For tests of `mailserver reconcile`: lines of an MTA's log, what a server has taken in, and a run."""
import datetime
import itertools
import subprocess

from servers.deliver import environment
from servers.mailserver import BINARY, message

UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
R = "r@example.com"
numbers = itertools.count(1)


def now():
    return datetime.datetime.now(UTC)


def queue_id():
    return f"4Fx{next(numbers):07d}zK"


def exim_id():
    return f"1r6Abc-{next(numbers):06d}-1A"


class Postfix:
    """Lines of its log, in the order of the calls; each a second later than the one before."""

    def __init__(self, at=None, until=None):
        self.at = at or now() - HOUR
        self.until = until or now() + HOUR
        self.lines = [self.frame("qmgr", "A0: removed")]

    def frame(self, program, text, at=None):
        self.at += SECOND
        return f"{(at or self.at).isoformat()} mx postfix/{program}[4711]: {text}"

    def delivery(self, queue, to, status, relay="mailserver", orig_to=None, at=None):
        orig = f", orig_to=<{orig_to}>" if orig_to else ""
        self.lines.append(self.frame(
            "pipe", f"{queue}: to=<{to}>{orig}, relay={relay}, delay=0.2, delays=0/0/0/0.2,"
                    f" dsn=2.0.0, status={status}", at))

    def sent(self, queue, to=R, said=None, **more):
        said = f" ({said})" if said else ""
        relay = more.get("relay", "mailserver")
        self.delivery(queue, to, f"sent (delivered via {relay} service{said})", **more)

    def sent_as(self, queue, identity, to=R, **more):
        self.sent(queue, to, f"2.0.0 id={identity}", **more)

    def deferred(self, queue, to=R, **more):
        self.delivery(queue, to, "deferred (temporary failure)", **more)

    def bounced(self, queue, to=R, **more):
        self.delivery(queue, to, "bounced (data format error)", **more)

    def expired(self, queue):
        self.lines.append(self.frame("qmgr", f"{queue}: from=<s@example.org>, status=expired,"
                                             " returned to sender"))

    def text(self):
        return "\n".join([*self.lines, self.frame("qmgr", "A0: removed", self.until)]) + "\n"

    def write(self, path):
        path.write_text(self.text())
        return path


class Exim(Postfix):
    """The same of its main log; local time."""

    def frame(self, program, text, at=None):
        self.at += SECOND
        return f"{(at or self.at).astimezone():%Y-%m-%d %H:%M:%S} {text}"

    def line(self, queue, text, at=None):
        self.lines.append(self.frame("", f"{queue} {text}", at))

    def sent(self, queue, to=R, flag="=>", relay="mailserver", at=None):
        self.line(queue, f"{flag} {to} R=router T={relay} S=4711", at)


def take_in(server, queue=None, to=R, body=None, **more):
    """What the server has taken in; its id."""
    headers = {"X-Original-Sender": "s@example.org", "X-Original-Queue-Id": queue,
               "X-Original-Recipient": to, **more}
    answer = server.post(body or message(), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


class Done:
    """One run, as an operator sees it."""

    def __init__(self, server, *arguments, stdin=None, env=None, expect=None, preexec=None,
                 binary=BINARY):
        done = subprocess.run(
            [binary, "reconcile", "-c", str(server.folder / "mailserver.yaml"), *map(str, arguments)],
            capture_output=True, timeout=300, check=False, input=stdin, preexec_fn=preexec,
            env=environment(token=None, **(env or {})))
        self.code, self.said = done.returncode, done.stderr.decode()
        self.lines = done.stdout.decode().splitlines()
        assert "Sanitizer" not in self.said and "runtime error" not in self.said, self.said
        if expect is not None:
            assert self.code == expect, (self.lines, self.said)

    def words(self):
        return [line.split()[0] for line in self.lines]

    def line(self, queue):
        found = [line for line in self.lines if f" queue={queue} " in line]
        assert len(found) == 1, self.lines
        return found[0]


def check(server, log, tmp_path, *arguments, **more):
    return Done(server, "--maillog", log.write(tmp_path / "mail.log"), *arguments, **more)
