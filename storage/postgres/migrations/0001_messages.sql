-- The messages, their bytes, their parts, and the keys that make a retry harmless.
--
-- Every key holds the tenant or the id, and no table refers to another by a foreign key: the big
-- ones can be partitioned by ranges of the id, which are ranges of time, and sharded by tenant.

-- One row per message: the envelope, and what was derived from the message.
CREATE TABLE messages (
	id                  uuid PRIMARY KEY, -- version 7: orders by time
	tenant              text NOT NULL,
	received_at         timestamptz NOT NULL,
	envelope_sender     text NOT NULL, -- '' is the null sender
	envelope_recipients text[] NOT NULL,
	orig_recipient      text, -- before aliases and the like, where the MTA said it
	queue_id            text,
	client_address      inet,
	client_hostname     text,
	client_helo         text,
	message_id          text, -- as in the header, with its angle brackets
	in_reply_to         text,
	refs                text[] NOT NULL,
	date                timestamptz, -- NULL when there is none, or outside of the years 1 to 9999
	subject             text,
	from_address        text, -- of the first From address
	from_name           text,
	addresses           jsonb NOT NULL, -- {"from": [{"name": …, "address": …}], "to": …}
	headers             jsonb NOT NULL, -- [{"name": …, "value": …}], in order, with repeats
	text                text,
	html                text,
	size                bigint NOT NULL, -- this and sha256: of the raw bytes
	sha256              bytea NOT NULL,
	parse_status        text NOT NULL, -- ok, degraded or failed
	defects             text[] NOT NULL
);

-- A tenant's pages by time.
CREATE INDEX messages_tenant_id ON messages (tenant, id);

-- The bytes as they came, never compressed: compressing them costs more than it saves.
CREATE TABLE message_raw (
	id  uuid PRIMARY KEY,
	raw bytea NOT NULL
);
ALTER TABLE message_raw ALTER COLUMN raw SET STORAGE EXTERNAL;
-- Two rows fill a page: smaller messages need no second table and no second index.
ALTER TABLE message_raw SET (toast_tuple_target = 4080);

-- Every leaf part and every attached message. The content lies in the raw bytes.
CREATE TABLE message_parts (
	id            uuid NOT NULL,
	n             integer NOT NULL, -- 1, 2, 3 …
	path          text NOT NULL, -- '1', '2.1': as IMAP counts
	content_type  text NOT NULL,
	filename      text,
	disposition   text,
	content_id    text,
	charset       text,
	encoding      text NOT NULL,
	size          bigint NOT NULL, -- this and sha256: of the decoded bytes
	sha256        bytea NOT NULL,
	is_attachment boolean NOT NULL,
	raw_offset    bigint NOT NULL, -- where the encoded content lies in message_raw.raw
	raw_length    bigint NOT NULL,
	PRIMARY KEY (id, n)
);

-- What a retry is known by: the digest of the envelope and the bytes, or of the caller's own key.
CREATE TABLE message_keys (
	tenant     text NOT NULL,
	digest     bytea NOT NULL,
	id         uuid NOT NULL, -- of the message that came first
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, digest)
);

-- The default compression (pglz) costs a third of the rate. A server that is older than 14, or
-- built without lz4, keeps it.
DO $$
BEGIN
	EXECUTE 'ALTER TABLE messages
		ALTER COLUMN addresses SET COMPRESSION lz4,
		ALTER COLUMN headers SET COMPRESSION lz4,
		ALTER COLUMN text SET COMPRESSION lz4,
		ALTER COLUMN html SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN
	NULL;
END
$$;
