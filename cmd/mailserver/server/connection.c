/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/connection.h"
#include "cmd/mailserver/server/policy.h"
#include "lib/log.h"
#include "lib/proxy_line.h"

#include <errno.h>
#include <fcntl.h>
#include <h2o/http1.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
	LINGER_MS = 5000,
	/* While draining, an idle connection is left open so long: a request may be on its way. */
	DRAIN_IDLE_MS = 1000,
	OPENING_DRAINING_MS = 1000, /* what a drain leaves to one that is not at HTTP yet */
};

struct connection {
	h2o_linklist_t link;
	struct worker *worker;
	h2o_socket_t *sock; /* NULL once h2o closed it */
	bool used;          /* a request was answered on it */
	SSL_CTX *tls;       /* its own reference; NULL: plain */
	bool opening;       /* before HTTP: h2o's data pointer is this struct */
	bool in_request;    /* a handler has it, or its answer is on its way */
	bool reading;       /* bytes of a request that is not complete were seen */
	uint64_t since_ms;  /* when it began to wait, or to read */
	int linger_fd;      /* kept open for a lingering close; or -1 */
	struct loop_fd *linger;
	uint64_t linger_until_ms;
	int spool_fd; /* the file that a large request lies in; or -1 */
};

static void connection_free(struct connection *c)
{
	struct worker *w = c->worker;

	spool_release(&w->spool, &c->spool_fd);
	loop_fd_close(&c->linger);
	if (c->linger_fd != -1)
		close(c->linger_fd);
	SSL_CTX_free(c->tls);
	h2o_linklist_unlink(&c->link);
	w->connection_count--;
	atomic_fetch_sub_explicit(&w->server->connections, 1, memory_order_relaxed);
	free(c);
}

/* Reads what the client still sends, and forgets it, until the client has closed too. */
static void on_linger(void *data, unsigned ready)
{
	struct connection *c = data;
	char ignored[65536];
	ssize_t n = read(c->linger_fd, ignored, sizeof(ignored));

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		connection_free(c);
}

static void on_close(void *data)
{
	struct connection *c = data;

	c->sock = NULL;
	if (c->linger_fd == -1) {
		connection_free(c);
		return;
	}
	shutdown(c->linger_fd, SHUT_WR);
	c->linger_until_ms = loop_now_ms(c->worker->loop) + LINGER_MS;
	c->linger = loop_fd_open(c->worker->loop, c->linger_fd, on_linger, c);
	if (c->linger == NULL)
		connection_free(c);
	else
		loop_fd_want(c->linger, LOOP_READ);
}

/* HTTP may end the connection at once: it is not to be touched afterwards. */
static void begin_http(struct connection *c)
{
	h2o_context_t *http = &c->worker->http;

	c->opening = false;
	c->since_ms = loop_now_ms(c->worker->loop);
	h2o_http1_accept(&c->worker->accept, c->sock, *h2o_get_timestamp(http, NULL, NULL));
}

static void log_refusal(struct connection *c, enum log_level level, const char *why)
{
	struct sockaddr_storage peer;
	struct log_line line;
	char text[IP_TEXT];
	struct ip ip;

	if (!log_begin(&line, level, "connection refused"))
		return;
	if (h2o_socket_getpeername(c->sock, (struct sockaddr *)&peer) > 0 &&
		ip_of_sockaddr((struct sockaddr *)&peer, &ip)) {
		ip_format(&ip, text);
		log_str(&line, "peer", text);
	}
	log_str(&line, "error", why);
	log_end(&line);
}

static void on_handshake(h2o_socket_t *sock, const char *err)
{
	struct connection *c = sock->data;

	if (err == NULL) {
		begin_http(c);
		return;
	}
	log_refusal(c, LOG_DEBUG, err);
	h2o_socket_close(sock);
}

static void begin_tls(struct connection *c)
{
	if (c->tls != NULL)
		h2o_socket_ssl_handshake(c->sock, c->tls, NULL, on_handshake);
	else
		begin_http(c);
}

static void on_proxy_line(h2o_socket_t *sock, const char *err)
{
	struct connection *c = sock->data;
	struct proxy_line line;

	if (err != NULL) {
		h2o_socket_close(sock);
		return;
	}
	switch (proxy_line_parse((struct slice){ sock->input->bytes, sock->input->size }, &line)) {
	case PROXY_LINE_PART:
		break;
	case PROXY_LINE_BROKEN:
		log_refusal(c, LOG_WARNING, "a trusted proxy did not begin with a PROXY line");
		h2o_socket_close(sock);
		break;
	case PROXY_LINE_WHOLE:
		h2o_buffer_consume(&sock->input, line.len);
		if (line.source_len > 0)
			h2o_socket_setpeername(
				sock, (struct sockaddr *)&line.source, line.source_len);
		begin_tls(c);
		break;
	}
}

