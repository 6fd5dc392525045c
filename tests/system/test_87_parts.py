# SPDX-License-Identifier: MIT
"""A part's content, decoded on demand: every header, every byte, and what happens on the way."""
import base64
import binascii
import concurrent.futures
import hashlib
import http.client
import os
import pathlib
import random
import re
import signal
import socket
import sqlite3
import struct
import threading

import pytest

from servers.mailserver import ROOT, TOKEN, message
from servers.metrics import value
from servers.postgres import Postgres
from servers.waiting import wait_for

RELEASE = os.environ.get("MAILSERVER_RELEASE", str(ROOT / "build/release/bin/mailserver"))
READER, STRANGER, MTA = (f"{name}-token-0123456789" for name in ("reader", "stranger", "mta"))
MEGABYTE = 1 << 20
LARGE = random.Random(87).randbytes(19_000_000)  # encoded as large as a message may be by default
HTML = "<script>alert('Grüße')</script>\r\n".encode("latin-1")


def attachment(content, fields, encoding="base64"):
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n") if encoding == "base64" else content
    return b"%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s" % (fields.encode(), encoding.encode(), encoded)


def mail_of(*parts):
    mail = message(MIME_Version="1.0", Content_Type="multipart/mixed; boundary=edge", body="")
    return mail + b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"


MIXED = (
    attachment("Grüße\r\n".encode(), "Content-Type: text/plain; charset=UTF-8", "8bit"),
    attachment(bytes(range(256)) * 4, 'Content-Type: application/pdf\r\nContent-Disposition: attachment;'
               " filename*=utf-8''Gr%C3%BC%C3%9Fe%22.pdf"),
    attachment(HTML, "Content-Type: text/html; charset=iso-8859-1\r\nContent-Disposition: inline; filename=x.html"),
    attachment(b"", "Content-Type: image/png; name=empty.png"),
)


def put(server, mail, **more):
    answer = server.post(mail, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["stored_at"]


def large_part(server):
    return put(server, mail_of(attachment(LARGE, "Content-Type: video/mp4; name=film.mp4"))) + "/parts/1"


class Download:
    """A client that reads as slowly as it is told to, with next to no buffer of its own."""

    def __init__(self, server, path, token=TOKEN):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", server.port))
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port)
        self.connection.sock = sock
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        self.answer = self.connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.connection.close()

    def read(self, n=None):
        return self.answer.read(n)

    def rest(self):
        """What comes until the connection ends, now as fast as may be."""
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MEGABYTE)
        got = []
        try:
            while chunk := self.answer.read(65536):
                got.append(chunk)
        except http.client.IncompleteRead as error:
            got.append(error.partial)
        except ConnectionResetError:
            pass
        return b"".join(got)


def last_error(server):
    """Of the newest request for a part, once it is over."""
    def find():
        return [e for e in server.events("request") if e["route"].endswith("/parts/{n}") and "error" in e]
    return wait_for(find, "a log line with an error")[-1]["error"]


# ---- what is answered ----


def test_content_and_every_header(server):
    at = put(server, mail_of(*MIXED))
    parts = server.get(at).json()["parts"]
    expected = [
        ("Grüße\r\n".encode(), "text/plain; charset=utf-8", "attachment"),
        (bytes(range(256)) * 4, "application/pdf",
         "attachment; filename=\"Gr__e_.pdf\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%22.pdf"),
        (HTML, "text/html; charset=iso-8859-1", 'attachment; filename="x.html"'),
        (b"", "image/png", 'attachment; filename="empty.png"'),
    ]
    assert len(parts) == len(expected)
    for part, (content, content_type, disposition) in zip(parts, expected):
        for method in ("GET", "HEAD"):
            answer = server.request(method, f"{at}/parts/{part['n']}")
            assert answer.status_code == 200
            assert answer.content == (content if method == "GET" else b"")
            assert answer.headers["Content-Length"] == str(len(content)) == str(part["size"])
            assert answer.headers["Content-Type"] == content_type
            assert answer.headers["Content-Disposition"] == disposition
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert answer.headers["ETag"] == f'"{part["sha256"]}"'
            assert part["sha256"] == hashlib.sha256(content).hexdigest()
            assert answer.headers["Accept-Ranges"] == "bytes"
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert "Transfer-Encoding" not in answer.headers


