/* SPDX-License-Identifier: MIT */
/* http.h - one POST of a message, over TCP, a Unix socket, or TLS
 *
 * The first two are spoken here: a process lives for one message, and loading libcurl with what it
 * needs would take several times as long as the delivery itself. TLS is libcurl's (https.c), which
 * is loaded when it is asked for. */
#ifndef CMD_MAILSERVER_DELIVER_HTTP_H
#define CMD_MAILSERVER_DELIVER_HTTP_H

#include "cmd/mailserver/deliver/answer.h"
#include "cmd/mailserver/deliver/message.h"

struct http_target {
	enum { HTTP_TCP, HTTP_UNIX, HTTP_TLS } kind;
	char *url;    /* HTTP_TLS */
	char *socket; /* HTTP_UNIX: the path */
	char *host, *port, *path;
	char *authority; /* the Host field */
};

/* `http://host:port/path`, `https://…` or `unix:/path/of/the.sock`. Without a path of its own it is
 * /mail/inbound. False, with a text in `*error_r`, for anything else. */
bool http_target_parse(const char *url, struct http_target *target_r, const char **error_r);
void http_target_free(struct http_target *target);

struct http_post {
	const struct http_target *target;
	const char *ca_file;  /* HTTP_TLS; NULL: the system's */
	struct slice headers; /* "Name: value\r\n" each */
	const struct message *message;
	int64_t deadline_ms; /* of clock_ms() */
	char error[512];     /* out, unless answered: one line */
};

enum http_result {
	HTTP_ANSWERED,    /* `answer_r` is filled */
	HTTP_NOT_REACHED, /* no connection, or no trust in who is there: nothing was sent */
	HTTP_CUT_SHORT,   /* connected, and then no whole answer: the message may have been kept */
	HTTP_TIMED_OUT,   /* likewise, at the deadline */
	HTTP_UNREADABLE,  /* the message, on this side */
	HTTP_NO_LIBRARY,  /* https without libcurl */
};

/* `answer_r` is one of answer_init(). */
enum http_result http_post(struct http_post *post, struct http_answer *answer_r);

/* The same for HTTP_TLS: https.c. */
enum http_result https_post(struct http_post *post, struct http_answer *answer_r);

/* Over this many bytes a message is not sent before the server has said that it may come
 * (RFC 9110, 10.1.1); a server that says nothing is waited for HTTP_CONTINUE_MS. */
enum { HTTP_EXPECT_BYTES = 1024 * 1024, HTTP_CONTINUE_MS = 1000, HTTP_CONNECT_MS = 10000 };

#endif
