# SPDX-License-Identifier: MIT
"""Who may do what, and whose mail it is; who is believed about the client; reload by SIGHUP."""
import base64
import concurrent.futures
import hashlib
import signal
import socket
import sqlite3
import threading

import pytest
import requests

from servers.mailserver import TOKEN, http_request, message, receive_all
from servers.waiting import wait_for

RELAY = "/rails/action_mailbox/relay/inbound_emails"
MTA, WEB, OTHER, ADMIN = (f"{name}-token-0123456789" for name in ("mta", "web", "other", "admin"))


def listed(name, token, **more):
    return {"name": name, "sha256": hashlib.sha256(token.encode()).hexdigest(), **more}


TOKENS = [
    listed("mta", MTA, tenant="acme"),
    listed("web", WEB, tenant="acme", scopes=["read"]),
    listed("other", OTHER, tenant="other", scopes=["ingest", "read"]),
]


def basic(token, user="actionmailbox"):
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def relay(server, body, authorization, content_type="message/rfc822"):
    """As Rails' relayer does it."""
    headers = {"User-Agent": "Action Mailbox relayer v7.1.3", "Authorization": authorization,
               "Content-Type": content_type}
    return server.request("POST", RELAY, token=None, data=body,
                          headers={k: v for k, v in headers.items() if v is not None})


def last_request(server, **fields):
    def find():
        return [e for e in server.events("request")
                if all(e.get(key) == value for key, value in fields.items())]
    return wait_for(find, f"a log line with {fields}")[-1]


# tokens, tenants, scopes

def test_tenant_sees_its_own_mail_and_no_other(launch, storage_url):
    server = launch(storage_url=storage_url, settings={"tokens": TOKENS})
    mail = message()
    at = server.post(mail, token=MTA).json()["stored_at"]
    shown = server.get(at, token=WEB)
    assert shown.status_code == 200 and shown.json()["tenant"] == "acme"
    assert server.get(at + "/raw", token=WEB).content == mail
    for token in (OTHER, TOKEN):
        for path in (at, at + "/raw"):
            answer = server.get(path, token=token)
            assert answer.status_code == 404, path
            assert answer.json()["type"] == "NOT_FOUND"
    default = server.post(mail).json()
    assert default["duplicate"] is False and default["stored_at"] != at
    assert server.get(default["stored_at"]).json()["tenant"] == "default"
    assert server.get(default["stored_at"], token=WEB).status_code == 404


def test_missing_scope_is_403(launch):
    server = launch(settings={"tokens": TOKENS + [listed("admin", ADMIN, scopes=["admin"])]})
    at = server.post(message(), token=MTA).json()["stored_at"]
    refused = [server.get(at, token=MTA), server.post(message(), token=WEB),
               server.get(at, token=ADMIN), server.post(message(), token=ADMIN),
               relay(server, message(), f"Bearer {WEB}")]
    for answer in refused:
        assert answer.status_code == 403
        body = answer.json()
        assert body["type"] == "AUTH_ERROR" and body["retryable"] is True
        assert body["enhanced_status"] == answer.headers["X-Mail-Status"] == "4.7.0"


def test_log_lines_name_token_tenant_and_client(launch):
    server = launch(settings={"tokens": TOKENS})
    server.post(message(), token=MTA, headers={"X-Request-ID": "one"})
    server.post(message(), token=WEB, headers={"X-Request-ID": "two"})
    line = last_request(server, request_id="one")
    assert (line["token"], line["tenant"], line["client"]) == ("mta", "acme", "127.0.0.1")
    assert last_request(server, request_id="two", status=403)["token"] == "web"
    server.post(message())
    assert last_request(server, token="bearer_token")["tenant"] == "default"
    for secret in (MTA, WEB, TOKEN, TOKENS[0]["sha256"]):
        assert secret not in server.log()


def test_tokens_alone_are_enough_to_start(launch, tmp_path):
    file = tmp_path / "token"
    file.write_text(MTA + "\n")
    file.chmod(0o600)
    server = launch(settings={"bearer_token": None,
                              "tokens": [{"name": "mta", "token_file": str(file)}]})
    assert server.post(message(), token=MTA).status_code == 200
    assert server.post(message(), token=TOKEN).status_code == 401
    assert server.post(message(), token="").status_code == 401


def test_same_token_twice_is_no_start(launch):
    server = launch(start=False, settings={"tokens": [listed("a", MTA), listed("b", MTA)]}).launch()
    assert server.process.wait(30) == 1
    assert "/tokens/1/sha256: the same token as /tokens/0 (" in server.log()


# Rails' relay

