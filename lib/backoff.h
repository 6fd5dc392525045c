/* SPDX-License-Identifier: MIT */
/* backoff.h - how long a server that is down is left alone before the next attempt */
#ifndef LIB_BACKOFF_H
#define LIB_BACKOFF_H

#include <stdint.h>

/* 50 ms, doubled as often as is said, and 5 s at most: from half of that to all of it, so that many
 * clients do not come back in step. */
uint64_t backoff_ms(unsigned doublings);

#endif