/* What the worker's policy has for a peer; sockets in the file system have neither. */
static void begin(struct connection *c)
{
	const struct policy *policy = c->worker->policy;
	struct sockaddr_storage peer;
	struct ip ip;
	bool is_ip = h2o_socket_getpeername(c->sock, (struct sockaddr *)&peer) > 0 &&
		     ip_of_sockaddr((struct sockaddr *)&peer, &ip);

	c->sock->data = c;
	if (is_ip && policy->tls != NULL) {
		SSL_CTX_up_ref(policy->tls);
		c->tls = policy->tls;
	}
	if (is_ip && policy->proxy_protocol &&
		cidr_list_contains(&policy->live.trusted_proxies, &ip))
		h2o_socket_read_start(c->sock, on_proxy_line);
	else
		begin_tls(c);
}

void connection_open(struct worker *w, h2o_socket_t *sock)
{
	struct connection *c = h2o_mem_alloc(sizeof(*c));
	unsigned write_timeout_ms = w->server->config->write_timeout * 1000;

	*c = (struct connection){
		.worker = w,
		.sock = sock,
		.opening = true,
		.since_ms = loop_now_ms(w->loop),
		.linger_fd = -1,
		.spool_fd = -1,
	};
	h2o_linklist_insert(&w->connections, &c->link);
	w->connection_count++;
	atomic_fetch_add_explicit(&w->server->connections, 1, memory_order_relaxed);
	sock->on_close.cb = on_close;
	sock->on_close.data = c;
	/* h2o has no write timeout: the kernel gives up on a peer that takes nothing any more. */
	setsockopt(h2o_socket_get_fd(sock), IPPROTO_TCP, TCP_USER_TIMEOUT, &write_timeout_ms,
		sizeof(write_timeout_ms));
	begin(c);
}

/* h2o sees the end of the stream, or its next write fails; it then closes the socket itself. */
static void connection_cut(struct connection *c)
{
	shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
}

static void sweep_one(struct connection *c, uint64_t now_ms)
{
	const struct config *config = c->worker->server->config;

	if (c->sock == NULL) {
		if (now_ms >= c->linger_until_ms)
			connection_free(c);
		return;
	}
	if (c->opening) {
		uint64_t limit_ms = c->worker->draining ? OPENING_DRAINING_MS
							: config->read_timeout * UINT64_C(1000);
		if (now_ms - c->since_ms >= limit_ms)
			connection_cut(c);
		return;
	}
	spool_hold(c->sock, &c->spool_fd); /* for one who leaves before the end of the body */
	if (c->in_request || !h2o_socket_is_reading(c->sock))
		return;
	bool reading = c->sock->input->size > 0;
	if (reading && !c->reading)
		c->since_ms = now_ms;
	c->reading = reading;
	uint64_t limit_ms = 1000 *
			    (uint64_t)(reading ? config->read_timeout : config->idle_timeout);
	bool left_alone = c->worker->draining && !reading &&
			  now_ms - c->worker->draining_since_ms >= DRAIN_IDLE_MS &&
			  now_ms - c->since_ms >= DRAIN_IDLE_MS;
	if (left_alone || now_ms - c->since_ms >= limit_ms)
		connection_cut(c);
}

void connections_sweep(struct worker *w)
{
	uint64_t now_ms = loop_now_ms(w->loop);
	h2o_linklist_t *node = w->connections.next;

	while (node != &w->connections) {
		struct connection *c = H2O_STRUCT_FROM_MEMBER(struct connection, link, node);
		node = node->next;
		sweep_one(c, now_ms);
	}
}

static struct connection *connection_of(h2o_req_t *req)
{
	return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

void connection_give_up(h2o_req_t *req)
{
	connection_cut(connection_of(req));
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	struct connection *c = connection_of(req);

	request_of(req)->is_first = !c->used;
	c->in_request = true;
	spool_hold(c->sock, &c->spool_fd);
	atomic_fetch_add_explicit(&c->worker->active_requests, 1, memory_order_relaxed);
	return -1;
}

static void on_request_end(h2o_logger_t *self, h2o_req_t *req)
{
	struct connection *c = connection_of(req);

	if (c->in_request)
		atomic_fetch_sub_explicit(&c->worker->active_requests, 1, memory_order_relaxed);
	c->in_request = false;
	spool_release(&c->worker->spool, &c->spool_fd);
	c->used = true;
	c->reading = false;
	c->since_ms = loop_now_ms(c->worker->loop);
}

/* A refusal by h2o itself while the client may still be sending its body. */
static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
	struct connection *c = connection_of(req);

	if (!c->in_request && !req->http1_is_persistent && c->linger_fd == -1)
		c->linger_fd = fcntl(h2o_socket_get_fd(c->sock), F_DUPFD_CLOEXEC, 0);
	h2o_setup_next_ostream(req, slot);
}

void connections_attach(h2o_pathconf_t *path)
{
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_req;
	h2o_create_logger(path, sizeof(h2o_logger_t))->log_access = on_request_end;
	h2o_create_filter(path, sizeof(h2o_filter_t))->on_setup_ostream = on_setup_ostream;
}
