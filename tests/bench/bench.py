#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How fast messages are taken in, and how near that is to what this machine allows.

Contenders take turns, so that what else the machine does hits all alike; every answer is after its
commit, with fsync on; the load generator runs on the same machine. docs/bench.md says what each
figure means.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import sqlite3
import subprocess
import threading
import time

from contenders import (CONNECTIONS, ROOT, Bare, Peer, Server, in_turn, measured, newest_message,
                        null_server, take_turns)

from servers.mailserver import message
from servers.postgres import Postgres

import drawing
import growth
from report import Measured, Spread, Target, limit, pairwise, print_size, print_targets

SIZES = (4096, 25600)
BIG_BYTES = 25_000_000
FULL_ROWS = 2_000_000
FLAT = 0.9  # of the empty tables' rate: less change than that, a run cannot tell from none
# As an operator would have them on a machine of this size.
POSTGRES_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
SECTIONS = ("rates", "big", "growth", "metrics")


class Bench:
    def __init__(self, options, postgres, no_peer):
        self.options, self.postgres, self.no_peer = options, postgres, no_peer
        self.targets, self.results = [], {}

    def turns(self, contenders, size, rounds=None):
        """All of them, warmed up and then measured in turn, as {name: [Round, …]}."""
        for contender in contenders:
            contender.round(size, contender.warm_up_s)
        return take_turns(contenders, rounds or self.options.rounds,
                          lambda contender: contender.round(size, self.options.seconds))

    # ---- side by side ----

    def rates(self):
        for size in SIZES:
            self.results[size] = found = self._side_by_side(size)
            print_size(size, found)
            self._rate_targets(size, found)

    def _side_by_side(self, size):
        database = self.postgres.create_database()
        with contextlib.ExitStack() as stack:
            bare = Bare(self.postgres, database)
            server = Server("server", self.postgres.url(database), self.postgres)
            sqlite = Server("sqlite")
            contenders = [server, bare, null_server(), sqlite]
            if not self.no_peer:
                contenders.append(Peer(self.postgres, database))
            for contender in contenders:
                stack.callback(contender.close)
            server.start()
            server.round(size, 1)  # the message that is copied
            for contender in contenders[1:]:
                contender.start()
            pairs = bare.search(3, 1)
            print(f"\nbare at {size:,} B, connections × messages a commit: " + ", ".join(
                f"{c}×{b} {rate:,.0f}/s" for (c, b), rate in pairs.items()), flush=True)
            rounds = self.turns(contenders, size)
            labels = {"bare": "a: bare {}×{}".format(*bare.pair), "null": "b: null",
                      "sqlite": "server/sqlite"}
            order = ["bare", "null", "server", "sqlite", "peer"]
            found = {c.name: Measured(c.name, labels.get(c.name, c.name), rounds[c.name],
                                      c.peak_megabytes())
                     for c in sorted(contenders, key=lambda c: order.index(c.name))}
            for contender in contenders:
                contender.stop()
            self._check_kept(database, rounds, ("bare", "server", "peer"))
            with contextlib.closing(sqlite3.connect(sqlite.mailserver.database)) as connection:
                kept = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
            self._check_count(kept, rounds, ("sqlite",))
        self.postgres.psql(f"DROP DATABASE {database}")
        return found

    def _check_kept(self, database, rounds, names):
        for table in growth.TABLES:
            kept = self.postgres.psql(f"SELECT count(DISTINCT id) FROM {table}",
                                      database=database)[0][0]
            self._check_count(kept, rounds, names)

    @staticmethod
    def _check_count(kept, rounds, names):
        """A rate counts only what is there afterwards."""
        answered = sum(each.messages for name in names for each in rounds.get(name, ()))
        assert kept >= answered, f"{answered} messages were answered, {kept} are there"

    def _rate_targets(self, size, found):
        of = {name: each.rates() for name, each in found.items()}
        self.targets.append(Target(
            f"server / L at {size:,} B",
            pairwise(lambda s, a, b: s / limit(a, b), of["server"], of["bare"], of["null"]),
            0.9, at_least=True))
        self.targets.append(Target(
            f"server / peer at {size:,} B",
            None if self.no_peer else pairwise(lambda s, p: s / p, of["server"], of["peer"]),
            4, at_least=True, note=self.no_peer or ""))
        if size == max(SIZES):
            server = found["server"]
            self.targets.append(Target(
                f"server's p99 at {size:,} B, {CONNECTIONS} connections",
                server.spread("p99_ms"), 20, at_least=False, unit=" ms"))
            self.targets.append(Target(
                "server's peak memory in that load", Spread.of([server.peak_megabytes]),
                64, at_least=False, unit=" MB"))

    # ---- one large message after the other beside the load ----

    def big(self):
        print(f"\np99 of small messages, with one of {BIG_BYTES:,} B after the other beside them")
        for size in SIZES:
            database = self.postgres.create_database()
            with contextlib.ExitStack() as stack:
                server = Server("server", self.postgres.url(database), self.postgres)
                stack.callback(server.close)
                server.start()
                server.round(size, 1)
                alone, beside, large = [], [], []
                for number in range(self.options.rounds):
                    for with_big in in_turn((False, True), number):
                        with (BigMessages(server.mailserver) if with_big
                              else contextlib.nullcontext()) as posting:
                            done = server.round(size, self.options.seconds)
                        (beside if with_big else alone).append(done.p99_ms)
                        large += posting.taken_s if with_big else []
                peak = server.peak_megabytes()
                server.stop()
            self.postgres.psql(f"DROP DATABASE {database}")
            print(f"{size:6,} B  alone {Spread.of(alone).text(1)} ms  beside "
                  f"{Spread.of(beside).text(1)} ms  {len(large)} large ones, each "
                  f"{Spread.of(large).text(2)} s  peak {peak:.0f} MB", flush=True)
            self.targets.append(Target(
                f"p99 beside 25 MB messages / alone at {size:,} B",
                pairwise(lambda w, a: w / a, beside, alone), 2, at_least=False))

    # ---- an empty table and a full one ----

    def growth(self):
        size = min(SIZES)
        with contextlib.ExitStack() as stack:
            servers = []
            for name in ("empty", "full"):
                database = self.postgres.create_database()
                server = Server(name, self.postgres.url(database), self.postgres)
                stack.callback(server.close)
                server.start()
                servers.append((server, database))
            full, database = servers[1]
            assert full.mailserver.post(message()).status_code == 200
            began = time.monotonic()
            hours = growth.fill(self.postgres, database, self.options.rows,
                               newest_message(self.postgres, database))
            took_s = time.monotonic() - began
            size_gb = self.postgres.psql("SELECT pg_database_size(current_database())",
                                         database=database)[0][0] / 1e9
            rounds = self.turns([server for server, _ in servers], size)
            for server, database in servers:
                server.stop()
                self.postgres.psql(f"DROP DATABASE {database}")
        print(f"\n{size:,} B into an empty table, and into one of {self.options.rows:,} rows of the "
              f"last {hours:.1f} h, all in the partition written to ({size_gb:.1f} GB, filled in "
              f"{took_s:.0f} s)")
        self.results["growth"] = found = {
            name: Measured(name, name, of, None) for name, of in rounds.items()}
        for each in found.values():
            print(each.line(), flush=True)
        self.targets.append(Target(
            f"rate at {self.options.rows:,} rows / at none, {size:,} B",
            pairwise(lambda f, e: f / e, found["full"].rates(), found["empty"].rates()),
            FLAT, at_least=True))
        self.targets.append(Target(
            "processor time a message, the same two",
            pairwise(lambda f, e: sum(f.values()) / sum(e.values()),
                     *([each.cpu_us for each in found[name].rounds] for name in ("full", "empty"))),
            1 / FLAT, at_least=False))

    # ---- what counting costs ----

    def metrics(self):
        """Where it weighs most: with no database, and on the cheapest request there is."""
        with contextlib.ExitStack() as stack:
            servers = []
            for name, enabled in (("on", True), ("off", False)):
                server = null_server(settings={"metrics_enabled": enabled})
                server.name = name
                stack.callback(server.close)
                server.start()
                servers.append(server)
            for what, turn in (
                    (f"{min(SIZES):,} B, null", lambda server: server.round(min(SIZES), 1)),
                    ("GET /health/live", cheapest_round)):
                for server in servers:
                    turn(server)
                used = take_turns(servers, self.options.rounds,
                                  lambda server, turn=turn: turn(server).cpu_us["server"])
                cost = pairwise(lambda on, off: 100 * (on / off - 1), used["on"], used["off"])
                print(f"metrics cost {cost.text(1)} % of the server's processor time: {what}",
                      flush=True)
            for server in servers:
                server.stop()


