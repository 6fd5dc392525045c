/* SPDX-License-Identifier: MIT */
/* io.h - time and descriptors, under a deadline */
#ifndef CMD_MAILSERVER_DELIVER_IO_H
#define CMD_MAILSERVER_DELIVER_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds on a clock that is never put right. */
int64_t clock_ms(void);
/* Waits for `events` of poll(2) until `deadline_ms`: those that came, 0 when none did in time. */
short wait_for_fd(int fd, short events, int64_t deadline_ms);
/* All of it to a blocking descriptor; false with errno. */
bool write_all(int fd, const void *p, size_t len);

#endif
