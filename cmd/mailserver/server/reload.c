/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/reload.h"
#include "cmd/mailserver/server/notify.h"
#include "cmd/mailserver/server/policy.h"
#include "cmd/mailserver/server/upkeep.h"
#include "cmd/mailserver/server/worker.h"
#include "lib/log.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { ADOPT_S = 5 };

/* Every other key needs a restart. */
static const char *const reloadable[] = {
	"bearer_token",
	"bearer_token_file",
	"tokens",
	"trusted_proxies",
	"proxy_protocol",
	"rate_limit_per_minute",
	"rate_limit_burst",
	"limits.global_per_minute",
	"limits.in_flight_messages",
	"limits.in_flight_bytes",
	"retention.days",
	"retention.tenants",
	"retention.dedup_days",
	"tls.cert_file",
	"tls.key_file",
	"log.level",
	"log.format",
};

static void warn_of_restart(void *data, const char *key)
{
	for (size_t i = 0; i < sizeof(reloadable) / sizeof(reloadable[0]); i++)
		if (strcmp(reloadable[i], key) == 0)
			return;
	log_say(LOG_WARNING, "%s has changed: that takes effect at the next start", key);
}

static void log_findings(const struct config_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct config_finding *f = &findings->list[i];
		char *text = config_finding_format(f);
		log_say(f->severity == CONFIG_ERROR ? LOG_ERROR : LOG_WARNING, "%s", text);
		free(text);
	}
}

/* A loop takes it at its next turn. One that hangs must not make the main thread hang too. */
static void wait_for_workers(struct server *s)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += ADOPT_S;
	for (unsigned i = 0; i < s->worker_count; i++) {
		while (sem_timedwait(&s->reloaded, &deadline) == -1) {
			if (errno == EINTR)
				continue;
			log_say(LOG_WARNING, "a worker is busy: it follows when it can");
			return;
		}
	}
}

/* False when nothing was changed. */
static bool adopt(struct server *s, const struct config *config)
{
	char *error = NULL;
	SSL_CTX *tls;

	if (policy_tls(config, &tls, &error) != 0) {
		log_say(LOG_ERROR, "%s", error);
		free(error);
		return false;
	}
	server_setup_log(config);
	upkeep_reload(s->upkeep, config);
	atomic_store(&s->in_flight.max_messages, config->limits.in_flight_messages);
	atomic_store(&s->in_flight.max_bytes, config->limits.in_flight_bytes);
	while (sem_trywait(&s->reloaded) == 0)
		; /* of a worker that was late the last time */
	for (unsigned i = 0; i < s->worker_count; i++)
		worker_reload(&s->workers[i], policy_new(config, tls));
	SSL_CTX_free(tls);
	wait_for_workers(s);
	return true;
}

void server_reload(struct server *s)
{
	struct config_result *fresh;
	const struct config *config;

	notify_reloading();
	fresh = config_load(s->request);
	config = config_result_config(fresh);
	log_findings(config_result_findings(fresh));
	if (config != NULL && adopt(s, config)) {
		config_result_compare(s->loaded, fresh, warn_of_restart, NULL);
		log_say(LOG_INFO, "the configuration was reloaded");
	} else {
		log_say(LOG_ERROR, "the configuration is not usable: nothing was changed");
	}
	config_result_free(&fresh);
	notify_ready();
}
