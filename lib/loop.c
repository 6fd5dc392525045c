/* SPDX-License-Identifier: MIT */
#include "lib/loop.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct loop {
	h2o_loop_t *h2o;
	h2o_multithread_queue_t *queue;
};

struct loop *loop_new(void)
{
	struct loop *loop = h2o_mem_alloc(sizeof(*loop));

	loop->h2o = h2o_evloop_create();
	loop->queue = h2o_multithread_create_queue(loop->h2o);
	return loop;
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	h2o_multithread_queue_t *queue = (*loop)->queue;
	h2o_multithread_destroy_queue(queue);
	free(queue); /* h2o leaves that to its caller on this kind of loop */
	/* One round, so that what was closed is let go of. */
	h2o_evloop_run((*loop)->h2o, 0);
	h2o_evloop_destroy((*loop)->h2o);
	free(*loop);
	*loop = NULL;
}

h2o_loop_t *loop_h2o(struct loop *loop)
{
	return loop->h2o;
}

void loop_run(struct loop *loop, int32_t max_wait_ms)
{
	/* -1 is an interrupted wait: the caller comes round again. */
	h2o_evloop_run(loop->h2o, max_wait_ms);
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return h2o_now(loop->h2o);
}

static void on_timer(h2o_timeout_entry_t *entry)
{
	struct loop_timer *t = H2O_STRUCT_FROM_MEMBER(struct loop_timer, entry, entry);

	t->cb(t->data);
}

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*cb)(void *data), void *data)
{
	*t = (struct loop_timer){ .loop = loop, .cb = cb, .data = data, .entry.cb = on_timer };
	h2o_timeout_init(loop->h2o, &t->list, 0);
}

void loop_timer_deinit(struct loop_timer *t)
{
	loop_timer_stop(t);
	h2o_timeout_dispose(t->loop->h2o, &t->list);
}

void loop_timer_start(struct loop_timer *t, uint64_t after_ms)
{
	loop_timer_stop(t);
	t->list.timeout = after_ms;
	h2o_timeout_link(t->loop->h2o, &t->list, &t->entry);
}

void loop_timer_stop(struct loop_timer *t)
{
	h2o_timeout_unlink(&t->entry);
}

bool loop_timer_is_running(const struct loop_timer *t)
{
	return h2o_timeout_is_linked((h2o_timeout_entry_t *)&t->entry);
}

struct loop_fd {
	h2o_socket_t *sock; /* NULL once closed */
	void (*cb)(void *data, unsigned ready);
	void *data;
};

static void on_readable(h2o_socket_t *sock, const char *err)
{
	struct loop_fd *w = sock->data;

	w->cb(w->data, LOOP_READ);
}

static void on_writable(h2o_socket_t *sock, const char *err)
{
	struct loop_fd *w = sock->data;

	w->cb(w->data, LOOP_WRITE);
}

struct loop_fd *loop_fd_open(
	struct loop *loop, int fd, void (*cb)(void *data, unsigned ready), void *data)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* h2o closes what it is given */

	if (copy == -1)
		return NULL;
	struct loop_fd *w = h2o_mem_alloc(sizeof(*w));
	*w = (struct loop_fd){ .cb = cb, .data = data };
	w->sock = h2o_evloop_socket_create(loop->h2o, copy, H2O_SOCKET_FLAG_DONT_READ);
	w->sock->data = w;
	return w;
}

void loop_fd_want(struct loop_fd *w, unsigned events)
{
	if ((events & LOOP_READ) != 0 && !h2o_socket_is_reading(w->sock))
		h2o_socket_read_start(w->sock, on_readable);
	if ((events & LOOP_READ) == 0 && h2o_socket_is_reading(w->sock))
		h2o_socket_read_stop(w->sock);
	if ((events & LOOP_WRITE) != 0 && !h2o_socket_is_writing(w->sock))
		h2o_socket_notify_write(w->sock, on_writable);
}

void loop_fd_close(struct loop_fd **w)
{
	if (*w == NULL)
		return;
	h2o_socket_close((*w)->sock);
	free(*w);
	*w = NULL;
}

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
	struct loop_mailbox *box = H2O_STRUCT_FROM_MEMBER(struct loop_mailbox, super, receiver);

	while (!h2o_linklist_is_empty(messages)) {
		h2o_multithread_message_t *m = H2O_STRUCT_FROM_MEMBER(
			h2o_multithread_message_t, link, messages->next);
		h2o_linklist_unlink(&m->link);
		box->cb(box, H2O_STRUCT_FROM_MEMBER(struct loop_mail, super, m));
	}
}

void loop_mailbox_init(struct loop_mailbox *box, struct loop *loop,
	void (*cb)(struct loop_mailbox *box, struct loop_mail *mail))
{
	*box = (struct loop_mailbox){ .loop = loop, .cb = cb };
	h2o_multithread_register_receiver(loop->queue, &box->super, on_messages);
}

void loop_mailbox_deinit(struct loop_mailbox *box)
{
	h2o_multithread_unregister_receiver(box->loop->queue, &box->super);
}

void loop_post(struct loop_mailbox *box, struct loop_mail *mail)
{
	mail->super.link = (h2o_linklist_t){ NULL, NULL };
	h2o_multithread_send_message(&box->super, &mail->super);
}
