/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/metrics_server.h"
#include "cmd/mailserver/server/server_metrics.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	MAX_CONNECTIONS = 64,
	IDLE_TIMEOUT_MS = 120000, /* longer than scrapes are apart, as a rule */
	WRITE_TIMEOUT_MS = 10000,
	MAX_PAGE_BYTES = 8 * 1024 * 1024,
	MIN_COMPRESSED_BYTES = 1024,
	GZIP_QUALITY = 1,
};

struct metrics_server {
	h2o_globalconf_t http;
	h2o_context_t context;
	struct server *server;
	struct listen_set listen;
	struct loop *loop;
	h2o_accept_ctx_t accept;
	h2o_socket_t **listeners; /* NULL once they are closed */
	unsigned listener_count;
	h2o_linklist_t connections; /* struct scraper */
	unsigned connection_count;
	struct loop_mailbox control;
	struct loop_mail close_mail;
	bool closing;
	sem_t opened, closed; /* posted once each, by the thread */
};

struct scraper {
	h2o_linklist_t link;
	struct metrics_server *ms;
	h2o_socket_t *sock;
};

struct page_handler {
	h2o_handler_t super;
	struct metrics_server *ms;
};

/* --- the answer --- */

static struct slice header(const h2o_req_t *req, const h2o_token_t *name)
{
	ssize_t at = h2o_find_header(&req->headers, name, -1);

	if (at == -1)
		return (struct slice){ NULL, 0 };
	return (struct slice){ req->headers.entries[at].value.base,
		req->headers.entries[at].value.len };
}

static void answer(
	h2o_req_t *req, int status, const char *reason, const char *type, const struct buf *body)
{
	req->res.status = status;
	req->res.reason = reason;
	req->res.content_length = body->len;
	h2o_add_header(
		&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type, strlen(type));
	h2o_send_inline(req, body->base, body->len);
}

static void answer_error(h2o_req_t *req, int status, const char *reason)
{
	struct buf body;

	buf_init(&body, 256);
	buf_printf(&body, "%s\n", reason);
	answer(req, status, reason, "text/plain; charset=utf-8", &body);
	buf_deinit(&body);
}

static void answer_page(h2o_req_t *req, const struct server *server)
{
	enum metrics_format format = metrics_format_for(header(req, H2O_TOKEN_ACCEPT));
	struct buf page;

	buf_init(&page, MAX_PAGE_BYTES);
	server_metrics_render(server->metrics, server, format, &page);
	if (page.truncated) {
		answer_error(req, 500, "Too many metrics");
	} else {
		if (page.len >= MIN_COMPRESSED_BYTES)
			req->compress_hint = H2O_COMPRESS_HINT_ENABLE;
		answer(req, 200, "OK", metrics_content_type(format), &page);
	}
	buf_deinit(&page);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	const struct server *server = ((struct page_handler *)self)->ms->server;
	const char *path = server->config->metrics_path;

	if (!h2o_memis(req->path_normalized.base, req->path_normalized.len, path, strlen(path))) {
		answer_error(req, 404, "Not Found");
	} else if (!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET")) &&
		   !h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"))) {
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ALLOW, NULL,
			H2O_STRLIT("GET, HEAD"));
		answer_error(req, 405, "Method Not Allowed");
	} else {
		answer_page(req, server);
	}
	return 0;
}

