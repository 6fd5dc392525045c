# SPDX-License-Identifier: MIT
"""The bad days, between a real MTA and the server, with the files of configs/. Each time the mail
stays in the MTA's queue, nobody is told of a failure, and once the cause is gone one flush of the
queue delivers each message once."""
import contextlib
import http.server
import os
import signal
import socket
import threading

import pytest

from servers.exim import Exim
from servers.mailserver import http_request, message
from servers.mta import CLIENTS, SENDER
from servers.mta_site import KINDS, MtaSite
from servers.postgres import Postgres
from servers.tiny_disk import NoTinyDisk, TinyDisk
from servers.waiting import wait_for

TIMEOUT_S = 4  # of a client, which uses it for attempts of its own




# The same objects for every test: by them pytest knows that an MTA runs already.
SITES = {client: [(kind, client) for kind in KINDS] for client in CLIENTS}


def with_each_client(test):
    """What depends on the client; the rest is tried with `mailserver deliver` alone."""
    test.clients = CLIENTS
    return test


def pytest_generate_tests(metafunc):
    clients = getattr(metafunc.function, "clients", CLIENTS[:1])
    params = [site for client in clients for site in SITES[client]]
    metafunc.parametrize("mta_site", params, ids=map("-".join, params), indirect=True,
                         scope="module")


@pytest.fixture(name="mta_site", scope="module")
def mta_site_fixture(request):
    kind, client = request.param
    with MtaSite(kind, client, TIMEOUT_S) as made:
        yield made


@pytest.fixture
def site(mta_site):
    yield mta_site
    mta_site.reset()


def send(site, count=1):
    return {site.mta.swaks("--from", SENDER, "--to", "bob@example.com,carol@example.com")
            for _ in range(count)}


def check_waits(site, ids, saying):
    """Each is tried and stays, for that reason, and nobody hears of it."""
    for queue_id in ids:
        said = site.await_deferral(queue_id)
        assert saying in said, said
    assert site.mta.ids() == ids
    check_nobody_heard(site)


def check_nobody_heard(site):
    assert not site.mta.bounced() and not site.mta.bounces()


def check_flush(site, ids):
    """Now that all is well again."""
    site.mta.flush()
    kept = site.await_kept(len(ids))
    assert kept.keys() == ids
    assert all(sorted(each["envelope"]["recipients"]) == ["bob@example.com", "carol@example.com"]
               for each in kept.values())
    check_nobody_heard(site)


# ---- the server ----

@with_each_client
def test_server_is_down(site, launch):
    server = site.serve(launch())
    assert server.stop() == 0
    site.relay.refuse()
    ids = send(site, 3)
    check_waits(site, ids, f"127.0.0.1:{site.relay.port}")
    server.start()
    site.relay.accept()
    check_flush(site, ids)


def test_server_restarts(site, launch):
    """While mail comes in."""
    server = site.serve(launch())
    ids = set()
    for _ in range(3):
        ids |= send(site, 2)
        assert server.stop() == 0
        ids |= send(site, 2)
        server.start()
    for queue_id in site.mta.ids():
        wait_for(lambda: queue_id not in site.mta.ids() or site.mta.deferrals(queue_id), "an end")
    check_flush(site, ids)


def test_server_drains(site, launch):
    """It is there, and takes nothing new, because a client keeps it waiting."""
    server = site.serve(launch(settings={"shutdown_timeout": 60}))
    mail = message()
    request = http_request(mail)
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(request[:-10])
        wait_for(lambda: server.get("/metrics").json()["active_requests"] >= 1, "it to be read")
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not is_open(server.port), "the listener to close")
        ids = send(site, 2)
        check_waits(site, ids, f"127.0.0.1:{site.relay.port}")
        assert server.process.poll() is None
        slow.sendall(request[-10:])
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
    assert server.process.wait(30) == 0
    server.start()
    (other,) = site.kept_ids()
    site.mta.flush()
    kept = site.await_kept(1 + len(ids))
    assert kept.keys() == ids | {site.read(other)["envelope"]["queue_id"]}
    check_nobody_heard(site)


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


@with_each_client
def test_wrong_token(site, launch):
    server = site.serve(launch())
    right = site.mta.token.read_text().strip()
    site.mta.set_token("not-the-token-0123456789")
    try:
        ids = send(site)
        check_waits(site, ids, "401")
        assert "4.7.0" in said_by(site, ids)
    finally:
        site.mta.set_token(right)
    assert server.get("/health").status_code == 200
    check_flush(site, ids)


@with_each_client
def test_token_cannot_be_read(site, launch):
    site.serve(launch())
    right = site.mta.token.read_text().strip()
    os.unlink(site.mta.token)
    try:
        ids = send(site)
        check_waits(site, ids, str(site.mta.token))
    finally:
        site.mta.set_token(right)
    check_flush(site, ids)


@with_each_client
def test_wrong_path(site, launch):
    """Of the server, or a web server that stands in its place."""
    server = site.serve(launch(settings={"tokens": None}))
    assert server.stop() == 0
    with web_server() as port:
        site.relay.server_port = port
        ids = send(site)
        check_waits(site, ids, "200")
    server.start()
    site.serve(server)
    check_flush(site, ids)


