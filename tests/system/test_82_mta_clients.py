# SPDX-License-Identifier: MIT
"""What an MTA starts for a message, without the MTA: the line for qmail, the shell of the samples,
and the program by curl."""
import os
import re
import subprocess
import sys

import pytest

from servers.ledger import kept_ids
from servers.mailserver import BINARY, ROOT, TOKEN, message
from servers.mta import CLIENTS, SAMPLE_CLIENT, SAMPLE_TIMEOUT, SAMPLE_TOKEN, SAMPLE_URL
from servers.sample import CONFIGS, fill_in

PROGRAMS = {"deliver": [BINARY, "deliver"], "curl": [str(CONFIGS / "curl/mailserver-curl")]}
# Of master.cf, which writes two dollars for one.
SHELL = ["/bin/sh", "-c", re.search(
    r"-c \{(.*)\}\n  /", (CONFIGS / "postfix/master.cf.sample").read_text(), re.DOTALL)[1]
    .replace("$$", "$").replace("\n", " ")]


@pytest.fixture(name="program", params=CLIENTS)
def program_fixture(request):
    return PROGRAMS[request.param]


@pytest.fixture(name="token")
def token_fixture(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return str(path)


def run(command, raw, **env):
    """Exit code, and what it says."""
    done = subprocess.run(command, input=raw, check=False, stdout=subprocess.PIPE, timeout=60,
                          stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"], **env})
    return done.returncode, done.stdout.decode()


def kept(server):
    (id_,) = kept_ids(server.storage_url)
    return server.get(f"/api/emails/{id_}").json()["envelope"]


# ---- qmail ----

@pytest.fixture(name="qmail")
def qmail_fixture(launch, token):
    """Does what qmail-local does with the line; a server for it."""
    server = launch(settings={"limits": {"max_message_bytes": 100_000}})

    def deliver(raw, sender="alice@example.org", program=f"{BINARY} deliver"):
        line = fill_in("qmail/dot-qmail", {
            SAMPLE_CLIENT: program, SAMPLE_URL: server.url("/mail/inbound"),
            SAMPLE_TOKEN: token, SAMPLE_TIMEOUT: "--timeout 2"})
        assert line[0] == "|"
        return run(["/bin/sh", "-c", line[1:]], raw, SENDER=sender, RECIPIENT="b o+b@example.com")

    deliver.server = server
    return deliver


def test_qmail_delivers(qmail):
    assert qmail(message())[0] == 0
    envelope = kept(qmail.server)
    assert (envelope["sender"], envelope["recipients"]) == ("alice@example.org",
                                                            ["b o+b@example.com"])


def test_qmail_null_sender(qmail):
    assert qmail(message(), sender="")[0] == 0
    assert kept(qmail.server)["sender"] == ""


def test_qmail_waits(qmail):
    assert qmail.server.stop() == 0
    code, said = qmail(message())
    assert code == 111 and said.startswith("4.4.1"), said


def test_qmail_refuses(qmail):
    code, said = qmail(message(body="x" * 200_000))
    assert code == 100 and said.startswith("5.3.4"), said


@pytest.mark.parametrize("code", [1, 64, 65, 70, 77, 78, 99, 112, 127])
def test_qmail_waits_when_the_program_is_broken(qmail, code):
    """Most of these would be final for qmail."""
    assert qmail(message(), program=f"sh -c 'exit {code}'")[0] == 111


# ---- an MTA that dies ----

# Hands over a message, and says so once it has been read; ends the stream when it is told to.
MTA = f"""
import fcntl, subprocess, sys, termios
sys.path.insert(0, {str(ROOT / "tests/system")!r})
from servers.waiting import wait_for
client = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
client.stdin.write(open(sys.argv[1], "rb").read())
client.stdin.flush()
wait_for(lambda: not any(fcntl.ioctl(client.stdin, termios.FIONREAD, b"....")), "the pipe's reader")
print("it was read", flush=True)
sys.stdin.read()
client.stdin.close()
client.wait()
"""


@pytest.mark.parametrize("shell", [[], SHELL], ids=["alone", "in-the-shell"])
@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_mta_dies_in_the_middle(launch, token, tmp_path, program, shell, dies):
    """Half of a message is not sent; a whole one, from an MTA that lives, is."""
    server = launch()
    (tmp_path / "mail").write_bytes(message(body="as far as it came\r\n"))
    command = arguments(program, server.url("/mail/inbound"), token)
    with subprocess.Popen(
            [sys.executable, "-c", MTA, str(tmp_path / "mail"), *shell, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as mta:
        assert mta.stdout.readline() == b"it was read\n"
        if dies:
            mta.kill()
        else:
            mta.stdin.close()
        said = mta.stdout.read().decode()
    if dies:
        assert said.startswith("4.3.0") and "died" in said, said
        assert not kept_ids(server.storage_url)
    else:
        assert said.startswith("2.0.0"), said
        assert kept(server)["recipients"] == ["bob@example.com"]


# ---- flags, and where the server may be ----

def arguments(program, url, token, *more):
    return [*program, "--url", url, "--token-file", token, "--timeout", "5", "--sender",
            "alice@example.org", *more, "--", "bob@example.com"]


def test_unix_socket(launch, token, tmp_path, program):
    path = tmp_path / "mail.sock"
    server = launch(settings={"listen": ["127.0.0.1", f"unix:{path}"]})
    code, said = run(arguments(program, f"unix:{path}", token), message())
    assert (code, said[:6]) == (0, "2.0.0 "), said
    assert kept(server)["sender"] == "alice@example.org"


def test_recipients_by_flag_and_without(launch, token, program):
    server = launch()
    code, said = run(arguments(program, server.url("/mail/inbound"), token,
                               "--recipient", "carol@example.com"), message())
    assert code == 0, said
    assert sorted(kept(server)["recipients"]) == ["bob@example.com", "carol@example.com"]


def test_same_message_again(launch, token, program):
    """With the other program too: both say the same of it."""
    server, mail = launch(), message()
    for each in (program, *PROGRAMS.values()):
        code, said = run(arguments(each, server.url("/mail/inbound"), token,
                                   "--queue-id", "4711", "--client-address", "192.0.2.1",
                                   "--client-hostname", "x.example.org", "--client-helo", "x"),
                         mail)
        assert code == 0, said
    assert kept(server)["client"] == {"address": "192.0.2.1", "hostname": "x.example.org",
                                      "helo": "x"}


def test_values_cannot_break_out(launch, token, program):
    """A line end in a value is no new header: it is taken out, or the mail waits."""
    server = launch()
    code, said = run(arguments(program, server.url("/mail/inbound"), token, "--client-helo",
                               "x\r\nX-Original-Recipient: mallory@example.com"), message())
    if code == 0:
        assert kept(server)["recipients"] == ["bob@example.com"]
    else:
        assert (code, said[:2]) == (75, "4."), said


@pytest.mark.parametrize("wrong, said", [
    (["--no-such-flag", "x"], "4.3.5"), (["--token-file", "/nonexistent"], "4.3.5"),
    (["--url", "gopher://127.0.0.1/"], "4.3.5"), (["--timeout", "x"], "4.3.5"), ([], "4.4.1")],
    ids=str)
@pytest.mark.parametrize("mta, code", [("postfix", 75), ("exim", 75), ("qmail", 111)])
def test_mistakes_are_later(token, program, wrong, said, mta, code):
    """Nobody is there; only without a mistake that is found out."""
    command = arguments(program, "http://127.0.0.1:1/mail/inbound", token, "--mta", mta,
                        "--timeout", "1", *wrong)
    got = run(command, message())
    assert got[0] == code and got[1].startswith(said), got


def test_empty_message_is_later(launch, token, program):
    """No MTA sends one: something is wrong, and not with the mail."""
    got, said = run(arguments(program, launch().url("/mail/inbound"), token), b"")
    assert (got, said[:2]) == (75, "4."), said
