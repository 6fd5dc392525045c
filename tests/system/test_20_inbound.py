# SPDX-License-Identifier: MIT
"""Taking in a message and reading it back (contract sections 1.1 and 1.4), on both databases."""
import hashlib
import json
import re

import pytest

from servers.mailserver import http_request, message

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def envelope_of(server, body, headers=None, **more):
    answer = server.post(body, headers=headers, **more)
    assert answer.status_code == 200, answer.text
    return server.get(f"/api/emails/{answer.json()['id']}").json()["envelope"]


def test_answer_says_where_it_is_kept(server):
    mail = message(Message_ID="<one@example.org>")
    answer = server.post(mail, headers={"X-Request-ID": "r1"})
    body = answer.json()
    assert answer.status_code == 200
    assert re.fullmatch(UUID, body["id"])
    assert body["status"] == "success"
    assert body["message_id"] == body["id"]
    assert body["stored_at"] == f"/api/emails/{body['id']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert body["rfc_message_id"] == "<one@example.org>"
    assert body["sha256"] == hashlib.sha256(mail).hexdigest()
    assert body["size"] == len(mail)
    assert body["duplicate"] is False
    assert body["parse_status"] == "ok" and body["defects"] == []
    assert body["request_id"] == "r1"


def test_message_is_read_back_parsed(server):
    mail = (
        b"Received: from a by b; Fri, 02 Jan 2026 03:04:00 +0000\r\n"
        b"Received: from c\r\n\tby d\r\n"
        b"From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\n"
        b"To: Bob <bob@example.com>, carol@example.com\r\nCc: dave@example.com\r\n"
        b"Reply-To: reply@example.org\r\n"
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\nDate: Fri, 2 Jan 2026 04:04:05 +0100\r\n"
        b"Message-ID: <m1@example.org>\r\nIn-Reply-To: <m0@example.org>\r\n"
        b"References: <r0@example.org>\r\n <m0@example.org>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"
        b"--b\r\nContent-Type: multipart/alternative; boundary=\"c\"\r\n\r\n"
        b"--c\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n"
        b"--c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<b>Gr\xc3\xbc\xc3\x9fe</b>\r\n"
        b"--c--\r\n"
        b"--b\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\n"
        b"Content-Disposition: attachment; filename=\"x.pdf\"\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b--\r\n")
    email = server.get(f"/api/emails/{server.post(mail).json()['id']}").json()
    assert email["subject"] == "Grüße"
    assert email["from"] == [{"name": "Jürgen", "address": "juergen@example.org"}]
    assert [a["address"] for a in email["to"]] == ["bob@example.com", "carol@example.com"]
    assert email["cc"] == [{"name": None, "address": "dave@example.com"}]
    assert email["bcc"] == [] and email["reply_to"][0]["address"] == "reply@example.org"
    assert email["message_id"] == "<m1@example.org>"
    assert email["in_reply_to"] == "<m0@example.org>"
    assert email["references"] == ["<r0@example.org>", "<m0@example.org>"]
    assert email["date"] == "2026-01-02T03:04:05Z"
    assert [h["name"] for h in email["headers"]][:3] == ["Received", "Received", "From"]
    assert email["headers"][1]["value"] == "from c\tby d"
    assert email["text"].strip() == "Grüße" and email["html"].strip() == "<b>Grüße</b>"
    assert [(p["path"], p["content_type"], p["is_attachment"]) for p in email["parts"]] == [
        ("1.1", "text/plain", False), ("1.2", "text/html", False), ("2", "application/pdf", True)]
    pdf = email["parts"][2]
    assert pdf["n"] == 3 and pdf["filename"] == "x.pdf" and pdf["disposition"] == "attachment"
    assert pdf["encoding"] == "base64" and pdf["size"] == 9
    assert pdf["sha256"] == hashlib.sha256(b"%PDF-1.4\n").hexdigest()
    assert email["tenant"] == "default" and email["size"] == len(mail)
    assert email["parse_status"] == "ok" and email["defects"] == []


def test_raw_is_byte_exact(server):
    for body in (bytes(range(256)) * 40, b"\r\n.\r\n..\r\n", b"no newline at the end", b"\n\n\n"):
        mail = b"Subject: bytes\n\n" + body
        stored = server.post(mail).json()
        raw = server.get(stored["stored_at"] + "/raw")
        assert raw.content == mail
        assert raw.headers["Content-Type"] == "message/rfc822"
        assert raw.headers["X-Content-Type-Options"] == "nosniff"


