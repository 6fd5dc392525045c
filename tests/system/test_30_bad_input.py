# SPDX-License-Identifier: MIT
"""What a caller does wrong gets a clear error (contract 1.2, 1.3); what a message holds, never."""
import json
import socket

import pytest
import requests

from servers.mailserver import TOKEN, http_request, message, receive_all

LIMIT = 100_000


def check_error(answer, status, kind, enhanced, retryable, message_part=""):
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Mail-Status"] == enhanced
    assert body["error"] is True and body["type"] == kind
    assert body["enhanced_status"] == enhanced and body["retryable"] is retryable
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert message_part.lower() in body["message"].lower()
    return body


@pytest.mark.parametrize("path", ["/mail/inbound", "/email"])
def test_no_token(sqlite_server, path):
    answer = sqlite_server.post(message(), token=None, path=path)
    check_error(answer, 401, "AUTH_ERROR", "4.7.0", True, "Missing authorization header")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("value", ["Bearer wrong-token-0123456789", "Bearer", "Bearer ",
                                   "Basic dXNlcjpwYXNz", "test-token-0123456789abcde",
                                   "Bearer test-token-0123456789abcdef0", "\x80\xff"])
def test_wrong_token(sqlite_server, value):
    answer = sqlite_server.post(message(), token=None,
                                headers={"Authorization": value.encode("latin-1")})
    check_error(answer, 401, "AUTH_ERROR", "4.7.0", True, "Invalid authorization token")
    assert sqlite_server.get("/metrics").json()["total_emails"] == 0


def test_empty_token_is_missing(sqlite_server):
    answer = sqlite_server.post(message(), token=None, headers={"Authorization": ""})
    check_error(answer, 401, "AUTH_ERROR", "4.7.0", True, "Missing authorization header")


def test_bare_token_is_accepted(sqlite_server):
    answer = sqlite_server.post(message(), token=None, headers={"Authorization": TOKEN})
    assert answer.status_code == 200


def test_reading_needs_a_token_too(sqlite_server):
    stored = sqlite_server.post(message()).json()["stored_at"]
    for path in (stored, stored + "/raw"):
        assert sqlite_server.get(path, token=None).status_code == 401
        assert sqlite_server.get(path, token="wrong-token-0123456789").status_code == 401


def test_empty_body(sqlite_server):
    check_error(sqlite_server.post(b""), 400, "VALIDATION_ERROR", "5.6.0", False, "empty")
    answer = sqlite_server.send_raw(http_request(b"", length=False))
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.fixture(name="limited")
def limited_fixture(launch):
    return launch(settings={"limits": {"max_message_bytes": LIMIT}})


def chunks_of(body):
    yield from (body[i:i + 5000] for i in range(0, len(body), 5000))


def body_of(size):
    head = b"Subject: size\r\n\r\n"
    return head + b"x" * (size - len(head))


@pytest.mark.parametrize("chunked", [False, True])
def test_body_of_exactly_the_limit_is_taken(limited, chunked):
    body = body_of(LIMIT)
    answer = limited.post(chunks_of(body) if chunked else body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == LIMIT


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 2, 40 * LIMIT])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_over_the_limit_is_413(limited, size, chunked):
    body = body_of(size)
    answer = limited.post(chunks_of(body) if chunked else body)
    check_error(answer, 413, "BAD_REQUEST", "5.3.4", False, "limits.max_message_bytes")
    assert limited.get("/metrics").json()["total_emails"] == 0


def test_content_length_over_the_limit_is_refused_before_the_body(limited):
    request = http_request(b"", length=10**9)
    answer = limited.send_raw(request)
    assert answer.startswith(b"HTTP/1.1 413")
    answer = limited.send_raw(http_request(b"", ["Expect: 100-continue"], length=10**9))
    assert answer.startswith(b"HTTP/1.1 413") and b"100 Continue" not in answer


def test_expect_100_continue_works(sqlite_server):
    body = message()
    with socket.create_connection(("127.0.0.1", sqlite_server.port), timeout=30) as s:
        s.sendall(http_request(b"", ["Expect: 100-continue"], length=len(body)))
        assert s.recv(1000).startswith(b"HTTP/1.1 100")
        s.sendall(body)
        assert receive_all(s).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("length", ["-1", "+5", "x", "5, 6", "99999999999999999999999"])