def test_names_and_types_cannot_add_headers(server):
    at = put(server, mail_of(attachment(
        b"x", "Content-Type: text/plain; charset*=''utf-8%0D%0ASet-Cookie:%20a=b\r\nContent-Disposition:"
        " attachment; filename*=utf-8''a%0D%0ASet-Cookie:%20a=b%00%22/..%5C.txt")))
    answer = server.get(f"{at}/parts/1")
    assert answer.status_code == 200 and answer.content == b"x"
    assert "Set-Cookie" not in answer.headers
    assert not re.search(r"[\x00-\x1f/\\]", answer.headers["Content-Disposition"])


@pytest.mark.parametrize("n", ["0", "5", "-1", "+1", "01", "1.0", "x", "1x", "%31x", "2147483647", "2147483648",
                               "4294967297", "99999999999999999999999", "1/", ""])
def test_unknown_parts_are_404(sqlite_server, n):
    at = put(sqlite_server, mail_of(*MIXED))
    answer = sqlite_server.get(f"{at}/parts/{n}")
    assert answer.status_code == 404 and answer.json()["type"] == "NOT_FOUND"


def test_unknown_messages_and_failed_ones_are_404(server):
    for id_ in ("x", "01a20143-8c95-7000-981c-0e8e28b0d1ce"):
        assert server.get(f"/api/emails/{id_}/parts/1").status_code == 404
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(200))
    stored = server.post(b"Subject: deep\r\nMIME-Version: 1.0\r\n" + deep + b"\r\nx").json()
    assert stored["parse_status"] == "failed"
    assert server.get(stored["stored_at"] + "/parts/1").status_code == 404


def test_only_the_own_tenant_reads_with_the_right_scope(launch, storage_url):
    server = launch(storage_url=storage_url, settings={"tokens": [
        {"name": name, "sha256": hashlib.sha256(token.encode()).hexdigest(), "tenant": tenant, "scopes": [scope]}
        for name, token, tenant, scope in (("mta", MTA, "acme", "ingest"), ("reader", READER, "acme", "read"),
                                           ("stranger", STRANGER, "other", "read"))]})
    path = put(server, mail_of(*MIXED), token=MTA) + "/parts/2"
    etag = server.get(path, token=READER).headers["ETag"]
    for token, status in ((READER, 200), (STRANGER, 404), (TOKEN, 404), (MTA, 403), (None, 401), ("x" * 24, 401)):
        answer = server.get(path, token=token)
        assert answer.status_code == status
        assert ("ETag" in answer.headers) is (status == 200)
    assert server.get(path, token=STRANGER, headers={"If-None-Match": etag}).status_code == 404
    assert server.get(path, token=STRANGER, headers={"Range": "bytes=0-0"}).status_code == 404


def test_what_the_client_has_already_is_304(server):
    path = put(server, mail_of(*MIXED)) + "/parts/2"
    whole = server.get(path)
    etag = whole.headers["ETag"]
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        for method in ("GET", "HEAD"):
            answer = server.request(method, path, headers={"If-None-Match": tags, "Range": "bytes=0-1"})
            assert (answer.status_code, answer.content) == (304, b""), tags
            assert answer.headers["ETag"] == etag
            assert "Content-Type" not in answer.headers
    for tags in ('"other"', etag.strip('"'), ""):
        assert server.get(path, headers={"If-None-Match": tags}).content == whole.content


@pytest.mark.parametrize("wanted,first,last", [
    ("0-0", 0, 0), ("0-", 0, 1023), ("100-199", 100, 199), ("1023-", 1023, 1023), ("1000-99999999999999999999", 1000, 1023),
    ("-1", 1023, 1023), ("-1024", 0, 1023), ("-99999999999999999999", 0, 1023)])
def test_one_range_is_206(sqlite_server, wanted, first, last):
    path = put(sqlite_server, mail_of(*MIXED)) + "/parts/2"
    whole = sqlite_server.get(path)
    answer = sqlite_server.get(path, headers={"Range": f"bytes={wanted}", "If-Range": whole.headers["ETag"]})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1024"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.content == whole.content[first:last + 1]
    for name in ("Content-Type", "Content-Disposition", "ETag", "X-Content-Type-Options", "Content-Security-Policy"):
        assert answer.headers[name] == whole.headers[name]


@pytest.mark.parametrize("headers", [
    {"Range": "bytes=0-1,5-6"}, {"Range": "bytes=" + ",".join(f"{i}-" for i in range(1000))},
    {"Range": "bytes=5-3"}, {"Range": "bytes=a-b"}, {"Range": "bytes=--5"}, {"Range": "lines=0-1"}, {"Range": ""},
    {"Range": "bytes=0-1", "If-Range": '"other"'}, {"Range": "bytes=0-1", "If-Range": "W/*"},
    {"Range": "bytes=0-1", "If-Range": "Wed, 25 Nov 2026 10:31:47 GMT"}], ids=str)
