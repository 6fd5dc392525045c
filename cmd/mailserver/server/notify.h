/* SPDX-License-Identifier: MIT */
/* notify.h - what systemd is told (sd_notify(3)); nothing, where there is no systemd
 *
 * Threads    The main thread. */
#ifndef CMD_MAILSERVER_SERVER_NOTIFY_H
#define CMD_MAILSERVER_SERVER_NOTIFY_H

#include <stdint.h>

void notify_ready(void); /* started, or reloaded */
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);

/* How often, at most, systemd waits for notify_watchdog(), in microseconds; 0: it does not. */
int64_t notify_watchdog_us(void);

#endif
