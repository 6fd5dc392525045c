# SPDX-License-Identifier: MIT
"""Slow and hostile clients: what each is answered, and that nobody else is harmed by it."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import resource
import socket
import threading

import pytest

from servers.mailserver import ROOT, TOKEN, http_request, message, receive_all
from servers.waiting import wait_for

RELEASE = os.environ.get("MAILSERVER_RELEASE", str(ROOT / "build/release/bin/mailserver"))
MEGABYTE = 1 << 20


def total_emails(server):
    return server.get("/metrics").json()["total_emails"]


AMBIGUOUS = {
    "two lengths": [b"Content-Length: %(n)d", b"Content-Length: 5"],
    "the same length twice": [b"Content-Length: %(n)d", b"Content-Length: %(n)d"],
    "a length beside chunks": [b"Content-Length: %(n)d", b"Transfer-Encoding: chunked"],
    "chunks beside a length": [b"Transfer-Encoding: chunked", b"Content-Length: %(n)d"],
    "two encodings": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "a folded field": [b"Content-Length: %(n)d", b"X-Folded: a\r\n b"],
    "a folded length": [b"X-Folded: a\r\n Content-Length: 3", b"Content-Length: %(n)d"],
    "a bare LF": [b"Content-Length: %(n)d\nX: y"],
}


@pytest.mark.parametrize("shape", AMBIGUOUS)
def test_request_that_could_be_read_in_two_ways_is_refused(sqlite_server, shape):
    mail = message()
    smuggled = http_request(message(subject="smuggled"))
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(mail), mail)
    body = chunked if any(b"chunked" in h for h in AMBIGUOUS[shape]) else mail
    headers = [h % {b"n": len(body)} if b"%" in h else h for h in AMBIGUOUS[shape]]
    request = http_request(body, headers, length=False).replace(b"Connection: close\r\n", b"")
    answer = sqlite_server.send_raw(request + smuggled)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert answer.count(b"HTTP/1.1") == 1, "the connection must end with the refusal"
    assert b"Connection: close" in answer
    assert total_emails(sqlite_server) == 0


@pytest.mark.parametrize("encoding", ["gzip", "gzip, chunked", "chunked, identity", "xchunked", "identity"])
def test_transfer_encoding_that_is_not_chunked_is_refused(sqlite_server, encoding):
    answer = sqlite_server.send_raw(http_request(
        b"5\r\nhello\r\n0\r\n\r\n", [f"Transfer-Encoding: {encoding}"], length=False))
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert total_emails(sqlite_server) == 0


def test_pipelined_requests_keep_their_own_tokens(sqlite_server):
    good = http_request(message(subject="good")).replace(b"Connection: close\r\n", b"")
    wrong = good.replace(TOKEN.encode(), b"x" * len(TOKEN))
    last = http_request(message(subject="last"))
    answer = sqlite_server.send_raw(good + wrong + last)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"401", b"200"]
    assert total_emails(sqlite_server) == 2


def test_mail_flows_beside_a_thousand_idle_connections(launch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    server = launch(settings={"max_connections": 2000})
    try:
        with contextlib.ExitStack() as idle:
            for i in range(1000):
                s = idle.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
                if i % 2:
                    s.sendall(b"POST /mail/inbound HTTP/1.1\r\nHost: x\r\nX-Half: ")
            for _ in range(100):
                assert server.post(message(), headers={"Connection": "close"}).status_code == 200
            assert total_emails(server) == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not pathlib.Path(RELEASE).exists(),
                    reason=f"memory is measured without sanitizers, and there is no {RELEASE}")
def test_a_hundred_bodies_of_25_megabytes_stay_under_the_ceiling(launch):
    ceiling_mb, clients = 400, 100
    server = launch(binary=RELEASE, settings={"read_timeout": 300})
    body = b"Subject: large\r\n\r\n" + (b"0123456789abcde\n" * 64) * (25 * 1024 - 1)
    gate, peak, done = threading.Barrier(clients), [0.0], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], server.anonymous_megabytes())

    def deliver(n):
        mail = b"X-Number: %d\r\n" % n + body
        with socket.create_connection(("127.0.0.1", server.port), timeout=300) as s:
            s.sendall(http_request(b"", length=len(mail)) + mail[:-1])
            gate.wait()  # all hundred lie with the server now, but for a byte each
            s.sendall(mail[-1:])
            return receive_all(s)[:12]

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(deliver, range(clients)))
    finally:
        done.set()
        watcher.join()
    print(f"\npeak of anonymous memory: {peak[0]:.0f} MB")
    assert set(answers) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}, set(answers)
    assert total_emails(server) == answers.count(b"HTTP/1.1 200") > 0
    assert 0 < peak[0] < ceiling_mb
    wait_for(lambda: server.post(message()).status_code == 200, "mail to be taken again")


def test_trace_of_the_caller_is_in_the_log_line(sqlite_server):
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    sqlite_server.post(message(), headers={"traceparent": f"00-{trace}-{parent}-01"})
    sqlite_server.post(message(), headers={"traceparent": "nonsense"})
    traced, untraced = wait_for(
        lambda: len(lines := [e for e in sqlite_server.events("request") if e["method"] == "POST"]) == 2
        and lines, "two log lines")
    assert traced["trace_id"] == trace and traced["parent_id"] == parent
    assert "trace_id" not in untraced