def test_any_bytes_are_a_message(server):
    for mail in (b"x", b"\0", b"\xff\xfe\xfd", b" \r\n", b"\r\n", b"From ", b"no header at all\r\n",
                 b"From a@b Mon Jan  1 00:00:00 2026"):
        answer = server.post(mail)
        assert answer.status_code == 200, (mail, answer.text)
        assert server.get(answer.json()["stored_at"] + "/raw").content == mail


def test_alias_path_is_the_same_endpoint(sqlite_server):
    mail = message()
    first = sqlite_server.post(mail, path="/email").json()
    again = sqlite_server.post(mail, path="/mail/inbound").json()
    assert again["duplicate"] is True and again["id"] == first["id"]


def test_envelope_headers(server):
    envelope = envelope_of(server, message(), {
        "X-Original-Sender": "<s@example.org>", "X-Original-Queue-Id": "4ABC",
        "X-Original-Client-Address": "192.0.2.1", "X-Original-Client-Hostname": "mx.example.org",
        "X-Original-Helo": "helo.example.org", "X-Original-Recipient": "r@example.com"})
    assert envelope == {
        "sender": "s@example.org", "recipients": ["r@example.com"], "queue_id": "4ABC",
        "client": {"address": "192.0.2.1", "hostname": "mx.example.org",
                   "helo": "helo.example.org"}}


def test_recipient_before_aliases(server):
    envelope = envelope_of(server, message(), {"X-Original-Recipient": "bob@example.com",
                                               "X-Original-Orig-Recipient": "sales@example.com"})
    assert envelope["recipients"] == ["bob@example.com"]
    assert envelope["orig_recipient"] == "sales@example.com"


def test_repeated_recipients(server):
    answer = server.send_raw(http_request(message(), [
        "X-Original-Sender: s@example.org", "X-Original-Recipient: a@example.com",
        "X-Original-Recipient: b@example.com", 'X-Original-Recipient: "c, d"@example.com']))
    assert answer.startswith(b"HTTP/1.1 200"), answer
    stored_at = re.search(rb'"stored_at":"([^"]+)"', answer)[1].decode()
    recipients = server.get(stored_at).json()["envelope"]["recipients"]
    assert recipients == ["a@example.com", "b@example.com", '"c, d"@example.com']


@pytest.mark.parametrize("sender", ["<>", "", "MAILER-DAEMON"])
def test_null_sender(server, sender):
    answer = server.send_raw(http_request(message(), [
        f"X-Original-Sender: {sender}", "X-Original-Recipient: r@example.com"]))
    assert answer.startswith(b"HTTP/1.1 200"), answer
    stored_at = re.search(rb'"stored_at":"([^"]+)"', answer)[1].decode()
    assert server.get(stored_at).json()["envelope"]["sender"] == ""


def test_envelope_from_the_message(server):
    envelope = envelope_of(server, message(Return_Path="<bounce@example.org>",
                                           Delivered_To="d@example.com"))
    assert envelope["sender"] == "bounce@example.org"
    assert envelope["recipients"] == ["d@example.com"]
    envelope = envelope_of(server, message())
    assert envelope["sender"] == "alice@example.org"
    assert envelope["recipients"] == ["bob@example.com"]
    envelope = envelope_of(server, message(), {"X-Original-Mail-From": "m@example.org"})
    assert envelope["sender"] == "m@example.org"


def test_gomails_swapped_headers(server):
    envelope = envelope_of(server, message(), {"X-Original-Sender": "bob@example.com",
                                               "X-Original-Recipient": "unknown"})
    assert envelope["recipients"] == ["bob@example.com"]
    assert envelope["sender"] == "alice@example.org"


def test_mbox_line_is_not_part_of_the_message(server):
    mail = message()
    stored = server.post(b"From alice@example.org Fri Jan  2 03:04:05 2026\n" + mail).json()
    assert stored["sha256"] == hashlib.sha256(mail).hexdigest()
    assert server.get(stored["stored_at"] + "/raw").content == mail
    assert server.post(mail).json()["id"] == stored["id"]
    field = b"From : a@example.org\r\nSubject: obsolete white space\r\n\r\nx\r\n"
    assert server.get(server.post(field).json()["stored_at"] + "/raw").content == field


