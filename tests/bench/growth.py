# SPDX-License-Identifier: MIT
"""Fills a database with many small messages, as if they had come over some time."""
import concurrent.futures
import time

import psycopg2

TABLES = ("message_keys", "messages", "message_raw", "message_parts")
PIECES = 4
SPAN_DAYS = 30
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

# All columns that an INSERT may name, in their order.
COLUMNS_SQL = ("SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass"
               " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'"
               " ORDER BY attnum")

# The i-th id and digest are the same in all tables: a UUID of version 7 whose milliseconds run
# from `begin_ms` on, and whose other bits, like the digest, are as good as random.
FUNCTIONS = """
CREATE FUNCTION pg_temp.filler_ms(i bigint, begin_ms bigint, span_ms bigint, of bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT begin_ms + span_ms * i / of';
CREATE FUNCTION pg_temp.filler_id(i bigint, ms bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid
    FROM md5(i::text) AS hash
$$;
"""


def value_of(column):
    """Of the i-th row; what is not listed is as in the sample."""
    own = {
        "id": "pg_temp.filler_id(i, ms)",
        "digest": "sha256(int8send(i))",
        "received_at": "to_timestamp(ms / 1000.0)",
        "created_at": "to_timestamp(ms / 1000.0)",
    }
    return own.get(column, f"sample.{column}")


def insert_sql(cursor, table):
    cursor.execute(COLUMNS_SQL, (table,))
    names = [name for (name,) in cursor.fetchall()]
    return (f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(map(value_of, names))}"
            " FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i,"
            " pg_temp.filler_ms(i, %(begin_ms)s, %(span_ms)s, %(of)s) AS ms,"
            f" (SELECT * FROM {table} WHERE id = %(sample)s) AS sample")


def insert(url, table, numbers):
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(FUNCTIONS)
        cursor.execute(insert_sql(cursor, table), numbers)
    connection.close()


# Since when the partition that mail goes to now takes it; NULL where none has a lower bound.
BEGIN_SQL = """
SELECT extract(epoch FROM max(mailserver_time_of(from_id))) FROM mailserver_partitions
WHERE from_id <= mailserver_id_at(now())
"""


def span(postgres, database):
    """(begin_ms, span_ms): all rows go where new ones will go, the hardest case there is."""
    now_ms = time.time_ns() // 1_000_000
    since = postgres.psql(BEGIN_SQL, database=database)[0][0]
    begin_ms = max(now_ms - SPAN_DAYS * DAY_MS, int(since * 1000) if since else 0)
    return {"begin_ms": begin_ms, "span_ms": now_ms - begin_ms}


def fill(postgres, database, count, sample):
    """`count` copies of the stored message `sample`; the hours over which they are spread."""
    url = postgres.url(database)
    numbers = {"sample": sample, "of": count, **span(postgres, database)}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = [pool.submit(insert, url, table, {
            **numbers, "first": piece * count // PIECES + 1, "last": (piece + 1) * count // PIECES})
            for piece in range(PIECES) for table in TABLES]
        for each in done:
            each.result()
    # As they would be long since, had the rows come one by one.
    for table in TABLES:
        postgres.psql(f"VACUUM (ANALYZE) {table}", database=database)
    postgres.psql("CHECKPOINT", database=database)
    return numbers["span_ms"] / HOUR_MS
