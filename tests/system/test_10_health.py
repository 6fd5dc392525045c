# SPDX-License-Identifier: MIT
"""The service's state, and the answers for what is not there (contract sections 1, 1.2, 1.5)."""
import re

import pytest

from servers.mailserver import message


def test_health_says_what_it_depends_on(server):
    answer = server.get("/health", token=None)
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] == "healthy"
    assert body["services"]["storage"]["status"] == "up"
    assert body["services"]["storage"]["latency_ms"] >= 0
    assert body["uptime"] > 0
    assert re.fullmatch(r"\d+\.\d+\.\d+", body["version"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert server.get("/health/live", token=None).status_code == 200
    assert server.get("/health/ready", token=None).status_code == 200


def test_counters_are_gomails(sqlite_server):
    before = sqlite_server.get("/metrics", token=None).json()
    assert set(before) == {"active_requests", "last_received", "shutting_down", "start_time",
                           "total_bytes", "total_emails", "uptime_seconds"}
    assert before["total_emails"] == 0 and before["last_received"] is None
    mail = message()
    assert sqlite_server.post(mail).status_code == 200
    assert sqlite_server.post(mail).json()["duplicate"] is True
    after = sqlite_server.get("/metrics", token=None).json()
    assert after["total_emails"] == 1 and after["total_bytes"] == len(mail)
    assert after["last_received"] is not None and after["shutting_down"] is False


def test_unknown_path_is_404_in_json(sqlite_server):
    for path in ("/", "/nothing", "/mail/inbound/", "/mail/inbound/x", "/api/emails", "/health/x"):
        answer = sqlite_server.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json()["type"] == "NOT_FOUND"
        assert answer.json()["retryable"] is True
        assert answer.headers["X-Mail-Status"] == "4.3.5"


@pytest.mark.parametrize("method,path,allow", [
    ("GET", "/mail/inbound", "POST"),
    ("PUT", "/email", "POST"),
    ("POST", "/health", "GET, HEAD"),
    ("DELETE", "/metrics", "GET, HEAD"),
])
def test_wrong_method_is_405_with_allow(sqlite_server, method, path, allow):
    answer = sqlite_server.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allow
    assert answer.json()["type"] == "BAD_REQUEST"


def test_head_is_get_without_a_body(sqlite_server):
    answer = sqlite_server.request("HEAD", "/health")
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) > 0
    assert answer.content == b""


def test_request_id_is_the_callers_when_sane(sqlite_server):
    sane = sqlite_server.get("/health", headers={"X-Request-ID": "abc.DEF:1_2-3"})
    assert sane.headers["X-Request-ID"] == "abc.DEF:1_2-3"
    for bad in ("a b", "x" * 129, "a/b", "ü".encode()):
        answer = sqlite_server.get("/nothing", headers={"X-Request-ID": bad})
        assert re.fullmatch(r"req_[0-9a-f]{16}", answer.headers["X-Request-ID"])
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