def test_same_message_is_kept_once(server):
    mail, envelope = message(), {"X-Original-Sender": "s@example.org",
                                 "X-Original-Recipient": "r@example.com",
                                 "X-Original-Queue-Id": "Q1"}
    first = server.post(mail, headers=envelope).json()
    again = server.post(mail, headers=envelope)
    assert again.status_code == 200
    assert again.json()["duplicate"] is True and again.json()["id"] == first["id"]
    for change in ({"X-Original-Sender": "t@example.org"}, {"X-Original-Queue-Id": "Q2"},
                   {"X-Original-Recipient": "q@example.com"}):
        other = server.post(mail, headers={**envelope, **change}).json()
        assert other["duplicate"] is False and other["id"] != first["id"], change
    other = server.post(mail + b"x", headers=envelope).json()
    assert other["duplicate"] is False


def test_message_id_alone_suppresses_nothing(server):
    first = server.post(message(Message_ID="<same@example.org>", body="one")).json()
    second = server.post(message(Message_ID="<same@example.org>", body="two")).json()
    assert second["duplicate"] is False and first["id"] != second["id"]


def test_idempotency_key(server):
    mail = message()
    first = server.post(mail, headers={"Idempotency-Key": "k1", "X-Original-Queue-Id": "A"}).json()
    again = server.post(mail, headers={"Idempotency-Key": "k1", "X-Original-Queue-Id": "B"}).json()
    assert again["duplicate"] is True and again["id"] == first["id"]
    other = server.post(mail, headers={"Idempotency-Key": "k2", "X-Original-Queue-Id": "A"}).json()
    assert other["duplicate"] is False
    bytes_differ = server.post(mail + b"x", headers={"Idempotency-Key": "k1"}).json()
    assert bytes_differ["duplicate"] is False


def test_json_body(server):
    mail = message(subject="From JSON").decode()
    envelope = envelope_of(server, json.dumps({
        "sender": "s@example.org", "recipient": ["a@example.com", "b@example.com"], "raw": mail,
        "connection": {"client_address": "2001:db8::1", "client_hostname": "h",
                       "client_helo": "e"}}), {"Content-Type": "application/json"})
    assert envelope["recipients"] == ["a@example.com", "b@example.com"]
    assert envelope["client"] == {"address": "2001:db8::1", "hostname": "h", "helo": "e"}


def test_json_is_recognised_by_its_first_byte(server):
    answer = server.post(b'{"recipient":"r@example.com","raw":"Subject: x\\r\\n\\r\\ny\\r\\n"}',
                         headers={"Content-Type": None})
    assert answer.status_code == 200
    raw = server.get(answer.json()["stored_at"] + "/raw").content
    assert raw == b"Subject: x\r\n\r\ny\r\n"
    brace = b'{"recipient":"r@example.com"}'
    as_raw = server.post(brace, headers={"Content-Type": "message/rfc822"}).json()
    assert server.get(as_raw["stored_at"] + "/raw").content == brace


def test_json_without_raw(server):
    stored = server.post_json({"sender": "s@example.org", "recipient": "r@example.com",
                               "subject": "Grüße\r\nBcc: x@example.com", "body": "Hallo Welt"})
    email = server.get(stored.json()["stored_at"]).json()
    assert email["text"] == "Hallo Welt" and email["subject"].startswith("Grüße")
    assert email["bcc"] == [] and email["to"][0]["address"] == "r@example.com"


def test_json_nul_escapes_are_bytes(server):
    stored = server.post_json(b'{"recipient":"r@example.com","raw":"Subject: n\\r\\n\\r\\na\\u0000b"}')
    assert stored.status_code == 200, stored.text
    assert server.get(stored.json()["stored_at"] + "/raw").content == b"Subject: n\r\n\r\na\0b"


def test_unknown_ids_are_404(server):
    for path in ("/api/emails/0198f1c2-0000-7000-8000-000000000000", "/api/emails/x",
                 "/api/emails/0198f1c2-0000-7000-8000-000000000000/raw"):
        assert server.get(path).status_code == 404
