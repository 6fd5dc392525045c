/* SPDX-License-Identifier: MIT */
/* check.h - what a JSON Schema cannot say: values that depend on one another or on the system */
#ifndef LIB_CONFIG_CHECK_H
#define LIB_CONFIG_CHECK_H

#include "lib/config/merge.h"

/* After the defaults. Values that the judge has found wrong are passed over. */
void config_check(struct merge *m);

/* Puts in what the empty storage.url and spool_dir stand for. */
void config_derive(struct merge *m);

#endif
