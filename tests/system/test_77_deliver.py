# SPDX-License-Identifier: MIT
"""`mailserver deliver`: every way to the server, every answer, and no way to lose a message."""
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from servers.deliver import RECIPIENT, SENDER, deliver, end, environment, start
from servers.mailserver import BINARY, TOKEN, message
from servers.odd_server import OddServer, answer
from servers.relay import Relay
from servers.waiting import free_port, wait_for

KEPT = answer("200 OK", b'{"id":"kept-1"}')


def id_of(line):
    assert line.startswith("2.0.0 id="), line
    return line.split()[1][3:]


def is_kept(server, line, mail, recipients=(RECIPIENT,)):
    email = server.get(f"/api/emails/{id_of(line)}").json()
    assert server.get(f"/api/emails/{id_of(line)}/raw").content == mail
    assert email["envelope"]["sender"] == SENDER
    assert email["envelope"]["recipients"] == list(recipients)
    return email


# ---- ways ----

def test_delivers_with_all_that_the_mta_knows(server):
    mail = message(body="8-bit: \u00e4\r\n.\r\n")
    flags = {"queue_id": "4FxYz12abc", "client_address": "192.0.2.7", "orig_recipient": "root@example.com",
             "client_hostname": "mx.example.org", "client_helo": "--help"}
    code, line = deliver(server.url(""), mail, **flags)
    assert code == 0
    envelope = is_kept(server, line, mail)["envelope"]
    assert envelope["queue_id"] == "4FxYz12abc"
    assert envelope["client"] == {"address": "192.0.2.7", "hostname": "mx.example.org",
                                  "helo": "--help"}
    code, again = deliver(server.url(""), mail, **flags)
    assert (code, again) == (0, f"{line} duplicate")
    code, other = deliver(server.url(""), mail, queue_id="another")
    assert code == 0 and id_of(other) != id_of(line)


def test_delivers_to_a_unix_socket(launch, tmp_path):
    server = launch(settings={"listen": ["127.0.0.1", f"unix:{tmp_path}/mail.sock"]})
    mail = message()
    code, line = deliver(f"unix:{tmp_path}/mail.sock", mail)
    assert code == 0
    is_kept(server, line, mail)


def test_delivers_over_tls_to_whom_it_trusts(launch, authority, tls):
    server = launch(start=False, settings={"tls": tls})
    server.scheme, server.ca = "https", str(authority.cert)
    server.start()
    mail = message(body="x" * 3_000_000 + "\r\n")
    code, line = deliver(server.url(""), mail, ca_file=authority.cert)
    assert code == 0, line
    is_kept(server, line, mail)
    # The last attempt is after 1.4 s: what is said of it must not be that there was no time left.
    code, line = deliver(server.url(""), message(), timeout=3)
    assert code == 75 and line.startswith("4.4.1 ") and "certificate" in line, line
    code, line = deliver(server.url("/nowhere"), message(), ca_file=authority.cert)
    assert code == 75 and line.startswith("4.3.5 404 "), line
    code, line = deliver(f"https://127.0.0.1:{free_port()}", message(), timeout=1,
                         ca_file=authority.cert)
    assert code == 75 and line.startswith("4.4.1 "), line


def test_reads_a_file_from_where_it_stands(sqlite_server, tmp_path):
    mail = message()
    file = tmp_path / "message"
    file.write_bytes(b"left out\r\n" + mail)
    with open(file, "rb") as f:
        f.seek(10)
        code, line = end(start(sqlite_server.url(""), stdin=f))
    assert code == 0
    is_kept(sqlite_server, line, mail)


def test_null_sender_is_kept_as_such(sqlite_server):
    for number, sender in enumerate(["", "<>", "MAILER-DAEMON"]):
        code, line = deliver(sqlite_server.url(""), message(subject=str(number)), sender=sender)
        assert code == 0
        assert sqlite_server.get(f"/api/emails/{id_of(line)}").json()["envelope"]["sender"] == ""


