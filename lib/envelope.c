/* SPDX-License-Identifier: MIT */
#include "lib/envelope.h"
#include "lib/utf8.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* A mailbox as it stands in SMTP or in a header of ours: white space and angle brackets off. */
static struct slice bare_mailbox(struct slice value)
{
	value = slice_trim(value);
	if (value.len >= 2 && value.base[0] == '<' && value.base[value.len - 1] == '>')
		value = slice_trim((struct slice){ value.base + 1, value.len - 2 });
	return value;
}

static const char *clean(struct arena *arena, struct slice value)
{
	return utf8_clean(arena, value.base, value.len, ENVELOPE_MAX_BYTES, NULL);
}

const char *envelope_sender(struct arena *arena, struct slice value)
{
	value = bare_mailbox(value);
	if (slice_ieq(value, SLICE_LIT("MAILER-DAEMON")))
		return "";
	return clean(arena, value);
}

const char *envelope_text(struct arena *arena, struct slice value)
{
	value = slice_trim(value);
	return value.len > 0 ? clean(arena, value) : NULL;
}

static void add_recipient(struct arena *arena, struct envelope *env, struct slice mailbox)
{
	mailbox = bare_mailbox(mailbox);
	if (mailbox.len == 0 || env->recipient_count == ENVELOPE_MAX_RECIPIENTS)
		return;
	/* Grown by doubling, at each power of two. */
	if ((env->recipient_count & (env->recipient_count - 1)) == 0) {
		size_t room = env->recipient_count == 0 ? 1 : 2 * env->recipient_count;
		const char **grown = arena_alloc(arena, room * sizeof(*grown));
		for (size_t i = 0; i < env->recipient_count; i++)
			grown[i] = env->recipients[i];
		env->recipients = grown;
	}
	env->recipients[env->recipient_count++] = clean(arena, mailbox);
}

/* Length up to the next comma that stands outside of quotes. */
static size_t piece_length(struct slice s)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.base[i] == '\\' && quoted)
			i++;
		else if (s.base[i] == '"')
			quoted = !quoted;
		else if (s.base[i] == ',' && !quoted)
			break;
	}
	return i < s.len ? i : s.len;
}

/* A proxy may have joined repeated fields with commas (RFC 9110, 5.3); but a comma can also stand
 * in a local part that the MTA did not quote. It is a list when every piece has a domain. */
static bool is_list(struct slice s)
{
	for (;;) {
		size_t len = piece_length(s);
		if (memchr(s.base, '@', len) == NULL)
			return false;
		if (len == s.len)
			return true;
		s = (struct slice){ s.base + len + 1, s.len - len - 1 };
	}
}

void envelope_add_recipients(struct arena *arena, struct envelope *env, struct slice value)
{
	value = slice_trim(value);
	if (value.len == 0)
		return;
	if (!is_list(value)) {
		add_recipient(arena, env, value);
		return;
	}
	for (;;) {
		size_t len = piece_length(value);
		add_recipient(arena, env, (struct slice){ value.base, len });
		if (len == value.len)
			return;
		value = (struct slice){ value.base + len + 1, value.len - len - 1 };
	}
}

/* RFC 5321, 4.1.2: quotes around a local part, and backslashes in it, only protect what they hold. */
const char *envelope_mailbox_tag(struct arena *arena, const char *recipient)
{
	char *local = arena_strdup(arena, recipient), *to = local;
	bool quoted = false;

	for (const char *p = recipient; *p != '\0' && (quoted || *p != '@'); p++) {
		if (*p == '"') {
			quoted = !quoted;
			continue;
		}
		if (*p == '\\' && quoted && p[1] != '\0')
			p++;
		*to++ = *p;
	}
	*to = '\0';
	const char *plus = strchr(local, '+');
	return plus != NULL && plus > local && plus[1] != '\0' ? plus + 1 : NULL;
}

