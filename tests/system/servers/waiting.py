# SPDX-License-Identifier: MIT
"""What every server of the tests needs: a free port, and waiting for a condition, not for luck."""
import itertools
import os
import random
import socket
import time

DEADLINE_S = 30


def _ports():
    """The kernel's choice; or those of $TEST_PORTS ("12000-21999") in turn, from anywhere on."""
    if "TEST_PORTS" not in os.environ:
        return itertools.repeat(0)
    first, last = map(int, os.environ["TEST_PORTS"].split("-"))
    ports = list(range(first, last + 1))
    start = random.randrange(len(ports))
    return itertools.cycle(ports[start:] + ports[:start])


PORTS = _ports()


def free_port():
    for port in PORTS:
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
        except OSError:
            pass


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """The condition's first true value; fails, saying what was waited for, after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline_s} s in vain for {what}"
        time.sleep(0.02)
