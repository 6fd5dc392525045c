/* SPDX-License-Identifier: MIT */
#include "storage/postgres/work.h"
#include "storage/storage_driver.h"

#include <stdlib.h>

/* These kinds are sent one at a time: their works are one. */

static const Oid tenant_and_id[] = { PG_TEXT, PG_UUID };

/* A read changes nothing: whatever kept it from an answer, it may be asked again. */
static enum storage_result unread(enum storage_result result)
{
	return result == STORAGE_NOT_FOUND ? result : STORAGE_UNAVAILABLE;
}

/* get */

/* Its columns in the order of the result. Times are microseconds since 1970. */
enum {
	GET_RECEIVED,
	GET_SIZE,
	GET_SHA256,
	GET_SENDER,
	GET_RECIPIENTS,
	GET_QUEUE_ID,
	GET_CLIENT_ADDRESS,
	GET_CLIENT_HOSTNAME,
	GET_CLIENT_HELO,
	GET_MESSAGE_ID,
	GET_IN_REPLY_TO,
	GET_REFERENCES,
	GET_DATE,
	GET_SUBJECT,
	GET_ADDRESSES,
	GET_HEADERS,
	GET_TEXT,
	GET_HTML,
	GET_PARSE_STATUS,
	GET_DEFECTS,
	GET_PARTS,
	GET_ORIG_RECIPIENT,
	GET_TEXT_IS_DERIVED,
	GET_REPLY_TEXT,
	GET_SECURITY,
	GET_AUTO_SUBMITTED,
	GET_LIST_ID,
	GET_IS_BOUNCE,
	GET_REPORT,
	GET_MAILBOX_TAG,
	GET_PARSER_VERSION,
};

#define PART                                                                                       \
	"'n', n, 'path', path, 'content_type', content_type, 'filename', filename,"                \
	" 'disposition', disposition, 'content_id', content_id, 'charset', charset,"               \
	" 'encoding', encoding, 'size', part.size, 'sha256', encode(part.sha256, 'hex'),"          \
	" 'is_attachment', is_attachment"

static const char get_sql[] =
	"SELECT (extract(epoch FROM received_at) * 1000000)::bigint, size, encode(sha256, 'hex'),"
	" envelope_sender, to_json(envelope_recipients), queue_id, host(client_address),"
	" client_hostname, client_helo, message_id, in_reply_to, to_json(refs),"
	" (extract(epoch FROM date) * 1000000)::bigint, subject, addresses, headers, text, html,"
	" parse_status, to_json(defects),"
	" (SELECT coalesce(json_agg(CASE WHEN inside IS NULL THEN json_build_object(" PART ")"
	"   ELSE json_build_object(" PART ", 'inside', inside) END ORDER BY n), '[]')"
	"  FROM message_parts part WHERE part.id = message.id),"
	" orig_recipient, text_is_derived, reply_text, security,"
	" auto_submitted, list_id, is_bounce, report, mailbox_tag, parser_version"
	" FROM messages message WHERE tenant = $1 AND id = $2";

static void get_fill(struct pg_params *p, struct pg_work *const *works, unsigned count)
{
	pg_params_text(p, works[0]->get->tenant);
	pg_params_uuid(p, &works[0]->get->id);
}

static const char *column(const PGresult *row, int n)
{
	return PQgetisnull(row, 0, n) ? NULL : PQgetvalue(row, 0, n);
}

static void read_more_derived(const PGresult *row, struct storage_record *record)
{
	record->text_is_derived = column(row, GET_TEXT_IS_DERIVED)[0] == 't';
	record->security = column(row, GET_SECURITY);
	record->auto_submitted = column(row, GET_AUTO_SUBMITTED);
	record->list_id = column(row, GET_LIST_ID);
	record->is_bounce = column(row, GET_IS_BOUNCE)[0] == 't';
	record->report_json = column(row, GET_REPORT);
	record->mailbox_tag = column(row, GET_MAILBOX_TAG);
	record->parser_version = (unsigned)strtoul(column(row, GET_PARSER_VERSION), NULL, 10);
	record->reply_text = storage_reply_text_of(
		column(row, GET_REPLY_TEXT), record->text, record->parser_version);
}

