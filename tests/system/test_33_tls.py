# SPDX-License-Identifier: MIT
"""HTTPS on the main port, with a certificate authority of the test's own; unix sockets' access."""
import fcntl
import grp
import os
import pty
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import termios
import time
import warnings

import pytest

from servers.mailserver import http_request, message, receive_all
from servers.waiting import wait_for


@pytest.fixture(name="https")
def https_fixture(launch, authority, tls):
    def begin(**settings):
        server = launch(start=False, settings={"tls": tls, **settings})
        server.scheme, server.ca = "https", str(authority.cert)
        return server.start()
    return begin


def context(authority, version=None, alpn=None):
    made = ssl.create_default_context(cafile=str(authority.cert))
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 1.1 is what is tried
            made.minimum_version = made.maximum_version = version
        made.set_ciphers("DEFAULT@SECLEVEL=0")
    if alpn is not None:
        made.set_alpn_protocols(alpn)
    return made


def connect(server, made):
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    try:
        return made.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def common_name(sock):
    return dict(part[0] for part in sock.getpeercert()["subject"])["commonName"]


def test_mail_goes_in_and_comes_back(https):
    server = https()
    mail = message(body="x" * 3_000_000 + "\r\n")
    stored = server.post(mail)
    assert stored.status_code == 200
    assert server.get(stored.json()["stored_at"] + "/raw").content == mail
    for _ in range(20):
        assert server.post(message()).status_code == 200


