# SPDX-License-Identifier: MIT
"""Two servers and one SQLite file: by accident it is refused, for a restart it is allowed."""
import os
import sqlite3
import subprocess

import pytest

from servers.ledger import check_ledger
from servers.load import Load
from servers.mailserver import BINARY, message
from servers.tiny_disk import NoTinyDisk, TinyDisk
from servers.waiting import wait_for

# A network of its own, with nothing in it but its loopback.
OTHER_NETWORK = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def is_up(server):
    assert server.process.poll() is None, f"the server ended:\n{server.log()}"
    return any("is up" in event["event"] for event in server.events())


def on_the_port_of(old, launch, **more):
    """A second server on the same file and the same port; not waited for."""
    new = launch(start=False, storage_url=old.storage_url, **more)
    new.settings["port"] = new.port = old.port
    return new.launch()


def successor(launch, old, **more):
    new = on_the_port_of(old, launch, **more)
    wait_for(lambda: is_up(new), "the new server")
    return new


def refusal(server):
    """What a server says that does not start: one error, and nothing of it is left."""
    assert server.process.wait(30) == 1, server.log()
    said = [event["event"] for event in server.events() if event["level"] == "error"]
    assert len(said) == 1, server.log()
    assert not server.events("listening"), "it listened, though the database was not its own"
    return said[0]


def check_refused(server, *holders):
    """With what it is about, who it may be that has it, and what would help."""
    said = refusal(server)
    assert "mail.db" in said and "data_dir" in said and "Postgres" in said, said
    assert any(f"listens on 127.0.0.1:{holder.port}" in said for holder in holders), said


def stranger(launch, holder, **more):
    """Another server on the same file and a port of its own; not waited for."""
    return launch(start=False, storage_url=holder.storage_url, **more).launch()


@pytest.mark.parametrize("migrate", [True, False], ids=["migrates", "does_not_migrate"])
def test_second_server_is_told_and_harms_nobody(launch, migrate):
    first = launch()
    with Load(first.url("/mail/inbound")) as load:
        load.wait_for_more()
        second = stranger(launch, first, settings={"storage": {"migrate": migrate}})
        check_refused(second, first)
        assert str(first.database) in second.log()
        load.wait_for_more()
    assert set(load.statuses) == {200}, load.statuses
    assert first.is_ready() and not [e for e in first.events() if e["level"] == "error"]
    check_ledger(first.storage_url, load)


def test_file_is_the_same_by_another_name(launch, tmp_path):
    first = launch()
    (tmp_path / "link.db").symlink_to(first.database)
    (tmp_path / "folder").symlink_to(first.folder)
    for url in (f"sqlite://{tmp_path}/link.db", f"sqlite://{tmp_path}/folder/mail.db",
                f"sqlite://../{first.folder.name}/mail.db"):
        second = launch(start=False, storage_url=url).launch()
        said = refusal(second)
        assert f"127.0.0.1:{first.port}" in said and url.removeprefix("sqlite://") in said, said


def test_successor_is_let_in_and_strangers_are_not_until_both_have_ended(launch):
    first = launch()
    second = successor(launch, first)
    mails = [message() for _ in range(20)]
    for mail in mails:  # on a new connection each: by one of the two
        second.session.close()
        assert second.post(mail).status_code == 200
    check_refused(stranger(launch, first), first)
    assert first.stop() == 0
    check_refused(stranger(launch, first), first)
    assert second.post(mails[0]).json()["duplicate"] is True
    assert second.stop() == 0
    third = launch(storage_url=first.storage_url)
    assert third.post(mails[0]).json()["duplicate"] is True
    with sqlite3.connect(first.database) as db:
        assert db.execute("select count(*) from messages").fetchone() == (20,)
    check_refused(stranger(launch, first), third)


def test_addresses_count_whatever_their_order(launch, tmp_path):
    both = ["127.0.0.1", "127.0.0.2"]
    first = launch(settings={"listen": both})
    assert is_up(successor(launch, first, settings={"listen": both[::-1]}))
    check_refused(on_the_port_of(first, launch), first)
    more = [*both, f"unix:{tmp_path}/mail.sock"]
    said = refusal(on_the_port_of(first, launch, settings={"listen": more}))
    assert f"127.0.0.2:{first.port}" in said and f"unix:{tmp_path}/mail.sock" in said, said


def test_same_address_of_another_network_is_another(launch):
    if subprocess.run([*OTHER_NETWORK, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user, or this machine, may not make a network")
    first = launch()
    check_refused(on_the_port_of(first, launch, enter=OTHER_NETWORK), first)


def test_end_of_a_holder_by_kill_or_crash_blocks_nobody(launch):
    first = launch()
    first.kill9()
    second = launch(storage_url=first.storage_url)
    third = successor(launch, second)
    second.kill9()
    check_refused(stranger(launch, first), third)
    third.kill9()
    again = first.start()
    assert again.post(message()).status_code == 200


def test_starting_at_once_one_gets_it(launch):
    first = launch()
    assert first.stop() == 0
    servers = [stranger(launch, first) for _ in range(6)]
    wait_for(lambda: sum(s.process.poll() is not None for s in servers) == 5, "five to give up")
    winner, = [s for s in servers if s.process.poll() is None]
    wait_for(winner.answers, "the one that is left")
    for loser in set(servers) - {winner}:
        check_refused(loser, *servers)


def test_reload_and_commands_leave_it_alone(launch):
    first = launch()
    first.reload()
    for command in ("migrate", "purge"):
        subprocess.run([BINARY, command, "-c", str(first.folder / "mailserver.yaml")],
                       capture_output=True, timeout=60, check=True)
    check_refused(stranger(launch, first), first)
    assert first.post(message()).status_code == 200


def test_server_that_hangs_at_its_start_is_waited_for_a_while(launch):
    """Its file is locked by it alone; here by this test."""
    first = launch()
    assert first.stop() == 0
    with subprocess.Popen(["flock", "--exclusive", f"{first.database}.lock", "sh", "-c",
                           "echo locked && exec cat"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        said = refusal(on_the_port_of(first, launch))
        holder.stdin.close()
    assert "is starting on it" in said and f"{first.database}.lock" in said, said
    assert first.start().is_ready()


def test_lock_that_cannot_be_written_is_said(launch, tmp_path):
    (tmp_path / "mail.db.lock").mkdir()
    said = refusal(launch(start=False, storage_url=f"sqlite://{tmp_path}/mail.db").launch())
    assert f"{tmp_path}/mail.db.lock cannot be written: Is a directory" in said, said


def test_full_disk_is_said(launch):
    try:
        disk = TinyDisk(megabytes=24)
    except NoTinyDisk as error:
        pytest.skip(f"no disk to fill: {error}")
    with disk:
        server = launch(enter=disk.enter, storage_url=f"sqlite://{disk.path}/mail.db")
        assert server.post(message()).status_code == 200
        assert server.stop() == 0
        os.unlink(disk.seen_from_outside("mail.db.lock"))
        disk.fill()
        said = refusal(stranger(launch, server, enter=disk.enter))
        assert "mail.db.lock cannot be written: No space left on device" in said, said