static struct storage_record record_of(const PGresult *row, const struct storage_get *op)
{
	const char *date = column(row, GET_DATE);
	struct storage_record record = {
		.id = op->id,
		.tenant = op->tenant,
		.received_us = strtoll(column(row, GET_RECEIVED), NULL, 10),
		.size = strtoull(column(row, GET_SIZE), NULL, 10),
		.envelope_sender = column(row, GET_SENDER),
		.envelope_recipients_json = column(row, GET_RECIPIENTS),
		.orig_recipient = column(row, GET_ORIG_RECIPIENT),
		.queue_id = column(row, GET_QUEUE_ID),
		.client_address = column(row, GET_CLIENT_ADDRESS),
		.client_hostname = column(row, GET_CLIENT_HOSTNAME),
		.client_helo = column(row, GET_CLIENT_HELO),
		.message_id = column(row, GET_MESSAGE_ID),
		.in_reply_to = column(row, GET_IN_REPLY_TO),
		.references_json = column(row, GET_REFERENCES),
		.subject = column(row, GET_SUBJECT),
		.has_date = date != NULL,
		.date_us = date != NULL ? strtoll(date, NULL, 10) : 0,
		.addresses_json = column(row, GET_ADDRESSES),
		.headers_json = column(row, GET_HEADERS),
		.text = column(row, GET_TEXT),
		.html = column(row, GET_HTML),
		.parts_json = column(row, GET_PARTS),
		.parse_status = column(row, GET_PARSE_STATUS),
		.defects_json = column(row, GET_DEFECTS),
	};

	hex_decode(column(row, GET_SHA256), record.sha256, SHA256_BYTES);
	read_more_derived(row, &record);
	return record;
}

static void get_fail(struct pg_work *work, enum storage_result result)
{
	struct storage_get *op = work->get;

	pg_work_free(&work);
	op->done(op, unread(result), NULL);
}

static unsigned get_succeed(struct pg_work **works, unsigned count, const PGresult *result)
{
	struct pg_work *work = works[0];

	if (PQntuples(result) == 0) {
		get_fail(work, STORAGE_NOT_FOUND);
		return 0;
	}
	struct storage_record record = record_of(result, work->get);
	work->get->done(work->get, STORAGE_OK, &record);
	pg_work_free(&work);
	return 0;
}

const struct pg_work_kind pg_get = {
	.number = PG_KIND_GET,
	.name = "get",
	.sql = get_sql,
	.types = tenant_and_id,
	.param_count = 2,
	.result_format = 0,
	.fill = get_fill,
	.succeed = get_succeed,
	.fail = get_fail,
};

/* raw */

static void raw_fill(struct pg_params *p, struct pg_work *const *works, unsigned count)
{
	pg_params_text(p, works[0]->raw->tenant);
	pg_params_uuid(p, &works[0]->raw->id);
}

static void raw_fail(struct pg_work *work, enum storage_result result)
{
	struct storage_raw *op = work->raw;

	pg_work_free(&work);
	op->done(op, unread(result), (struct slice){ NULL, 0 });
}

static unsigned raw_succeed(struct pg_work **works, unsigned count, const PGresult *result)
{
	struct pg_work *work = works[0];

	if (PQntuples(result) == 0) {
		raw_fail(work, STORAGE_NOT_FOUND);
		return 0;
	}
	struct slice raw = { PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0) };
	work->raw->done(work->raw, STORAGE_OK, raw);
	pg_work_free(&work);
	return 0;
}

const struct pg_work_kind pg_raw = {
	.number = PG_KIND_RAW,
	.name = "raw",
	.sql = "SELECT raw FROM message_raw JOIN messages USING (id) WHERE tenant = $1 AND id = $2",
	.types = tenant_and_id,
	.param_count = 2,
	.result_format = 1,
	.fill = raw_fill,
	.succeed = raw_succeed,
	.fail = raw_fail,
};

/* part */

static const Oid tenant_id_and_n[] = { PG_TEXT, PG_UUID, PG_INT4 };

enum {
	PART_CONTENT_TYPE,
	PART_ENCODING,
	PART_FILENAME,
	PART_CHARSET,
	PART_INSIDE,
	PART_SIZE,
	PART_SHA256,
	PART_RAW_OFFSET,
	PART_RAW_LENGTH,
};

static void part_fill(struct pg_params *p, struct pg_work *const *works, unsigned count)
{
	pg_params_text(p, works[0]->part->tenant);
	pg_params_uuid(p, &works[0]->part->id);
	pg_params_int4(p, works[0]->part->n);
}

static void part_fail(struct pg_work *work, enum storage_result result)
{
	struct storage_part *op = work->part;

	pg_work_free(&work);
	op->done(op, unread(result), NULL);
}

