/* SPDX-License-Identifier: MIT */
/* receipts.h - the driver's storage_list_receipts() and storage_fates() */
#ifndef STORAGE_SQLITE_RECEIPTS_H
#define STORAGE_SQLITE_RECEIPTS_H

#include "storage/storage.h"

enum storage_result sqlite_list_receipts(
	const struct storage_settings *set, const struct storage_receipts *want, char **error_r);
enum storage_result sqlite_fates(const struct storage_settings *set, const struct uuid *ids,
	size_t count, enum storage_fate *fates_r, char **error_r);

#endif
