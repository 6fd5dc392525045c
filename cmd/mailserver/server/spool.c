/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/spool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_CAPACITY = 8 };

void spool_init(struct spool *s)
{
	*s = (struct spool){ .has_thread = false };
}

static void close_files(struct spool_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		close(files->fds[i]);
	files->count = 0;
}

static void end_thread(struct spool *s)
{
	if (s->has_thread)
		pthread_join(s->thread, NULL);
	s->has_thread = false;
}

void spool_deinit(struct spool *s)
{
	end_thread(s);
	close_files(&s->released);
	free(s->released.fds);
	free(s->closing.fds);
}

void spool_hold(const h2o_socket_t *sock, int *fd)
{
	const h2o_buffer_t *input = sock->input;

	/* An empty buffer is h2o's prototype, which has no file, and says 0. */
	if (*fd == -1 && input->bytes != NULL && input->_fd != -1)
		*fd = fcntl(input->_fd, F_DUPFD_CLOEXEC, 0);
}

void spool_release(struct spool *s, int *fd)
{
	struct spool_files *files = &s->released;

	if (*fd == -1)
		return;
	if (files->count == files->capacity) {
		files->capacity = files->capacity > 0 ? 2 * files->capacity : FIRST_CAPACITY;
		files->fds = h2o_mem_realloc(files->fds, files->capacity * sizeof(files->fds[0]));
	}
	files->fds[files->count++] = *fd;
	*fd = -1;
}

static void *close_main(void *arg)
{
	struct spool *s = arg;

	close_files(&s->closing);
	atomic_store(&s->has_closed, true);
	return NULL;
}

/* Signals are the program's, not this thread's. */
static bool start_thread(struct spool *s)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&s->thread, NULL, close_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error == 0;
}

void spool_sweep(struct spool *s)
{
	if (s->has_thread && !atomic_load(&s->has_closed))
		return;
	end_thread(s);
	if (s->released.count == 0)
		return;
	struct spool_files empty = s->closing;
	s->closing = s->released;
	s->released = empty;
	atomic_store(&s->has_closed, false);
	s->has_thread = start_thread(s);
	if (!s->has_thread)
		close_files(&s->closing);
}