@pytest.mark.parametrize("version, name", [
    (ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")])
def test_1_2_and_1_3_are_spoken(https, authority, version, name):
    server = https()
    with connect(server, context(authority, version)) as s:
        assert s.version() == name
        assert "GCM" in s.cipher()[0] or "CHACHA20" in s.cipher()[0]
        s.sendall(http_request(message()))
        assert receive_all(s).startswith(b"HTTP/1.1 200")


def test_1_1_is_refused(https, authority):
    server = https()
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        connect(server, context(authority, ssl.TLSVersion.TLSv1_1)).close()
    wait_for(lambda: server.events("connection refused"), "the refusal")
    assert server.get("/health").status_code == 200


def test_ciphers_without_forward_secrecy_are_refused(https, authority):
    server = https()
    made = context(authority, ssl.TLSVersion.TLSv1_2)
    for ciphers in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):
        made.set_ciphers(ciphers + ":@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            connect(server, made).close()


def test_alpn_agrees_on_http_1_1_only(https, authority):
    server = https()
    for offered in (["h2", "http/1.1"], ["http/1.1"]):
        with connect(server, context(authority, alpn=offered)) as s:
            assert s.selected_alpn_protocol() == "http/1.1"
            s.sendall(http_request(message()))
            assert receive_all(s).startswith(b"HTTP/1.1 200")
    with connect(server, context(authority)) as s:
        assert s.selected_alpn_protocol() is None
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        connect(server, context(authority, alpn=["h2"])).close()


def test_plain_http_is_refused(https):
    server = https()
    assert b"HTTP/1.1 200" not in server.send_raw(http_request(message()))


def test_refusal_of_a_large_body_arrives(https):
    server = https(limits={"max_message_bytes": 1024})
    answer = server.post(b"x" * 500_000)
    assert answer.status_code == 413


def test_new_connections_see_the_new_certificate_and_old_ones_go_on(https, authority):
    server = https()
    old = connect(server, context(authority))
    waiting = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    assert common_name(old) == "first"
    wait_for(lambda: server.get("/health/live").status_code == 200, "the server")
    server.session.close()
    server.settings["tls"] = authority.issue("second", key=("rsa:2048",))
    server.reload()
    with connect(server, context(authority)) as s:
        assert common_name(s) == "second"
    with context(authority).wrap_socket(waiting, server_hostname="localhost") as s:
        s.sendall(http_request(message()))  # accepted before, it shakes hands with what it began with
        assert receive_all(s).startswith(b"HTTP/1.1 200")
    with old:
        old.sendall(http_request(message()))
        assert receive_all(old).startswith(b"HTTP/1.1 200")


def test_files_written_anew_are_read_by_a_reload(https, authority, tmp_path):
    for kind, name in authority.issue("third").items():
        (tmp_path / kind).write_bytes(open(name, "rb").read())
    server = https(tls={kind: str(tmp_path / kind) for kind in ("cert_file", "key_file")})
    for kind, name in authority.issue("fourth").items():
        (tmp_path / kind).write_bytes(open(name, "rb").read())
    server.reload()
    with connect(server, context(authority)) as s:
        assert common_name(s) == "fourth"


def test_bad_certificate_at_a_reload_changes_nothing(https, authority, tls):
    server = https()
    server.settings["tls"] = {**tls, "key_file": authority.issue("fifth")["key_file"]}
    server.settings["bearer_token"] = "another-bearer-token"
    server.reload(said="the configuration is not usable: nothing was changed")
    assert any("it is not the key of tls.cert_file" in e["event"] for e in server.events())
    assert server.post(message()).status_code == 200
    with connect(server, context(authority)) as s:
        assert common_name(s) == "first"


def refuses_to_start(launch, tls):
    server = launch(start=False, settings={"tls": tls}).launch()
    assert server.process.wait(30) == 1
    return server.log()


def test_unusable_files_stop_the_start_with_the_reason(launch, authority, tls, tmp_path):
    other = authority.issue("sixth")
    log = refuses_to_start(launch, {**tls, "key_file": other["key_file"]})
    assert f"cannot use the key {other['key_file']}: it is not the key of tls.cert_file" in log
    rsa = authority.issue("seventh", key=("rsa:2048",))
    assert "cannot use the key" in refuses_to_start(launch, {**tls, "key_file": rsa["key_file"]})
    log = refuses_to_start(launch, {**tls, "cert_file": str(tmp_path / "absent")})
    assert "absent: No such file or directory" in log
    (tmp_path / "junk").write_text("junk")
    log = refuses_to_start(launch, {**tls, "cert_file": str(tmp_path / "junk")})
    assert "cannot use the certificate" in log
    assert "/tls/key_file: not set" in refuses_to_start(launch, {"cert_file": tls["cert_file"]})


def test_key_with_a_passphrase_is_refused_without_asking_for_it(launch, authority, tls):
    authority.openssl("ec", "-in", "first.key", "-aes128", "-passout", "pass:x", "-out", "locked")
    try:
        terminal, ours = pty.openpty()
    except OSError as error:
        pytest.skip(f"a terminal cannot be had here: {error}")

    def have_terminal():
        os.setsid()
        fcntl.ioctl(ours, termios.TIOCSCTTY, 0)

    server = launch(start=False, preexec=have_terminal, inherit=(ours,), settings={
        "tls": {**tls, "key_file": str(authority.folder / "locked")}}).launch()
    try:
        assert server.process.wait(30) == 1
        assert "cannot use the key" in server.log()
    finally:
        os.close(terminal)
        os.close(ours)


def test_stalled_handshakes_are_cut_after_read_timeout(https, authority):
    server = https(read_timeout=1, idle_timeout=60)
    hello = client_hello(authority)
    for beginning in (b"", hello[:100], hello):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
            s.sendall(beginning)
            began = time.monotonic()
            receive_all(s)
            assert 0.5 < time.monotonic() - began < 10
    assert server.get("/health").status_code == 200


def client_hello(authority):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_stalled_handshake_does_not_hold_up_a_shutdown(https, authority):
    server = https(read_timeout=600, shutdown_timeout=60)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(client_hello(authority)[:50])
        wait_for(lambda: server.get("/health/live").status_code == 200, "the server")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 20


def test_shutdown_finishes_what_is_in_flight(https, authority):
    server = https()
    with sqlite3.connect(server.database, isolation_level=None) as blocker:
        blocker.execute("begin immediate")
        with connect(server, context(authority)) as s:
            s.sendall(http_request(message()))
            wait_for(lambda: server.get("/metrics").json()["active_requests"] >= 2, "the request")
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: any("draining" in e["event"] for e in server.events()), "the drain")
            blocker.execute("rollback")
            assert receive_all(s).startswith(b"HTTP/1.1 200")
    assert server.process.wait(30) == 0


def test_proxy_line_goes_before_the_handshake(https, authority):
    server = https(trusted_proxies=["127.0.0.1"], proxy_protocol=False)
    server.settings["proxy_protocol"] = True
    server.session.close()
    server.reload()
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    plain.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 25\r\n")
    with context(authority).wrap_socket(plain, server_hostname="localhost") as s:
        s.sendall(http_request(message(), ["X-Request-ID: proxied"]))
        assert receive_all(s).startswith(b"HTTP/1.1 200")
    line = wait_for(lambda: [e for e in server.events("request") if e["request_id"] == "proxied"],
                    "the log line")[0]
    assert line["client"] == "203.0.113.9"


def test_tls_can_begin_with_a_reload(launch, authority, tls):
    server = launch()
    server.session.close()
    server.settings["tls"] = tls
    server.reload()
    with connect(server, context(authority)) as s:
        s.sendall(http_request(message()))
        assert receive_all(s).startswith(b"HTTP/1.1 200")


# sockets in the file system

def test_unix_socket_stays_plain_with_its_mode_and_group(launch, tls, authority, tmp_path):
    group = grp.getgrgid(os.getgroups()[-1] if os.geteuid() else grp.getgrnam("mail").gr_gid)
    path = tmp_path / "mail.sock"
    server = launch(start=False, settings={
        "tls": tls, "listen": ["127.0.0.1", f"unix:{path}"], "socket_mode": "0620",
        "socket_group": group.gr_name})
    server.scheme, server.ca = "https", str(authority.cert)
    server.start()
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o620
    assert status.st_gid == group.gr_gid
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(http_request(message()))
        assert receive_all(s).startswith(b"HTTP/1.1 200")


def test_socket_mode_without_a_group(launch, tmp_path):
    path = tmp_path / "mail.sock"
    launch(settings={"listen": ["127.0.0.1", f"unix:{path}"], "socket_mode": "600"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_unknown_group_is_no_start(launch, tmp_path):
    server = launch(start=False, settings={
        "listen": [f"unix:{tmp_path}/mail.sock"], "socket_group": "no-such-group"}).launch()
    assert server.process.wait(30) == 1
    assert 'socket_group: there is no group \\"no-such-group\\"' in server.log()
