/* SPDX-License-Identifier: MIT */
#include "lib/buf.h"
#include "lib/mime/mime.h"

static const char *into_arena(const struct mime_message *m, struct buf *buf)
{
	const char *json = arena_strndup(m->arena, buf->base, buf->len);

	buf_deinit(buf);
	return json;
}

const char *mime_headers_json(const struct mime_message *m)
{
	struct buf buf;

	buf_init(&buf, SIZE_MAX / 2); /* as long as what the limits let into the message */
	buf_json_begin(&buf, '[');
	for (size_t i = 0; i < m->header_count; i++) {
		buf_json_begin(&buf, '{');
		buf_json_key(&buf, "name");
		buf_json_string(&buf, m->headers[i].name);
		buf_json_key(&buf, "value");
		buf_json_string(&buf, m->headers[i].value);
		buf_json_end(&buf, '}');
	}
	buf_json_end(&buf, ']');
	return into_arena(m, &buf);
}

static void add_addresses(struct buf *buf, const char *key, const struct mime_addresses *addresses)
{
	buf_json_key(buf, key);
	buf_json_begin(buf, '[');
	for (size_t i = 0; i < addresses->count; i++) {
		buf_json_begin(buf, '{');
		buf_json_key(buf, "name");
		buf_json_string(buf, addresses->list[i].name);
		buf_json_key(buf, "address");
		buf_json_string(buf, addresses->list[i].address);
		buf_json_end(buf, '}');
	}
	buf_json_end(buf, ']');
}

const char *mime_addresses_json(const struct mime_message *m)
{
	struct buf buf;

	buf_init(&buf, SIZE_MAX / 2);
	buf_json_begin(&buf, '{');
	add_addresses(&buf, "from", &m->from);
	add_addresses(&buf, "sender", &m->sender);
	add_addresses(&buf, "to", &m->to);
	add_addresses(&buf, "cc", &m->cc);
	add_addresses(&buf, "bcc", &m->bcc);
	add_addresses(&buf, "reply_to", &m->reply_to);
	buf_json_end(&buf, '}');
	return into_arena(m, &buf);
}

static void add_string(struct buf *buf, const char *key, const char *value)
{
	buf_json_key(buf, key);
	buf_json_string(buf, value);
}

const char *mime_report_json(const struct mime_message *m)
{
	const struct mime_report *report = &m->report;
	struct buf buf;

	if (report->type == NULL)
		return NULL;
	buf_init(&buf, SIZE_MAX / 2);
	buf_json_begin(&buf, '{');
	add_string(&buf, "type", report->type);
	add_string(&buf, "feedback_type", report->feedback_type);
	add_string(&buf, "original_message_id", report->original_message_id);
	add_string(&buf, "reporting_mta", report->reporting_mta);
	buf_json_key(&buf, "recipients");
	buf_json_begin(&buf, '[');
	for (size_t i = 0; i < report->recipient_count; i++) {
		const struct mime_report_recipient *r = &report->recipients[i];
		buf_json_begin(&buf, '{');
		add_string(&buf, "recipient", r->recipient);
		add_string(&buf, "original_recipient", r->original_recipient);
		add_string(&buf, "action", r->action);
		add_string(&buf, "status", r->status);
		add_string(&buf, "diagnostic", r->diagnostic);
		buf_json_end(&buf, '}');
	}
	buf_json_end(&buf, ']');
	buf_json_end(&buf, '}');
	return into_arena(m, &buf);
}
