/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/upkeep.h"
#include "cmd/mailserver/server/server.h"
#include "lib/ids.h"
#include "lib/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { PERIOD_MS = 3600000, RETRY_MS = 60000, STOP_WAIT_MS = 1000, MS_PER_S = 1000 };

struct retention {
	struct arena *arena;
	struct storage_retention keep;
};

struct upkeep {
	struct upkeep_settings set;
	pthread_t thread;
	atomic_bool stop; /* the turn under way */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool leaving, wanted, ended;
	struct retention next; /* without an arena: no news */

	/* The thread's. */
	struct retention now;
	unsigned turns;
	char *told,
		*warned; /* what went wrong in the last turn, and was logged: failures, the rest */
	bool warns;      /* in this turn */
};

static struct retention retention_of(const struct config *config)
{
	struct arena *arena = arena_new();

	return (struct retention){ arena, server_retention(config, arena) };
}

/* --- what is logged --- */

/* Whether it was not the last that was said. */
static bool is_news(char **last, const char *text)
{
	if (*last != NULL && strcmp(*last, text) == 0)
		return false;
	free(*last);
	*last = strdup(text);
	return true;
}

/* The driver's log, while it has the turn. */
static void on_log(void *data, enum storage_log_level level, const char *message)
{
	struct upkeep *u = data;
	const struct storage_settings *storage = &u->set.storage;

	u->warns |= level != STORAGE_LOG_INFO;
	if (storage->log != NULL && (level == STORAGE_LOG_INFO || is_news(&u->warned, message)))
		storage->log(storage->log_data, level, message);
}

static void tell_error(struct upkeep *u, const char *error)
{
	if (is_news(&u->told, error))
		log_say(LOG_WARNING, "upkeep of the database: %s; trying again", error);
}

static void forget(char **last)
{
	free(*last);
	*last = NULL;
}

static void tell_well(struct upkeep *u)
{
	if (u->told != NULL)
		log_say(LOG_INFO, "upkeep of the database: works again");
	forget(&u->told);
}

static void tell_purged(const struct upkeep *u, const struct storage_purged *purged)
{
	if (purged->messages > 0 || purged->keys > 0)
		log_say(LOG_INFO,
			"upkeep of the database: %" PRIu64 " messages and %" PRIu64
			" dedup keys were past their time, and are deleted",
			purged->messages, purged->keys);
	if (u->set.purged != NULL)
		u->set.purged(u->set.purged_data, purged);
}

/* --- a turn --- */

static bool migrate(struct upkeep *u, const struct storage_settings *storage, char **error_r)
{
	unsigned applied = 0;

	if (!u->set.migrate || u->turns == 1)
		return true;
	return storage_migrate(storage, &applied, error_r) == STORAGE_MIGRATED;
}

static bool purge(struct upkeep *u, const struct storage_settings *storage, char **error_r)
{
	struct storage_purged purged;
	enum storage_result result = storage_purge(
		storage, &u->now.keep, now_us(), &u->stop, &purged, error_r);

	tell_purged(u, &purged);
	return result == STORAGE_OK;
}

/* False when it failed. */
static bool do_turn(struct upkeep *u)
{
	struct storage_settings storage = u->set.storage;
	char *error = NULL;

	storage.log = on_log;
	storage.log_data = u;
	u->turns++;
	u->warns = false;
	bool ok = migrate(u, &storage, &error) && purge(u, &storage, &error);
	if (ok)
		tell_well(u);
	else
		tell_error(u, error);
	if (!u->warns)
		forget(&u->warned);
	free(error);
	return ok;
}

/* --- and the next one --- */

static struct timespec after_ms(uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / MS_PER_S);
	until.tv_nsec += (long)(ms % MS_PER_S) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

/* The lock is held. From half a period to one and a half. */
static void wait_for_turn(struct upkeep *u, bool went_well)
{
	uint64_t period_ms = went_well ? u->set.period_ms : u->set.retry_ms;
	struct timespec until;
	uint16_t random;

	random_bytes(&random, sizeof(random));
	until = after_ms(period_ms / 2 + period_ms * random / UINT16_MAX);
	while (!u->leaving && !u->wanted)
		if (u->turns == 0)
			pthread_cond_wait(&u->changed, &u->lock);
		else if (pthread_cond_timedwait(&u->changed, &u->lock, &until) == ETIMEDOUT)
			return;
}

/* The lock is held. */
static void begin_turn(struct upkeep *u)
{
	u->wanted = false;
	atomic_store(&u->stop, false);
	if (u->next.arena == NULL)
		return;
	arena_free(&u->now.arena);
	u->now = u->next;
	u->next.arena = NULL;
}

static void *upkeep_main(void *arg)
{
	struct upkeep *u = arg;
	bool went_well = true;

	pthread_mutex_lock(&u->lock);
	for (wait_for_turn(u, true); !u->leaving; wait_for_turn(u, went_well)) {
		begin_turn(u);
		pthread_mutex_unlock(&u->lock);
		went_well = do_turn(u);
		pthread_mutex_lock(&u->lock);
	}
	u->ended = true;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* --- its life --- */

static void upkeep_free(struct upkeep *u)
{
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	arena_free(&u->now.arena);
	arena_free(&u->next.arena);
	free(u->told);
	free(u->warned);
	free(u);
}

struct upkeep *upkeep_start(const struct upkeep_settings *set, const struct config *config)
{
	struct upkeep *u = h2o_mem_alloc(sizeof(*u));
	pthread_condattr_t monotonic;

	*u = (struct upkeep){ .set = *set, .now = retention_of(config) };
	if (u->set.period_ms == 0)
		u->set.period_ms = PERIOD_MS;
	if (u->set.retry_ms == 0)
		u->set.retry_ms = RETRY_MS;
	pthread_mutex_init(&u->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&u->changed, &monotonic);
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
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

void upkeep_reload(struct upkeep *u, const struct config *config)
{
	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	arena_free(&u->next.arena);
	u->next = retention_of(config);
	atomic_store(&u->stop, true);
	pthread_mutex_unlock(&u->lock);
}

void upkeep_leave(struct upkeep *u)
{
	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	u->leaving = true;
	atomic_store(&u->stop, true);
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

bool upkeep_stop(struct upkeep **upkeep)
{
	struct upkeep *u = *upkeep;
	struct timespec until = after_ms(STOP_WAIT_MS);

	*upkeep = NULL;
	if (u == NULL)
		return true;
	upkeep_leave(u);
	pthread_mutex_lock(&u->lock);
	while (!u->ended && pthread_cond_timedwait(&u->changed, &u->lock, &until) != ETIMEDOUT)
		;
	bool ended = u->ended;
	pthread_mutex_unlock(&u->lock);
	if (!ended) {
		pthread_detach(u->thread);
		return false;
	}
	pthread_join(u->thread, NULL);
	upkeep_free(u);
	return true;
}
