/* SPDX-License-Identifier: MIT */
/* reparse.h - the driver's storage_reparse() */
#ifndef STORAGE_POSTGRES_REPARSE_H
#define STORAGE_POSTGRES_REPARSE_H

#include "storage/storage.h"

enum storage_result pg_reparse(
	const struct storage_settings *set, const struct storage_reparse *want, char **error_r);

#endif
