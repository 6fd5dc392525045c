/* SPDX-License-Identifier: MIT */
/* Whether a message came signed or encrypted. That is all: nothing is decrypted or verified. */
#include "lib/mime/decode.h"
#include "lib/mime/internal.h"

enum { PEEK = 128 };

enum protection { NOTHING, SIGNED, ENCRYPTED };

/* The content type within a CMS structure (RFC 5652, 3): ASN.1 object 1.2.840.113549.1.7.x, or the
 * 1.2.840.113549.1.9.16.1.23 of authenticated encryption (RFC 5083). */
static enum protection cms_type(struct slice der)
{
	static const char pkcs7[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07",
			  authenticated[] = "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17";
	const char *at = memmem(der.base, der.len, pkcs7, sizeof(pkcs7) - 1);

	if (memmem(der.base, der.len, authenticated, sizeof(authenticated) - 1) != NULL)
		return ENCRYPTED;
	if (at == NULL || at + sizeof(pkcs7) - 1 == der.base + der.len)
		return NOTHING;
	switch (at[sizeof(pkcs7) - 1]) {
	case 2:
		return SIGNED;
	case 3:
		return ENCRYPTED;
	default:
		return NOTHING;
	}
}

/* RFC 8551, 3.2.2; some senders leave the parameter out, so the content has to tell. */
static enum protection smime_type(
	struct mime_work *w, struct slice raw, const struct mime_node *leaf)
{
	const char *type = mime_param(w, leaf->content_type, "smime-type");
	char decoded[PEEK + 2 * MIME_DECODE_SLACK];
	struct mime_decoder decoder;
	size_t len = leaf->part->raw_length < PEEK ? leaf->part->raw_length : PEEK;

	if (type != NULL && strcasecmp(type, "signed-data") == 0)
		return SIGNED;
	if (type != NULL && (strcasecmp(type, "enveloped-data") == 0 ||
				    strcasecmp(type, "authEnveloped-data") == 0))
		return ENCRYPTED;
	if (type != NULL)
		return NOTHING; /* certs-only, compressed-data */
	mime_decoder_init(&decoder, leaf->part->encoding);
	size_t n = mime_decoder_step(&decoder, raw.base + leaf->part->raw_offset, len, decoded);
	return cms_type((struct slice){ decoded, n });
}

/* PGP without MIME, where a text begins with it (RFC 9580, 6.2 and 7). */
static enum protection inline_pgp(struct slice raw, const struct mime_node *leaf)
{
	static const char message[] = "-----BEGIN PGP MESSAGE-----",
			  clear[] = "-----BEGIN PGP SIGNED MESSAGE-----";
	struct slice text = slice_trim(
		(struct slice){ raw.base + leaf->part->raw_offset, leaf->part->raw_length });

	if (text.len > sizeof(message) && memcmp(text.base, message, sizeof(message) - 1) == 0)
		return ENCRYPTED;
	if (text.len > sizeof(clear) && memcmp(text.base, clear, sizeof(clear) - 1) == 0)
		return SIGNED;
	return NOTHING;
}

static enum protection protection_of(
	struct mime_work *w, struct slice raw, const struct mime_node *node)
{
	enum protection found = NOTHING;

	if (strcmp(node->type, "multipart/encrypted") == 0)
		return ENCRYPTED;
	if (node->kind == NODE_LEAF && (strcmp(node->type, "application/pkcs7-mime") == 0 ||
					       strcmp(node->type, "application/x-pkcs7-mime") == 0))
		return smime_type(w, raw, node);
	if (node->kind == NODE_LEAF && node->body == BODY_TEXT)
		return inline_pgp(raw, node);
	if (node->kind != NODE_MULTIPART)
		return NOTHING;
	if (strcmp(node->type, "multipart/signed") == 0)
		found = SIGNED;
	for (const struct mime_node *c = node->first; c != NULL && found != ENCRYPTED;
		c = c->next) {
		enum protection inner = protection_of(w, raw, c);
		if (inner != NOTHING)
			found = inner;
	}
	return found;
}

const char *mime_security(struct mime_work *w, struct slice raw, const struct mime_node *top)
{
	switch (protection_of(w, raw, top)) {
	case SIGNED:
		return "signed";
	case ENCRYPTED:
		return "encrypted";
	case NOTHING:
		break;
	}
	return NULL;
}
