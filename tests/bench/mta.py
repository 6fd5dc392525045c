#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Messages a second through Postfix, from the first SMTP command to the last row committed: with
`mailserver deliver` and with the program by curl, in turn; beside what Postfix itself takes in, and
drops. And how long each program takes by itself, from its start to its exit.

    make bench-mta OPTIONS="--messages 2000 --rounds 5"
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import time

import contenders  # noqa: F401 - makes the tests' servers known

from servers.mailserver import TOKEN, Mailserver, message
from servers.mta import CLIENTS, PATH
from servers.postfix import FILES, Postfix
from servers.postgres import Postgres
from servers.waiting import wait_for

from bench import POSTGRES_SETTINGS
from report import Spread

SIZE, SESSIONS = 4096, 10
NAMES = {"deliver": "mailserver deliver", "curl": "curl", "nothing": "Postfix alone, to discard"}
ALONE = 200  # starts of each program


class Throughput:
    def __init__(self, options, count_rows):
        self.options, self.count_rows = options, count_rows

    def kept(self, mta):
        """Messages a second, until the last one is in the database."""
        goal = self.count_rows() + self.options.messages
        began = time.monotonic()
        self._send(mta, "bob@example.com")
        wait_for(lambda: self.count_rows() >= goal, "the last message", 120)
        rate = self.options.messages / (time.monotonic() - began)
        assert self.count_rows() == goal
        return rate

    def dropped(self, mta):
        """Messages a second, until Postfix has thrown the last one away."""
        goal = mta.log().count("relay=none") + self.options.messages
        began = time.monotonic()
        self._send(mta, "bob@discard.example.com")
        wait_for(lambda: mta.log().count("relay=none") >= goal, "the last message", 120)
        return self.options.messages / (time.monotonic() - began)

    def _send(self, mta, recipient):
        subprocess.run(
            [FILES / "usr/sbin/smtp-source", "-s", str(SESSIONS), "-l", str(SIZE), "-m",
             str(self.options.messages), "-f", "alice@example.org", "-t", recipient,
             f"127.0.0.1:{mta.port}"], check=True, env=mta.env, timeout=120)


def start_to_exit_ms(command):
    """Of the program alone, for one message after the other; {} is its number."""
    times = []
    for i in range(ALONE):
        began = time.monotonic()
        subprocess.run([word.replace("{}", str(i)) for word in command], check=True,
                       input=message(body="x" * SIZE), stdout=subprocess.DEVNULL)
        times.append(1000 * (time.monotonic() - began))
    return statistics.median(times)


def programs(mtas, url):
    """The same message by each, and by curl itself, without the shell that judges its answer."""
    commands = {
        NAMES[client]: [*mta.command_of_client(), "--url", url, "--token-file", str(mta.token),
                        "--sender", "alice@example.org", "--queue-id", "{}", "--", "bob@example.com"]
        for client, mta in mtas.items()}
    fields = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "message/rfc822",
              "X-Original-Sender": "alice@example.org", "X-Original-Recipient": "bob@example.com",
              "X-Original-Queue-Id": "{}"}
    plain = ["curl", "-q", "-sS", "--fail", "--data-binary", "@-", url]
    for name, value in fields.items():
        plain += ["-H", f"{name}: {value}"]
    return {NAMES["deliver"]: commands[NAMES["deliver"]], "curl's script": commands[NAMES["curl"]],
            "curl itself": plain}


def row(name, values, digits=0):
    print(f"  {name:28}{Spread.of(values).text(digits)}", flush=True)


def measure(options, postgres, server):
    database = server.storage_url.rpartition("/")[2]

    def count_rows():
        return postgres.psql("select count(*) from messages", database=database)[0][0]

    url = server.url(PATH)
    throughput = Throughput(options, count_rows)
    with contextlib.ExitStack() as stack:
        mtas = {client: stack.enter_context(Postfix(url, client)) for client in CLIENTS}
        rates = {name: [] for name in NAMES}
        for _ in range(options.rounds):
            for client, mta in mtas.items():
                rates[client].append(throughput.kept(mta))
            rates["nothing"].append(throughput.dropped(mtas["deliver"]))
        alone = {name: start_to_exit_ms(command) for name, command in programs(mtas, url).items()}
    print("messages a second through Postfix, median (least–most)")
    for client, name in NAMES.items():
        row(name, rates[client])
    print(f"from start to exit, ms, median of {ALONE}, with the commit in it")
    for name, ms in alone.items():
        print(f"  {name:28}{ms:10.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=500, help="in each round (500)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.exit(1, "Postfix runs as several users, so it needs root\n")
    print(f"{os.cpu_count()} cores, {options.messages} messages of {SIZE} bytes a round in"
          f" {SESSIONS} SMTP sessions, {options.rounds} rounds of each in turn", flush=True)
    with Postgres(**POSTGRES_SETTINGS) as postgres:
        server = Mailserver(storage_url=postgres.url(postgres.create_database()),
                            settings={"log": {"level": "warning"}})
        try:
            server.start()
            measure(options, postgres, server)
            assert server.stop() == 0, server.log()[-3000:]
        finally:
            server.close()


if __name__ == "__main__":
    main()
