/* SPDX-License-Identifier: MIT */
#include "lib/redis/link.h"
#include "lib/backoff.h"
#include "lib/ids.h"
#include "lib/lookup.h"

#include <arpa/inet.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CONNECT_MS = 2000, /* looking the name up included */
	HEARTBEAT_MS = 1000,
	MAX_REASON_BYTES = 256,
	MAX_ADDRESS_BYTES = 64,
};

enum state {
	DOWN,       /* waits for its timer to try again */
	CONNECTING, /* looks up the name, then hiredis is at it */
	GREETING,   /* has sent its password, its database and a ping */
	UP,
};

enum { GREETINGS = 3 };

struct redis_link {
	struct redis_link_settings set;
	enum state state;
	struct lookup *lookup;
	redisAsyncContext *redis; /* NULL unless connecting or connected */
	struct loop_fd *watch;
	bool wants_read, wants_write;
	struct loop_timer timer; /* DOWN: the next attempt; UP: the next heartbeat; else: the end */
	unsigned failures;       /* since it was last of use */
	struct redis_command greetings[GREETINGS], heartbeat;
	unsigned greetings_due;
	bool heart_asked; /* and has not answered */
	int64_t latency_us;
	char told[MAX_REASON_BYTES]; /* why it is down, as its user was told last */
};

static void tell(struct redis_link *link, bool was_up, const char *reason)
{
	bool up = link->state == UP;

	if (up == was_up && (up || link->state != DOWN || strcmp(link->told, reason) == 0))
		return;
	snprintf(link->told, sizeof(link->told), "%s", up ? "" : reason);
	link->set.changed(link->set.data, up, up ? NULL : link->told);
}

/* The one place where a link's state changes. `reason` is for DOWN. */
static void set_state(struct redis_link *link, enum state state, const char *reason)
{
	bool was_up = link->state == UP;

	link->state = state;
	switch (state) {
	case DOWN:
		link->failures++;
		loop_timer_start(&link->timer, backoff_ms(link->failures - 1));
		link->set.failed(link->set.data);
		break;
	case CONNECTING:
		loop_timer_start(&link->timer, CONNECT_MS);
		break;
	case GREETING:
		loop_timer_start(&link->timer, link->set.timeout_ms);
		break;
	case UP:
		link->heart_asked = false;
		loop_timer_start(&link->timer, HEARTBEAT_MS);
		break;
	}
	tell(link, was_up, reason);
}

/* hiredis is letting go of the connection, or was just told to. */
static void went_down(struct redis_link *link, const char *reason)
{
	link->redis = NULL;
	lookup_end(&link->lookup);
	set_state(link, DOWN, reason);
}

void redis_link_drop(struct redis_link *link, const char *reason)
{
	redisAsyncContext *redis = link->redis;

	if (link->state == DOWN)
		return;
	went_down(link, reason);
	if (redis != NULL)
		redisAsyncFree(redis);
}

void redis_link_proved(struct redis_link *link)
{
	link->failures = 0;
}

bool redis_link_is_up(const struct redis_link *link)
{
	return link->state == UP;
}

int64_t redis_link_latency_us(const struct redis_link *link)
{
	return link->latency_us;
}

/* --- hiredis' five hooks, and readiness --- */

static void on_ready(void *data, unsigned ready)
{
	struct redis_link *link = data;

	/* hiredis may free itself in either, and close the watch with it. */
	if ((ready & LOOP_READ) != 0 && link->wants_read)
		redisAsyncHandleRead(link->redis);
	else if ((ready & LOOP_WRITE) != 0 && link->wants_write)
		redisAsyncHandleWrite(link->redis);
}

static void want(struct redis_link *link, bool read, bool write)
{
	link->wants_read = read;
	link->wants_write = write;
	loop_fd_want(link->watch, (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0));
}

static void add_read(void *data)
{
	struct redis_link *link = data;

	want(link, true, link->wants_write);
}

static void del_read(void *data)
{
	struct redis_link *link = data;

	want(link, false, link->wants_write);
}

static void add_write(void *data)
{
	struct redis_link *link = data;

	want(link, link->wants_read, true);
}

static void del_write(void *data)
{
	struct redis_link *link = data;

	want(link, link->wants_read, false);
}

static void cleanup(void *data)
{
	struct redis_link *link = data;

	link->wants_read = link->wants_write = false;
	loop_fd_close(&link->watch);
}

/* --- commands --- */

static void on_reply(redisAsyncContext *redis, void *reply, void *data)
{
	struct redis_command *command = data;
	struct redis_link *link = command->link;

	/* Down before anybody hears of it: whoever sends another command now must be refused. */
	if (reply == NULL && link->redis == redis)
		went_down(link, redis->errstr[0] != '\0' ? redis->errstr : "the link was closed");
	if (reply != NULL)
		link->latency_us = now_us() - command->sent_us;
	command->done(command, reply);
}

static bool send_command(struct redis_link *link, struct redis_command *command, int argc,
	const char *const *argv, const size_t *lengths)
{
	command->link = link;
	command->sent_us = now_us();
	return redisAsyncCommandArgv(link->redis, on_reply, command, argc, (const char **)argv,
		       lengths) == REDIS_OK;
}

bool redis_link_send(struct redis_link *link, struct redis_command *command, int argc,
	const char *const *argv, const size_t *lengths)
{
	return link->state == UP && send_command(link, command, argc, argv, lengths);
}

/* --- the heartbeat --- */

static void on_heartbeat(struct redis_command *command, const redisReply *reply)
{
	command->link->heart_asked = false;
}