static void setup_http(struct metrics_server *ms)
{
	h2o_compress_args_t compress = {
		.min_size = MIN_COMPRESSED_BYTES,
		.gzip.quality = GZIP_QUALITY,
		.brotli.quality = -1,
	};

	h2o_config_init(&ms->http);
	ms->http.server_name = h2o_iovec_init(H2O_STRLIT("mailserver"));
	ms->http.http1.upgrade_to_http2 = 0;
	ms->http.http1.req_timeout = IDLE_TIMEOUT_MS;
	ms->http.max_request_entity_size = 0;
	h2o_hostconf_t *host = h2o_config_register_host(
		&ms->http, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	struct page_handler *handler = (void *)h2o_create_handler(
		&host->fallback_path, sizeof(*handler));
	handler->super.on_req = on_req;
	handler->ms = ms;
	h2o_compress_register(&host->fallback_path, &compress);
}

/* --- connections --- */

static void on_accept(h2o_socket_t *listener, const char *err);

static void set_accepting(struct metrics_server *ms, bool accepting)
{
	for (unsigned i = 0; i < ms->listener_count; i++) {
		if (accepting && !h2o_socket_is_reading(ms->listeners[i]))
			h2o_socket_read_start(ms->listeners[i], on_accept);
		else if (!accepting)
			h2o_socket_read_stop(ms->listeners[i]);
	}
}

static void on_close(void *data)
{
	struct scraper *scraper = data;
	struct metrics_server *ms = scraper->ms;

	h2o_linklist_unlink(&scraper->link);
	free(scraper);
	ms->connection_count--;
	set_accepting(ms, true);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
	struct metrics_server *ms = listener->data;
	unsigned write_timeout_ms = WRITE_TIMEOUT_MS;
	h2o_socket_t *sock = h2o_evloop_socket_accept(listener);

	if (sock == NULL)
		return;
	struct scraper *scraper = h2o_mem_alloc(sizeof(*scraper));
	*scraper = (struct scraper){ .ms = ms, .sock = sock };
	h2o_linklist_insert(&ms->connections, &scraper->link);
	if (++ms->connection_count >= MAX_CONNECTIONS)
		set_accepting(ms, false);
	sock->on_close.cb = on_close;
	sock->on_close.data = scraper;
	setsockopt(h2o_socket_get_fd(sock), IPPROTO_TCP, TCP_USER_TIMEOUT, &write_timeout_ms,
		sizeof(write_timeout_ms));
	h2o_accept(&ms->accept, sock);
}

/* --- the thread --- */

static void open_listeners(struct metrics_server *ms)
{
	int *fds = listen_row(&ms->listen, 0);

	ms->listener_count = ms->listen.per_worker;
	ms->listeners = h2o_mem_alloc(sizeof(*ms->listeners) * ms->listener_count);
	for (unsigned i = 0; i < ms->listener_count; i++) {
		ms->listeners[i] = h2o_evloop_socket_create(
			loop_h2o(ms->loop), fds[i], H2O_SOCKET_FLAG_DONT_READ);
		ms->listeners[i]->data = ms;
		fds[i] = -1; /* the socket closes it */
	}
	set_accepting(ms, true);
}

static void on_control(struct loop_mailbox *box, struct loop_mail *mail)
{
	struct metrics_server *ms = H2O_STRUCT_FROM_MEMBER(struct metrics_server, control, box);

	for (unsigned i = 0; i < ms->listener_count; i++)
		h2o_socket_close(ms->listeners[i]);
	ms->listener_count = 0;
	ms->closing = true;
	/* h2o sees the end of the stream, or its write fails, and closes them. */
	for (h2o_linklist_t *node = ms->connections.next; node != &ms->connections;
		node = node->next) {
		struct scraper *scraper = H2O_STRUCT_FROM_MEMBER(struct scraper, link, node);
		shutdown(h2o_socket_get_fd(scraper->sock), SHUT_RDWR);
	}
}

static void setup(struct metrics_server *ms)
{
	ms->loop = loop_new();
	h2o_context_init(&ms->context, loop_h2o(ms->loop), &ms->http);
	ms->accept = (h2o_accept_ctx_t){ .ctx = &ms->context, .hosts = ms->http.hosts };
	h2o_linklist_init_anchor(&ms->connections);
	loop_mailbox_init(&ms->control, ms->loop, on_control);
	open_listeners(ms);
}

static void teardown(struct metrics_server *ms)
{
	free(ms->listeners);
	loop_mailbox_deinit(&ms->control);
	h2o_multithread_queue_t *queue = ms->context.queue;
	h2o_context_dispose(&ms->context);
	free(queue); /* as in loop_free() */
	loop_free(&ms->loop);
}

static void *metrics_main(void *arg)
{
	struct metrics_server *ms = arg;

	setup(ms);
	sem_post(&ms->opened);
	while (!(ms->closing && ms->connection_count == 0))
		loop_run(ms->loop, 1000);
	teardown(ms);
	sem_post(&ms->closed); /* from here on, ms may be gone */
	/* As a worker's: the thread holds what h2o recycles. */
	while (pause() == -1)
		;
	return NULL;
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) == -1 && errno == EINTR)
		;
	sem_destroy(sem);
}

int metrics_server_open(struct server *server, struct metrics_server **ms_r, char **error_r)
{
	const struct config *config = server->config;
	struct listen_settings set = {
		.addresses = config->metrics_listen,
		.count = config->metrics_listen_count,
		.port = config->metrics_port,
		.purpose = "metrics",
		.socket_mode = config->socket_mode,
		.socket_group = config->socket_group,
	};
	struct listen_set listen;
	pthread_t thread;

	*ms_r = NULL;
	if (server->metrics == NULL)
		return 0;
	if (listen_open(&set, 1, &listen, error_r) != 0)
		return -1;
	if (listen_begin(&listen, 0, error_r) != 0) {
		listen_close(&listen);
		return -1;
	}
	struct metrics_server *ms = h2o_mem_alloc(sizeof(*ms));
	*ms = (struct metrics_server){ .server = server, .listen = listen };
	sem_init(&ms->opened, 0, 0);
	sem_init(&ms->closed, 0, 0);
	setup_http(ms);
	h2o_multithread_create_thread(&thread, NULL, metrics_main, ms);
	pthread_detach(thread);
	wait_for(&ms->opened);
	*ms_r = ms;
	return 0;
}

void metrics_server_close(struct metrics_server **ms)
{
	if (*ms == NULL)
		return;
	loop_post(&(*ms)->control, &(*ms)->close_mail);
	wait_for(&(*ms)->closed);
	listen_close(&(*ms)->listen);
	h2o_config_dispose(&(*ms)->http);
	free(*ms);
	*ms = NULL;
}