def test_broken_content_length_is_400(sqlite_server, length):
    answer = sqlite_server.send_raw(http_request(b"hello", length=length))
    assert answer.startswith(b"HTTP/1.1 400") or answer.startswith(b"HTTP/1.1 413"), answer
    assert sqlite_server.get("/metrics").json()["total_emails"] == 0


def test_broken_chunks_are_400_in_our_shape(sqlite_server):
    answer = sqlite_server.send_raw(
        http_request(b"zz\r\nhello\r\n", ["Transfer-Encoding: chunked"], length=False))
    assert answer.startswith(b"HTTP/1.1 400") and b'"enhanced_status":"4.3.5"' in answer


@pytest.mark.parametrize("body,place", [
    (b'{"sender":"a@x.org","recipient":"b@x.org","raw":"Subj', "line 1"),
    (b'{"recipient":"b@x.org"', "line 1"),
    (b"{", "line 1"),
    (b'{"recipient":"b@x.org"}{', "line 1"),
    (b'[1]', "object"),
    (b'"text"', "line 1"),
    (b'{"recipient":7}', "recipient"),
    (b'{"recipient":["a@x.org",null]}', "recipient"),
    (b'{"recipient":"b@x.org","sender":{}}', "sender"),
    (b'{"recipient":"b@x.org","raw":true}', "raw"),
    (b'{"recipient":"b@x.org","subject":[]}', "subject"),
    (b'{"recipient":"b@x.org","body":1}', "body"),
    (b'{"recipient":"b@x.org","connection":[]}', "connection"),
    (b'{"recipient":"b@x.org","connection":{"client_address":1}}', "connection.client_address"),
    (b'{"sender":"a@x.org","subject":"s"}', "recipient"),
    (b"[" * 100_000, "line 1"),
])
def test_json_that_is_no_message_is_400(sqlite_server, body, place):
    answer = sqlite_server.post_json(body)
    error = check_error(answer, 400, "VALIDATION_ERROR", "5.6.0", False, "JSON")
    assert place in str(error["details"])


def test_eight_bit_request_headers_are_taken(server):
    request = http_request(message(), [
        b"X-Original-Sender: j\xfcrgen@example.org", "X-Original-Recipient: büro@example.com".encode(),
        b"X-Original-Helo: \x80\x81", b"X-Original-Client-Address: \xff",
        b"X-Original-Client-Hostname: " + b"h" * 5000, b"Idempotency-Key: \xfe\xff"])
    answer = server.send_raw(request)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    stored_at = json.loads(answer.split(b"\r\n\r\n", 1)[1])["stored_at"]
    envelope = server.get(stored_at).json()["envelope"]
    assert envelope["recipients"] == ["büro@example.com"]
    assert envelope["sender"] == "j\ufffdrgen@example.org"
    assert envelope["client"]["address"] is None


def test_many_request_headers(sqlite_server):
    taken = sqlite_server.send_raw(http_request(message(), [f"X-A{i}: b" for i in range(80)]))
    assert taken.startswith(b"HTTP/1.1 200")
    refused = sqlite_server.send_raw(http_request(message(), [f"X-A{i}: b" for i in range(1000)]))
    assert refused.startswith(b"HTTP/1.1 400")
    assert sqlite_server.get("/health").status_code == 200


def test_http2_is_not_spoken(sqlite_server):
    answer = sqlite_server.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    upgrade = sqlite_server.get("/health", headers={
        "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"})
    assert upgrade.status_code == 200


def test_connection_serves_many_requests(sqlite_server):
    with requests.Session() as session:
        for _ in range(50):
            answer = session.post(sqlite_server.url("/mail/inbound"), data=message(), headers={
                "Authorization": f"Bearer {TOKEN}",
                "Content-Type": "message/rfc822"}, timeout=30)
            assert answer.status_code == 200
    assert sqlite_server.get("/metrics").json()["total_emails"] == 50