def test_relay_stores_and_answers_204(launch, storage_url):
    server = launch(storage_url=storage_url, settings={"tokens": TOKENS})
    mail = b"X-Original-To: bob@example.com\n" + message()
    for _ in range(2):  # the second one is a duplicate
        answer = relay(server, mail, basic(OTHER))
        assert (answer.status_code, answer.content) == (204, b"")
        assert "Content-Length" not in answer.headers and "X-Request-ID" in answer.headers
    line = last_request(server, token="other", duplicate=True)
    shown = server.get(f"/api/emails/{line['id']}", token=OTHER).json()
    assert shown["envelope"]["recipients"] == ["bob@example.com"]
    assert server.get(f"/api/emails/{line['id']}/raw", token=OTHER).content == mail


def test_relay_keeps_its_connection(launch):
    server = launch()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        for _ in range(3):
            body = message()
            s.sendall(f"POST {RELAY} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(TOKEN)}\r\n"
                      f"Content-Type: message/rfc822\r\nContent-Length: {len(body)}\r\n\r\n"
                      .encode() + body)
            answer = s.recv(65536)
            assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
            assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("authorization, content_type, body, status, kind", [
    (None, "message/rfc822", b"x", 401, "AUTH_ERROR"),
    (basic("wrong"), "message/rfc822", b"x", 401, "AUTH_ERROR"),
    (basic(MTA, user="other"), "message/rfc822", b"x", 401, "AUTH_ERROR"),
    ("Basic !!!", "message/rfc822", b"x", 401, "AUTH_ERROR"),
    (basic(WEB), "message/rfc822", b"x", 403, "AUTH_ERROR"),
    (basic(WEB), "text/plain", b"x", 403, "AUTH_ERROR"),
    (basic(MTA), "application/json", b"{}", 415, "BAD_REQUEST"),
    (basic(MTA), "message/rfc822x", b"x", 415, "BAD_REQUEST"),
    (basic(MTA), None, b"x", 415, "BAD_REQUEST"),
    (basic(MTA), "message/rfc822", b"", 400, "VALIDATION_ERROR"),
    (basic(MTA), "Message/RFC822; charset=utf-8", b"{not json", 204, None),
    (f"Bearer {MTA}", "message/rfc822", b"x", 204, None),
    (MTA, "message/rfc822", b"x", 204, None),
])
def test_relay_statuses(relay_server, authorization, content_type, body, status, kind):
    answer = relay(relay_server, body, authorization, content_type)
    assert answer.status_code == status
    if kind is not None:
        assert answer.json()["type"] == kind
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer, Basic realm="Action Mailbox"'


@pytest.fixture(name="relay_server")
def relay_server_fixture(launch):
    return launch(settings={"tokens": TOKENS})


def test_relay_is_posted_to(relay_server):
    answer = relay_server.get(RELAY)
    assert answer.status_code == 405 and answer.headers["Allow"] == "POST"


def test_basic_is_taken_on_the_relay_route_only(relay_server):
    answer = relay_server.request("POST", "/mail/inbound", token=None, data=message(),
                                  headers={"Authorization": basic(MTA)})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


# the client's address

def client_seen(server, headers=(), source="127.0.0.1", prefix=b""):
    client_seen.count += 1
    name = f"client-{client_seen.count}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30,
                                  source_address=(source, 0)) as s:
        s.sendall(prefix + http_request(message(), [f"X-Request-ID: {name}", *headers]))
        answer = receive_all(s)
    if not answer.startswith(b"HTTP/1.1 200"):
        return answer
    return last_request(server, request_id=name)["client"]


client_seen.count = 0


def test_forwarded_for_is_believed_from_trusted_proxies_only(launch):
    server = launch(settings={"trusted_proxies": ["127.0.0.2", "10.0.0.0/8"]})
    forwarded = ["X-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.1.1.1"]
    assert client_seen(server, forwarded, source="127.0.0.2") == "203.0.113.9"
    assert client_seen(server, forwarded, source="127.0.0.3") == "127.0.0.3"
    assert client_seen(server, ["X-Real-IP: 2001:db8::9"], source="127.0.0.2") == "2001:db8::9"
    assert client_seen(server, ["X-Real-IP: 2001:db8::9"], source="127.0.0.3") == "127.0.0.3"
    assert client_seen(server, ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.1"],
                       source="127.0.0.2") == "203.0.113.9"
    assert client_seen(server, ["X-Forwarded-For: x"], source="127.0.0.2") == "127.0.0.2"


def test_nobody_is_trusted_by_default(launch):
    server = launch()
    assert client_seen(server, ["X-Forwarded-For: 203.0.113.9"]) == "127.0.0.1"


