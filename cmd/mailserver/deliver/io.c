/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/io.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

short wait_for_fd(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left_ms = deadline_ms - clock_ms();
		if (left_ms <= 0)
			return 0;
		int n = poll(&p, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
		if (n > 0)
			return p.revents;
		if (n < 0 && errno != EINTR)
			return 0;
	}
}

bool write_all(int fd, const void *p, size_t len)
{
	const char *at = p;

	while (len > 0) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}
