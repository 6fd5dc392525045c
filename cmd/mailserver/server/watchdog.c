/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/watchdog.h"
#include "cmd/mailserver/server/notify.h"
#include "cmd/mailserver/server/worker.h"
#include "lib/ids.h"
#include "lib/log.h"

#include <stdlib.h>

struct watchdog watchdog_new(void)
{
	/* Twice as often as systemd wants it, as sd_watchdog_enabled(3) advises. */
	return (struct watchdog){ .every_us = notify_watchdog_us() / 2 };
}

void watchdog_free(struct watchdog *w)
{
	free(w->seen);
	w->seen = NULL;
}

bool watchdog_all_turn(struct watchdog *w, const struct server *s)
{
	size_t bytes = s->worker_count * sizeof(*w->seen);
	bool well = true;

	if (w->seen == NULL) {
		w->seen = h2o_mem_alloc(bytes);
		memset(w->seen, 0xff,
			bytes); /* no count of sweeps: the first look finds all well */
	}
	for (unsigned i = 0; i < s->worker_count; i++) {
		uint64_t sweeps = atomic_load_explicit(&s->workers[i].sweeps, memory_order_relaxed);
		if (sweeps == w->seen[i] && sweeps != WORKER_LEFT) {
			log_say(LOG_ERROR, "worker %u hangs", i);
			well = false;
		}
		w->seen[i] = sweeps;
	}
	return well;
}

int64_t watchdog_look(struct watchdog *w, const struct server *s)
{
	int64_t now = monotonic_us();

	if (w->every_us == 0)
		return INT64_MAX;
	if (now >= w->next_us) {
		if (watchdog_all_turn(w, s))
			notify_watchdog();
		w->next_us = now + w->every_us;
	}
	return w->next_us;
}
