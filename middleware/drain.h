/* SPDX-License-Identifier: MIT */
/* drain.h - how a server leaves without losing a request */
#ifndef MIDDLEWARE_DRAIN_H
#define MIDDLEWARE_DRAIN_H

enum drain_phase {
	DRAIN_SERVING,
	DRAIN_LEAVING, /* not ready any more; all is served, and each answer closes its connection */
	DRAIN_DRAINING, /* nothing new is accepted; what is in flight is finished */
};

#endif
