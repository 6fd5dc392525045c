/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/routes.h"

const struct route routes[] = {
	{ "POST", "/mail/inbound", SCOPE_INGEST, inbound_post },
	{ "POST", "/email", SCOPE_INGEST, inbound_post },
	{ "POST", "/rails/action_mailbox/relay/inbound_emails", SCOPE_INGEST | SCOPE_BY_BASIC,
		inbound_relay_post },
	{ "GET", "/api/emails/{id}", SCOPE_READ, email_get },
	{ "GET", "/api/emails/{id}/raw", SCOPE_READ, email_raw_get },
	{ "GET", "/api/emails/{id}/parts/{n}", SCOPE_READ, email_part_get },
	{ "GET", "/health", SCOPE_NONE, health_get },
	{ "GET", "/health/live", SCOPE_NONE, health_live_get },
	{ "GET", "/health/ready", SCOPE_NONE, health_ready_get },
	{ "GET", "/metrics", SCOPE_NONE, counters_get },
	{ .pattern = NULL },
};
