# SPDX-License-Identifier: MIT
"""An MTA whose mail goes to a relay, behind which each test puts a server of its own."""
import os

import pytest

from servers.exim import Exim
from servers.ledger import kept_ids
from servers.mta import PATH
from servers.postfix import Postfix
from servers.relay import Relay
from servers.waiting import wait_for

KINDS = {"postfix": Postfix, "exim": Exim}


class MtaSite:
    """with MtaSite("postfix", "deliver", 60) as site: mail for example.com goes to site.serve(…)"""

    def __init__(self, kind, client, timeout_s):
        if kind == "postfix" and os.geteuid() != 0:
            pytest.skip("Postfix runs as several users, so it needs root")
        self.relay = Relay(0)
        self.server, self.before = None, set()
        self.mta = KINDS[kind](f"http://127.0.0.1:{self.relay.port}{PATH}", client, timeout_s)

    def __enter__(self):
        self.mta.__enter__()
        return self

    def __exit__(self, *exc):
        self.relay.close()
        self.mta.close()

    def serve(self, server):
        self.server, self.relay.server_port = server, server.port
        self.before = set()
        return server

    def reset(self):
        """For the next test, whatever the last one has left."""
        self.relay.unmute()
        self.relay.release()
        self.relay.cut()
        if self.relay.listener is None:
            self.relay.accept()
        self.mta.begin()
        self.before = kept_ids(self.server.storage_url) if self.server else set()

    # ---- what a test waits for ----

    def await_kept(self, count=1):
        """Until the queue is empty; the messages in the database, by the ids of the MTA's queue,
        of which there are so many, each once."""
        wait_for(lambda: len(self.kept_ids()) >= count and not self.mta.queue(),
                 f"{count} messages to be kept; {self.mta.log()[-3000:]}", 60)
        ids = self.kept_ids()
        assert len(ids) == count, f"{len(ids)} messages are kept, not {count}"
        return {e["envelope"]["queue_id"]: e for e in map(self.read, ids)}

    def await_deferral(self, queue_id):
        """Until it was tried in vain; what the log says of it."""
        wait_for(lambda: self.mta.deferrals(queue_id),
                 f"{queue_id} to be deferred; {self.mta.log()[-3000:]}", 60)
        return self.mta.log_of(queue_id)

    def kept_ids(self):
        """Of this test."""
        return kept_ids(self.server.storage_url) - self.before

    def read(self, id_):
        """What GET says about it, and its bytes."""
        answer = self.server.get(f"/api/emails/{id_}")
        assert answer.status_code == 200, answer.text
        return {**answer.json(), "raw": self.server.get(f"/api/emails/{id_}/raw").content}