@contextlib.contextmanager
def web_server():
    """One that answers 200 to whatever it is asked; its port."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "13")
            self.end_headers()
            self.wfile.write(b"<p>Welcome!\r\n")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def said_by(site, ids):
    return "\n".join(site.await_deferral(queue_id) for queue_id in ids)


@with_each_client
def test_rate_limit(site, launch):
    server = site.serve(launch(settings={"rate_limit_per_minute": 1, "rate_limit_burst": 1}))
    server.post(message())
    ids = send(site, 2)
    check_waits(site, ids, "429")
    assert "4.7.1" in said_by(site, ids)
    before = site.kept_ids()
    assert server.stop() == 0
    server.settings.update(rate_limit_per_minute=60_000, rate_limit_burst=1000)
    server.start()
    site.mta.flush()
    assert len(before) == 1 and ids <= site.await_kept(1 + len(ids)).keys()
    check_nobody_heard(site)


@with_each_client
def test_message_is_too_large(site, launch):
    """That is final, and the sender can read why."""
    site.serve(launch(settings={"limits": {"max_message_bytes": 100_000}}))
    site.mta.send(message(body="too large\r\n" * 20_000), ["bob@example.com", "carol@example.com"])
    (bounce,) = wait_for(site.mta.bounces, "a bounce")
    assert bounce.recipients == [SENDER] and not site.kept_ids()
    text = site.mta.queued_bytes(bounce.id).decode()
    assert "5.3.4" in text and "larger than limits.max_message_bytes" in text
    assert "bob@example.com" in text and "carol@example.com" in text


# ---- what it stands on ----

@pytest.fixture(name="weak_postgres", scope="module")
def weak_postgres_fixture():
    """To be stopped; not the one of all tests."""
    with Postgres() as server:
        yield server


def test_database_is_down(site, launch, weak_postgres):
    server = site.serve(launch(storage_url=weak_postgres.url(weak_postgres.create_database()),
                               settings={"storage": {"connect_timeout": 1}}))
    wait_for(server.is_ready, "the server to be ready")
    weak_postgres.stop()
    ids = send(site, 2)
    check_waits(site, ids, "503")
    assert "4.3.2" in said_by(site, ids)
    weak_postgres.start()
    wait_for(server.is_ready, "the server to be ready")
    check_flush(site, ids)


def test_disk_is_full(site, launch):
    try:
        disk = TinyDisk(megabytes=16)
    except NoTinyDisk as error:
        pytest.skip(f"no disk to fill: {error}")
    with disk:
        server = site.serve(launch(enter=disk.enter, storage_url=f"sqlite://{disk.path}/mail.db"))
        disk.fill()
        ids = send(site)
        check_waits(site, ids, "507")
        assert "4.3.1" in said_by(site, ids)
        disk.free()
        wait_for(server.is_ready, "the server to be ready")
        site.mta.flush()
        wait_for(lambda: not site.mta.queue(), "the queue to be empty")
        check_nobody_heard(site)
        assert server.get("/metrics").json()["total_emails"] == len(ids)
        assert server.stop() == 0


# ---- between the two ----

@with_each_client
def test_answer_is_lost(site, launch):
    """The message is kept, and the MTA does not know."""
    site.serve(launch())
    site.relay.mute()
    ids = send(site)
    check_waits(site, ids, f"127.0.0.1:{site.relay.port}")
    assert len(site.kept_ids()) == 1 and site.relay.swallowed > 0
    site.relay.cut()
    site.relay.unmute()
    check_flush(site, ids)


@pytest.fixture(name="waiting_site")
def waiting_site_fixture(site, launch):
    """A message is kept, its answer on the way for ever, and the client waits for it."""
    site.serve(launch())
    site.relay.mute()
    site.ids = send(site)
    wait_for(lambda: site.relay.swallowed > 0 and site.kept_ids(), "an answer to be lost")
    return site


def check_kept_once(site):
    check_waits(site, site.ids, "")
    assert len(site.kept_ids()) == 1
    site.relay.cut()
    site.relay.unmute()
    check_flush(site, site.ids)


@with_each_client
def test_client_is_killed(waiting_site):
    waiting_site.mta.kill_client()
    check_kept_once(waiting_site)


@with_each_client
def test_client_and_its_shell_are_killed(waiting_site):
    """Exim freezes the message then."""
    waiting_site.mta.kill_client_and_shell()
    check_kept_once(waiting_site)
    if isinstance(waiting_site.mta, Exim):
        assert "Frozen" in waiting_site.mta.log_of(*waiting_site.ids)


# ---- what the program itself may do ----

BROKEN = {
    "is-missing": None,
    "is-empty": "",
    "is-not-executable": "#!/bin/sh\n",
    "says-nothing": "#!/bin/sh\nexit 0\n",
    "fails-silently": "#!/bin/sh\nexit 1\n",
    "fails-after-success": "#!/bin/sh\necho 2.0.0 id=x\nexit 99\n",
    "lacks-a-library": "#!/bin/sh\necho error while loading shared libraries\nexit 127\n",
    "refuses-by-its-exit-code-alone": "#!/bin/sh\necho 4.3.0 later\nexit 65\n",
    "refuses-by-its-words-alone": "#!/bin/sh\necho 5.1.1 never\nexit 75\n",
    "crashes": "#!/bin/sh\nkill -SEGV $$\n",
}


@pytest.mark.parametrize("how", BROKEN)
def test_program(site, launch, how):
    """It is to blame itself, for instance in the middle of an upgrade."""
    site.serve(launch())
    good = site.mta.program.with_suffix(".good")
    site.mta.program.rename(good)
    try:
        if BROKEN[how] is not None:
            site.mta.program.write_text(BROKEN[how])
            site.mta.program.chmod(0o644 if how == "is-not-executable" else 0o755)
        ids = send(site)
        check_waits(site, ids, "")
    finally:
        good.replace(site.mta.program)
    check_flush(site, ids)
