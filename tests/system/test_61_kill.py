# SPDX-License-Identifier: MIT
"""The server is killed at random moments under load, and no message is lost or doubled."""
import random

from servers import faults
from servers.ledger import check_ledger, check_retries, kept_ids
from servers.senders import Senders

KILLS = faults.times(3, 20)


def test_killed_at_random_moments(launch, storage_url):
    server = launch(storage_url=storage_url)
    name = f"{server.backend}: SIGKILL of the server"
    with Senders(server.port) as senders:
        for _ in range(KILLS):
            senders.await_kept(random.randint(1, 400))
            server.kill9()
            faults.injected(name)
            acknowledged = senders.acknowledged()
            server.start()
            # Before the retries can have healed it.
            lost = acknowledged - kept_ids(server.storage_url)
            assert not lost, f"{len(lost)} of {len(acknowledged)} messages are lost: {lost}"
        senders.await_kept()
        mails = senders.finish()
    assert senders.unanswered >= KILLS and senders.refused == 0
    check_ledger(server.storage_url, mails)
    check_retries(server, mails)
    faults.survived(name, **senders.counts())
