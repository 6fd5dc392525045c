/* SPDX-License-Identifier: MIT */
/* tls.h - the server's side of TLS: a context from two files
 *
 * TLS 1.2 (RFC 5246) with forward secrecy and authenticated encryption only, and TLS 1.3 (RFC
 * 8446). By ALPN (RFC 7301) nothing but http/1.1 is agreed on.
 *
 * Threads    A context may be used by many; it counts its references (SSL_CTX_up_ref). */
#ifndef LIB_TLS_H
#define LIB_TLS_H

#include <openssl/ssl.h>

/* PEM files: the certificate with its chain behind it, and its key. NULL with `*error_r` (free() it)
 * saying which file and why: unreadable, not PEM, a passphrase, or a key of another certificate. */
SSL_CTX *tls_context_new(const char *cert_file, const char *key_file, char **error_r);

#endif
