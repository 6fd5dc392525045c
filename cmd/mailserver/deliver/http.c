/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/http.h"
#include "cmd/mailserver/deliver/io.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, MAX_HEAD_BYTES = 1024 * 1024 };

struct exchange {
	struct http_post *post;
	struct http_answer *answer;
	int fd;
	struct buf head; /* what is sent before the message */
	size_t head_sent;
	uint64_t sent; /* of the message */
	bool expects;  /* a 100 before the message */
	struct buf received;
	bool at_end, may_continue;
	char piece[PIECE_BYTES];
};

static enum http_result fail(struct http_post *post, enum http_result result, const char *what)
{
	snprintf(post->error, sizeof(post->error), "%s%s%s: %s", what, what[0] != '\0' ? " " : "",
		post->target->kind == HTTP_UNIX ? post->target->socket : post->target->authority,
		strerror(errno));
	return result;
}

static enum http_result say(struct http_post *post, enum http_result result, const char *what)
{
	snprintf(post->error, sizeof(post->error), "%s %s",
		post->target->kind == HTTP_UNIX ? post->target->socket : post->target->authority,
		what);
	return result;
}

/* A non-blocking socket that is connected, or -1 with errno. */
static int connect_to(const struct sockaddr *address, socklen_t len, int64_t deadline_ms)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;
	socklen_t error_len = sizeof(error);

	if (fd < 0)
		return -1;
	if (connect(fd, address, len) == 0)
		return fd;
	if (errno == EINPROGRESS) {
		int64_t patience_ms = clock_ms() + HTTP_CONNECT_MS;
		if (!wait_for_fd(
			    fd, POLLOUT, patience_ms < deadline_ms ? patience_ms : deadline_ms))
			error = ETIMEDOUT;
		else
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len);
		if (error == 0)
			return fd;
		errno = error;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static enum http_result open_unix(struct exchange *x)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, x->post->target->socket, strlen(x->post->target->socket) + 1);
	x->fd = connect_to((struct sockaddr *)&address, sizeof(address), x->post->deadline_ms);
	return x->fd >= 0 ? HTTP_ANSWERED : fail(x->post, HTTP_NOT_REACHED, "cannot connect to");
}

/* The addresses of a name are tried in the order that getaddrinfo(3) gives them. */
static enum http_result open_tcp(struct exchange *x)
{
	const struct http_target *target = x->post->target;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list;
	int code = getaddrinfo(target->host, target->port, &hints, &list);

	if (code != 0) {
		snprintf(x->post->error, sizeof(x->post->error), "cannot find the host %s: %s",
			target->host, gai_strerror(code));
		return HTTP_NOT_REACHED;
	}
	for (const struct addrinfo *a = list; a != NULL && x->fd < 0; a = a->ai_next)
		x->fd = connect_to(a->ai_addr, a->ai_addrlen, x->post->deadline_ms);
	int error = errno;
	freeaddrinfo(list);
	errno = error;
	return x->fd >= 0 ? HTTP_ANSWERED : fail(x->post, HTTP_NOT_REACHED, "cannot connect to");
}

static void write_head(struct exchange *x)
{
	const struct http_post *post = x->post;

	buf_printf(&x->head,
		"POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %" PRIu64
		"\r\n",
		post->target->path, post->target->authority, post->message->size);
	if (x->expects)
		buf_puts(&x->head, "Expect: 100-continue\r\n");
	buf_add(&x->head, post->headers.base, post->headers.len);
	buf_puts(&x->head, "\r\n");
}

