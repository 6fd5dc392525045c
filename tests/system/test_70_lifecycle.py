# SPDX-License-Identifier: MIT
"""Start, stop and start again."""
import concurrent.futures
import os
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest
import requests

from servers.mailserver import BINARY, TOKEN, http_request, message, receive_all
from servers.waiting import wait_for


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_an_idle_server(launch, signum):
    server = launch()
    assert server.post(message()).status_code == 200  # its connection stays open
    assert server.stop(signum) == 0
    assert server.events("drained")


def test_sigterm_finishes_what_is_in_flight(launch):
    server = launch()
    mail = message()
    with sqlite3.connect(server.database, isolation_level=None) as blocker:
        blocker.execute("begin immediate")
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
            s.sendall(http_request(mail))
            wait_for(lambda: server.get("/metrics").json()["active_requests"] >= 2, "the request")
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: any("draining" in e["event"] for e in server.events()), "the drain")
            assert server.process.poll() is None
            blocker.execute("rollback")
            assert receive_all(s).startswith(b"HTTP/1.1 200")
    assert server.process.wait(30) == 0
    with sqlite3.connect(server.database) as db:
        assert db.execute("select raw from message_raw").fetchall() == [(mail,)]


def test_sigterm_under_load_loses_nothing(launch):
    server = launch()
    stored, refused, lock = [], [], threading.Lock()

    def client():
        with requests.Session() as session:
            for _ in range(400):
                mail = message()
                try:
                    answer = session.post(server.url("/mail/inbound"), data=mail, timeout=30, headers={
                        "Authorization": f"Bearer {TOKEN}", "Content-Type": "message/rfc822"})
                except requests.RequestException:
                    return  # not taken: the listener is closed
                with lock:
                    (stored if answer.status_code == 200 else refused).append((answer, mail))
                if answer.status_code != 200:
                    return

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client) for _ in range(8)]
        wait_for(lambda: len(stored) > 50, "some mail")
        assert server.stop() == 0
        for done in clients:
            done.result()
    assert all(answer.status_code == 503 for answer, _ in refused)
    with sqlite3.connect(server.database) as db:
        kept = {row[0] for row in db.execute("select raw from message_raw")}
    assert {mail for _, mail in stored} <= kept


def test_shutdown_timeout_cuts_what_does_not_end(launch):
    server = launch(settings={"shutdown_timeout": 1})
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(http_request(b"never finished", length=1000))
        wait_for(lambda: len(server.events("request")) > 0, "an earlier request")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 1
    assert any("cut off" in e["event"] for e in server.events())


def test_second_signal_does_not_wait(launch):
    server = launch(settings={"shutdown_timeout": 600, "read_timeout": 600})
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(http_request(b"never finished", length=1000))
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: any("draining" in e["event"] for e in server.events()), "the drain")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 1


def test_mail_is_there_after_a_restart(launch, storage_url, tmp_path):
    first = launch(storage_url=storage_url or f"sqlite://{tmp_path}/mail.db")
    mail = message()
    stored = first.post(mail).json()
    assert first.stop() == 0
    second = launch(storage_url=first.storage_url)
    assert second.get(stored["stored_at"] + "/raw").content == mail
    assert second.post(mail).json()["duplicate"] is True


def test_mail_is_there_after_a_kill(launch, storage_url, tmp_path):
    first = launch(storage_url=storage_url or f"sqlite://{tmp_path}/mail.db")
    mails = [message() for _ in range(20)]
    stored = [first.post(mail).json() for mail in mails]
    first.process.kill()
    first.process.wait()
    second = launch(storage_url=first.storage_url)
    for mail, answer in zip(mails, stored):
        assert second.get(answer["stored_at"] + "/raw").content == mail


def test_port_in_use_is_said(launch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = launch(start=False)
        server.settings["port"] = taken.getsockname()[1]
        server.launch()
        assert server.process.wait(30) == 1
    assert "another program listens there" in server.log()


def test_no_token_is_no_start(launch):
    server = launch(start=False, settings={"bearer_token": None}).launch()
    assert server.process.wait(30) == 1
    assert "bearer_token" in server.log()


def test_flags_and_environment_win_over_the_file(launch):
    server = launch(start=False, settings={"port": 1, "bearer_token": "from-the-file-0000"},
                    env={"MAIL_BEARER_TOKEN": TOKEN})
    server.args = ["--port", str(server.port)]
    server.start()
    assert server.post(message()).status_code == 200


def test_unix_socket(launch, tmp_path):
    path = tmp_path / "mail.sock"
    server = launch(settings={"listen": ["127.0.0.1", f"unix:{path}"]})
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(http_request(message()))
        assert receive_all(s).startswith(b"HTTP/1.1 200")
    assert server.stop() == 0


def test_sockets_from_systemd(launch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def hand_over():
            os.dup2(listener.fileno(), 3)  # LISTEN_FDS begin at 3; a duplicate is inherited

        server = launch(start=False, settings={"mode": "socket", "port": 1},
                        env={"LISTEN_FDS": "1"}, preexec=hand_over, inherit=(3,))
        server.port = listener.getsockname()[1]
        server.start()
        assert server.post(message()).status_code == 200
        assert server.stop() == 0


def test_migrate_command(launch, storage_url):
    server = launch(start=False, storage_url=storage_url, settings={"storage": {"migrate": False}})
    server.launch()
    wait_for(server.answers, "the server to answer")
    assert server.post(message()).status_code == 503
    config = str(server.folder / "mailserver.yaml")
    for words in ("run", "already"):
        done = subprocess.run([BINARY, "migrate", "-c", config], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0 and words in done.stdout, done
    wait_for(lambda: server.post(message()).status_code == 200, "mail to be taken")