static unsigned part_succeed(struct pg_work **works, unsigned count, const PGresult *result)
{
	struct pg_work *work = works[0];

	if (PQntuples(result) == 0) {
		part_fail(work, STORAGE_NOT_FOUND);
		return 0;
	}
	struct storage_part_record part = {
		.content_type = column(result, PART_CONTENT_TYPE),
		.encoding = column(result, PART_ENCODING),
		.filename = column(result, PART_FILENAME),
		.charset = column(result, PART_CHARSET),
		.inside = column(result, PART_INSIDE),
		.size = strtoull(column(result, PART_SIZE), NULL, 10),
		.raw_offset = strtoull(column(result, PART_RAW_OFFSET), NULL, 10),
		.raw_length = strtoull(column(result, PART_RAW_LENGTH), NULL, 10),
	};
	hex_decode(column(result, PART_SHA256), part.sha256, SHA256_BYTES);
	work->part->done(work->part, STORAGE_OK, &part);
	pg_work_free(&work);
	return 0;
}

const struct pg_work_kind pg_part = {
	.number = PG_KIND_PART,
	.name = "part",
	.sql = "SELECT content_type, encoding, filename, charset, inside, part.size,"
	       " encode(part.sha256, 'hex'), raw_offset, raw_length"
	       " FROM message_parts part JOIN messages USING (id)"
	       " WHERE tenant = $1 AND id = $2 AND n = $3",
	.types = tenant_id_and_n,
	.param_count = 3,
	.result_format = 0,
	.fill = part_fill,
	.succeed = part_succeed,
	.fail = part_fail,
};

/* range */

static const Oid tenant_id_and_range[] = { PG_TEXT, PG_UUID, PG_INT4, PG_INT4 };

/* No value is as long as what an int4 counts to: from there on there is nothing. */
static uint32_t first_of(const struct storage_range *op)
{
	return op->offset < INT32_MAX ? (uint32_t)op->offset + 1 : INT32_MAX;
}

static void range_fill(struct pg_params *p, struct pg_work *const *works, unsigned count)
{
	pg_params_text(p, works[0]->range->tenant);
	pg_params_uuid(p, &works[0]->range->id);
	pg_params_int4(p, first_of(works[0]->range));
	pg_params_int4(p, works[0]->range->length);
}

static void range_fail(struct pg_work *work, enum storage_result result)
{
	struct storage_range *op = work->range;

	pg_work_free(&work);
	op->done(op, unread(result), (struct slice){ NULL, 0 });
}

static unsigned range_succeed(struct pg_work **works, unsigned count, const PGresult *result)
{
	struct pg_work *work = works[0];

	if (PQntuples(result) == 0) {
		range_fail(work, STORAGE_NOT_FOUND);
		return 0;
	}
	struct slice bytes = { PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0) };
	work->range->done(work->range, STORAGE_OK, bytes);
	pg_work_free(&work);
	return 0;
}

/* Since `raw` is not compressed, the server reads only those of its pieces that hold the range. */
const struct pg_work_kind pg_range = {
	.number = PG_KIND_RANGE,
	.name = "range",
	.sql = "SELECT substring(raw FROM $3 FOR $4) FROM message_raw JOIN messages USING (id)"
	       " WHERE tenant = $1 AND id = $2",
	.types = tenant_id_and_range,
	.param_count = 4,
	.result_format = 1,
	.fill = range_fill,
	.succeed = range_succeed,
	.fail = range_fail,
};

/* ping */

static void ping_fill(struct pg_params *p, struct pg_work *const *works, unsigned count) {}

static void ping_fail(struct pg_work *work, enum storage_result result)
{
	struct storage_ping *op = work->ping;

	pg_work_free(&work);
	op->done(op, result == STORAGE_FULL ? STORAGE_FULL : STORAGE_UNAVAILABLE);
}

static unsigned ping_succeed(struct pg_work **works, unsigned count, const PGresult *result)
{
	struct pg_work *work = works[0];

	if (PQntuples(result) == 0 || PQgetvalue(result, 0, 0)[0] == 0) {
		ping_fail(work, STORAGE_UNAVAILABLE);
		return 0;
	}
	struct storage_ping *op = work->ping;
	pg_work_free(&work);
	op->done(op, STORAGE_OK);
	return 0;
}

/* Can it write: no standby, not read-only, and the tables are there and not locked. */
const struct pg_work_kind pg_ping = {
	.number = PG_KIND_PING,
	.name = "ping",
	.sql = "SELECT NOT pg_is_in_recovery()"
	       " AND NOT current_setting('transaction_read_only')::bool AND NOT EXISTS"
	       " (SELECT FROM message_keys, messages, message_raw, message_parts WHERE false)",
	.types = NULL,
	.param_count = 0,
	.result_format = 1,
	.fill = ping_fill,
	.succeed = ping_succeed,
	.fail = ping_fail,
};
