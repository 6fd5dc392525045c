-- SPDX-License-Identifier: MIT
-- What people may query is described in docs/sql.md. Ids are UUIDs of version 7 as text, so they
-- order by time; moments are UTC in RFC 3339 with microseconds, so they order as text; lists are
-- JSON, and checked to be so, because one bad value would break everybody's json_each().

create table messages (
	id                  text not null primary key,
	tenant              text not null,
	received_at         text not null,
	envelope_sender     text not null, -- '' is the null sender
	envelope_recipients text not null check (json_valid(envelope_recipients)),
	orig_recipient      text,
	queue_id            text,
	client_address      text,
	client_hostname     text,
	client_helo         text,
	message_id          text,
	in_reply_to         text,
	refs                text not null check (json_valid(refs)),
	date                text,
	subject             text,
	from_address        text,
	from_name           text,
	addresses           text not null check (json_valid(addresses)),
	headers             text not null check (json_valid(headers)),
	text                text,
	html                text,
	size                integer not null,
	sha256              blob not null,
	parse_status        text not null,
	defects             text not null check (json_valid(defects))
);

create index messages_tenant_id on messages (tenant, id);

create table message_raw (
	id  text not null primary key,
	raw blob not null
);

create table message_parts (
	id            text not null,
	n             integer not null,
	path          text not null,
	content_type  text not null,
	filename      text,
	disposition   text,
	content_id    text,
	charset       text,
	encoding      text not null,
	size          integer not null,
	sha256        blob not null,
	is_attachment integer not null,
	raw_offset    integer not null,
	raw_length    integer not null,
	primary key (id, n)
) without rowid;

-- What makes a retry harmless: the first message of a digest keeps its id, even once it is deleted.
create table message_keys (
	tenant     text not null,
	digest     blob not null,
	id         text not null,
	created_at text not null,
	primary key (tenant, digest)
) without rowid;