class BigMessages:
    """with BigMessages(server): one large message after the other is posted meanwhile."""

    def __init__(self, mailserver):
        self.mailserver, self.taken_s = mailserver, []
        self.failure, self.stopping = None, threading.Event()
        self.thread = threading.Thread(target=self._post_all)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise self.failure

    def _post_all(self):
        head, body = self._large()
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                status = self.mailserver.post(head + f"X-Now: {time.time_ns()}\r\n".encode() + body,
                                              timeout=60).status_code
                assert status == 200, f"a large message was answered {status}"
                self.taken_s.append(time.monotonic() - began)
        except (AssertionError, OSError) as error:
            self.failure = error

    @staticmethod
    def _large():
        line = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODky\r\n"
        head = (b"From: alice@example.org\r\nTo: bob@example.com\r\nSubject: a film\r\n"
                b"MIME-Version: 1.0\r\nContent-Type: video/mp4\r\n"
                b"Content-Transfer-Encoding: base64\r\n")
        return head, b"\r\n" + line * (BIG_BYTES // len(line))


def cheapest_round(server):
    def get():
        done = subprocess.run(
            ["wrk", "-t", "1", "-c", "32", "-d", "1s", server.mailserver.url("/health/live")],
            capture_output=True, text=True, check=True)
        requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
        return requests, requests, None, None
    return measured({"server": server.mailserver.process.pid}, get)


def main():
    options = parse()
    began = time.monotonic()
    no_peer = Peer.install() if "rates" in options.only else "not asked for"
    settings = {**POSTGRES_SETTINGS, "wal_compression": options.wal_compression}
    with Postgres(**settings) as postgres:
        version = postgres.psql("SHOW server_version")[0][0]
        print(f"{os.cpu_count()} cores, {CONNECTIONS} connections, {options.rounds} rounds of "
              f"{options.seconds} s each in turn, medians (least–most)\nPostgres {version}, "
              + ", ".join(f"{k} = {v}" for k, v in postgres.settings.items()
                          if k != "unix_socket_directories"), flush=True)
        if no_peer:
            print(f"the peer is left out: {no_peer}")
        bench = Bench(options, postgres, no_peer)
        for section in options.only:
            getattr(bench, section)()
        print_targets(bench.targets)
        write(options.out, bench, {
            "machine": {"cores": os.cpu_count(), "kernel": platform.release()},
            "postgres": {"version": version, **postgres.settings},
            "connections": CONNECTIONS, "rounds": options.rounds, "seconds": options.seconds,
            "took_s": round(time.monotonic() - began)})


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of one contender's turn")
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="of the full table")
    parser.add_argument("--wal-compression", choices=("off", "pglz", "lz4", "zstd"), default="off")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench")
    return parser.parse_args()


def write(folder, bench, about):
    folder.mkdir(parents=True, exist_ok=True)
    found = {str(size): {name: each.as_json() for name, each in of.items()}
             for size, of in bench.results.items()}
    everything = {**about, "targets": [target.as_json() for target in bench.targets],
                  "measured": found}
    (folder / "bench.json").write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")
    print(f"{about['took_s']} s; {folder}/bench.json", end="")
    if bench.targets:
        drawing.draw(bench.results, bench.targets, about, folder / "bench.svg")
        print(f", {folder}/bench.svg", end="")
    print()


if __name__ == "__main__":
    main()
