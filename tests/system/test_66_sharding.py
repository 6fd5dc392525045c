# SPDX-License-Identifier: MIT
"""Tables can be distributed as docs/scale.md says: every unique key holds the column it names."""
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/scale.md"

# Of every table and every partition, under its whole table's name: what each unique index holds.
UNIQUE_KEYS_SQL = """
    select whole.relname, index.relname, array_agg(key.attname::text)
    from pg_class t
    join pg_class whole on whole.oid = coalesce(pg_partition_root(t.oid), t.oid)
    left join pg_index i on i.indrelid = t.oid and i.indisunique
    left join pg_class index on index.oid = i.indexrelid
    left join pg_attribute key on key.attrelid = i.indexrelid
    where t.relnamespace = 'public'::regnamespace and t.relkind in ('r', 'p')
    group by t.oid, whole.relname, index.relname"""


def named_columns():
    """{table: its column, or None where the page says that it is not distributed}"""
    section = PAGE.read_text(encoding="utf-8").split("## What shards where")[1]
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|not distributed) \|", section, re.M)
    return {table: column or None for table, column in rows}


def test_every_unique_key_holds_the_column_its_table_is_distributed_by(launch, postgres):
    database = postgres.create_database()
    launch(storage_url=postgres.url(database))
    keys = postgres.psql(UNIQUE_KEYS_SQL, database=database)
    columns = named_columns()
    assert {table for table, *_ in keys} == set(columns)
    for table, index, held in keys:
        assert index is not None, f"{table} has no unique key"
        assert columns[table] is None or columns[table] in held, (table, index, held)
    distributed = {column for column in columns.values() if column}
    assert distributed == {"id", "digest"}
