/* SPDX-License-Identifier: MIT */
#include "tests/unit/mime_sound.h"

#include "lib/mime/decode.h"
#include "lib/utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool is_clean(const char *text)
{
	return text == NULL || utf8_is_clean(text, strlen(text));
}

/* A header's value is one line, so that nothing can be smuggled into where it is shown. */
static bool is_one_line(const char *text)
{
	return is_clean(text) && (text == NULL || strpbrk(text, "\r\n") == NULL);
}

static bool is_json(const char *text)
{
	json_error_t error;
	json_t *value = json_loads(text, 0, &error);

	json_decref(value);
	return value != NULL;
}

static const char *unsound_addresses(const struct mime_addresses *addresses)
{
	for (size_t i = 0; i < addresses->count; i++) {
		const struct mime_address *a = &addresses->list[i];
		if (a->address == NULL || !is_one_line(a->address))
			return "an address";
		if (!is_one_line(a->name) || (a->name != NULL && *a->name == '\0'))
			return "a name";
	}
	return NULL;
}

static const char *unsound_fields(const struct mime_message *m)
{
	const struct mime_addresses *all[] = { &m->from, &m->sender, &m->to, &m->cc, &m->bcc,
		&m->reply_to };

	if (!is_one_line(m->subject) || !is_one_line(m->message_id) || !is_one_line(m->in_reply_to))
		return "subject or an id";
	for (size_t i = 0; i < m->references.count; i++) {
		if (m->references.list[i] == NULL || !is_one_line(m->references.list[i]))
			return "a reference";
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *why = unsound_addresses(all[i]);
		if (why != NULL)
			return why;
	}
	for (size_t i = 0; i < m->header_count; i++) {
		const struct mime_header *header = &m->headers[i];
		if (header->name == NULL || *header->name == '\0' || !is_one_line(header->name) ||
			header->value == NULL || !is_one_line(header->value))
			return "a header";
	}
	return NULL;
}

/* Reads in one step what the parse decoded piece by piece. */
static bool decodes_to_itself(const char *raw, const struct mime_part *part)
{
	struct mime_content content;
	uint8_t digest[SHA256_BYTES];
	char *out = malloc(part->raw_length + 4 * MIME_DECODE_SLACK);

	mime_content_begin(&content, part->encoding, part->inside);
	size_t n = mime_content_step(&content, raw + part->raw_offset, part->raw_length, out);
	n += mime_content_end(&content, out + n);
	sha256(out, n, digest);
	free(out);
	return n == part->size && digest_equal(digest, part->sha256);
}

static const char *unsound_part(
	const char *raw, size_t len, const struct mime_part *part, size_t index)
{
	if (part->n != index + 1)
		return "a part's number";
	if (part->content_type == NULL || part->encoding == NULL || part->path == NULL)
		return "a part without its type, encoding or path";
	if (!is_one_line(part->content_type) || !is_one_line(part->filename) ||
		!is_one_line(part->disposition) || !is_one_line(part->content_id) ||
		!is_one_line(part->charset) || !is_one_line(part->encoding) ||
		!is_one_line(part->inside))
		return "a part's text";
	if (part->filename != NULL && strpbrk(part->filename, "/\\") != NULL)
		return "a path in a file name";
	if (part->raw_offset > len || part->raw_length > len - part->raw_offset)
		return "a part outside of the message";
	return decodes_to_itself(raw, part) ? NULL : "a part's size or digest";
}

static const char *unsound_report(const struct mime_report *report)
{
	if (!is_one_line(report->type) || !is_one_line(report->feedback_type) ||
		!is_one_line(report->original_message_id) || !is_one_line(report->reporting_mta))
		return "a report";
	for (size_t i = 0; i < report->recipient_count; i++) {
		const struct mime_report_recipient *r = &report->recipients[i];
		if (!is_one_line(r->recipient) || !is_one_line(r->original_recipient) ||
			!is_one_line(r->action) || !is_one_line(r->status) ||
			!is_one_line(r->diagnostic))
			return "a report's recipient";
	}
	return NULL;
}

const char *mime_unsound(const char *raw, size_t len, const struct mime_message *m)
{
	const char *why = unsound_fields(m);

	if ((m->status == MIME_OK) != (m->defects.count == 0))
		return "status and defects";
	if (!is_clean(m->text) || !is_clean(m->html) || !is_clean(m->reply_text))
		return "a body";
	if ((m->text == NULL) != (m->reply_text == NULL) || (m->html != NULL && m->text == NULL) ||
		(m->text != NULL && strlen(m->reply_text) > strlen(m->text)))
		return "text and what comes of it";
	if (!is_one_line(m->auto_submitted) || !is_one_line(m->list_id))
		return "auto_submitted or list_id";
	if (why == NULL)
		why = unsound_report(&m->report);
	for (size_t i = 0; i < m->part_count && why == NULL; i++)
		why = unsound_part(raw, len, &m->parts[i], i);
	if (why == NULL && !(is_json(mime_headers_json(m)) && is_json(mime_addresses_json(m))))
		why = "the JSON";
	return why;
}
