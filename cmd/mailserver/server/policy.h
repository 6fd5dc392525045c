/* SPDX-License-Identifier: MIT */
/* policy.h - what a reload replaces: tokens, proxies that are believed, the TLS context
 *
 * Each worker has one of its own, so that nothing is locked or counted between them. A reload makes
 * fresh ones and posts them; a worker frees the one it had. Requests and connections hold what they
 * need of it by references of their own.
 *
 * Threads    policy_new() on any; from then on it belongs to one. */
#ifndef CMD_MAILSERVER_SERVER_POLICY_H
#define CMD_MAILSERVER_SERVER_POLICY_H

#include "lib/config/config.h"
#include "lib/loop.h"
#include "middleware/chain.h"

#include <openssl/ssl.h>

struct policy {
	struct loop_mail mail; /* on its way to its worker */
	struct chain_live live;
	bool proxy_protocol;
	SSL_CTX *tls; /* NULL: plain HTTP */
};

/* Borrows nothing of the configuration; takes a reference to `tls`, which may be NULL. */
struct policy *policy_new(const struct config *config, SSL_CTX *tls);
/* Accepts a pointer to NULL. */
void policy_free(struct policy **policy);

/* The context that the configuration asks for, NULL when it asks for none. -1 with `*error_r`
 * (free() it) when its files cannot be used. */
int policy_tls(const struct config *config, SSL_CTX **tls_r, char **error_r);

#endif