/* Takes what has come. False at an error of the connection, with errno. */
static bool receive(struct exchange *x)
{
	ssize_t n = recv(x->fd, x->piece, sizeof(x->piece), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	x->at_end = n == 0;
	buf_add(&x->received, x->piece, (size_t)n);
	return true;
}

static enum answer_state look(struct exchange *x)
{
	struct slice bytes = { x->received.base, x->received.len };

	if (x->received.truncated)
		return ANSWER_BAD;
	return answer_read(bytes, x->at_end, x->answer, &x->may_continue);
}

/* Sends the next piece of head or message; `*done_r` when that was the last one. HTTP_CUT_SHORT with
 * errno at an error of the connection. */
static enum http_result send_piece(struct exchange *x, bool *done_r)
{
	const struct message *m = x->post->message;
	const char *from = x->head.base + x->head_sent;
	ssize_t len = (ssize_t)(x->head.len - x->head_sent);
	bool is_head = len > 0;

	if (!is_head) {
		from = x->piece;
		len = message_read_at(m, x->sent, x->piece, sizeof(x->piece));
		if (len < 0)
			return fail(x->post, HTTP_UNREADABLE, "cannot read the message for");
	}
	if (len > 0) {
		ssize_t n = send(x->fd, from, (size_t)len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return HTTP_CUT_SHORT;
		if (n > 0 && is_head)
			x->head_sent += (size_t)n;
		else if (n > 0)
			x->sent += (uint64_t)n;
	}
	*done_r = x->head_sent == x->head.len && x->sent == m->size;
	return HTTP_ANSWERED;
}

/* Small messages leave with their head, in one packet if they can. */
static void join_small(struct exchange *x)
{
	const struct message *m = x->post->message;

	if (x->expects || m->size > PIECE_BYTES)
		return;
	ssize_t n = message_read_at(m, 0, x->piece, sizeof(x->piece));
	if (n == (ssize_t)m->size) {
		buf_add(&x->head, x->piece, (size_t)n);
		x->sent = m->size;
	}
}

/* Sends everything, unless the server answers before that: such an answer is final. */
static enum http_result send_all(struct exchange *x)
{
	int64_t continue_ms = clock_ms() + HTTP_CONTINUE_MS;
	int64_t deadline_ms = x->post->deadline_ms;
	bool done = false;

	while (!done) {
		bool waits = x->expects && !x->may_continue && x->head_sent == x->head.len;
		bool shortly = waits && continue_ms < deadline_ms;
		short events = wait_for_fd(x->fd, waits ? POLLIN : POLLIN | POLLOUT,
			shortly ? continue_ms : deadline_ms);
		if (events == 0 && !shortly)
			return say(x->post, HTTP_TIMED_OUT, "did not take the message in time");
		if (events == 0)
			x->may_continue = true;
		if (events & ~POLLOUT) {
			if (!receive(x))
				return HTTP_CUT_SHORT;
			if (look(x) != ANSWER_MORE || x->at_end || x->answer->status >= 200)
				return HTTP_ANSWERED;
		} else if (events & POLLOUT) {
			enum http_result result = send_piece(x, &done);
			if (result != HTTP_ANSWERED)
				return result;
		}
	}
	return HTTP_ANSWERED;
}

static enum http_result receive_all(struct exchange *x)
{
	for (;;) {
		switch (look(x)) {
		case ANSWER_WHOLE:
			return HTTP_ANSWERED;
		case ANSWER_BAD:
			return say(x->post, HTTP_CUT_SHORT, "does not answer in HTTP");
		case ANSWER_MORE:
			if (x->at_end)
				return say(x->post, HTTP_CUT_SHORT,
					x->received.len == 0
						? "closed the connection without an answer"
						: "closed the connection in the middle of its "
						  "answer");
			break;
		}
		if (!wait_for_fd(x->fd, POLLIN, x->post->deadline_ms))
			return say(x->post, HTTP_TIMED_OUT, "did not answer in time");
		if (!receive(x))
			return fail(x->post, HTTP_CUT_SHORT, "no answer from");
	}
}

/* A server that refuses early closes while the message is still on its way; what it said may have
 * come all the same. */
static enum http_result last_words(struct exchange *x)
{
	int error = errno;

	while (!x->at_end && receive(x) && wait_for_fd(x->fd, POLLIN, clock_ms() + 1))
		continue;
	if (look(x) == ANSWER_WHOLE)
		return HTTP_ANSWERED;
	errno = error;
	return fail(x->post, HTTP_CUT_SHORT, "the connection broke while the message went to");
}

enum http_result http_post(struct http_post *post, struct http_answer *answer_r)
{
	struct exchange x = { .post = post, .answer = answer_r, .fd = -1 };
	enum http_result result;

	if (post->target->kind == HTTP_TLS)
		return https_post(post, answer_r);
	buf_init(&x.head, MAX_HEAD_BYTES);
	buf_init(&x.received, ANSWER_MAX_BYTES);
	x.expects = post->message->size > HTTP_EXPECT_BYTES;
	write_head(&x);
	join_small(&x);
	result = post->target->kind == HTTP_UNIX ? open_unix(&x) : open_tcp(&x);
	if (result == HTTP_ANSWERED)
		result = send_all(&x);
	if (result == HTTP_ANSWERED)
		result = receive_all(&x);
	else if (result == HTTP_CUT_SHORT)
		result = last_words(&x);
	if (x.fd >= 0)
		close(x.fd);
	buf_deinit(&x.head);
	buf_deinit(&x.received);
	return result;
}
