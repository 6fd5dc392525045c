/* SPDX-License-Identifier: MIT */
/* reparse.h - the driver's storage_reparse() */
#ifndef STORAGE_SQLITE_REPARSE_H
#define STORAGE_SQLITE_REPARSE_H

#include "storage/storage.h"

enum storage_result sqlite_reparse(
	const struct storage_settings *set, const struct storage_reparse *want, char **error_r);

#endif