const char *envelope_client_address(struct arena *arena, struct slice value)
{
	static const struct slice prefix = { "IPv6:", 5 };
	struct in6_addr ignored;

	value = slice_trim(value);
	if (value.len >= 2 && value.base[0] == '[' && value.base[value.len - 1] == ']')
		value = (struct slice){ value.base + 1, value.len - 2 };
	if (value.len > prefix.len && slice_ieq((struct slice){ value.base, prefix.len }, prefix))
		value = (struct slice){ value.base + prefix.len, value.len - prefix.len };
	if (value.len == 0 || value.len > INET6_ADDRSTRLEN)
		return NULL;
	const char *text = arena_strndup(arena, value.base, value.len);
	if (inet_pton(AF_INET, text, &ignored) == 1 || inet_pton(AF_INET6, text, &ignored) == 1)
		return text;
	return NULL;
}

void envelope_unswap(struct envelope *env)
{
	if (env->recipient_count != 1 || strcmp(env->recipients[0], "unknown") != 0)
		return;
	if (env->sender != NULL && env->sender[0] != '\0')
		env->recipients[0] = env->sender;
	else
		env->recipient_count = 0;
	env->sender = NULL;
}

static const char *first_header(const struct mime_message *mime, const char *name)
{
	for (size_t i = 0; i < mime->header_count; i++)
		if (strcasecmp(mime->headers[i].name, name) == 0)
			return mime->headers[i].value;
	return NULL;
}

void envelope_complete(struct arena *arena, struct envelope *env, const struct mime_message *mime)
{
	static const char *const recipient_fields[] = { "Delivered-To", "X-Original-To" };
	const char *value;

	if (env->sender == NULL && (value = first_header(mime, "Return-Path")) != NULL)
		env->sender = envelope_sender(arena, slice_str(value));
	if (env->sender == NULL)
		env->sender = mime->from.count > 0 ? arena_strdup(arena, mime->from.list[0].address)
						   : "";

	/* Each hop puts its own on top: the first one is the last delivery. */
	for (size_t i = 0; i < 2 && env->recipient_count == 0; i++)
		if ((value = first_header(mime, recipient_fields[i])) != NULL)
			add_recipient(arena, env, slice_str(value));
	if (env->recipient_count == 0)
		for (size_t i = 0; i < mime->to.count; i++)
			add_recipient(arena, env, slice_str(mime->to.list[i].address));
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each value with its length in front, so that no two lists of values are the same bytes. */
static void add_value(struct sha256 *ctx, const char *s, size_t len)
{
	uint64_t n = s != NULL ? len : UINT64_MAX;

	sha256_add(ctx, &n, sizeof(n));
	if (s != NULL)
		sha256_add(ctx, s, len);
}

static void add_string(struct sha256 *ctx, const char *s)
{
	add_value(ctx, s, s != NULL ? strlen(s) : 0);
}

void envelope_digest(const struct envelope *env, struct slice idempotency_key,
	const uint8_t message_sha256[SHA256_BYTES], uint8_t digest_r[SHA256_BYTES])
{
	struct sha256 *ctx = sha256_begin();

	if (idempotency_key.len > 0) {
		add_string(ctx, "idempotency-key");
		add_value(ctx, idempotency_key.base, idempotency_key.len);
	} else {
		size_t n = env->recipient_count;
		const char **sorted = n > 0 ? malloc(n * sizeof(*sorted)) : NULL;
		if (n > 0 && sorted == NULL)
			abort();
		add_string(ctx, "envelope");
		add_string(ctx, env->sender);
		add_string(ctx, env->queue_id);
		if (n > 0) {
			memcpy(sorted, env->recipients, n * sizeof(*sorted));
			qsort(sorted, n, sizeof(*sorted), compare_strings);
		}
		for (size_t i = 0; i < n; i++)
			add_string(ctx, sorted[i]);
		free(sorted);
	}
	sha256_add(ctx, message_sha256, SHA256_BYTES);
	sha256_end(&ctx, digest_r);
}
