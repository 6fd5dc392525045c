# SPDX-License-Identifier: MIT
"""Mail is kept as long as the configuration says: `mailserver purge`, and the server by itself."""
import json
import subprocess

import pytest

from servers.mailserver import BINARY, message
from servers.waiting import wait_for

OLD = "01700000-0000-7000-8000-"  # early in 2023
TABLES = ("messages", "message_raw", "message_parts", "message_keys")


def make_old(sql, server, stored, number):
    old = f"{OLD}{number:012d}"
    for table in TABLES:
        sql(server, f"update {table} set id = '{old}' where id = '{stored['id']}'")
    return old


def purge(server, *arguments):
    done = subprocess.run([BINARY, "purge", "-c", str(server.folder / "mailserver.yaml"), *arguments],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(sql, server, table="messages"):
    return {str(row[0]) for row in sql(server, f"select id from {table}")}


def settings(**retention):
    return {"retention": retention}


def test_purge_deletes_what_is_old_and_says_how_much(launch, storage_url, sql):
    server = launch(storage_url=storage_url)
    fresh = server.post(message()).json()["id"]
    old = [make_old(sql, server, server.post(message()).json(), n) for n in range(3)]
    server.settings.update(settings(days=30))
    server.write_settings()
    said = purge(server, "--dry-run")
    assert "would delete 3 messages and 3 dedup keys" in said, said
    assert ids(sql, server) == {fresh, *old}
    assert "deleted 3 messages and 3 dedup keys" in purge(server)
    for table in TABLES:
        assert ids(sql, server, table) == {fresh}, table
    assert "deleted 0 messages" in purge(server)


def test_tenant_has_a_retention_of_its_own(launch, storage_url, sql):
    server = launch(storage_url=storage_url)
    old = [make_old(sql, server, server.post(message()).json(), n) for n in range(2)]
    sql(server, f"update messages set tenant = 'archive' where id = '{old[0]}'")
    server.settings.update(settings(days=30, tenants=[{"tenant": "archive", "days": 0}]))
    server.write_settings()
    assert "deleted 1 message and" in purge(server)
    assert ids(sql, server) == {old[0]}


def test_mail_is_kept_for_ever_unless_told_otherwise_but_keys_expire(launch, storage_url, sql):
    server = launch(storage_url=storage_url)
    mail = message()
    old = make_old(sql, server, server.post(mail).json(), 1)
    assert server.post(mail).json()["duplicate"] is True
    assert "deleted 0 messages and 1 dedup key" in purge(server)
    assert ids(sql, server) == {old}
    assert server.post(mail).json()["duplicate"] is False


def test_server_does_it_by_itself(launch, storage_url, sql):
    server = launch(storage_url=storage_url)
    fresh = server.post(message()).json()["id"]
    make_old(sql, server, server.post(message()).json(), 1)
    server.settings.update(settings(days=30))
    server.reload()
    wait_for(lambda: ids(sql, server) == {fresh}, "the old message to be deleted")


@pytest.mark.parametrize("retention,words", [
    ({"dedup_days": 3}, "6"),
    ({"tenants": [{"tenant": "a", "days": 1}, {"tenant": "a", "days": 2}]}, "tenants"),
])
def test_retention_that_cannot_be_meant_is_an_error(tmp_path, retention, words):
    path = tmp_path / "mailserver.yaml"
    path.write_text(json.dumps({"bearer_token": "x" * 32, "retention": retention}))
    done = subprocess.run([BINARY, "validate", "-c", str(path)], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 1 and "retention" in done.stderr + done.stdout
    assert words in done.stderr + done.stdout
