/* SPDX-License-Identifier: MIT */
/* routes.h - every path of the main port, and the handlers behind them */
#ifndef CMD_MAILSERVER_SERVER_ROUTES_H
#define CMD_MAILSERVER_SERVER_ROUTES_H

#include "middleware/request.h"

extern const struct route routes[]; /* ends with a route whose pattern is NULL */

typedef void route_handler_fn(struct request *r);

route_handler_fn inbound_post, inbound_relay_post, email_get, email_raw_get, email_part_get,
	health_get, health_live_get, health_ready_get, counters_get;

#endif
