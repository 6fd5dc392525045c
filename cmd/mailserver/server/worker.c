/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/worker.h"
#include "cmd/mailserver/server/connection.h"
#include "cmd/mailserver/server/server_metrics.h"
#include "cmd/mailserver/server/policy.h"
#include "lib/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { SWEEP_MS = 250, SWEEP_DRAINING_MS = 20, MAX_ACCEPTS_PER_EVENT = 16 };

struct worker *worker_of(const struct request *r)
{
	return H2O_STRUCT_FROM_MEMBER(struct worker, http, r->h2o->conn->ctx);
}

const struct chain_live *worker_live(const h2o_context_t *http)
{
	return &H2O_STRUCT_FROM_MEMBER(struct worker, http, http)->policy->live;
}

static void on_accept(h2o_socket_t *listener, const char *err);

/* A listener that is not read leaves its connections in the kernel's queue, where another worker or
 * a later moment finds them. */
static void set_accepting(struct worker *w, bool accepting)
{
	w->accepting = accepting;
	for (unsigned i = 0; i < w->listener_count; i++) {
		if (accepting)
			h2o_socket_read_start(w->listeners[i], on_accept);
		else
			h2o_socket_read_stop(w->listeners[i]);
	}
}

static bool has_room(const struct worker *w)
{
	const struct server *s = w->server;

	return atomic_load_explicit(&s->connections, memory_order_relaxed) <
	       s->config->max_connections;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
	struct worker *w = listener->data;

	for (int i = 0; i < MAX_ACCEPTS_PER_EVENT; i++) {
		if (!has_room(w)) {
			set_accepting(w, false); /* the sweep opens it again */
			return;
		}
		h2o_socket_t *sock = h2o_evloop_socket_accept(listener);
		if (sock == NULL) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
				errno == ENOMEM) {
				log_say(LOG_ERROR, "cannot accept connections: %s",
					strerror(errno));
				set_accepting(w, false);
			}
			return;
		}
		connection_open(w, sock);
	}
}

static void on_sweep(void *data)
{
	struct worker *w = data;

	atomic_fetch_add_explicit(&w->sweeps, 1, memory_order_relaxed);
	connections_sweep(w);
	spool_sweep(&w->spool);
	count_store(w);
	count_limiter(w);
	if (!w->draining && !w->accepting && has_room(w))
		set_accepting(w, true);
	loop_timer_start(&w->sweep, w->draining ? SWEEP_DRAINING_MS : SWEEP_MS);
}

static void close_listeners(struct worker *w)
{
	for (unsigned i = 0; i < w->listener_count; i++)
		h2o_socket_close(w->listeners[i]);
	w->listener_count = 0;
}

static void begin_drain(struct worker *w)
{
	w->draining = true;
	w->draining_since_ms = loop_now_ms(w->loop);
	/* Who is in the queue already was promised an answer by the kernel. */
	for (unsigned i = 0; i < w->listener_count; i++) {
		h2o_socket_t *sock;
		while ((sock = h2o_evloop_socket_accept(w->listeners[i])) != NULL)
			connection_open(w, sock);
	}
	close_listeners(w);
	loop_timer_start(&w->sweep, SWEEP_DRAINING_MS);
}

static void on_control(struct loop_mailbox *box, struct loop_mail *mail)
{
	struct worker *w = H2O_STRUCT_FROM_MEMBER(struct worker, control, box);

	if (mail == &w->accept_mail) {
		set_accepting(w, true);
		loop_timer_start(&w->sweep, SWEEP_MS);
	} else if (mail == &w->drain_mail) {
		begin_drain(w);
	} else {
		/* Who is at work keeps what it needs of the old one by references. */
		policy_free(&w->policy);
		w->policy = H2O_STRUCT_FROM_MEMBER(struct policy, mail, mail);
		sem_post(&w->server->reloaded);
	}
}

static void open_listeners(struct worker *w)
{
	int *fds = listen_row(&w->server->listen, w->index);

	w->listener_count = w->server->listen.per_worker;
	w->listeners = h2o_mem_alloc(sizeof(*w->listeners) * w->listener_count);
	for (unsigned i = 0; i < w->listener_count; i++) {
		w->listeners[i] = h2o_evloop_socket_create(
			loop_h2o(w->loop), fds[i], H2O_SOCKET_FLAG_DONT_READ);
		w->listeners[i]->data = w;
		fds[i] = -1; /* the socket closes it */
	}
}