@pytest.mark.parametrize("count", [2, 20, 60, 61, 2000])
def test_any_number_of_recipients_is_one_message(sqlite_server, count):
    recipients = [f"r{i}+x@example.com" for i in range(count - 1)] + ['"a b, c"@example.com']
    code, line = deliver(sqlite_server.url(""), message(), recipient=recipients)
    assert code == 0, f"{code}: {line}; the server's log:\n{sqlite_server.log()[-6000:]}"
    email = sqlite_server.get(f"/api/emails/{id_of(line)}").json()
    assert sorted(email["envelope"]["recipients"]) == sorted(recipients)
    assert sqlite_server.get("/metrics").json()["total_emails"] == 1


def test_token_from_a_file_and_never_on_the_command_line(sqlite_server, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text(f"{TOKEN}\n")
    with Relay(sqlite_server.port) as relay:
        relay.hold()
        process = start(f"http://127.0.0.1:{relay.port}", env=environment(token=None),
                        token_file=token_file)
        process.stdin.write(message())
        process.stdin.close()
        process.stdin = None
        wait_for(lambda: relay.pairs, "a connection")
        assert TOKEN.encode() not in pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
        relay.release()
        code, line = end(process)
        assert code == 0, line


def test_large_message_costs_no_memory(sqlite_server):
    def peak_kib(mail):
        """As it waits for the answer."""
        before = sqlite_server.get("/metrics").json()["total_emails"]
        with Relay(sqlite_server.port) as relay:
            relay.mute()
            process = start(f"http://127.0.0.1:{relay.port}")
            process.stdin.write(mail)
            process.stdin.close()
            process.stdin = None
            wait_for(lambda: sqlite_server.get("/metrics").json()["total_emails"] > before, "a row")
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            assert process.poll() is None, "it waits"
            process.kill()
            process.communicate()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    small = peak_kib(message())
    large = peak_kib(message(body=("x" * 76 + "\r\n") * 300_000))  # 23 MB
    assert large - small < 4096, f"{small} KiB, and {large} KiB for a large message"


# ---- answers ----

@pytest.mark.parametrize("said, code, line", [
    (answer("200 OK", b"<html>Welcome to our WiFi</html>"), 75, "4.3.0 200 "),
    (answer("200 OK"), 75, "4.3.0 200 "),
    (answer("204 No Content"), 0, "2.0.0 id=-"),
    (answer("302 Found", b"", "Location: http://127.0.0.1/"), 75, "4.3.5 302 "),
    (answer("404 Not Found", b"{}"), 75, "4.3.5 404 "),
    (answer("413 Too Large", b"<html>"), 65, "5.3.4 413 "),
    (answer("418 Teapot", b'{"retryable":false,"enhanced_status":"5.7.1"}'), 77, "5.7.1 418 "),
    (answer("400 Bad Request", b"Bad Request"), 75, "4.5.0 400 "),
    (answer("429 Later", b"", "Retry-After: 60"), 75, "4.7.1 429 "),
    (answer("502 Bad Gateway", b"", "Retry-After: 60"), 75, "4.3.2 502 "),
    (answer("507 Full", b"", "Retry-After: 60"), 75, "4.3.1 507 "),
    (answer("503 Later", b"", "Retry-After: 60", "X-Mail-Status: 4.9.9"), 75, "4.9.9 503 "),
])
def test_answers_of_all_kinds(said, code, line):
    with OddServer([said]) as odd:
        got_code, got_line = deliver(odd.url, message())
        assert got_code == code
        assert got_line.startswith(line), got_line
        assert len(odd.requests) == 1


@pytest.mark.parametrize("said, why", [
    (b"220 mail.example.org ESMTP\r\n", "does not answer in HTTP"),
    (b"", "without an answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"id\":\"x\"", "in the middle of its answer"),
    (b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 1_000_000, "does not answer in HTTP"),
], ids=["smtp", "nothing", "short", "endless"])
def test_what_is_no_whole_answer_is_tried_again_and_then_deferred(said, why):
    with OddServer([said]) as odd:
        code, line = deliver(odd.url, message(), timeout=1)
        assert code == 75
        assert line.startswith("4.4.2 ") and why in line, line
        assert len(odd.requests) > 1
        assert len({request for request in odd.requests}) == 1, "the same each time"


def test_short_absence_is_bridged():
    later = answer("503 Later", b"", "Retry-After: 1")
    with OddServer([None, b"HTTP/1.1 200", later, KEPT]) as odd:
        mail = message()
        assert deliver(odd.url, mail) == (0, "2.0.0 id=kept-1")
        assert len(odd.requests) == 4
        assert odd.requests[-1].endswith(mail)


def test_absence_that_lasts_is_the_mtas(launch):
    with OddServer([answer("503 Later", b"", "Retry-After: 30")]) as odd:
        code, _ = deliver(odd.url, message())
        assert code == 75
        assert len(odd.requests) == 1, "nobody hammers a server that asks for half a minute"
    code, line = deliver(f"http://127.0.0.1:{free_port()}", message(), timeout=1)
    assert code == 75 and line.startswith("4.4.1 ") and "refused" in line, line
    code, line = deliver("http://nowhere.invalid", message(), timeout=1)
    assert code == 75 and line.startswith("4.4."), line
    code, line = deliver("unix:/nowhere/mail.sock", message(), timeout=1)
    assert code == 75 and line.startswith("4.4.1 "), line


def test_refusal_before_the_message_has_come_is_understood(launch):
    """With a body of which nothing needs to be sent; and one that is on its way."""
    server = launch(settings={"limits": {"max_message_bytes": 5_000_000}})
    for size in (5_100_000, 20_000_000):
        code, line = deliver(server.url(""), message(body="x" * size))
        assert code == 65 and line.startswith("5.3.4 413 "), line
    code, line = deliver(server.url(""), message(body="x" * 2_000_000),
                         env=environment(token="wrong-token-0123456789"))
    assert code == 75 and line.startswith("4.7.0 401 "), line
    assert server.get("/metrics").json()["total_emails"] == 0


def test_server_that_never_says_continue_is_sent_to_all_the_same():
    """As some proxies do; HTTP asks for it (RFC 9110, 10.1.1)."""
    with OddServer([KEPT]) as odd:
        mail = message(body="x" * 2_000_000)
        assert deliver(odd.url, mail) == (0, "2.0.0 id=kept-1")
        assert b"Expect: 100-continue" in odd.requests[0]
        assert odd.requests[0].endswith(mail)


# ---- time ----

def test_one_deadline_for_everything(sqlite_server):
    process = start(sqlite_server.url(""), timeout=1)
    process.stdin.write(message())
    process.stdin.flush()
    process.wait(30)
    process.stdin = None
    code, line = end(process)
    assert code == 75 and line.startswith("4.3.0 ") and "standard input" in line, line
    assert sqlite_server.get("/metrics").json()["total_emails"] == 0
    with Relay(sqlite_server.port) as relay:
        relay.hold()
        code, line = deliver(f"http://127.0.0.1:{relay.port}", message(), timeout=1)
        assert code == 75 and line.startswith("4.4.2 ") and "in time" in line, line
        code, line = deliver(f"http://127.0.0.1:{relay.port}", message(), timeout=1, mta="qmail")
        assert code == 111 and line.startswith("4.4.2 "), line


# ---- who is not to be trusted ----

def test_half_a_message_of_an_mta_that_died_is_not_delivered(sqlite_server, tmp_path):
    """A pipe of which the writer was killed ends just like one that is complete."""
    out = tmp_path / "out"
    mta = subprocess.Popen(
        [sys.executable, "-c", f"""
import os, subprocess, sys
process = subprocess.Popen({[BINARY, "deliver", "--url", sqlite_server.url(""), "--sender",
                             SENDER, RECIPIENT]!r}, stdin=subprocess.PIPE, stdout=open({str(out)!r}, "wb"))
process.stdin.write(b"Subject: half\\r\\n\\r\\nThe first half, and")
process.stdin.flush()
print(process.pid, flush=True)
sys.stdin.read()
os._exit(1)
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    pid = int(mta.stdout.readline())
    # It must have begun: a child whose parent is gone by then cannot know that there was one.
    wait_for(lambda: "poll" in pathlib.Path(f"/proc/{pid}/wchan").read_text(), "it to read")
    mta.kill()
    mta.communicate()
    wait_for(lambda: out.read_bytes().endswith(b"\n"), "its end")
    assert out.read_bytes().startswith(b"4.3.0 ") and b"has died" in out.read_bytes()
    assert sqlite_server.get("/metrics").json()["total_emails"] == 0


def test_empty_input_is_not_a_message(sqlite_server):
    code, line = deliver(sqlite_server.url(""), b"")
    assert code == 75 and line.startswith("4.3.0 ") and "empty" in line


@pytest.mark.parametrize("more, word", [
    ({"nix": True}, "--nix"),
    ({"mta": "sendmail"}, "--mta"),
    ({"timeout": "soon"}, "--timeout"),
    ({"sender": "a@b\r\nX-Evil: 1"}, "control character"),
    ({"recipient": ""}, "recipient"),
    ({"flush": True, "spool": "/tmp", "sender": SENDER}, "--flush"),
    ({"token_file": "/nowhere/token"}, "/nowhere/token"),
    ({"env": environment(token=None)}, "token"),
    ({"env": environment(token="two words")}, "token"),
    ({"env": environment(token=" ")}, "token"),
])
def test_operators_mistakes_never_bounce_mail(more, word):
    code, line = deliver("http://127.0.0.1:1", message(), **more)
    assert code == 75 and line.startswith("4.3.5 ") and word in line, line
    code, line = deliver("http://127.0.0.1:1", message(), **{"mta": "qmail", **more})
    assert code == (75 if more.get("mta") else 111), line


def test_urls_that_cannot_be_meant(sqlite_server):
    for url in ("", "ftp://127.0.0.1", "127.0.0.1:3000", "http://u:p@127.0.0.1", "unix:mail.sock"):
        code, line = deliver(url, message()) if url else (75, "4.3.5 ")
        assert code == 75 and line.startswith("4.3.5 "), (url, line)


def test_proxy_of_the_environment_is_not_asked(sqlite_server):
    env = environment(http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1")
    code, line = deliver(sqlite_server.url(""), message(), env=env)
    assert code == 0, line


# ---- qmail and friends ----

def test_qmail_tells_the_envelope_by_its_environment(sqlite_server):
    env = environment(SENDER=SENDER, RECIPIENT="list-x@example.com", MAIL_DELIVER_URL=sqlite_server.url(""))
    process = subprocess.Popen([BINARY, "deliver", "--mta", "qmail"], env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    mail = message()
    code, line = end(process, mail)
    assert code == 0
    is_kept(sqlite_server, line, mail, ["list-x@example.com"])
    with OddServer([answer("413 Too Large")]) as odd:
        assert deliver(odd.url, mail, mta="qmail")[0] == 100


# ---- the program ----

def test_deliver_needs_nothing_but_itself(sqlite_server, tmp_path):
    """And the rest of the program is missed with a word of where it should be."""
    alone = tmp_path / "mailserver"
    shutil.copy(BINARY, alone)
    mail = message()
    code, line = deliver(sqlite_server.url(""), mail, binary=str(alone))
    assert code == 0
    is_kept(sqlite_server, line, mail)
    done = subprocess.run([alone, "server"], capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == 1
    assert "libexec/mailserver/mailserver" in done.stderr and "make install" in done.stderr


def test_help_is_only_for_who_asks_for_nothing_else(sqlite_server):
    done = subprocess.run([BINARY, "deliver", "--help"], capture_output=True, check=True, text=True)
    assert "--token-file" in done.stdout
    mail = message()
    code, line = deliver(sqlite_server.url(""), mail, client_helo="--version", queue_id="-h")
    assert code == 0
    is_kept(sqlite_server, line, mail)
