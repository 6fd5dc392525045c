/* SPDX-License-Identifier: MIT */
/* keys.h - the keys that the schema describes, under each of their names */
#ifndef LIB_CONFIG_KEYS_H
#define LIB_CONFIG_KEYS_H

#include "lib/config/tree.h"

enum key_kind {
	KEY_VALUE,
	KEY_SECTION,
	KEY_UNUSED, /* GoMail's, without a use here */
	KEY_LIST,   /* of objects, all with the same keys */
	KEY_ITEM,   /* a key of each object of a list */
};

struct config_key {
	enum key_kind kind;
	const char *pointer;      /* "/storage/url"; of an item, with a star for its index */
	const char *dotted;       /* "storage.url"; of an item, without the index: "tokens.name" */
	const char *name;         /* "url" */
	const char *variable;     /* "MAIL_STORAGE_URL"; NULL for a section and an item */
	const struct node *rules; /* its part of the schema */
	bool zero_is_default;     /* GoMail's rule for its numbers */
	bool is_secret;           /* never named in a message */
};

struct config_keys {
	struct config_key
		*list; /* in the schema's order, sections and lists before what they hold */
	size_t count;
};

/* From the schema that is compiled in. */
struct config_keys config_keys_read(struct arena *arena);

/* Takes pointers to values as well: "/tokens/1/name". */
const struct config_key *key_by_pointer(const struct config_keys *keys, const char *pointer);
const struct config_key *key_by_dotted(const struct config_keys *keys, const char *dotted);
const struct config_key *key_by_variable(const struct config_keys *keys, const char *variable);

/* The next key of the list's objects behind `item`, the first one for NULL; NULL behind the last. */
const struct config_key *key_next_item(const struct config_keys *keys,
	const struct config_key *list, const struct config_key *item);

/* What someone who wrote `dotted` (or the environment's `variable`, which begins with MAIL_) most
 * likely meant; or NULL. */
const struct config_key *key_like_dotted(const struct config_keys *keys, const char *dotted);
const struct config_key *key_like_variable(const struct config_keys *keys, const char *variable);

#endif