static int setup(struct worker *w)
{
	struct server *server = w->server;

	w->loop = loop_new();
	if (storage_open(&server->storage, w->loop, &w->storage, &w->error) != 0) {
		loop_free(&w->loop);
		return -1;
	}
	/* The database is ours: from here on the senders may come. */
	if (listen_begin(&server->listen, w->index, &w->error) != 0) {
		storage_close(&w->storage);
		loop_free(&w->loop);
		return -1;
	}
	w->quota = limits_open_quota(&server->limits, w);
	w->shard = server_metrics_shard(server->metrics);
	h2o_context_init(&w->http, loop_h2o(w->loop), &server->http);
	w->accept = (h2o_accept_ctx_t){ .ctx = &w->http, .hosts = server->http.hosts };
	h2o_linklist_init_anchor(&w->connections);
	spool_init(&w->spool);
	h2o_timeout_init(loop_h2o(w->loop), &w->handler_timeout,
		(uint64_t)server->config->handler_timeout * 1000);
	h2o_timeout_init(loop_h2o(w->loop), &w->write_timeout,
		(uint64_t)server->config->write_timeout * 1000);
	loop_timer_init(&w->sweep, w->loop, on_sweep, w);
	loop_mailbox_init(&w->control, w->loop, on_control);
	parse_mailbox_init(&w->parsed, w->loop);
	open_listeners(w);
	return 0;
}

/* Nobody holds a request any more, so the store is idle too. */
static void leave(struct worker *w)
{
	atomic_store(&w->sweeps, WORKER_LEFT);
	storage_close(&w->storage);
	quota_close(&w->quota);
	spool_deinit(&w->spool);
	count_store(w);
	close_listeners(w);
	atomic_fetch_sub(&w->server->running_workers, 1);
	pthread_kill(w->server->main_thread, SIGUSR1);
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) == -1 && errno == EINTR)
		;
}

static void teardown(struct worker *w)
{
	free(w->listeners);
	loop_mailbox_deinit(&w->parsed);
	loop_mailbox_deinit(&w->control);
	loop_timer_deinit(&w->sweep);
	h2o_timeout_dispose(loop_h2o(w->loop), &w->handler_timeout);
	h2o_timeout_dispose(loop_h2o(w->loop), &w->write_timeout);
	h2o_multithread_queue_t *queue = w->http.queue;
	h2o_context_dispose(&w->http);
	policy_free(&w->policy);
	free(queue); /* as in loop_free() */
	loop_free(&w->loop);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	bool is_set_up = setup(w) == 0;

	if (is_set_up)
		atomic_fetch_add(&w->server->running_workers, 1);
	sem_post(&w->opened);
	if (!is_set_up)
		return NULL;
	while (!(w->draining && w->connection_count == 0))
		loop_run(w->loop, 1000);
	leave(w);
	/* A thread that has just sent mail may still be about to wake the loop: it must stay until
	 * the last such thread has ended. */
	wait_for(&w->released);
	teardown(w);
	sem_post(&w->closed); /* from here on, w may be gone */
	/* h2o keeps what it recycles in the thread's own memory and cannot let go of it. The thread
	 * stays until the process ends, so that a leak checker sees who holds it. */
	for (;;)
		pause();
}

int worker_open(struct worker *w, struct server *server, unsigned index, struct policy *policy,
	char **error_r)
{
	*w = (struct worker){ .server = server, .index = index, .policy = policy };
	sem_init(&w->opened, 0, 0);
	sem_init(&w->released, 0, 0);
	sem_init(&w->closed, 0, 0);
	pthread_t thread;
	h2o_multithread_create_thread(&thread, NULL, worker_main, w);
	pthread_detach(thread);
	wait_for(&w->opened);
	*error_r = w->error;
	if (w->error == NULL)
		return 0;
	policy_free(&w->policy);
	return -1;
}

void worker_accept(struct worker *w)
{
	loop_post(&w->control, &w->accept_mail);
}

void worker_reload(struct worker *w, struct policy *policy)
{
	loop_post(&w->control, &policy->mail);
}

void worker_drain(struct worker *w)
{
	loop_post(&w->control, &w->drain_mail);
}

void worker_close(struct worker *w)
{
	sem_post(&w->released);
	wait_for(&w->closed);
	sem_destroy(&w->opened);
	sem_destroy(&w->released);
	sem_destroy(&w->closed);
}
