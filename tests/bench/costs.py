#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the schema's choices cost, seen by the bare program: rates, bytes of WAL and bytes on disk,
beside those of the schema as it is. Each variant has a database of its own; they take turns.

    make bench-costs OPTIONS="--rounds 8 --only 'GIN on text' 'TOAST pglz'"
"""
import argparse
import dataclasses
import statistics
import time

from contenders import Bare, Server, in_turn, newest_message

from servers.postgres import Postgres

import growth
from bench import POSTGRES_SETTINGS, SIZES
from report import pairwise

PAIR = (4, 64)  # connections, messages a commit
TIMED = ("messages", "message_raw", "message_parts")  # may be partitioned by their ids
PAST_DAYS, FUTURE_DAYS = 35, 14
DAY_MS = 86_400_000
WORDS = "to_tsvector('simple', coalesce(subject, '') || ' ' || coalesce(text, ''))"


def each_column(change, columns=("addresses", "headers", "text", "html")):
    """The change to each column, of every leaf of `messages`."""
    return "ALTER TABLE {leaf} " + ", ".join(f"ALTER COLUMN {c} {change}" for c in columns)


@dataclasses.dataclass
class Variant:
    name: str
    sql: str = ""  # commands; with {leaf}, for each partition of `messages`, or for itself
    settings: dict = dataclasses.field(default_factory=dict)  # of the database's sessions
    partition_days: int = None  # 0: none; None: as they are


VARIANTS = (
    Variant("as it is"),
    Variant("GIN on text", f"CREATE INDEX ON messages USING gin ({WORDS})"),
    Variant("GIN on a column", "ALTER TABLE messages ADD COLUMN words tsvector"
            f" GENERATED ALWAYS AS ({WORDS}) STORED; CREATE INDEX ON messages USING gin (words)"),
    Variant("JSON as json", "ALTER TABLE messages ALTER COLUMN headers TYPE json,"
            " ALTER COLUMN addresses TYPE json"),
    Variant("JSON as text", "ALTER TABLE messages ALTER COLUMN headers TYPE text,"
            " ALTER COLUMN addresses TYPE text"),
    Variant("TOAST lz4", each_column("SET COMPRESSION lz4")),
    Variant("TOAST pglz", each_column("SET COMPRESSION pglz")),
    Variant("TOAST external", each_column("SET STORAGE EXTERNAL")),
    Variant("WAL plain", settings={"wal_compression": "off"}),
    Variant("WAL lz4", settings={"wal_compression": "lz4"}),
    Variant("no partitions", partition_days=0),
    Variant("weekly partitions", partition_days=7),
    Variant("daily partitions", partition_days=1),
)


# ---- making the databases ----

def make(postgres, variant, base):
    database = f"{base}_{VARIANTS.index(variant)}"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE {base}")
    if variant.partition_days is not None:
        for table in TIMED:
            partition(postgres, database, table, variant.partition_days)
    for leaf in leaves(postgres, database) if "{leaf}" in variant.sql else [""]:
        if variant.sql:
            postgres.psql(variant.sql.format(leaf=leaf), database=database)
    for name, value in variant.settings.items():
        postgres.psql(f"ALTER DATABASE {database} SET {name} = '{value}'")
    return database


def leaves(postgres, database, table="messages"):
    found = postgres.psql("SELECT relid::regclass::text FROM pg_partition_tree(%s) WHERE isleaf",
                          (table,), database=database)
    return [name for (name,) in found] or [table]


def bound(ms):
    """The least id of that millisecond."""
    return f"'{ms >> 16:08x}-{ms & 0xffff:04x}-0000-0000-000000000000'"


def partition(postgres, database, table, days):
    """Makes the table anew, in partitions of so many days each; 0: in one piece."""
    def run(sql, parameters=None):
        return postgres.psql(sql, parameters, database=database)

    options = run("SELECT reloptions FROM pg_class WHERE oid = %s::regclass",
                  (leaves(postgres, database, table)[0],))[0][0]
    with_options = f" WITH ({', '.join(options)})" if options else ""
    run(f"CREATE TABLE anew (LIKE {table} INCLUDING ALL)"
        + (" PARTITION BY RANGE (id)" if days else with_options))
    now_ms = time.time_ns() // 1_000_000
    first = (now_ms - PAST_DAYS * DAY_MS) // DAY_MS
    last = (now_ms + FUTURE_DAYS * DAY_MS) // DAY_MS
    for day in range(first, last, days) if days else ():
        run(f"CREATE TABLE {table}_{day} PARTITION OF anew FOR VALUES FROM ({bound(day * DAY_MS)})"
            f" TO ({bound((day + days) * DAY_MS)}){with_options}")
    names = ", ".join(name for (name,) in run(growth.COLUMNS_SQL, (table,)))
    run(f"INSERT INTO anew ({names}) SELECT {names} FROM {table}")
    run(f"DROP TABLE {table} CASCADE; ALTER TABLE anew RENAME TO {table}")


def base_database(postgres, size):
    """With one message that the server stored, and its id."""
    database = postgres.create_database()
    server = Server("server", postgres.url(database), postgres)
    try:
        server.start()
        server.round(size, 1)
        server.stop()
    finally:
        server.close()
    sample = newest_message(postgres, database)
    for table in growth.TABLES:
        postgres.psql(f"DELETE FROM {table} WHERE id <> %s", (sample,), database=database)
        postgres.psql(f"VACUUM FULL {table}", database=database)
    return database


# ---- measuring them ----

class Measurement:
    def __init__(self, postgres, variant, base):
        self.postgres, self.variant, self.name = postgres, variant, variant.name
        self.database = make(postgres, variant, base)
        self.bare = Bare(postgres, self.database)
        self.bare.pair = PAIR
        self.bare.start()
        self.rates, self.wal_bytes, self.messages = [], [], 0
        self.bytes_before = self._bytes()

    def _bytes(self):
        return self.postgres.psql("SELECT pg_database_size(%s)", (self.database,))[0][0]

    def bytes_a_message(self):
        return (self._bytes() - self.bytes_before) / self.messages

    def turn(self, seconds):
        before = self._wal_position()
        done = self.bare.round(None, seconds)
        self.rates.append(done.rate)
        self.wal_bytes.append((self._wal_position() - before) / done.messages)
        self.messages += done.messages

    def _wal_position(self):
        return int(self.postgres.psql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")[0][0])


def measure(postgres, size, options):
    base = base_database(postgres, size)
    found = [Measurement(postgres, variant, base) for variant in VARIANTS
             if variant.name in options.only or variant is VARIANTS[0]]
    for number in range(options.rounds):
        for each in in_turn(found, number):
            each.turn(options.seconds)
    print(f"\n{size:,} B {'':14} messages/s  of the rate as it is     WAL B/message  disk B/message")
    for each in found:
        share = pairwise(lambda rate, as_it_is: rate / as_it_is, each.rates, found[0].rates)
        print(f"{each.name:21} {statistics.median(each.rates):11,.0f} {share.text(2):30} "
              f"{statistics.median(each.wal_bytes):10,.0f} {each.bytes_a_message():14,.0f}",
              flush=True)
        postgres.psql(f"DROP DATABASE {each.database}")


def main():
    names = [variant.name for variant in VARIANTS]
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1, help="of one variant's turn")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    with Postgres(**POSTGRES_SETTINGS) as postgres:
        print(f"bare, {PAIR[0]} connections, {PAIR[1]} messages a commit, {options.rounds} rounds "
              f"of {options.seconds:g} s each in turn, medians (least–most); "
              + ", ".join(f"{name} = {value}" for name, value in postgres.settings.items()
                          if name != "unix_socket_directories"), flush=True)
        for size in options.sizes:
            measure(postgres, size, options)


if __name__ == "__main__":
    main()
