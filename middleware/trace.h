/* SPDX-License-Identifier: MIT */
/* trace.h - the caller's place in a distributed trace (W3C Trace Context, section 3.2) */
#ifndef MIDDLEWARE_TRACE_H
#define MIDDLEWARE_TRACE_H

#include "lib/slice.h"

/* True when `traceparent` is well-formed; then the two are parts of it, in hex: 32 and 16 digits. */
bool traceparent_parse(
	struct slice traceparent, struct slice *trace_id_r, struct slice *parent_id_r);

#endif
