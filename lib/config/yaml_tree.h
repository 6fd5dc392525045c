/* SPDX-License-Identifier: MIT */
/* yaml_tree.h - YAML text (and JSON, being YAML) into a tree with marks
 *
 * One document, scalars typed by YAML 1.2's core schema. What a configuration has no use for and
 * what would make a small text large in memory is refused with a finding: several documents,
 * anchors and aliases, deep nesting, very long texts. */
#ifndef LIB_CONFIG_YAML_TREE_H
#define LIB_CONFIG_YAML_TREE_H

#include "lib/config/findings.h"
#include "lib/config/tree.h"

enum {
	YAML_MAX_BYTES = 256 * 1024,
	YAML_MAX_DEPTH = 16,
	YAML_MAX_NODES = 5000,
	YAML_MAX_TEXT = 4096, /* of one scalar */
};

/* The document, a null node when it is empty; NULL when it cannot be read. Errors are added to
 * `findings`: duplicate keys are errors too, but the tree is given, with the first one's value. */
struct node *yaml_read(struct findings *findings, const char *source, const char *text, size_t len);

#endif
