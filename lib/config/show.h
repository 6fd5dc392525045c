/* SPDX-License-Identifier: MIT */
/* show.h - a configuration as YAML, each value with where it came from */
#ifndef LIB_CONFIG_SHOW_H
#define LIB_CONFIG_SHOW_H

#include "lib/config/keys.h"

/* malloc()ed. `root` has its defaults; what is secret is hidden. */
char *config_show(const struct config_keys *keys, struct node *root);

#endif
