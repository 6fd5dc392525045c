/* SPDX-License-Identifier: MIT */
/* merge.h - the layers of a configuration, laid over one another in the order they are called
 *
 * A layer's value is brought to the type that the schema has for its key: quoted numbers become
 * numbers, one string with commas a list. Null, the empty string and, for GoMail's numbers, zero
 * mean that the layer does not set the key. A list of objects is taken whole, from the file only;
 * its objects have their defaults too. What cannot be brought to its type stays as it is, for
 * the judge to name. */
#ifndef LIB_CONFIG_MERGE_H
#define LIB_CONFIG_MERGE_H

#include "lib/config/findings.h"
#include "lib/config/keys.h"

struct merge {
	struct arena *arena;
	struct findings *findings;
	const struct config_keys *keys;
	struct node *root; /* a map */
	bool strict;       /* unknown keys of the file are errors */
};

void merge_file(struct merge *m, const struct node *document);
void merge_environment(struct merge *m, char *const *environment);
void merge_overrides(struct merge *m, const struct config_override *list, size_t count);
/* Whatever is still not set; a text without a default becomes empty. */
void merge_defaults(struct merge *m);

/* Puts a value in its place, over what is there. */
void merge_set(struct merge *m, const struct config_key *key, struct node *value);

#endif
