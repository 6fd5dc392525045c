/* SPDX-License-Identifier: MIT */
/* keys.h - the keys that the schema describes, under each of their names */
#ifndef LIB_CONFIG_KEYS_H
#define LIB_CONFIG_KEYS_H

#include "lib/config/tree.h"

enum key_kind {
	KEY_VALUE,
	KEY_SECTION,
	KEY_UNUSED, /* GoMail's, without a use here */
};

struct config_key {
	enum key_kind kind;
	const char *pointer;      /* "/storage/url" */
	const char *dotted;       /* "storage.url" */
	const char *name;         /* "url" */
	const char *variable;     /* "MAIL_STORAGE_URL"; NULL for a section */
	const struct node *rules; /* its part of the schema */
	bool zero_is_default;     /* GoMail's rule for its numbers */
	bool is_secret;           /* never named in a message */
};

struct config_keys {
	struct config_key *list; /* in the schema's order, a section before what it holds */
	size_t count;
};

/* From the schema that is compiled in. */
struct config_keys config_keys_read(struct arena *arena);

const struct config_key *key_by_pointer(const struct config_keys *keys, const char *pointer);
const struct config_key *key_by_dotted(const struct config_keys *keys, const char *dotted);
const struct config_key *key_by_variable(const struct config_keys *keys, const char *variable);

/* What someone who wrote `dotted` (or the environment's `variable`, which begins with MAIL_) most
 * likely meant; or NULL. */
const struct config_key *key_like_dotted(const struct config_keys *keys, const char *dotted);
const struct config_key *key_like_variable(const struct config_keys *keys, const char *variable);

#endif
