-- The big tables become partitioned by ranges of the id, which are ranges of time: retention drops
-- a partition instead of deleting its rows, and what is written together lies together. What there
-- was before stays where it is, as the oldest partition.

ALTER TABLE messages RENAME TO messages_before;
ALTER INDEX messages_pkey RENAME TO messages_before_pkey;
ALTER INDEX messages_tenant_id RENAME TO messages_before_tenant_id;
ALTER TABLE message_raw RENAME TO message_raw_before;
ALTER INDEX message_raw_pkey RENAME TO message_raw_before_pkey;
ALTER TABLE message_parts RENAME TO message_parts_before;
ALTER INDEX message_parts_pkey RENAME TO message_parts_before_pkey;

CREATE TABLE messages (
	LIKE messages_before INCLUDING ALL EXCLUDING INDEXES,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX messages_tenant_id ON messages (tenant, id);
CREATE TABLE message_raw (
	LIKE message_raw_before INCLUDING ALL EXCLUDING INDEXES,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE message_parts (
	LIKE message_parts_before INCLUDING ALL EXCLUDING INDEXES,
	PRIMARY KEY (id, n)
) PARTITION BY RANGE (id);

-- Mail for which nobody made a partition in time: it is taken all the same, and moved when one is made.
CREATE TABLE messages_default PARTITION OF messages DEFAULT;
CREATE TABLE message_raw_default PARTITION OF message_raw DEFAULT;
CREATE TABLE message_parts_default PARTITION OF message_parts DEFAULT;
ALTER TABLE message_raw_default SET (toast_tuple_target = 4080);

-- Expired keys are found by age.
CREATE INDEX message_keys_id ON message_keys (id);

-- The smallest id of a moment: `WHERE id >= mailserver_id_at('2026-11-01')` looks at no partition
-- that is older. And the moment of an id.
CREATE FUNCTION mailserver_id_at(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
	SELECT rpad(lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;
CREATE FUNCTION mailserver_time_of(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
	SELECT to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
$$;

-- The partitions of all three tables, the default one left out. Their suffix is common to the three;
-- from_id is NULL for the one that has no lower bound.
CREATE VIEW mailserver_partitions AS
SELECT substr(child.relname, length('messages_') + 1) AS suffix,
	(regexp_match(bound, 'FROM \(''([0-9a-f-]+)'''))[1]::uuid AS from_id,
	(regexp_match(bound, 'TO \(''([0-9a-f-]+)'''))[1]::uuid AS to_id
FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid,
	pg_get_expr(child.relpartbound, child.oid) AS bound
WHERE inhparent = to_regclass('messages') AND bound <> 'DEFAULT';

-- Until when there are partitions.
CREATE FUNCTION mailserver_partitions_end() RETURNS timestamptz
LANGUAGE sql STABLE AS $$
	SELECT coalesce(max(mailserver_time_of(to_id)), '-infinity') FROM mailserver_partitions
$$;

-- Makes partitions, each for `width` of mail, until there are some for `ahead` from now; how many.
-- The server does this, and `mailserver migrate`.
CREATE FUNCTION mailserver_make_partitions(width interval, ahead interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	made integer := 0;
	begins timestamptz;
	from_id uuid;
	to_id uuid;
	parent text;
	child text;
BEGIN
	LOOP
		begins := greatest(mailserver_partitions_end(), date_trunc('day', now(), 'UTC'));
		EXIT WHEN begins >= now() + ahead;
		from_id := mailserver_id_at(begins);
		to_id := mailserver_id_at(begins + width);
		FOREACH parent IN ARRAY ARRAY['messages', 'message_raw', 'message_parts'] LOOP
			child := parent || '_' || to_char(begins AT TIME ZONE 'UTC', 'YYYYMMDD');
			EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
			IF parent = 'message_raw' THEN
				EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 4080)', child);
			END IF;
			EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
			EXECUTE format('WITH late AS (DELETE FROM %I WHERE id >= %L AND id < %L RETURNING *)'
				' INSERT INTO %I SELECT * FROM late',
				parent || '_default', from_id, to_id, child);
			EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
				parent, child, from_id, to_id);
		END LOOP;
		made := made + 1;
	END LOOP;
	RETURN made;
END
$$;

DO $$
DECLARE
	newest uuid := (SELECT id FROM messages_before ORDER BY id DESC LIMIT 1);
	ends timestamptz;
	parent text;
BEGIN
	-- An instance that still runs goes on writing: what is about to come belongs to it, too.
	ends := date_trunc('day', greatest(now(), mailserver_time_of(newest)), 'UTC') + interval '1 day';
	FOREACH parent IN ARRAY ARRAY['messages', 'message_raw', 'message_parts'] LOOP
		IF newest IS NULL THEN
			EXECUTE format('DROP TABLE %I', parent || '_before');
		ELSE
			EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
				parent, parent || '_before', mailserver_id_at(ends));
		END IF;
	END LOOP;
END
$$;
