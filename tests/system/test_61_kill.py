# SPDX-License-Identifier: MIT
"""The server is killed at random moments under load, and no message is lost or doubled."""
import random

from servers import faults
from servers.ledger import check_ledger, check_retries, kept_ids
from servers.load import Load

KILLS = faults.times(3, 20)


def test_killed_at_random_moments(launch, storage_url):
    server = launch(storage_url=storage_url)
    name = f"{server.backend}: SIGKILL of the server"
    with Load(server.url("/mail/inbound")) as load:
        for _ in range(KILLS):
            load.wait_for_more(random.randint(1, 400))
            server.kill9()
            faults.injected(name)
            acknowledged = load.acknowledged()
            server.start()
            # Before the retries can have healed it.
            lost = acknowledged - kept_ids(server.storage_url)
            assert not lost, f"{len(lost)} of {len(acknowledged)} messages are lost: {lost}"
        load.wait_for_more()
    assert load.statuses[0] >= KILLS and set(load.statuses) == {200, 0}, load.statuses
    check_ledger(server.storage_url, load)
    check_retries(server, load)
    faults.survived(name, **load.counts())
