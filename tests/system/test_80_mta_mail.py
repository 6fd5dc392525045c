# SPDX-License-Identifier: MIT
"""Mail through the real MTAs, with the files of configs/: SMTP, queue, pipe, server, database.

What is kept is compared with what lies in the MTA's queue. To see that, a message is put on hold
there (Postfix: a HOLD action; Exim: queue_only), read with the MTA's own tool (`postcat -bh`,
`exim -Mvc`), and let go."""
import pytest

from servers.mailserver import Mailserver, message
from servers.mta import CLIENTS, SENDER
from servers.mta_site import KINDS, MtaSite
from servers.postfix import Postfix
from servers.waiting import wait_for

UTF8 = ("SMTPUTF8", "BODY=8BITMIME")


@pytest.fixture(name="mta_site", scope="module",
                params=[(kind, client) for kind in KINDS for client in CLIENTS], ids="-".join)
def mta_site_fixture(request):
    kind, client = request.param
    server = Mailserver()
    try:
        with MtaSite(kind, client, timeout_s=60) as made:
            made.serve(server.start())
            yield made
        assert server.stop() == 0, server.log()[-3000:]
    finally:
        server.close()


@pytest.fixture
def site(mta_site):
    mta_site.reset()
    return mta_site


def check_arrives(site, queue_id, recipients=("bob@example.com",), sender=SENDER):
    """Releases a message that was held. It is kept as it was queued, once, with its envelope; what
    was kept."""
    queued = site.mta.queued_bytes(queue_id)
    site.mta.release(queue_id)
    kept = site.await_kept()[queue_id]
    assert kept["raw"] == queued
    envelope = kept["envelope"]
    assert envelope["sender"] == sender
    assert sorted(envelope["recipients"]) == sorted(recipients)
    assert envelope["client"]["address"] == "127.0.0.1"
    assert not site.mta.bounced()
    return kept


def body_of(raw):
    return raw.partition(b"\n\n")[2]


def test_plain(site):
    queue_id = site.mta.swaks("--from", SENDER, "--to", "bob@example.com", "--helo",
                              "there.example.org", "--header", "Subject: plain",
                              "--body", "It works.", hold=True)
    kept = check_arrives(site, queue_id)
    assert kept["subject"] == "plain" and kept["text"].strip() == "It works."
    assert kept["envelope"]["client"]["helo"] == "there.example.org"


def test_at_once(site):
    """Without a stay in the queue."""
    queue_id = site.mta.swaks("--from", SENDER, "--to", "bob@example.com")
    assert site.await_kept().keys() == {queue_id}


def test_8_bit(site):
    raw = message(subject=None, body="x").replace(b"\r\n\r\nx", b"\r\nSubject: Gr\xfc\xdfe\r\n"
                  b"Content-Type: text/plain; charset=iso-8859-1\r\n"
                  b"Content-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n\xff\xfe\x80\r\n")
    queue_id = site.mta.send(raw, hold=True, options=("BODY=8BITMIME",))
    kept = check_arrives(site, queue_id)
    assert body_of(kept["raw"]) == b"Gr\xfc\xdfe\n\xff\xfe\x80\n"


def test_smtputf8(site):
    raw = message(subject="Grüße", body="Grüße, Ψυχή\r\n", From="Ψυχή <ψυχή@example.org>",
                  To="用户@example.com")
    queue_id = site.mta.send(raw, ["用户@example.com"], "ψυχή@example.org", hold=True, options=UTF8)
    kept = check_arrives(site, queue_id, ["用户@example.com"], "ψυχή@example.org")
    assert kept["subject"] == "Grüße"
    assert kept["from"] == [{"name": "Ψυχή", "address": "ψυχή@example.org"}]


def test_null_sender(site):
    queue_id = site.mta.swaks("--from", "<>", "--to", "bob@example.com", hold=True)
    check_arrives(site, queue_id, sender="")


@pytest.mark.parametrize("recipient", [
    "bob+folder@example.com", "Bob+Folder=x@example.com", '"a b"@example.com',
    '"a, b@c"@example.com', '"say \\"hi\\""@example.com', "o'brien$&|`{x}@example.com",
    '"$(id) > x; ..\\\\"@example.com'])
