# SPDX-License-Identifier: MIT
"""`mailserver deliver --spool`: kept on this machine's disk while the server is away."""
import fcntl
import os
import signal
import subprocess
import time

import pytest

from servers.deliver import RECIPIENT, SENDER, deliver, end, environment, flush, start
from servers.mailserver import BINARY, message
from servers.odd_server import OddServer, answer
from servers.relay import Relay
from servers.tiny_disk import NoTinyDisk, TinyDisk
from servers.waiting import free_port, wait_for


@pytest.fixture(name="spool")
def spool_fixture(tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def nowhere():
    return f"http://127.0.0.1:{free_port()}"


def spooled(spool):
    return sorted(p for p in spool.iterdir() if p.name.endswith(".mail"))


def test_spooled_message_is_sent_once_when_the_server_is_back(server, spool):
    mails = [message(body=f"{n}\r\n") for n in range(3)]
    mails.append(message(body="x" * 5_000_000 + "\r\n"))
    url = nowhere()
    for n, mail in enumerate(mails):
        code, line = deliver(url, mail, spool=spool, queue_id=f"Q{n}", client_helo="helo.example")
        assert code == 0
        assert line.startswith("2.0.0 spooled=") and "after 4.4.1 " in line, line
        assert (spool / line.split()[1].removeprefix("spooled=")).exists()
    code, lines = flush(url, spool)
    assert code == 75 and lines[-1].startswith("4.4.1 0 sent, 4 left"), lines
    assert len(spooled(spool)) == 4
    code, lines = flush(server.url(""), spool)
    assert code == 0 and lines[-1].startswith("2.0.0 4 sent, 0 left"), lines
    assert list(spool.iterdir()) == []
    ids = [line.split("id=")[1] for line in lines[:-1]]
    for n, (mail, kept) in enumerate(zip(mails, ids)):
        envelope = server.get(f"/api/emails/{kept}").json()["envelope"]
        assert envelope["queue_id"] == f"Q{n}" and envelope["client"]["helo"] == "helo.example"
        assert server.get(f"/api/emails/{kept}/raw").content == mail
    assert flush(server.url(""), spool) == (0, ["2.0.0 0 sent, 0 left, 0 refused, 0 damaged"])
    assert server.get("/metrics").json()["total_emails"] == 4


def test_nothing_is_spooled_that_the_server_can_take_or_somebody_must_put_right(server, spool):
    assert deliver(server.url(""), message(), spool=spool)[0] == 0
    code, line = deliver(server.url(""), message(), spool=spool,
                         env=environment(token="wrong-token-0123456789"))
    assert code == 75 and line.startswith("4.7.0 "), line
    code, line = deliver(server.url("/nowhere"), message(), spool=spool)
    assert code == 75 and line.startswith("4.3.5 "), line
    with OddServer([answer("413 Too Large")]) as odd:
        assert deliver(odd.url, message(), spool=spool)[0] == 65
    assert list(spool.iterdir()) == []
    with OddServer([answer("503 Later", b"", "Retry-After: 60")]) as odd:
        code, line = deliver(odd.url, message(), spool=spool)
    assert code == 0 and "after 4.3.2 503" in line
    assert len(spooled(spool)) == 1


def test_answer_that_was_lost_before_spooling_makes_no_second_message(server, spool):
    mail = message()
    with Relay(server.port) as relay:
        relay.mute()
        code, line = deliver(f"http://127.0.0.1:{relay.port}", mail, spool=spool, queue_id="Q",
                             timeout=2)
        assert code == 0 and "spooled=" in line, line
    assert server.get("/metrics").json()["total_emails"] == 1
    code, lines = flush(server.url(""), spool)
    assert code == 0 and lines[0].endswith(" duplicate"), lines
    assert server.get("/metrics").json()["total_emails"] == 1


def test_spool_that_cannot_be_written_leaves_the_message_with_the_mta(spool):
    code, line = deliver(nowhere(), message(), spool=spool / "missing")
    assert code == 75 and line.startswith("4.3.0 ") and "missing" in line, line
    code, line = deliver(nowhere(), message(), spool=spool, spool_max=1)
    assert code == 0
    code, line = deliver(nowhere(), message(body="x" * 1_100_000), spool=spool, spool_max=1)
    assert code == 75 and line.startswith("4.3.0 ") and "is full" in line, line
    assert len(list(spool.iterdir())) == 1


def test_full_disk_under_the_spool():
    try:
        disk = TinyDisk(8)
    except NoTinyDisk as why:
        pytest.skip(str(why))
    with disk:
        # The temporary file of a large message is there too.
        for size in (20_000_000, 900_000):
            code, line = 0, ""
            for _ in range(20):
                code, line = deliver(nowhere(), message(body="x" * size), spool=disk.path,
                                     enter=disk.enter)
                if code != 0:
                    break
            assert code == 75 and line.startswith("4.3.0 ") and "No space" in line, line
        names = os.listdir(disk.seen_from_outside("."))
        assert names and all(name.endswith(".mail") for name in names), names


def test_flush_leaves_alone_what_is_not_whole_or_not_its_own(sqlite_server, spool):
    (spool / ".new-1.mail").write_bytes(b"mailserver-spool 1\r\nX-Original-Sen")
    (spool / ".new-old.mail").write_bytes(b"mailserver-spool 1\r\n")
    os.utime(spool / ".new-old.mail", (time.time() - 90_000,) * 2)
    (spool / "0-damaged.mail").write_bytes(b"mailserver-spool 1\r\nX-Original-Sender: a@b\r\n")
    (spool / "0-empty.mail").write_bytes(b"")
    (spool / "0-foreign.mail").write_bytes(b"Subject: of somebody else\r\n\r\n")
    (spool / "README").write_text("not a message")
    deliver(nowhere(), message(), spool=spool)
    code, lines = flush(sqlite_server.url(""), spool)
    assert code == 75 and lines[-1] == "4.4.1 1 sent, 0 left, 0 refused, 3 damaged", lines
    assert sorted(p.name for p in spool.iterdir()) == [
        ".new-1.mail", "0-damaged.mail", "0-empty.mail", "0-foreign.mail", "README"]


def test_refused_from_the_spool_is_kept_for_somebody_to_look_at(launch, spool):
    large, small = message(body="x" * 6000), message()
    assert deliver(nowhere(), large, spool=spool)[0] == 0
    assert deliver(nowhere(), small, spool=spool)[0] == 0
    server = launch(settings={"limits": {"max_message_bytes": 5000}})
    code, lines = flush(server.url(""), spool)
    assert code == 65 and lines[-1].startswith("5.0.0 1 sent, 0 left, 1 refused"), lines
    left = list(spool.iterdir())
    assert len(left) == 1 and left[0].name.endswith(".mail.refused")
    assert left[0].read_bytes().endswith(large)
    assert flush(server.url(""), spool)[0] == 0, "nobody sends it again"


def test_two_flushes_at_once_send_each_message_once(sqlite_server, spool):
    for n in range(20):
        deliver(nowhere(), message(body=str(n)), spool=spool)
    both = [start(sqlite_server.url(""), flush=True, spool=spool) for _ in range(2)]
    ended = [end(process) for process in both]
    assert [code for code, _ in ended] == [0, 0], ended
    said = "".join(out for _, out in ended)
    assert said.count(" id=") == 20 and " duplicate" not in said, said
    assert list(spool.iterdir()) == []
    assert sqlite_server.get("/metrics").json()["total_emails"] == 20


def test_flush_killed_before_it_removed_the_file_doubles_nothing(sqlite_server, spool):
    deliver(nowhere(), message(), spool=spool)
    with Relay(sqlite_server.port) as relay:
        relay.mute()
        process = start(f"http://127.0.0.1:{relay.port}", flush=True, spool=spool)
        wait_for(lambda: relay.swallowed > 0, "an answer that gets lost")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert len(spooled(spool)) == 1
    code, lines = flush(sqlite_server.url(""), spool)
    assert code == 0 and lines[0].endswith(" duplicate"), lines
    assert sqlite_server.get("/metrics").json()["total_emails"] == 1


def test_message_that_somebody_else_is_sending_is_left_to_him(sqlite_server, spool):
    deliver(nowhere(), message(), spool=spool)
    with open(spooled(spool)[0], "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, lines = flush(sqlite_server.url(""), spool)
        assert code == 0 and lines == ["2.0.0 0 sent, 0 left, 0 refused, 0 damaged"], lines
    assert flush(sqlite_server.url(""), spool)[1][-1].startswith("2.0.0 1 sent")


def test_files_of_the_spool_are_for_its_owner_alone(spool):
    deliver(nowhere(), message(), spool=spool)
    assert spooled(spool)[0].stat().st_mode & 0o777 == 0o600


def test_spool_file_is_on_the_disk_before_the_mta_is_told(spool, tmp_path):
    """In the order of the system calls: bytes synced, named, name synced, said."""
    if subprocess.run(["sh", "-c", "command -v strace"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-o", trace, "-e", "trace=fsync,renameat,renameat2,write", BINARY, "deliver",
         "--url", nowhere(), "--spool", spool, "--sender", SENDER, RECIPIENT],
        input=message(), env=environment(ASAN_OPTIONS="detect_leaks=0"), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    calls = [line.split(None, 1)[1].split("(")[0] for line in trace.read_text().splitlines()
             if "(" in line and ("write(1," in line or "write(" not in line)]
    calls = ["rename" if call.startswith("rename") else call for call in calls]
    assert calls == ["fsync", "rename", "fsync", "write"], calls
