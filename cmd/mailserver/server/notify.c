/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/notify.h"

#ifdef HAVE_LIBSYSTEMD

#include "lib/ids.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, monotonic_us());
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void notify_watchdog(void)
{
	sd_notify(0, "WATCHDOG=1");
}

int64_t notify_watchdog_us(void)
{
	uint64_t interval_us = 0;

	return sd_watchdog_enabled(0, &interval_us) > 0 ? (int64_t)interval_us : 0;
}

#else

void notify_ready(void) {}

void notify_reloading(void) {}

void notify_stopping(void) {}

void notify_watchdog(void) {}

int64_t notify_watchdog_us(void)
{
	return 0;
}

#endif
