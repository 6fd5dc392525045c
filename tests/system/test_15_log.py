# SPDX-License-Identifier: MIT
"""The log: one JSON line per event, with what an operator needs and nothing that is private."""
import json

from servers.mailserver import TOKEN, message
from servers.waiting import wait_for


def request_lines(server, count):
    return wait_for(lambda: len(lines := [e for e in server.events("request")
                                          if e["method"] == "POST"]) >= count and lines,
                    "the log lines")


def test_access_line_says_what_happened(server):
    mail = message()
    stored = server.post(mail, headers={"X-Request-ID": "seen-1"}).json()
    server.post(mail)
    server.post(b"")
    first, again, refused = request_lines(server, 3)
    assert first["request_id"] == "seen-1" and first["level"] == "info"
    assert first["route"] == "/mail/inbound" and first["status"] == 200
    assert first["tenant"] == "default" and first["token"] == "bearer_token"
    assert first["bytes_in"] == len(mail) and first["bytes_out"] > 100
    assert first["id"] == stored["id"] and first["duplicate"] is False
    assert first["parse_status"] == "ok"
    assert first["ms"] >= first["parse_ms"] > 0 and first["store_ms"] > 0
    assert again["id"] == stored["id"] and again["duplicate"] is True
    assert refused["status"] == 400 and "empty" in refused["error"] and "id" not in refused


def test_every_line_is_json_and_none_holds_a_token_or_a_message(server):
    wrong = "a-wrong-token-that-must-not-be-seen"
    server.post(message(subject="a subject nobody may read", body="a body nobody may read"))
    server.post(message(), token=wrong)
    server.get("/secret-path/a-path-nobody-may-read")
    request_lines(server, 2)
    assert server.stop() == 0
    log = server.log()
    for line in log.splitlines():
        assert isinstance(json.loads(line), dict), line
    for private in (TOKEN, wrong, "nobody may read", "nobody-may-read", "alice@example.org"):
        assert private not in log


def test_level_and_format_are_settings(launch):
    quiet = launch(settings={"log": {"level": "error", "format": "json"}})
    assert quiet.post(message()).status_code == 200
    assert quiet.stop() == 0 and quiet.log() == ""
    text = launch(settings={"log": {"level": "info", "format": "text"}})
    assert text.post(message()).status_code == 200
    assert text.stop() == 0
    assert " info    request request_id=req_" in text.log() and "{" not in text.log()
