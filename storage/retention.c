/* SPDX-License-Identifier: MIT */
#include "storage/retention.h"

static bool bound(uint32_t days, int64_t now_us, struct uuid *below_r)
{
	const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;
	int64_t age_ms = days * day_ms, now_ms = now_us / 1000;

	if (days == 0)
		return false;
	*below_r = uuid7_least(now_ms > age_ms ? (now_ms - age_ms) * 1000 : 0);
	return true;
}

bool retention_bound(const struct storage_retention *keep, const char *tenant, int64_t now_us,
	struct uuid *below_r)
{
	uint32_t days = keep->days;

	for (size_t i = 0; i < keep->tenant_count; i++)
		if (strcmp(keep->tenants[i].tenant, tenant) == 0)
			days = keep->tenants[i].days;
	return bound(days, now_us, below_r);
}

bool retention_key_bound(const struct storage_retention *keep, int64_t now_us, struct uuid *below_r)
{
	return bound(keep->key_days, now_us, below_r);
}

bool retention_is_endless(const struct storage_retention *keep)
{
	bool endless = keep->days == 0;

	for (size_t i = 0; i < keep->tenant_count; i++)
		endless = endless && keep->tenants[i].days == 0;
	return endless;
}
