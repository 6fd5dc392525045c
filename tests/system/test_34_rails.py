# SPDX-License-Identifier: MIT
"""Rails' own relay client (Debian's ruby-actionmailbox) delivers, and says the right things."""
import shutil
import subprocess

from servers.mailserver import TOKEN, message

RELAY = """
require "base64"
require "action_mailbox/relayer"
result = ActionMailbox::Relayer.new(url: ARGV[0], password: ARGV[1]).relay(STDIN.binmode.read)
print result.status_code, " ", result.message
"""
PATH = "/rails/action_mailbox/relay/inbound_emails"


def relay(server, source, token=TOKEN, path=PATH):
    done = subprocess.run(["/usr/bin/ruby", "-e", RELAY, server.url(path), token], input=source,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_rails_relay_delivers(server):
    assert shutil.which("ruby", path="/usr/bin"), "make deps installs it"
    mail = message(X_Original_To="box@example.com", body="8-bit: \u00e4\r\n")
    assert relay(server, mail) == "2.0.0 Successfully relayed message to ingress"
    assert relay(server, mail) == "2.0.0 Successfully relayed message to ingress"
    assert server.get("/metrics").json()["total_emails"] == 1
    line = [e for e in server.events("request") if e["route"] == PATH][0]
    email = server.get(f"/api/emails/{line['id']}").json()
    assert email["envelope"]["recipients"] == ["box@example.com"]
    assert server.get(f"/api/emails/{line['id']}/raw").content == mail


def test_rails_relay_understands_the_refusals(launch):
    server = launch(settings={"rate_limit_per_minute": 1, "rate_limit_burst": 1,
                              "limits": {"max_message_bytes": 5000}})
    assert relay(server, message(), token="wrong-token-0123456789").startswith("4.7.0 Invalid cred")
    assert relay(server, message(body="x" * 6000)) == "4.0.0 HTTP 413"
    assert relay(server, message()).startswith("2.0.0 ")
    assert relay(server, message()) == "4.0.0 HTTP 429"
    assert server.get("/metrics").json()["total_emails"] == 1
