/* SPDX-License-Identifier: MIT */
/* token.h - tokens, wherever they are kept: bearer_token, and the list `tokens` */
#ifndef LIB_CONFIG_TOKEN_H
#define LIB_CONFIG_TOKEN_H

#include "lib/config/merge.h"

/* Reads the file that bearer_token_file names into bearer_token, unless that is set, and the digest
 * of what each token_file holds into its token's sha256. Goes before the judge, who has the same
 * rules for a token from either place. */
void config_token_read(struct merge *m);

/* Names that stand twice, and tokens that are the same; then says when there is no token at all: an
 * error if the caller needs one. */
void config_token_check(struct merge *m, const char *source, bool need_token);

#endif
