/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage_looks.h"

#include <check.h>
#include <jansson.h>

static void assert_text(const char *what, const char *is, const char *should)
{
	ck_assert_msg((is == NULL) == (should == NULL) && (is == NULL || strcmp(is, should) == 0),
		"%s is %s, not %s", what, is != NULL ? is : "NULL",
		should != NULL ? should : "NULL");
}

/* The same value, whatever the spaces and the order of an object's keys; takes `should` over. */
static void assert_json(const char *what, const char *is, json_t *should)
{
	json_t *value = json_loads(is != NULL ? is : "[]", 0, NULL);

	ck_assert_msg(value != NULL, "%s is not JSON: %s", what, is);
	ck_assert_msg(json_equal(value, should), "%s is %s", what, is);
	json_decref(value);
	json_decref(should);
}

static json_t *json_strings(const char *const *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

static json_t *json_parts(const struct mime_message *m)
{
	json_t *array = json_array();

	for (size_t i = 0; i < m->part_count; i++) {
		const struct mime_part *p = &m->parts[i];
		char sha256_hex[SHA256_HEX + 1];
		hex_encode(p->sha256, SHA256_BYTES, sha256_hex);
		json_t *part = json_pack("{s:i,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s,s:I,s:s,s:b}", "n",
			(int)p->n, "path", p->path, "content_type", p->content_type, "filename",
			p->filename, "disposition", p->disposition, "content_id", p->content_id,
			"charset", p->charset, "encoding", p->encoding, "size", (json_int_t)p->size,
			"sha256", sha256_hex, "is_attachment", (int)p->is_attachment);
		if (p->inside != NULL)
			json_object_set_new(part, "inside", json_string(p->inside));
		json_array_append_new(array, part);
	}
	return array;
}

static void looks_like_envelope_of(const struct storage_record *r, const struct sample *s)
{
	ck_assert_str_eq(r->tenant, s->message.tenant);
	ck_assert_int_eq(r->received_us, s->message.received_us);
	ck_assert_uint_eq(r->size, s->message.raw.len);
	ck_assert_mem_eq(r->sha256, s->message.sha256, SHA256_BYTES);
	assert_text("envelope_sender", r->envelope_sender, s->envelope.sender);
	assert_json("recipients", r->envelope_recipients_json,
		json_strings(s->envelope.recipients, s->envelope.recipient_count));
	assert_text("queue_id", r->queue_id, s->envelope.queue_id);
	assert_text("client_address", r->client_address, s->envelope.client_address);
	assert_text("client_hostname", r->client_hostname, s->envelope.client_hostname);
	assert_text("orig_recipient", r->orig_recipient, s->envelope.orig_recipient);
	assert_text("client_helo", r->client_helo, s->envelope.client_helo);
}

static void looks_derived_as(const struct storage_record *r, const struct storage_message *m)
{
	const char *report = m->report_json != NULL ? m->report_json : "[]";

	ck_assert_int_eq(r->text_is_derived, m->mime->text_is_derived);
	ck_assert_int_eq(r->reply_text.base != NULL, m->mime->reply_text != NULL);
	if (m->mime->reply_text != NULL)
		ck_assert(slice_eq(r->reply_text, slice_str(m->mime->reply_text)));
	assert_text("security", r->security, m->mime->security);
	assert_text("auto_submitted", r->auto_submitted, m->mime->auto_submitted);
	assert_text("list_id", r->list_id, m->mime->list_id);
	ck_assert_int_eq(r->is_bounce, m->is_bounce);
	assert_json("report", r->report_json, json_loads(report, 0, NULL));
	assert_text("mailbox_tag", r->mailbox_tag, m->mailbox_tag);
	ck_assert_uint_eq(r->parser_version, MIME_PARSER_VERSION);
}

void looks_like(const struct storage_record *r, const struct sample *s)
{
	const struct mime_message *m = &s->mime;

	looks_like_envelope_of(r, s);
	assert_text("message_id", r->message_id, m->message_id);
	assert_text("in_reply_to", r->in_reply_to, m->in_reply_to);
	assert_json("references", r->references_json,
		json_strings(m->references.list, m->references.count));
	assert_text("subject", r->subject, m->subject);
	ck_assert_int_eq(r->has_date, m->has_date);
	if (m->has_date)
		ck_assert_int_eq(r->date_us, m->date_us);
	assert_json("addresses", r->addresses_json, json_loads(s->message.addresses_json, 0, NULL));
	assert_json("headers", r->headers_json, json_loads(s->message.headers_json, 0, NULL));
	assert_text("text", r->text, m->text);
	assert_text("html", r->html, m->html);
	assert_json("parts", r->parts_json, json_parts(m));
	ck_assert_str_eq(r->parse_status, mime_status_name(m->status));
	assert_json("defects", r->defects_json, json_strings(m->defects.list, m->defects.count));
	looks_derived_as(r, &s->message);
}

void looks_bare(const struct storage_record *r, const struct sample *s)
{
	static const struct mime_message no_mime;
	const struct storage_message nothing = { .mime = &no_mime };

	looks_like_envelope_of(r, s);
	looks_derived_as(r, &nothing);
	ck_assert_ptr_null(r->message_id);
	ck_assert_ptr_null(r->in_reply_to);
	ck_assert_ptr_null(r->subject);
	ck_assert_ptr_null(r->text);
	ck_assert_ptr_null(r->html);
	ck_assert(!r->has_date);
	assert_json("references", r->references_json, json_array());
	assert_json("parts", r->parts_json, json_array());
	assert_json("headers", r->headers_json, json_array());
	ck_assert_ptr_null(strstr(r->addresses_json, "example.org"));
	ck_assert_str_eq(r->parse_status, "failed");
	json_t *defects = json_strings(s->mime.defects.list, s->mime.defects.count);
	json_array_append_new(defects, json_string("storage"));
	assert_json("defects", r->defects_json, defects);
}

void assert_kept(const struct sample *s)
{
	ck_assert_result(get(s->message.tenant, s->message.id, looks_like, s), STORAGE_OK);
	ck_assert_result(raw(s->message.tenant, s->message.id, s), STORAGE_OK);
}
