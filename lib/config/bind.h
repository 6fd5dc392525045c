/* SPDX-License-Identifier: MIT */
/* bind.h - from a valid tree to struct config */
#ifndef LIB_CONFIG_BIND_H
#define LIB_CONFIG_BIND_H

#include "lib/config/config.h"
#include "lib/config/tree.h"

/* NULL, with `*error_r` saying why (a static text), when struct config cannot hold the values: then
 * it and the schema disagree. */
struct config *config_bind(const struct node *root, const char **error_r);
void config_bind_free(struct config **config); /* accepts a pointer to NULL */

#endif
