/* SPDX-License-Identifier: MIT */
/* worker.h - one thread with one loop: it accepts, reads, answers; nothing on it is shared */
#ifndef CMD_MAILSERVER_SERVER_WORKER_H
#define CMD_MAILSERVER_SERVER_WORKER_H

#include "cmd/mailserver/server/server.h"
#include "cmd/mailserver/server/spool.h"
#include "middleware/request.h"

/* What the database last said to a health check. */
struct worker_ping {
	int64_t at_us, took_us;
	bool is_up;
};

struct policy;

#define WORKER_LEFT UINT64_MAX

struct worker {
	h2o_context_t http;
	struct server *server;
	unsigned index;
	sem_t opened;           /* posted by the thread: all is set up, or `error` says why not */
	sem_t released, closed; /* from worker_close to the thread, and back */
	char *error;
	struct loop *loop;
	struct storage *storage;
	struct quota *quota;
	struct metrics_shard *shard; /* NULL: nothing is counted */
	h2o_accept_ctx_t accept;
	h2o_socket_t **listeners;
	unsigned listener_count;
	bool accepting;
	h2o_linklist_t connections; /* struct connection */
	unsigned connection_count;
	struct spool spool;
	struct loop_timer sweep;
	struct policy *policy;       /* in force; replaced by what a reload posts */
	struct loop_mailbox control; /* the main thread posts these two there, once each */
	struct loop_mail accept_mail, drain_mail;
	struct loop_mailbox parsed; /* answers of the parse pool */
	h2o_timeout_t handler_timeout;
	h2o_timeout_t write_timeout; /* for one piece of an answer that is sent in pieces */
	struct worker_ping last_ping;
	int64_t full_at_us; /* when a message found the disk full, and none has been kept since; or 0 */
	bool draining;
	uint64_t draining_since_ms;
	/* Written by this thread, read by all. */
	atomic_uint_fast64_t emails, bytes, active_requests;
	atomic_int_fast64_t last_received_us;
	atomic_uint_fast64_t sweeps; /* grows while the loop turns; WORKER_LEFT once it has ended */
};

/* The main thread calls these. worker_open starts the thread and waits until it has set itself up;
 * -1 with `*error_r` (free() it) when it could not. It takes over the policy in either case. */
int worker_open(struct worker *w, struct server *server, unsigned index, struct policy *policy,
	char **error_r);
void worker_accept(struct worker *w); /* from now on, take connections */
/* From now on, this policy, which it takes over; server->reloaded is posted when it is in force. Not
 * after worker_drain(). */
void worker_reload(struct worker *w, struct policy *policy);
/* Stop accepting, finish what is in flight, close the store; server->running_workers then counts one
 * less. */
void worker_drain(struct worker *w);
/* After that, and when nobody is left who sends mail to its loop: waits until all is let go of. */
void worker_close(struct worker *w);

/* The worker that a request is on. */
struct worker *worker_of(const struct request *r);
/* What the chain of a worker's context goes by now. */
const struct chain_live *worker_live(const h2o_context_t *http);

#endif