def test_ranges_that_do_not_count_are_200(sqlite_server, headers):
    path = put(sqlite_server, mail_of(*MIXED)) + "/parts/2"
    answer = sqlite_server.get(path, headers=headers)
    assert answer.status_code == 200 and "Content-Range" not in answer.headers
    assert answer.content == bytes(range(256)) * 4


@pytest.mark.parametrize("n,size,wanted", [
    (2, 1024, "1024-"), (2, 1024, "1024-2000"), (2, 1024, "99999999999999999999-"), (2, 1024, "-0"), (4, 0, "0-")])
def test_ranges_that_are_not_there_are_416(sqlite_server, n, size, wanted):
    path = put(sqlite_server, mail_of(*MIXED)) + f"/parts/{n}"
    answer = sqlite_server.get(path, headers={"Range": f"bytes={wanted}"})
    assert answer.status_code == 416 and answer.json()["error"] is True
    assert answer.headers["Content-Range"] == f"bytes */{size}"
    assert sqlite_server.request("HEAD", path, headers={"Range": f"bytes={wanted}"}).status_code == 200


def test_ranges_of_a_large_part_are_its_bytes(server):
    encoded = large_part(server)
    plain = put(server, mail_of(attachment(LARGE.replace(b"\r", b"x").replace(b"\n", b"y"), "Content-Type: a/b",
                                           "binary"))) + "/parts/1"
    for path in (encoded, plain):
        whole = server.get(path).content
        assert len(whole) == len(LARGE)
        chance = random.Random(path)
        for _ in range(12):
            first = chance.randrange(len(whole))
            last = min(len(whole) - 1, first + chance.choice((0, 5, 300_000, 3_000_000)))
            answer = server.get(path, headers={"Range": f"bytes={first}-{last}"})
            assert answer.status_code == 206 and answer.content == whole[first:last + 1]


def test_other_methods_are_405(sqlite_server):
    path = put(sqlite_server, mail_of(*MIXED)) + "/parts/1"
    answer = sqlite_server.request("DELETE", path)
    assert answer.status_code == 405 and answer.headers["Allow"] == "GET, HEAD"


def test_it_is_counted_by_its_pattern(server):
    path = put(server, mail_of(*MIXED)) + "/parts/"
    for wanted, headers in (("2", {}), ("2", {"Range": "bytes=0-1"}), ("2", {"Range": "bytes=9999-"}),
                            ("2", {"If-None-Match": "*"}), ("9", {})):
        server.get(path + wanted, headers=headers)
    for status in (200, 206, 416, 304, 404):
        wait_for(lambda: value(server, "http_requests_total", method="GET", status=str(status),
                               endpoint="/api/emails/{id}/parts/{n}") == 1, status)
    backend = server.backend.lower()
    assert value(server, "storage_operations_total", backend=backend, operation="part", status="ok") == 4
    assert value(server, "storage_operations_total", backend=backend, operation="part", status="not_found") == 1
    assert value(server, "storage_operations_total", backend=backend, operation="range", status="ok") == 2
    assert {e["route"] for e in server.events("request") if "parts" in e["route"]} == {"/api/emails/{id}/parts/{n}"}


# ---- files within a part ----


def uuencoded(name, content):
    lines = b"".join(binascii.b2a_uu(content[i:i + 45]).replace(b"\n", b"\r\n") for i in range(0, len(content), 45))
    return b"begin 644 %s\r\n%s`\r\nend\r\n" % (name, lines)


def yencoded(name, content):
    lines = []
    for i in range(0, len(content), 128):
        line = b"".join(b"=%c" % ((c + 64) % 256) if c in b"\0\r\n=." else b"%c" % c
                        for c in ((c + 42) % 256 for c in content[i:i + 128]))
        lines.append(line + b"\r\n")
    size = len(content)
    return b"=ybegin line=128 size=%d name=%s\r\n%s=yend size=%d\r\n" % (size, name, b"".join(lines), size)


def winmail(files):
    """MS-OXTNEF: for each file its rendering data, its title, its bytes."""
    def attribute(number, data):
        return struct.pack("<BII", 2, number, len(data)) + data + struct.pack("<H", sum(data) & 0xffff)
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(
        attribute(0x00069002, bytes(14)) + attribute(0x00018010, name + b"\0") + attribute(0x0006800F, content)
        for name, content in files)


