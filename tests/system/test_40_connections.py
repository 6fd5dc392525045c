# SPDX-License-Identifier: MIT
"""Connections: limits, timeouts, clients that go away, large bodies that spill to files."""
import concurrent.futures
import contextlib
import pathlib
import resource
import socket
import sqlite3
import time

import pytest

from servers.mailserver import http_request, message, receive_all
from servers.waiting import wait_for

MEGABYTE = 1 << 20


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def seconds_until_closed(sock):
    began = time.monotonic()
    receive_all(sock)
    return time.monotonic() - began


def test_request_that_is_never_finished_is_cut_after_read_timeout(launch):
    server = launch(settings={"read_timeout": 1, "idle_timeout": 60})
    halves = (b"POST /mail/inbound HTTP/1.1\r\nHost: x\r\nX-Slow: ",
              http_request(b"only the beginning", length=1000))
    for half in halves:
        with connect(server) as s:
            s.sendall(half)
            assert 0.5 < seconds_until_closed(s) < 10
    assert server.get("/health").status_code == 200


def test_header_that_trickles_is_cut_too(launch):
    server = launch(settings={"read_timeout": 1})
    with connect(server) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        s.settimeout(0.1)
        began = time.monotonic()
        while time.monotonic() - began < 10:
            try:
                s.sendall(b"a")
                if s.recv(100) == b"":
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 10


def test_idle_connection_is_closed_after_idle_timeout(launch):
    server = launch(settings={"read_timeout": 60, "idle_timeout": 1})
    with connect(server) as s:
        s.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
        assert 0.5 < seconds_until_closed(s) < 10


def test_connections_over_the_limit_wait_and_are_served_later(launch):
    server = launch(settings={"max_connections": 5})
    wait_for(lambda: server.get("/health/live").status_code == 200, "the server")
    server.session.close()
    held = [connect(server) for _ in range(5)]
    for s in held:
        s.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    served = [s for s in held if s.recv(65536).startswith(b"HTTP/1.1 200")]
    assert len(served) == 5
    with connect(server) as late:
        late.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        late.settimeout(0.7)
        with pytest.raises(socket.timeout):
            late.recv(100)
        for s in held:
            s.close()
        late.settimeout(30)
        assert late.recv(65536).startswith(b"HTTP/1.1 200")


def test_client_that_hangs_up_while_its_message_is_stored(launch):
    server = launch()
    mail = message(subject="hung up")
    with sqlite3.connect(server.database, isolation_level=None) as blocker:
        blocker.execute("begin immediate")  # the server's commit now waits
        with connect(server) as s:
            s.sendall(http_request(mail))
            wait_for(lambda: server.get("/metrics").json()["active_requests"] >= 2,
                     "the request to be with its handler")
        blocker.execute("rollback")
    wait_for(lambda: server.get("/metrics").json()["total_emails"] == 1, "the message to be stored")
    again = server.post(mail)
    assert again.json()["duplicate"] is True
    wait_for(lambda: server.get("/metrics").json()["active_requests"] == 1, "the request to end")


def test_half_closed_client_gets_its_answer(sqlite_server):
    with connect(sqlite_server) as s:
        s.sendall(http_request(message()))
        s.shutdown(socket.SHUT_WR)
        assert receive_all(s).startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(sqlite_server):
    one = http_request(message(subject="first")).replace(b"Connection: close\r\n", b"")
    two = http_request(message(subject="second"))
    answer = sqlite_server.send_raw(one + two)
    assert answer.count(b"HTTP/1.1 200") == 2
    with sqlite3.connect(sqlite_server.database) as db:
        rows = db.execute("select subject from messages order by id").fetchall()
    assert rows == [("first",), ("second",)]


def resident_kilobytes(server, field="VmRSS"):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))


def test_large_bodies_lie_in_unlinked_files(launch):
    server = launch(settings={"limits": {"spool_threshold_bytes": 65536}})
    spool = server.folder / "spool"
    body = b"Subject: large\r\n\r\n" + b"0123456789abcde\n" * (MEGABYTE // 16) * 20
    with connect(server) as s:
        s.sendall(http_request(body[:-1], length=len(body)))

        def spooled():
            links = [link.readlink().as_posix()
                     for link in pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()
                     if link.is_symlink()]
            return [link for link in links if link.startswith(f"{spool}/body.")]

        files = wait_for(spooled, "a spool file")
        assert all(link.endswith("(deleted)") for link in files), files
        assert list(spool.iterdir()) == []
        s.sendall(body[-1:])
        assert receive_all(s).startswith(b"HTTP/1.1 200")
    wait_for(lambda: not spooled(), "the spool file to be closed")
    with sqlite3.connect(server.database) as db:
        assert db.execute("select raw from message_raw").fetchone()[0] == body


def test_message_of_25_megabytes(server):
    line = b"All work and no play makes Jack a dull boy, said the 25 MB mail.\r\n"
    head = b"Subject: 25 MB\r\n\r\n"
    body = head + line * ((25 * MEGABYTE - len(head)) // len(line))
    answer = server.post(body)
    assert answer.status_code == 200, answer.text
    assert server.get(answer.json()["stored_at"] + "/raw").content == body


def test_same_message_from_32_clients_at_once_is_one(server):
    mail = message(subject="race")
    with concurrent.futures.ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(
            lambda _: server.post(mail, headers={"Connection": "close"}), range(32)))
    assert [a.status_code for a in answers] == [200] * 32
    assert len({a.json()["id"] for a in answers}) == 1
    assert sum(not a.json()["duplicate"] for a in answers) == 1


def test_running_out_of_descriptors_is_survived(launch, postgres):
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    server = launch(storage_url=postgres.url(postgres.create_database()), preexec=few_descriptors)
    assert server.post(message(), headers={"Connection": "close"}).status_code == 200
    with contextlib.ExitStack() as held:
        for _ in range(60):
            held.enter_context(connect(server))
        wait_for(lambda: any("cannot accept" in e["event"] for e in server.events()), "the limit")
        postgres.stop(mode="immediate")  # its links now want new descriptors, and there are none
        postgres.start()
    wait_for(lambda: server.post(message(), headers={"Connection": "close"}).status_code == 200,
             "mail to be taken again")
