/* SPDX-License-Identifier: MIT */
/* retention.h - which ids are due to be deleted; for the drivers */
#ifndef STORAGE_RETENTION_H
#define STORAGE_RETENTION_H

#include "storage/storage.h"

/* The tenant's messages below this id are due; false when they are kept for ever. */
bool retention_bound(const struct storage_retention *keep, const char *tenant, int64_t now_us,
	struct uuid *below_r);
/* The keys of messages below this id are due; false when they are kept for ever. */
bool retention_key_bound(
	const struct storage_retention *keep, int64_t now_us, struct uuid *below_r);

/* Nothing of any tenant is ever due. */
bool retention_is_endless(const struct storage_retention *keep);

#endif
