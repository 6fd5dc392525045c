# SPDX-License-Identifier: MIT
"""Messages that are made to hurt a parser: each is kept, byte for byte, and said to be what it is."""
import pytest

from servers.mailserver import message


def nested_parts(depth):
    parts = [b"MIME-Version: 1.0\r\nSubject: nested\r\n"]
    for i in range(depth):
        parts.append(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (i, i))
    return b"".join(parts) + b"\r\ndeep\r\n"


def flat_parts(count):
    return (b'Subject: flat\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
            + b"--b\r\n\r\n" * count + b"--b--\r\n")


BOMBS = {
    "200,000 nested parts": (nested_parts(200_000), "failed"),
    "a million parts": (flat_parts(1_000_000), "failed"),
    "1,000 header lines": (b"".join(b"X-%d: y\r\n" % i for i in range(1000)) + b"\r\nx\r\n", "ok"),
    "300,000 header lines": (b"X: y\r\n" * 300_000 + b"\r\nx\r\n", "failed"),
    "one header line of 5 MB": (b"Subject: " + b"x" * 5_000_000 + b"\r\n\r\nx\r\n", "failed"),
    "a multipart without boundary": (
        b"Subject: none\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\n\r\nhi\r\n",
        "degraded"),
    "a long parameter name with 8-bit bytes and no boundary": (
        b"Subject: hang\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
        + b"\xc3\xa4" * 36 + b"=x\r\n\r\n--x\r\n\r\nhi\r\n", "degraded"),
    "20,000 recipients": (
        b"Subject: many\r\nTo: " + b",\r\n ".join(b"u%d@example.com" % i for i in range(20_000))
        + b"\r\n\r\nx\r\n", "degraded"),
    "nul bytes": (b"Subject: n\0l\r\nX\0: y\r\n\r\na\0b\r\n", "degraded"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_kept_as_it_came(launch, storage_url, name):
    # Sanitizers make the parser many times slower: the deadline has its own test below.
    server = launch(storage_url=storage_url, settings={"limits": {"parse_cpu_ms": 20_000}})
    bomb, status = BOMBS[name]
    answer = server.post(bomb)
    assert answer.status_code == 200, answer.text
    stored = answer.json()
    assert stored["parse_status"] == status, stored
    assert bool(stored["defects"]) is (status != "ok"), stored
    raw = server.get(stored["stored_at"] + "/raw")
    assert raw.content == bomb
    email = server.get(stored["stored_at"]).json()
    assert email["parse_status"] == status and email["defects"] == stored["defects"]
    assert server.post(message()).status_code == 200


def test_parse_past_its_deadline_is_given_up_and_the_message_kept(launch, storage_url):
    server = launch(storage_url=storage_url, settings={"limits": {"parse_cpu_ms": 10}})
    large = (b'Subject: slow\r\nTo: bob@example.com\r\nMIME-Version: 1.0\r\n'
             b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
             + (b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                + b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w\r\n" * 450) * 900
             + b"--b--\r\n")
    stored = server.post(large, headers={"X-Original-Recipient": "r@example.com"}).json()
    assert stored["parse_status"] == "failed" and stored["defects"] == ["deadline"], stored
    assert server.get(stored["stored_at"] + "/raw").content == large
    assert server.get(stored["stored_at"]).json()["envelope"]["recipients"] == ["r@example.com"]
    assert server.post(large, headers={"X-Original-Recipient": "r@example.com"}).json()["duplicate"]
    assert server.post(message()).status_code == 200
