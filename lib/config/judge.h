/* SPDX-License-Identifier: MIT */
/* judge.h - what the schema has against a configuration, in words that help */
#ifndef LIB_CONFIG_JUDGE_H
#define LIB_CONFIG_JUDGE_H

#include "lib/config/findings.h"
#include "lib/config/keys.h"

/* Adds one error for each value at fault, at the place where it was written. Values of secret keys
 * are never named. */
void config_judge(struct findings *findings, const struct config_keys *keys, struct node *root);

#endif
