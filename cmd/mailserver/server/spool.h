/* SPDX-License-Identifier: MIT */
/* spool.h - lets go of the files that large bodies were read into
 *
 * h2o maps such a file, and lets go of it on the loop. The kernel then frees its blocks, which may
 * wait for the disk: tens of milliseconds for all connections of a worker. So the file is held open
 * until h2o is done with it, and closed on a thread, which is there only while it is needed.
 *
 * Threads    All of it is called on the worker's. */
#ifndef CMD_MAILSERVER_SERVER_SPOOL_H
#define CMD_MAILSERVER_SERVER_SPOOL_H

#include <h2o.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct spool_files {
	int *fds;
	size_t count, capacity;
};

struct spool {
	struct spool_files released, closing;
	pthread_t thread;
	bool has_thread;
	atomic_bool has_closed; /* the thread will not touch `closing` any more */
};

void spool_init(struct spool *s);
/* Waits until all are closed. */
void spool_deinit(struct spool *s);

/* Holds what a socket's input lies in, if that is a file and `*fd` is -1. */
void spool_hold(const h2o_socket_t *sock, int *fd);
/* Takes the held file (or -1) over, and sets `*fd` to -1. h2o may still be using it until the loop's
 * next round. */
void spool_release(struct spool *s, int *fd);
/* To be called a few times a second, not while h2o handles a request. */
void spool_sweep(struct spool *s);

#endif
