/* SPDX-License-Identifier: MIT */
#include "lib/tls.h"

#include <openssl/err.h>
#include <openssl/x509err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ciphers_of_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* A daemon cannot be asked. */
static int no_passphrase(char *out, int size, int is_writing, void *data)
{
	return 0;
}

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *data)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *selected;

	if (SSL_select_next_proto(&selected, out_len, ours, sizeof(ours) - 1, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301, 3.2 */
	*out = selected;
	return SSL_TLSEXT_ERR_OK;
}

static void set_error(char **error_r, const char *what, const char *file, const char *reason)
{
	if (asprintf(error_r, "cannot use the %s %s: %s", what, file, reason) == -1)
		abort();
}

/* What OpenSSL gives as the first cause. */
static const char *first_reason(void)
{
	unsigned long code = ERR_peek_error();

	if (code == 0)
		return "unknown reason";
	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	const char *reason = ERR_reason_error_string(code);
	return reason != NULL ? reason : "unknown reason";
}

static bool is_mismatch(void)
{
	unsigned long code = ERR_peek_error();

	return ERR_GET_LIB(code) == ERR_LIB_X509 &&
	       (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
		       ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
}

static int use_files(SSL_CTX *ctx, const char *cert_file, const char *key_file, char **error_r)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
		set_error(error_r, "certificate", cert_file, first_reason());
		return -1;
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1) {
		set_error(error_r, "key", key_file,
			is_mismatch() ? "it is not the key of tls.cert_file" : first_reason());
		return -1;
	}
	return 0;
}

SSL_CTX *tls_context_new(const char *cert_file, const char *key_file, char **error_r)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		abort();
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ctx, ciphers_of_1_2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
	if (use_files(ctx, cert_file, key_file, error_r) == 0)
		return ctx;
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}
