/* SPDX-License-Identifier: MIT */
/* proxy_line.h - the line by which a proxy tells whom it speaks for (PROXY protocol, version 1)
 *
 *	PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n
 *
 * Threads    Values; any. */
#ifndef LIB_PROXY_LINE_H
#define LIB_PROXY_LINE_H

#include "lib/slice.h"

#include <sys/socket.h>

enum { PROXY_LINE_MAX = 107 }; /* bytes, its CR LF among them */

enum proxy_line_verdict {
	PROXY_LINE_WHOLE,
	PROXY_LINE_PART,   /* more must come */
	PROXY_LINE_BROKEN, /* does not begin with such a line */
};

struct proxy_line {
	size_t len; /* of the line, CR LF included */
	/* Who connected to the proxy. 0 bytes: it does not say (UNKNOWN), as for its own checks. */
	struct sockaddr_storage source;
	socklen_t source_len;
};

/* `*line_r` is set with WHOLE. */
enum proxy_line_verdict proxy_line_parse(struct slice input, struct proxy_line *line_r);

#endif
