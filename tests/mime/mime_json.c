/* SPDX-License-Identifier: MIT */
/* mime_json FILE...: each message's parse as one line of JSON, in the order of the files; the names come
 * from standard input, one a line, when none is given. For the tests, and for looking at a message. */
#include "lib/buf.h"
#include "lib/mime/mime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_string(struct buf *buf, const char *key, const char *value)
{
	buf_json_key(buf, key);
	buf_json_string(buf, value);
}

static void add_number(struct buf *buf, const char *key, int64_t value)
{
	buf_json_key(buf, key);
	buf_json_int(buf, value);
}

static void add_strings(struct buf *buf, const char *key, const struct mime_strings *strings)
{
	buf_json_key(buf, key);
	buf_json_begin(buf, '[');
	for (size_t i = 0; i < strings->count; i++)
		buf_json_string(buf, strings->list[i]);
	buf_json_end(buf, ']');
}

static void add_part(struct buf *buf, const struct mime_part *part)
{
	char digest[SHA256_HEX + 1];

	hex_encode(part->sha256, SHA256_BYTES, digest);
	buf_json_begin(buf, '{');
	add_string(buf, "path", part->path);
	add_string(buf, "content_type", part->content_type);
	add_string(buf, "filename", part->filename);
	add_string(buf, "disposition", part->disposition);
	add_string(buf, "content_id", part->content_id);
	add_string(buf, "charset", part->charset);
	add_string(buf, "encoding", part->encoding);
	add_number(buf, "size", (int64_t)part->size);
	add_string(buf, "sha256", digest);
	add_number(buf, "raw_offset", (int64_t)part->raw_offset);
	add_number(buf, "raw_length", (int64_t)part->raw_length);
	add_string(buf, "inside", part->inside);
	buf_json_key(buf, "is_attachment");
	buf_json_bool(buf, part->is_attachment);
	buf_json_end(buf, '}');
}

static void add_message(struct buf *buf, const struct mime_message *m)
{
	buf_json_begin(buf, '{');
	add_string(buf, "status", mime_status_name(m->status));
	add_strings(buf, "defects", &m->defects);
	add_string(buf, "subject", m->subject);
	add_string(buf, "message_id", m->message_id);
	add_string(buf, "in_reply_to", m->in_reply_to);
	add_strings(buf, "references", &m->references);
	if (m->has_date)
		add_number(buf, "date", m->date_us / 1000000);
	else
		add_string(buf, "date", NULL);
	buf_json_key(buf, "addresses");
	buf_json_raw(buf, mime_addresses_json(m));
	buf_json_key(buf, "headers");
	buf_json_raw(buf, mime_headers_json(m));
	add_string(buf, "text", m->text);
	buf_json_key(buf, "text_is_derived");
	buf_json_bool(buf, m->text_is_derived);
	add_string(buf, "reply_text", m->reply_text);
	add_string(buf, "html", m->html);
	add_string(buf, "security", m->security);
	add_string(buf, "auto_submitted", m->auto_submitted);
	add_string(buf, "list_id", m->list_id);
	buf_json_key(buf, "is_bounce");
	buf_json_bool(buf, m->is_bounce);
	buf_json_key(buf, "report");
	buf_json_raw(buf, mime_report_json(m));
	buf_json_key(buf, "parts");
	buf_json_begin(buf, '[');
	for (size_t i = 0; i < m->part_count; i++)
		add_part(buf, &m->parts[i]);
	buf_json_end(buf, ']');
	buf_json_end(buf, '}');
}

static char *slurp(const char *path, size_t *len_r)
{
	FILE *file = fopen(path, "rb");
	struct buf buf;
	char chunk[8192];

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	buf_init(&buf, SIZE_MAX / 2);
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
		buf_add(&buf, chunk, n);
	fclose(file);
	*len_r = buf.len;
	return buf.base != NULL ? buf.base : calloc(1, 1);
}

static void print(const char *path)
{
	size_t len;
	char *raw = slurp(path, &len);
	struct mime_message *m = mime_parse(raw, len, &mime_limits_default);
	struct buf buf;

	free(raw);
	buf_init(&buf, SIZE_MAX / 2);
	add_message(&buf, m);
	printf("%.*s\n", (int)buf.len, buf.base);
	buf_deinit(&buf);
	mime_message_free(&m);
}

int main(int argc, char **argv)
{
	char line[4096];

	mime_init();
	for (int i = 1; i < argc; i++)
		print(argv[i]);
	while (argc == 1 && fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		print(line);
	}
	return 0;
}