def test_files_within_a_part_are_read(server):
    chance = random.Random(1)
    files = {name: chance.randbytes(size) for name, size in (
        ("one.bin", 700_000), ("two.bin", 3), ("three.bin", 400_000), ("four.bin", 1_500_000), ("five.bin", 1))}
    one, two, three, four, five = ((name.encode(), content) for name, content in files.items())
    at = put(server, mail_of(
        attachment(b"See:\r\n" + uuencoded(*one) + b"and\r\n" + uuencoded(*two) + b"Bye\r\n",
                   "Content-Type: text/plain"),
        attachment(yencoded(*three), "Content-Type: text/plain; charset=iso-8859-1", "binary"),
        attachment(winmail([four, five]), "Content-Type: application/ms-tnef; name=winmail.dat")))
    inner = [part for part in server.get(at).json()["parts"] if part["filename"] in files]
    assert {part["filename"]: part.get("inside", "").partition(":")[0] for part in inner} == {
        "one.bin": "uu", "two.bin": "uu", "three.bin": "", "four.bin": "tnef", "five.bin": "tnef"}
    for part in inner:
        path, content = f"{at}/parts/{part['n']}", files[part["filename"]]
        answer = server.get(path)
        assert answer.status_code == 200 and answer.content == content, part
        assert answer.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        for first in (0, len(content) // 2, len(content) - 1):
            last = min(first + 50_000, len(content) - 1)
            answer = server.get(path, headers={"Range": f"bytes={first}-{last}"})
            assert answer.status_code == 206 and answer.content == content[first:last + 1], part


# ---- large ones, and clients that do not behave ----


def test_sqlite_reads_a_large_message_once_not_once_a_piece(sqlite_server):
    path = large_part(sqlite_server)
    size = sqlite_server.get(path.replace("/parts/1", "")).json()["size"]
    before = sqlite_server.bytes_read()
    assert sqlite_server.get(path).content == LARGE
    # Each of two threads once, and now and then again; from its beginning for each piece is 50 times.
    assert sqlite_server.bytes_read() - before < 15 * size


@pytest.mark.skipif(not pathlib.Path(RELEASE).exists(),
                    reason=f"memory is measured without sanitizers, and there is no {RELEASE}")
def test_parts_of_19_megabytes_take_a_piece_of_memory_each(launch, storage_url):
    clients, ceiling_mb = 16, 40  # all of it would be 300 MB
    server = launch(binary=RELEASE, storage_url=storage_url)
    path = large_part(server)
    server.stop()
    server.start()  # what taking it in left behind is gone
    assert server.get(path.replace("/parts/1", "")).status_code == 200
    before, peak, done = server.anonymous_megabytes(), [0.0], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], server.anonymous_megabytes())

    def fetch(gate):
        with Download(server, path) as download:
            got = download.read(100)
            gate.wait()  # all of them have begun, and stand still
            return got + download.rest() == LARGE

    watcher, gate = threading.Thread(target=watch), threading.Barrier(clients)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            assert all(pool.map(fetch, [gate] * clients))
    finally:
        done.set()
        watcher.join()
    print(f"\nanonymous memory: {before:.0f} MB, at the peak {peak[0]:.0f} MB")
    assert 0 < peak[0] < before + ceiling_mb


def test_client_that_hangs_up_ends_the_reading(server):
    path = large_part(server)
    with Download(server, path) as download:
        assert download.read(1000) == LARGE[:1000]
    wait_for(lambda: value(server, "http_active_requests") == 0, "the request to end")
    backend = server.backend.lower()
    read = value(server, "storage_operations_total", backend=backend, operation="range", status="ok")
    assert 0 < read < len(LARGE) // (256 * 1024)
    assert server.get(path).content == LARGE


def test_client_that_stands_still_holds_no_link_and_is_let_go_of(launch, storage_url):
    server = launch(storage_url=storage_url, settings={"write_timeout": 2, "workers": 1, "storage": {"connections": 1}})
    path = large_part(server)
    with Download(server, path) as download:
        for _ in range(20):
            assert server.get(path, headers={"Range": "bytes=0-9"}).content == LARGE[:10]
        wait_for(lambda: value(server, "http_active_requests") == 0, "the request to end")
        got = download.rest()
    assert len(got) < len(LARGE) and LARGE.startswith(got)


