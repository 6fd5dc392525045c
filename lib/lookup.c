/* SPDX-License-Identifier: MIT */
#include "lib/lookup.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct host {
	char *name;
	struct addrinfo *found;
	int error; /* getaddrinfo's */
};

struct lookup {
	atomic_uint owners; /* the loop's side and the thread */
	int finished;       /* an eventfd */
	struct host *hosts;
	unsigned count;

	struct loop_fd *watch; /* this and below: the loop's side alone */
	void (*done)(void *data);
	void *data;
};

static void release(struct lookup *lookup)
{
	if (atomic_fetch_sub(&lookup->owners, 1) > 1)
		return;
	for (unsigned i = 0; i < lookup->count; i++) {
		free(lookup->hosts[i].name);
		if (lookup->hosts[i].found != NULL)
			freeaddrinfo(lookup->hosts[i].found);
	}
	close(lookup->finished);
	free(lookup->hosts);
	free(lookup);
}

static void *lookup_main(void *data)
{
	struct lookup *lookup = data;
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

	for (unsigned i = 0; i < lookup->count; i++) {
		struct host *host = &lookup->hosts[i];
		if (host->name[0] != '\0')
			host->error = getaddrinfo(host->name, NULL, &hints, &host->found);
	}
	eventfd_write(lookup->finished, 1);
	release(lookup);
	return NULL;
}

/* Signals are the program's, not this thread's. */
static bool start_thread(struct lookup *lookup)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&thread, &attr, lookup_main, lookup);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return error == 0;
}

static void on_finished(void *data, unsigned ready)
{
	struct lookup *lookup = data;

	loop_fd_close(&lookup->watch);
	lookup->done(lookup->data);
}

struct lookup *lookup_begin(struct loop *loop, const struct slice *names, unsigned count,
	void (*done)(void *data), void *data)
{
	int finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (finished == -1)
		return NULL;
	struct lookup *lookup = h2o_mem_alloc(sizeof(*lookup));
	*lookup = (struct lookup){
		.owners = 2,
		.finished = finished,
		.hosts = h2o_mem_alloc(count * sizeof(lookup->hosts[0])),
		.count = count,
		.done = done,
		.data = data,
	};
	for (unsigned i = 0; i < count; i++)
		lookup->hosts[i] = (struct host){ .name = strndup(names[i].base, names[i].len) };
	lookup->watch = loop_fd_open(loop, finished, on_finished, lookup);
	if (lookup->watch == NULL || !start_thread(lookup)) {
		loop_fd_close(&lookup->watch);
		lookup->owners = 1;
		release(lookup);
		return NULL;
	}
	loop_fd_want(lookup->watch, LOOP_READ);
	return lookup;
}

void lookup_end(struct lookup **lookup)
{
	if (*lookup == NULL)
		return;
	loop_fd_close(&(*lookup)->watch);
	release(*lookup);
	*lookup = NULL;
}

const struct addrinfo *lookup_found(const struct lookup *lookup, unsigned i)
{
	return lookup->hosts[i].found;
}

const char *lookup_error(const struct lookup *lookup, unsigned i)
{
	return lookup->hosts[i].error != 0 ? gai_strerror(lookup->hosts[i].error) : "";
}