def test_client_is_not_the_envelopes(launch):
    server = launch(settings={"trusted_proxies": "127.0.0.0/8"})
    at = server.post(message(), headers={"X-Forwarded-For": "203.0.113.9"}).json()["stored_at"]
    client = server.get(at).json()["envelope"]["client"]
    assert not client["address"]


def test_what_h2o_refuses_is_logged_with_its_client(launch):
    server = launch(settings={"limits": {"max_message_bytes": 1024}, "trusted_proxies": "127.0.0.1"})
    server.post(b"x" * 5000, headers={"X-Forwarded-For": "203.0.113.9"})
    assert last_request(server, status=413)["client"] == "203.0.113.9"


def test_peer_on_a_unix_socket_is_called_unix(launch, tmp_path):
    path = tmp_path / "mail.sock"
    server = launch(settings={"listen": ["127.0.0.1", f"unix:{path}"],
                              "trusted_proxies": "0.0.0.0/0, ::/0", "proxy_protocol": False})
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(http_request(message(), ["X-Request-ID: u", "X-Forwarded-For: 203.0.113.9"]))
        assert receive_all(s).startswith(b"HTTP/1.1 200")
    assert last_request(server, request_id="u")["client"] == "unix"


LINE = b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 25\r\n"


def test_proxy_line(launch):
    server = launch(start=False, settings={
        "trusted_proxies": ["127.0.0.2", "203.0.113.10"], "proxy_protocol": True})
    server.start()
    assert client_seen(server, source="127.0.0.2", prefix=LINE) == "203.0.113.9"
    assert client_seen(server, source="127.0.0.2", prefix=b"PROXY UNKNOWN\r\n") == "127.0.0.2"
    assert client_seen(server, ["X-Forwarded-For: 198.51.100.7"], source="127.0.0.2",
                       prefix=LINE) == "203.0.113.9"
    assert client_seen(server, ["X-Forwarded-For: 198.51.100.7"], source="127.0.0.2",
                       prefix=LINE.replace(b".9 ", b".10 ")) == "198.51.100.7"
    assert client_seen(server, source="127.0.0.3") == "127.0.0.3"
    assert client_seen(server, source="127.0.0.3", prefix=LINE).startswith(b"HTTP/1.1 400")


def test_trusted_proxy_must_send_its_line(launch):
    server = launch(start=False, settings={"trusted_proxies": "127.0.0.2", "proxy_protocol": True})
    server.start()
    assert client_seen(server, source="127.0.0.2") == b""
    wait_for(lambda: server.events("connection refused"), "the refusal")
    assert server.events("connection refused")[0]["peer"] == "127.0.0.2"


def test_line_in_pieces_and_line_that_never_comes(launch):
    server = launch(start=False, settings={
        "trusted_proxies": "127.0.0.2", "proxy_protocol": True, "read_timeout": 1})
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), 30, ("127.0.0.2", 0)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole = LINE + http_request(message())
        for i in range(0, len(LINE) + 10):
            s.sendall(whole[i:i + 1])
        s.sendall(whole[len(LINE) + 10:])
        assert receive_all(s).startswith(b"HTTP/1.1 200")
    with socket.create_connection(("127.0.0.1", server.port), 30, ("127.0.0.2", 0)) as s:
        s.sendall(b"PROXY TCP4 ")
        assert receive_all(s) == b""


# reload

def test_rotation_and_revocation_without_a_restart(launch):
    server = launch(settings={"tokens": [listed("old", MTA, tenant="acme")]})
    at = server.post(message(), token=MTA).json()["stored_at"]
    server.settings["tokens"].append(
        listed("new", WEB, tenant="acme", scopes=["ingest", "read"]))
    server.reload()
    assert server.post(message(), token=MTA).status_code == 200
    assert server.get(at, token=WEB).status_code == 200
    del server.settings["tokens"][0]
    server.settings["bearer_token"] = "another-bearer-token"
    server.reload()
    assert server.post(message(), token=MTA).status_code == 401
    assert server.post(message(), token=TOKEN).status_code == 401
    assert server.post(message(), token="another-bearer-token").status_code == 200
    assert server.get(at, token=WEB).status_code == 200


def test_bad_file_changes_nothing_and_is_said(launch):
    server = launch(settings={"tokens": TOKENS})
    server.settings["tokens"] = [listed("x", OTHER, scopes=["everything"])]
    server.settings["port"] = 70000
    server.reload(said="the configuration is not usable: nothing was changed")
    assert server.post(message(), token=MTA).status_code == 200
    assert "/tokens/0/scopes/0" in server.log() and "/port: 70000" in server.log()
    (server.folder / "mailserver.yaml").unlink()
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "cannot be read" in server.log(), "the missing file to be said")
    assert server.post(message(), token=MTA).status_code == 200