static void beat(struct redis_link *link)
{
	static const char *const ping[] = { "PING" };

	if (link->heart_asked) {
		redis_link_drop(link, "no answer to a ping");
		return;
	}
	link->heart_asked = true;
	link->heartbeat.done = on_heartbeat;
	loop_timer_start(&link->timer, HEARTBEAT_MS);
	send_command(link, &link->heartbeat, 1, ping, NULL);
}

/* --- from nothing to up --- */

static void on_greeted(struct redis_command *command, const redisReply *reply)
{
	struct redis_link *link = command->link;

	if (reply == NULL || link->state != GREETING)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		redis_link_drop(link, reply->str);
	else if (--link->greetings_due == 0)
		set_state(link, UP, NULL);
}

static void say(struct redis_link *link, int argc, const char *const *argv)
{
	struct redis_command *command = &link->greetings[link->greetings_due++];

	command->done = on_greeted;
	send_command(link, command, argc, argv, NULL);
}

static void greet(struct redis_link *link)
{
	const struct redis_url *url = link->set.url;
	char db[16];

	set_state(link, GREETING, NULL);
	link->greetings_due = 0;
	if (url->user != NULL)
		say(link, 3, (const char *[]){ "AUTH", url->user, url->password });
	else if (url->password != NULL)
		say(link, 2, (const char *[]){ "AUTH", url->password });
	snprintf(db, sizeof(db), "%u", url->db);
	if (url->db != 0)
		say(link, 2, (const char *[]){ "SELECT", db });
	say(link, 1, (const char *[]){ "PING" });
}

static void on_connected(const redisAsyncContext *redis, int status)
{
	struct redis_link *link = redis->data;

	if (status == REDIS_OK)
		greet(link);
	else if (link->redis == redis)
		went_down(link, redis->errstr); /* hiredis frees it when this returns */
}

static void on_disconnected(const redisAsyncContext *redis, int status)
{
	struct redis_link *link = redis->data;

	if (link->redis == redis)
		went_down(link, status == REDIS_OK ? "the link was closed" : redis->errstr);
}

static void attach(struct redis_link *link, redisAsyncContext *redis)
{
	const char *fault = redis == NULL ? "no memory" : redis->err != 0 ? redis->errstr : NULL;

	if (fault == NULL) {
		link->watch = loop_fd_open(link->set.loop, redis->c.fd, on_ready, link);
		if (link->watch == NULL)
			fault = "this process has no descriptor left for it";
	}
	if (fault != NULL) {
		went_down(link, fault);
		if (redis != NULL)
			redisAsyncFree(redis);
		return;
	}
	link->redis = redis;
	redis->data = link;
	redis->ev.data = link;
	redis->ev.addRead = add_read;
	redis->ev.delRead = del_read;
	redis->ev.addWrite = add_write;
	redis->ev.delWrite = del_write;
	redis->ev.cleanup = cleanup;
	redisAsyncSetDisconnectCallback(redis, on_disconnected);
	redisAsyncSetConnectCallback(redis, on_connected); /* asks to write: it begins */
}

static void on_looked_up(void *data)
{
	struct redis_link *link = data;
	const struct addrinfo *first = lookup_found(link->lookup, 0), *a = first;
	char text[MAX_ADDRESS_BYTES];

	if (first == NULL) {
		went_down(link, lookup_error(link->lookup, 0));
		return;
	}
	/* With every attempt the next of its addresses. */
	for (unsigned i = 0; i < link->failures; i++)
		a = a->ai_next != NULL ? a->ai_next : first;
	getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
	lookup_end(&link->lookup);
	attach(link, redisAsyncConnect(text, link->set.url->port));
}

static bool is_address(const char *host)
{
	struct in6_addr ignored;

	return inet_pton(AF_INET, host, &ignored) == 1 || inet_pton(AF_INET6, host, &ignored) == 1;
}

static void connect_anew(struct redis_link *link)
{
	const struct redis_url *url = link->set.url;

	set_state(link, CONNECTING, NULL);
	if (url->path != NULL) {
		attach(link, redisAsyncConnectUnix(url->path));
	} else if (is_address(url->host)) {
		attach(link, redisAsyncConnect(url->host, url->port));
	} else {
		/* hiredis would look the name up on this thread, and wait for it. */
		struct slice name = slice_str(url->host);
		link->lookup = lookup_begin(link->set.loop, &name, 1, on_looked_up, link);
		if (link->lookup == NULL)
			went_down(link, "no thread to look up the host's name");
	}
}

static void on_timer(void *data)
{
	struct redis_link *link = data;

	switch (link->state) {
	case DOWN:
		connect_anew(link);
		break;
	case CONNECTING:
		redis_link_drop(link, "no connection in time");
		break;
	case GREETING:
		redis_link_drop(link, "no greeting within redis.timeout_ms");
		break;
	case UP:
		beat(link);
		break;
	}
}

struct redis_link *redis_link_open(const struct redis_link_settings *set)
{
	struct redis_link *link = h2o_mem_alloc(sizeof(*link));

	*link = (struct redis_link){ .set = *set, .state = DOWN };
	loop_timer_init(&link->timer, set->loop, on_timer, link);
	loop_timer_start(&link->timer, 1);
	return link;
}

void redis_link_close(struct redis_link **link)
{
	if (*link == NULL)
		return;
	redisAsyncContext *redis = (*link)->redis;

	(*link)->redis = NULL;
	(*link)->state = DOWN;
	lookup_end(&(*link)->lookup);
	if (redis != NULL)
		redisAsyncFree(redis);
	loop_timer_deinit(&(*link)->timer);
	free(*link);
	*link = NULL;
}
