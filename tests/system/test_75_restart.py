# SPDX-License-Identifier: MIT
"""Stopping and restarting under load: every request is answered, and every 200 is on the disk."""
import concurrent.futures
import os
import re
import signal
import socket
import sqlite3
import threading
import time

from servers.mailserver import http_request, message
from servers.waiting import wait_for

CLIENTS = 64


class Load:
    """Clients that each send one message after the other, on connections kept while they may be."""

    def __init__(self, port, clients=CLIENTS):
        self.port, self.stopping = port, threading.Event()
        self.lock = threading.Lock()
        self.kept, self.refused, self.broken = [], [], []
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.running = [self.pool.submit(self.client) for _ in range(clients)]

    def client(self):
        connection = None
        while not self.stopping.is_set():
            mail = message(subject="load")
            if connection is None:
                try:
                    connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
                except ConnectionRefusedError:
                    return  # nobody listens any more: the mail stays with its sender
            connection, status = self.exchange(connection, mail)
            with self.lock:
                {200: self.kept, 503: self.refused}.get(status, self.broken).append(
                    mail if status in (200, 503) else (status, mail))

    @staticmethod
    def exchange(connection, mail):
        """The connection, or None when it is closed; and the status, or what went wrong."""
        try:
            connection.sendall(http_request(mail).replace(b"Connection: close\r\n", b""))
            answer = b""
            while b"\r\n\r\n" not in answer:
                chunk = connection.recv(65536)
                if not chunk:
                    connection.close()
                    return None, "closed without an answer"
                answer += chunk
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
            while len(body) < length:
                body += connection.recv(65536)
        except OSError as error:
            connection.close()
            return None, repr(error)
        if b"Connection: close" in head:
            connection.close()
            connection = None
        return connection, int(head.split()[1])

    def stop(self):
        self.stopping.set()
        for client in self.running:
            client.result(60)
        self.pool.shutdown()


def stored(path):
    with sqlite3.connect(path) as db:
        return {row[0] for row in db.execute("select raw from message_raw")}


def test_drain_answers_every_request_of_64_connections(launch):
    server = launch()
    load = Load(server.port)
    wait_for(lambda: len(load.kept) > 300, "some mail")
    began = time.monotonic()
    assert server.stop() == 0
    print(f"\ndrained {CLIENTS} connections in {time.monotonic() - began:.2f} s, "
          f"{len(load.kept)} kept, {len(load.refused)} told to come again")
    load.stop()
    assert load.broken == []
    kept = stored(server.database)
    assert set(load.kept) <= kept and not set(load.refused) & kept


def test_ready_turns_before_anything_is_refused(launch):
    server = launch(settings={"drain_delay": 2})
    assert server.get("/health/ready").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.get("/health/ready").status_code == 503, "ready to turn")
    assert server.get("/health/live").status_code == 200
    answer = server.post(message())
    assert answer.status_code == 200 and answer.headers["Connection"] == "close"
    assert server.get("/metrics").json()["shutting_down"] is True
    assert server.process.wait(30) == 0


def test_request_on_an_open_connection_is_told_to_come_again(launch):
    server = launch()
    with sqlite3.connect(server.database, isolation_level=None) as blocker:
        blocker.execute("begin immediate")
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as busy, \
                socket.create_connection(("127.0.0.1", server.port), timeout=30) as waiting:
            waiting.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
            busy.sendall(http_request(message()))
            wait_for(lambda: server.get("/metrics").json()["active_requests"] >= 2, "the request")
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: any("draining:" in e["event"] for e in server.events()), "the drain")
            waiting.sendall(http_request(message()).replace(b"Connection: close\r\n", b""))
            answer = waiting.recv(65536)
            assert answer.startswith(b"HTTP/1.1 503") and b"Connection: close" in answer
            assert b"4.3.2" in answer and re.search(rb"retry-after: \d", answer, re.I)
            blocker.execute("rollback")
            assert busy.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.process.wait(30) == 0


def wait_until_up(server):
    wait_for(lambda: any("is up" in e["event"] for e in server.events()), "the server")


def replace_under_load(old, launch_new):
    """No request fails while the one server takes over from the other, and no mail is lost."""
    load = Load(old.port)
    wait_for(lambda: len(load.kept) > 200, "some mail")
    new = launch_new()
    assert old.stop() == 0
    before = len(load.kept)
    wait_for(lambda: len(load.kept) > before + 200, "mail at the new server")
    load.stop()
    assert load.broken == [] and load.refused == []
    assert set(load.kept) <= stored(old.database)
    assert new.stop() == 0


def test_restart_on_the_same_port_fails_no_request(launch):
    old = launch(settings={"drain_delay": 1})

    def launch_new():
        new = launch(start=False, storage_url=old.storage_url)
        new.settings["port"] = new.port = old.port
        new.launch()
        wait_until_up(new)
        return new

    replace_under_load(old, launch_new)


def test_restart_on_a_socket_of_systemd_fails_no_request(launch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)

        def hand_over():
            os.dup2(listener.fileno(), 3)  # LISTEN_FDS begin at 3; a duplicate is inherited

        def activated(**more):
            server = launch(start=False, preexec=hand_over, inherit=(3,), env={"LISTEN_FDS": "1"},
                            settings={"mode": "socket", "drain_delay": 1}, **more)
            server.port = listener.getsockname()[1]
            server.launch()
            wait_until_up(server)
            return server

        old = activated()
        replace_under_load(old, lambda: activated(storage_url=old.storage_url))