def test_what_needs_a_restart_is_named(launch):
    server = launch()
    server.settings.update(port=1, tokens=TOKENS)
    server.settings["storage"] = {"url": f"sqlite://{server.folder}/elsewhere.db"}
    server.settings["log"] = {"format": "json", "level": "info"}
    server.reload()
    said = [e["event"] for e in server.events() if e["level"] == "warning"]
    assert sorted(said) == ["port has changed: that takes effect at the next start",
                            "storage.url has changed: that takes effect at the next start"]
    assert server.post(message(), token=MTA).status_code == 200


def test_log_level_follows(launch):
    server = launch()
    server.post(message(), headers={"X-Request-ID": "loud"})
    last_request(server, request_id="loud")
    server.settings["log"]["level"] = "warning"
    server.write_settings()
    server.process.send_signal(signal.SIGHUP)

    def is_quiet():
        before = len(server.events("request"))
        server.get("/health/live")
        server.get("/health/live")
        return len(server.events("request")) == before
    wait_for(is_quiet, "silence")


def test_proxies_follow(launch):
    server = launch()
    forwarded = ["X-Forwarded-For: 203.0.113.9"]
    assert client_seen(server, forwarded) == "127.0.0.1"
    server.settings["trusted_proxies"] = ["127.0.0.1"]
    server.reload()
    assert client_seen(server, forwarded) == "203.0.113.9"


def test_request_in_flight_outlives_its_token(launch):
    server = launch(settings={"tokens": [listed("old", MTA, tenant="acme")]})
    with sqlite3.connect(server.database, isolation_level=None) as blocker:
        blocker.execute("begin immediate")
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
            s.sendall(http_request(message()).replace(TOKEN.encode(), MTA.encode()))
            wait_for(lambda: server.get("/metrics").json()["active_requests"] >= 2, "the request")
            server.settings["tokens"] = []
            server.reload()
            server.reload()
            blocker.execute("rollback")
            assert receive_all(s).startswith(b"HTTP/1.1 200")
    line = last_request(server, token="old")
    assert (line["status"], line["tenant"]) == (200, "acme")
    assert server.post(message(), token=MTA).status_code == 401


def test_reload_under_load_fails_no_request(launch):
    server = launch(settings={"tokens": TOKENS})
    stop, results = threading.Event(), []

    def client(token):
        with requests.Session() as session:
            while not stop.is_set():
                answer = session.post(server.url("/mail/inbound"), data=message(), timeout=30,
                                      headers={"Authorization": f"Bearer {token}",
                                               "Content-Type": "message/rfc822"})
                results.append(answer.status_code)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(client, token) for token in (MTA, TOKEN, OTHER) * 2]
        try:
            for i in range(15):
                server.settings["tokens"] = TOKENS + [listed(f"extra-{i}", f"extra-{i:020}")]
                server.reload()
                count = len(results)
                wait_for(lambda: len(results) > count + 10, "requests")
        finally:
            stop.set()
        for done in clients:
            done.result()
    assert set(results) == {200}


# systemd

@pytest.fixture(name="notified")
def notified_fixture(launch, tmp_path):
    """A started server and what it tells systemd: a list of messages that grows."""
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box:
        box.bind(str(path))
        box.settimeout(0.02)
        messages = []

        def read():
            try:
                while True:
                    messages.append(box.recv(4096).decode())
            except socket.timeout:
                return messages

        def begin(**env):
            return launch(env={"NOTIFY_SOCKET": str(path), **env})

        yield begin, read


def test_systemd_is_told(notified):
    begin, read = notified
    server = begin()
    wait_for(lambda: "READY=1" in read(), "READY=1")
    server.reload()
    wait_for(lambda: read().count("READY=1") == 2, "READY=1 after the reload")
    reloading = [m for m in read() if m.startswith("RELOADING=1")]
    assert len(reloading) == 1
    assert int(reloading[0].split("MONOTONIC_USEC=")[1]) > 0
    assert read().index(reloading[0]) == 1
    server.stop()
    assert read()[-1] == "STOPPING=1"
    assert not any(m.startswith("WATCHDOG") for m in read())


def test_watchdog_is_fed_while_all_loops_turn(notified):
    begin, read = notified
    server = begin(WATCHDOG_USEC="1200000")
    wait_for(lambda: read().count("WATCHDOG=1") >= 3, "three signs of life")
    assert not any("hangs" in e["event"] for e in server.events())
    assert server.stop() == 0
