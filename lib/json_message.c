/* SPDX-License-Identifier: MIT */
#include "lib/json_message.h"
#include "lib/buf.h"
#include "lib/utf8.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdint.h>

struct reader {
	struct arena *arena;
	const char *details; /* set once something was wrong */
};

static bool wrong(struct reader *rd, const char *field, const char *error)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_json_begin(&b, '{');
	if (field != NULL) {
		buf_json_key(&b, "field");
		buf_json_string(&b, field);
	}
	buf_json_key(&b, "error");
	buf_json_string(&b, error);
	buf_json_end(&b, '}');
	rd->details = arena_strndup(rd->arena, b.base, b.len);
	buf_deinit(&b);
	return false;
}

/* A string member; a base of NULL when it is missing or null. `path` names it in an error. */
static bool get_string(struct reader *rd, const json_t *object, const char *name, const char *path,
	struct slice *s_r)
{
	const json_t *v = json_object_get(object, name);

	*s_r = (struct slice){ NULL, 0 };
	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_string(v))
		return wrong(rd, path, "must be a string");
	*s_r = (struct slice){ json_string_value(v), json_string_length(v) };
	return true;
}

static bool get_recipients(struct reader *rd, const json_t *root, struct envelope *env)
{
	const json_t *v = json_object_get(root, "recipient"), *item;
	size_t i;

	if (v == NULL || json_is_null(v))
		return true;
	env->recipients = NULL;
	env->recipient_count = 0;
	if (json_is_string(v)) {
		envelope_add_recipients(rd->arena, env,
			(struct slice){ json_string_value(v), json_string_length(v) });
		return true;
	}
	if (!json_is_array(v))
		return wrong(rd, "recipient", "must be a string or an array of strings");
	json_array_foreach(v, i, item)
	{
		if (!json_is_string(item))
			return wrong(rd, "recipient", "must hold strings only");
		envelope_add_recipients(rd->arena, env,
			(struct slice){ json_string_value(item), json_string_length(item) });
	}
	return true;
}

static bool get_connection(struct reader *rd, const json_t *root, struct envelope *env)
{
	const json_t *v = json_object_get(root, "connection");
	struct slice address, hostname, helo;

	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_object(v))
		return wrong(rd, "connection", "must be an object");
	if (!get_string(rd, v, "client_address", "connection.client_address", &address) ||
		!get_string(rd, v, "client_hostname", "connection.client_hostname", &hostname) ||
		!get_string(rd, v, "client_helo", "connection.client_helo", &helo))
		return false;
	if (address.len > 0)
		env->client_address = envelope_client_address(rd->arena, address);
	if (hostname.len > 0)
		env->client_hostname = envelope_text(rd->arena, hostname);
	if (helo.len > 0)
		env->client_helo = envelope_text(rd->arena, helo);
	return true;
}

/* A header field's value: no line may break out of it. */
static void add_field(struct buf *b, const char *name, struct slice value)
{
	buf_printf(b, "%s: ", name);
	for (size_t i = 0; i < value.len; i++)
		buf_putc(b, strchr("\r\n", value.base[i]) != NULL ? ' ' : value.base[i]);
	buf_puts(b, "\r\n");
}

/* Encoded words (RFC 2047) for a text that is not ASCII, each of at most 45 bytes of UTF-8, cut at
 * a character's edge. */
static void add_subject(struct buf *b, struct slice text)
{
	bool ascii = true;

	for (size_t i = 0; i < text.len; i++)
		ascii = ascii && (unsigned char)text.base[i] < 0x80;
	if (ascii) {
		add_field(b, "Subject", text);
		return;
	}
	buf_puts(b, "Subject:");
	for (size_t at = 0; at < text.len;) {
		char base64[4 * 15 + 1];
		size_t len = 0, n;
		while (at + len < text.len &&
			len + (n = utf8_sequence(text.base + at + len, text.len - at - len)) <=
				45 &&
			n > 0)
			len += n;
		EVP_EncodeBlock(
			(unsigned char *)base64, (const unsigned char *)text.base + at, (int)len);
		buf_printf(b, "%s =?UTF-8?B?%s?=", at > 0 ? "\r\n" : "", base64);
		at += len;
	}
	buf_puts(b, "\r\n");
}

static struct slice minimal_message(
	struct arena *arena, const struct envelope *env, struct slice subject, struct slice text)
{
	struct slice raw;
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	if (env->sender != NULL && env->sender[0] != '\0')
		add_field(&b, "From", slice_str(env->sender));
	for (size_t i = 0; i < env->recipient_count; i++)
		add_field(&b, "To", slice_str(env->recipients[i]));
	if (subject.base != NULL)
		add_subject(&b, subject);
	buf_puts(&b, "MIME-Version: 1.0\r\n"
		     "Content-Type: text/plain; charset=utf-8\r\n"
		     "Content-Transfer-Encoding: 8bit\r\n\r\n");
	buf_add(&b, text.base, text.len);
	raw = (struct slice){ arena_strndup(arena, b.base, b.len), b.len };
	buf_deinit(&b);
	return raw;
}

static bool read_object(
	struct reader *rd, const json_t *root, struct envelope *env, struct slice *raw_r)
{
	struct slice sender, raw, subject, text;

	if (!json_is_object(root))
		return wrong(rd, NULL, "the body must be a JSON object");
	if (!get_string(rd, root, "sender", "sender", &sender) ||
		!get_string(rd, root, "raw", "raw", &raw) ||
		!get_string(rd, root, "subject", "subject", &subject) ||
		!get_string(rd, root, "body", "body", &text) || !get_recipients(rd, root, env) ||
		!get_connection(rd, root, env))
		return false;
	if (sender.base != NULL)
		env->sender = envelope_sender(rd->arena, sender);
	if (raw.len == 0 && env->recipient_count == 0)
		return wrong(rd, "recipient", "give a recipient, or the message in \"raw\"");
	if (raw.len > 0)
		*raw_r = (struct slice){ arena_strndup(rd->arena, raw.base, raw.len), raw.len };
	else
		*raw_r = minimal_message(rd->arena, env, subject, text);
	return true;
}

bool json_message_read(struct arena *arena, struct slice body, struct envelope *env,
	struct slice *raw_r, const char **details_r)
{
	struct reader rd = { .arena = arena };
	json_error_t error;
	json_t *root = json_loadb(body.base, body.len, JSON_ALLOW_NUL, &error);
	bool ok;

	if (root == NULL && json_error_code(&error) == json_error_invalid_utf8) {
		const char *cleaned = utf8_clean(arena, body.base, body.len, SIZE_MAX, NULL);
		root = json_loads(cleaned, JSON_ALLOW_NUL, &error);
	}
	if (root == NULL)
		ok = wrong(&rd, NULL,
			arena_printf(arena, "line %d, column %d: %s", error.line, error.column,
				error.text));
	else
		ok = read_object(&rd, root, env, raw_r);
	json_decref(root);
	if (!ok)
		*details_r = rd.details;
	return ok;
}
