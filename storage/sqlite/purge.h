/* SPDX-License-Identifier: MIT */
/* purge.h - the driver's storage_purge()
 *
 * The pages of what is deleted are used again for new mail; the file does not shrink. */
#ifndef STORAGE_SQLITE_PURGE_H
#define STORAGE_SQLITE_PURGE_H

#include "storage/storage.h"

enum storage_result sqlite_purge(const struct storage_settings *set,
	const struct storage_retention *keep, int64_t now_us, const atomic_bool *stop,
	struct storage_purged *purged_r, char **error_r);

#endif
