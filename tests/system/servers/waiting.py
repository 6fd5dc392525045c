# SPDX-License-Identifier: MIT
"""What every server of the tests needs: a free port, and waiting for a condition, not for luck."""
import socket
import time

DEADLINE_S = 30


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """The condition's first true value; fails, saying what was waited for, after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline_s} s in vain for {what}"
        time.sleep(0.02)
