/* SPDX-License-Identifier: MIT */
#include "tests/unit/relay.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PAIRS = 16, LOOK_AGAIN_MS = 10 };

struct pair {
	int client, server;
};

struct relay {
	pthread_t thread;
	int listener;
	unsigned port;
	struct sockaddr_storage server;
	socklen_t server_len;
	struct pair pairs[MAX_PAIRS]; /* the thread's own */
	unsigned count;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool mute, stall, cut, stop;
	unsigned taken; /* counts how often the thread has taken its orders */
};

struct orders {
	bool mute, stall, cut, stop;
};

int listen_somewhere(unsigned *port_r)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, MAX_PAIRS), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port_r = ntohs(at.sin_port);
	return fd;
}

static void close_pair(struct relay *r, unsigned i)
{
	close(r->pairs[i].client);
	close(r->pairs[i].server);
	r->pairs[i] = r->pairs[--r->count];
}

static void accept_pair(struct relay *r)
{
	struct pair pair = { accept(r->listener, NULL, NULL),
		socket(r->server.ss_family, SOCK_STREAM, 0) };
	bool up = connect(pair.server, (struct sockaddr *)&r->server, r->server_len) == 0;

	r->pairs[r->count++] = pair;
	if (!up || r->count == MAX_PAIRS)
		close_pair(r, r->count - 1);
}

/* False when that direction is at its end. */
static bool carry(int from, int to, bool swallow)
{
	char bytes[65536];
	ssize_t n = read(from, bytes, sizeof(bytes)), sent = 0;

	while (!swallow && sent < n) {
		ssize_t more = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL);
		if (more <= 0)
			return false;
		sent += more;
	}
	return n > 0;
}

static void carry_all(struct relay *r, const struct orders *orders)
{
	struct pollfd fds[2 * MAX_PAIRS + 1];
	unsigned count = r->count;

	for (unsigned i = 0; i < count; i++) {
		fds[2 * i] = (struct pollfd){ orders->stall ? -1 : r->pairs[i].client, POLLIN, 0 };
		fds[2 * i + 1] = (struct pollfd){ r->pairs[i].server, POLLIN, 0 };
	}
	fds[2 * count] = (struct pollfd){ r->listener, POLLIN, 0 };
	poll(fds, 2 * count + 1, LOOK_AGAIN_MS);
	for (unsigned i = count; i-- > 0;) {
		struct pair *pair = &r->pairs[i];
		if ((fds[2 * i].revents != 0 && !carry(pair->client, pair->server, false)) ||
			(fds[2 * i + 1].revents != 0 &&
				!carry(pair->server, pair->client, orders->mute)))
			close_pair(r, i);
	}
	if (fds[2 * count].revents != 0)
		accept_pair(r);
}

static struct orders take_orders(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	struct orders orders = { r->mute, r->stall, r->cut, r->stop };
	while (r->count > 0 && (r->cut || r->stop))
		close_pair(r, 0);
	r->cut = false;
	r->taken++;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return orders;
}

static void *relay_main(void *data)
{
	struct orders orders;

	while (!(orders = take_orders(data)).stop)
		carry_all(data, &orders);
	return NULL;
}

struct relay *relay_begin(const struct sockaddr *server, socklen_t len)
{
	struct relay *r = calloc(1, sizeof(*r));

	ck_assert_uint_le(len, sizeof(r->server));
	memcpy(&r->server, server, len);
	r->server_len = len;
	r->listener = listen_somewhere(&r->port);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, relay_main, r), 0);
	return r;
}

/* Once it returns, nothing happens by the old order any more. */
static void order(struct relay *r, bool *what, bool value)
{
	pthread_mutex_lock(&r->lock);
	unsigned before = r->taken;
	*what = value;
	while (r->taken == before)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

void relay_end(struct relay **relay)
{
	struct relay *r = *relay;

	if (r == NULL)
		return;
	order(r, &r->stop, true);
	pthread_join(r->thread, NULL);
	close(r->listener);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
	*relay = NULL;
}

unsigned relay_port(const struct relay *relay)
{
	return relay->port;
}

void relay_mute(struct relay *relay, bool mute)
{
	order(relay, &relay->mute, mute);
}

void relay_stall(struct relay *relay, bool stall)
{
	order(relay, &relay->stall, stall);
}

void relay_cut(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->cut = true;
	while (relay->cut)
		pthread_cond_wait(&relay->changed, &relay->lock);
	pthread_mutex_unlock(&relay->lock);
}
