/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/upkeep.h"
#include "lib/ids.h"
#include "lib/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { PERIOD_S = 3600 };

struct upkeep {
	const struct storage_settings *set;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t woken;
	bool stopping, at_work, wanted;
	char *told; /* what went wrong the last time, and was logged */
};

static void tell(struct upkeep *u, char *error)
{
	if (error != NULL && (u->told == NULL || strcmp(u->told, error) != 0))
		log_say(LOG_WARNING, "upkeep of the database: %s; trying again in an hour", error);
	free(u->told);
	u->told = error;
}

static void do_turn(struct upkeep *u)
{
	unsigned applied = 0;
	char *error = NULL;

	storage_migrate(u->set, &applied, &error);
	tell(u, error);
}

/* The lock is held. From half a period to one and a half. */
static void wait_a_period(struct upkeep *u)
{
	struct timespec until;
	uint16_t random;

	random_bytes(&random, sizeof(random));
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PERIOD_S / 2 + (time_t)PERIOD_S * random / UINT16_MAX;
	while (!u->stopping && !u->wanted &&
		pthread_cond_timedwait(&u->woken, &u->lock, &until) != ETIMEDOUT)
		;
	u->wanted = false;
}

static void *upkeep_main(void *arg)
{
	struct upkeep *u = arg;

	pthread_mutex_lock(&u->lock);
	for (;;) {
		wait_a_period(u);
		if (u->stopping)
			break;
		u->at_work = true;
		pthread_mutex_unlock(&u->lock);
		do_turn(u);
		pthread_mutex_lock(&u->lock);
		u->at_work = false;
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

static void upkeep_free(struct upkeep *u)
{
	pthread_cond_destroy(&u->woken);
	pthread_mutex_destroy(&u->lock);
	free(u->told);
	free(u);
}

struct upkeep *upkeep_start(const struct storage_settings *set)
{
	struct upkeep *u = calloc(1, sizeof(*u));
	pthread_condattr_t monotonic;

	if (u == NULL)
		abort();
	u->set = set;
	pthread_mutex_init(&u->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&u->woken, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&u->thread, NULL, upkeep_main, u) == 0)
		return u;
	upkeep_free(u);
	return NULL;
}

void upkeep_wake(struct upkeep *u)
{
	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	u->wanted = true;
	pthread_cond_signal(&u->woken);
	pthread_mutex_unlock(&u->lock);
}

bool upkeep_stop(struct upkeep **upkeep)
{
	struct upkeep *u = *upkeep;

	*upkeep = NULL;
	if (u == NULL)
		return true;
	pthread_mutex_lock(&u->lock);
	bool was_at_work = u->at_work;
	u->stopping = true;
	pthread_cond_signal(&u->woken);
	pthread_mutex_unlock(&u->lock);
	if (was_at_work) {
		pthread_detach(u->thread);
		return false;
	}
	pthread_join(u->thread, NULL);
	upkeep_free(u);
	return true;
}