def test_client_that_reads_drop_by_drop_is_let_go_of(launch):
    server = launch(settings={"write_timeout": 1})
    path = large_part(server)
    with Download(server, path) as download:
        got, stop = [], threading.Event()

        def drip():
            while not stop.wait(0.05):
                got.append(download.read(2000))

        client = threading.Thread(target=drip)
        client.start()
        try:
            assert "did not take the part in time" in last_error(server)
        finally:
            stop.set()
            client.join()
        got = b"".join(got) + download.rest()
    assert len(got) < len(LARGE) and LARGE.startswith(got)


def test_it_comes_whole_over_tls(launch, authority, tls):
    server = launch(start=False, settings={"tls": tls})
    server.scheme, server.ca = "https", str(authority.cert)
    server.start()
    path = large_part(server)
    assert server.get(path).content == LARGE
    assert server.get(path, headers={"Range": "bytes=-10"}).content == LARGE[-10:]


def test_client_of_http_1_0_gets_it_all(sqlite_server):
    path = put(sqlite_server, mail_of(*MIXED)) + "/parts/2"
    answer = sqlite_server.send_raw(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n" + bytes(range(256)) * 4)


def test_requests_one_after_the_other_are_answered_in_order(sqlite_server):
    path = put(sqlite_server, mail_of(attachment(LARGE[:MEGABYTE], "Content-Type: a/b; name=1"),
                                      attachment(b"two", "Content-Type: a/b; name=2"))) + "/parts/"
    sent = "".join(f"{method} {path}{n} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n"
                   for method, n, more in (("GET", 1, ""), ("HEAD", 1, ""), ("GET", 2, "If-None-Match: *\r\n"),
                                           ("GET", 2, "Connection: close\r\n")))
    answer = sqlite_server.send_raw(sent.encode())
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"304", b"200"]
    assert answer.endswith(b"\r\n\r\ntwo") and LARGE[:MEGABYTE] in answer


# ---- what goes wrong in the middle ----


def test_message_that_is_deleted_meanwhile_ends_short(launch, storage_url, request):
    server = launch(storage_url=storage_url)
    path = large_part(server)
    with Download(server, path) as download:
        if storage_url:
            name = storage_url.rsplit("/", 1)[1]
            request.getfixturevalue("postgres").psql("delete from messages; delete from message_raw", database=name)
        else:
            with sqlite3.connect(server.database, timeout=30) as db:
                db.executescript("delete from messages; delete from message_raw;")
        got = download.rest()
    assert 0 < len(got) < len(LARGE) and LARGE.startswith(got)
    assert "deleted while its part was sent" in last_error(server)
    assert server.get(path).status_code == 404


def test_database_that_is_killed_meanwhile_ends_short(launch):
    with Postgres() as postgres:
        server = launch(storage_url=postgres.url(postgres.create_database()),
                        settings={"storage": {"connect_timeout": 1}})
        path = large_part(server)
        with Download(server, path) as download:
            postgres.kill9()
            got = download.rest()
        assert 0 < len(got) < len(LARGE) and LARGE.startswith(got)
        assert "database went away" in last_error(server)
        wait_for(lambda: server.get(path).status_code == 503, "the database to be missed")
        assert "Retry-After" in server.get(path).headers
        postgres.start()
        wait_for(server.is_ready, "the database to be used again")
        assert server.get(path).content == LARGE
        server.stop()


@pytest.mark.parametrize("column", ["sha256 = x'00'", "size = size + 1", "raw_length = raw_length - 8",
                                    "raw_offset = raw_offset + 200000000", "raw_offset = raw_offset - 50",
                                    "encoding = '7bit'"])
def test_row_that_is_not_true_never_makes_a_wrong_part(sqlite_server, column):
    small = put(sqlite_server, mail_of(*MIXED)) + "/parts/2"
    large = large_part(sqlite_server)
    with sqlite3.connect(sqlite_server.database) as db:
        db.execute(f"update message_parts set {column}")
    answer = sqlite_server.get(small)
    assert answer.status_code == 500 and "derive it anew" in answer.json()["message"]
    assert "ETag" not in answer.headers
    with Download(sqlite_server, large) as download:
        announced, got = int(download.answer.headers["Content-Length"]), download.rest()
    assert download.answer.status == 500 or len(got) < announced
    assert len([e for e in sqlite_server.events() if "does not decode" in e["event"]]) == 2
    assert sqlite_server.post(message()).status_code == 200


def test_part_on_its_way_is_finished_while_the_server_leaves(server):
    path = large_part(server)
    with Download(server, path) as download:
        got = download.read(1000)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: any("draining" in e["event"] for e in server.events()), "the drain")
        assert server.process.poll() is None
        assert got + download.rest() == LARGE
    assert server.process.wait(30) == 0