def test_recipient(site, recipient):
    """With an extension, with quotes and spaces, or meant to be misread by shells."""
    queue_id = site.mta.send(message(), [recipient], hold=True)
    check_arrives(site, queue_id, [recipient])


def test_address_that_looks_like_a_flag(site):
    sender, recipient = "--help@example.org", "--flush@example.com"
    if isinstance(site.mta, Postfix):
        with pytest.raises(AssertionError, match="Bad sender"):  # it takes none of these
            site.mta.send(message(), sender=sender)
        return
    queue_id = site.mta.send(message(), [recipient], sender, hold=True)
    check_arrives(site, queue_id, [recipient], sender)


def test_20_recipients(site):
    """In one call, so as one message."""
    recipients = [f"user{i}@example.com" for i in range(20)]
    queue_id = site.mta.swaks("--from", SENDER, "--to", ",".join(recipients), hold=True)
    check_arrives(site, queue_id, recipients)


def test_120_recipients(site):
    """In three calls: as many messages, and each recipient once."""
    recipients = [f"user{i}@example.com" for i in range(120)]
    queue_id = site.mta.send(message(), recipients, hold=True)
    queued = site.mta.queued_bytes(queue_id)
    site.mta.release(queue_id)
    site.await_kept(3)
    kept = [site.read(id_) for id_ in site.kept_ids()]
    assert sorted(len(each["envelope"]["recipients"]) for each in kept) == [20, 50, 50]
    assert sorted(r for each in kept for r in each["envelope"]["recipients"]) == sorted(recipients)
    assert all(each["raw"] == queued for each in kept)


def test_20_megabytes(site):
    line = bytes(range(0x21, 0x7f)) * 8 + b"\r\n"
    raw = message(subject="large", body="") + line * (20 * 1024 * 1024 // len(line))
    queue_id = site.mta.send(raw, hold=True)
    kept = check_arrives(site, queue_id)
    assert body_of(kept["raw"]) == raw.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")


def test_too_large_for_the_server(site):
    """The MTA refuses it while the sender is there."""
    with pytest.raises(AssertionError, match="552"):
        site.mta.send(message(), options=[f"SIZE={25 * 1024 * 1024}"])


@pytest.mark.parametrize("body", [
    b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n",
    b"From the beginning\r\n\r\nFrom alice Thu Jan  1 00:00:00 1970\r\n>From\r\n",
    b".\r\n..\r\n.x\r\n\r\n.\r\nthe end\r\n", b"no line end at the end", b"", b"\r\n\r\n \t\r\n"],
    ids=["lines-of-998", "From", "dots", "no-line-end", "empty", "white"])
def test_body(site, body):
    queue_id = site.mta.send(message(body="") + body, hold=True)
    kept = check_arrives(site, queue_id)
    expected = body.replace(b"\r\n", b"\n")
    if expected and not expected.endswith(b"\n"):
        expected += b"\n"  # SMTP's own
    assert body_of(kept["raw"]) == expected


def test_first_line_is_from(site):
    """What the MTA makes of it is what is kept."""
    queue_id = site.mta.send(b"From alice Thu Jan  1 00:00:00 1970\r\n" + message(), hold=True)
    check_arrives(site, queue_id)


def test_no_header_at_all(site):
    queue_id = site.mta.send(b"just a line\r\n", hold=True)
    assert b"just a line" in check_arrives(site, queue_id)["raw"]


def test_token_is_not_to_be_seen(site):
    """Of all processes that belong to a delivery, while one runs."""
    site.relay.hold()
    site.mta.swaks("--from", SENDER, "--to", "bob@example.com")
    wait_for(lambda: site.relay.pairs, "the client to connect")
    seen = list(site.mta.command_lines())
    site.relay.release()
    site.await_kept()
    assert [line for line in seen if str(site.mta.token) in line]
    assert not [line for line in seen if site.mta.token.read_text().strip() in line]
