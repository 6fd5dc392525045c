/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "cmd/mailserver/deliver/io.h"
#include "cmd/mailserver/deliver/options.h"
#include "cmd/mailserver/deliver/spool.h"
#include "lib/version.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* Pauses before the next attempts: long enough for a restart of the server, and much shorter than an
 * MTA's own. With a spool nobody needs to wait. */
static const int pauses_ms[] = { 100, 300, 1000, 3000 };

enum { PAUSES = 4, PAUSES_WITH_SPOOL = 1, MAX_PAUSE_MS = 5000, SPOOL_PATIENCE_S = 10 };

struct delivery {
	struct deliver_options options;
	struct http_target target;
	char *token;
	int64_t deadline_ms;
};

/* ---- the last resort ---- */

static int late_exit_code = EX_TEMPFAIL;

/* What is not under the deadline otherwise: a name server, a disk that hangs. */
static void on_alarm(int signal)
{
	static const char line[] = "4.4.2 nothing came of it in time\n";

	(void)signal;
	if (write(STDOUT_FILENO, line, sizeof(line) - 1) < 0)
		_exit(late_exit_code);
	_exit(late_exit_code);
}

static void set_alarm(const struct deliver_options *options)
{
	const struct sigaction on = { .sa_handler = on_alarm };
	const struct outcome late = { .kind = OUTCOME_AWAY, .sysexit = EX_TEMPFAIL };

	late_exit_code = outcome_exit_code(&late, options->mta);
	sigaction(SIGALRM, &on, NULL);
	alarm((unsigned)options->timeout_s + (options->spool != NULL ? SPOOL_PATIENCE_S : 1));
}

/* ---- one message ---- */

static void judge(enum http_result result, const struct http_post *post,
	const struct http_answer *answer, struct outcome *outcome_r)
{
	switch (result) {
	case HTTP_ANSWERED:
		outcome_of_answer(answer, outcome_r);
		break;
	case HTTP_NOT_REACHED:
		outcome_failed(outcome_r, OUTCOME_AWAY, "4.4.1", post->error);
		break;
	case HTTP_CUT_SHORT:
	case HTTP_TIMED_OUT:
		outcome_failed(outcome_r, OUTCOME_AWAY, "4.4.2", post->error);
		break;
	case HTTP_UNREADABLE:
		outcome_failed(outcome_r, OUTCOME_DEFERRED, "4.3.0", post->error);
		break;
	case HTTP_NO_LIBRARY:
		outcome_failed(outcome_r, OUTCOME_DEFERRED, "4.3.5", post->error);
		break;
	}
}

/* How long to wait before attempt number `attempt` + 1; -1: not at all. */
static long pause_ms(const struct delivery *d, const struct outcome *outcome, int attempt)
{
	int most = d->options.spool != NULL ? PAUSES_WITH_SPOOL : PAUSES;

	if (outcome->kind != OUTCOME_AWAY || attempt >= most)
		return -1;
	long pause = pauses_ms[attempt];
	if (outcome->retry_after_s >= 0 && outcome->retry_after_s * 1000 > pause)
		pause = outcome->retry_after_s * 1000;
	if (pause > MAX_PAUSE_MS || clock_ms() + pause >= d->deadline_ms)
		return -1;
	return pause;
}

/* Sending a message again does no harm: the server knows it by its envelope and bytes. */
static void send_message(const struct delivery *d, struct slice envelope,
	const struct message *message, struct outcome *outcome_r)
{
	struct http_post post = {
		.target = &d->target,
		.ca_file = d->options.ca_file,
		.message = message,
		.deadline_ms = d->deadline_ms,
	};
	struct http_answer answer;
	struct buf headers;
	long pause = 0;

	buf_init(&headers, SPOOL_MAX_HEADER_BYTES + 8192);
	buf_printf(&headers,
		"User-Agent: mailserver-deliver/%s\r\nAuthorization: Bearer %s\r\n"
		"Content-Type: message/rfc822\r\n",
		mailserver_version, d->token);
	buf_add(&headers, envelope.base, envelope.len);
	post.headers = (struct slice){ headers.base, headers.len };
	for (int attempt = 0; pause >= 0; attempt++) {
		if (pause > 0)
			nanosleep(&(struct timespec){ pause / 1000, pause % 1000 * 1000000 }, NULL);
		answer_init(&answer);
		judge(http_post(&post, &answer), &post, &answer, outcome_r);
		answer_deinit(&answer);
		pause = pause_ms(d, outcome_r, attempt);
	}
	buf_deinit(&headers);
}

/* Instead of telling the MTA to come again. */
static void keep_in_spool(const struct delivery *d, struct slice envelope,
	const struct message *message, struct outcome *outcome)
{
	const struct deliver_options *o = &d->options;
	char name[SPOOL_NAME_SIZE], error[256], line[512];

	if (spool_keep(
		    o->spool, o->spool_max_bytes, envelope, message, name, error, sizeof(error))) {
		snprintf(line, sizeof(line), "spooled=%s after %.400s", name, outcome->line);
		outcome_delivered(outcome, line);
	} else {
		outcome_failed(outcome, OUTCOME_DEFERRED, "4.3.0", error);
	}
}

static void deliver_input(const struct delivery *d, struct outcome *outcome_r)
{
	const struct deliver_options *o = &d->options;
	const char *folder = o->spool != NULL ? o->spool : getenv("TMPDIR");
	struct message message;
	struct buf headers;
	char error[256];

	buf_init(&headers, SPOOL_MAX_HEADER_BYTES);
	if (!deliver_headers(o, &headers, error, sizeof(error))) {
		outcome_failed(outcome_r, OUTCOME_DEFERRED, "4.3.5", error);
	} else if (!message_read(&message, STDIN_FILENO, folder != NULL ? folder : "/tmp",
			   d->deadline_ms, error, sizeof(error))) {
		outcome_failed(outcome_r, OUTCOME_DEFERRED, "4.3.0", error);
		message_close(&message);
	} else {
		struct slice envelope = { headers.base, headers.len };
		if (message.size == 0)
			outcome_failed(outcome_r, OUTCOME_DEFERRED, "4.3.0",
				"the message on standard input is empty");
		else
			send_message(d, envelope, &message, outcome_r);
		if (outcome_r->kind == OUTCOME_AWAY && o->spool != NULL)
			keep_in_spool(d, envelope, &message, outcome_r);
		message_close(&message);
	}
	buf_deinit(&headers);
}

/* ---- the spool ---- */

static enum spool_next send_spooled(void *data, struct spooled *spooled)
{
	struct delivery *d = data;
	struct outcome outcome;

	d->deadline_ms = clock_ms() + d->options.timeout_s * 1000;
	set_alarm(&d->options);
	send_message(d, (struct slice){ spooled->headers.base, spooled->headers.len },
		&spooled->message, &outcome);
	printf("%s: %s\n", spooled->name, outcome.line);
	fflush(stdout);
	switch (outcome.kind) {
	case OUTCOME_DELIVERED:
		return SPOOL_SENT;
	case OUTCOME_REFUSED:
		return SPOOL_REFUSED;
	case OUTCOME_AWAY:
	case OUTCOME_DEFERRED:
		break;
	}
	/* A server that is away, or a wrong token, will not be better for the next one. */
	return SPOOL_STOP;
}

static void flush_spool(struct delivery *d, struct outcome *outcome_r)
{
	struct spool_counts counts;
	char error[256], line[512];

	if (spool_flush(d->options.spool, send_spooled, d, &counts, error, sizeof(error)) != 0) {
		outcome_failed(outcome_r, OUTCOME_DEFERRED, "4.3.5", error);
		return;
	}
	snprintf(line, sizeof(line), "%zu sent, %zu left, %zu refused, %zu damaged", counts.sent,
		counts.left, counts.refused, counts.damaged);
	if (counts.left > 0 || counts.damaged > 0)
		outcome_failed(outcome_r, OUTCOME_AWAY, "4.4.1", line);
	else if (counts.refused > 0) {
		outcome_failed(outcome_r, OUTCOME_REFUSED, "5.0.0", line);
		outcome_r->sysexit = EX_DATAERR;
	} else
		outcome_delivered(outcome_r, line);
}

/* ---- */

/* False, with a text in `error_r`, unless it is known what to send where. */
static bool prepare(struct delivery *d, int argc, char **argv, char *error_r, size_t error_size)
{
	struct deliver_options *o = &d->options;
	bool is_right = deliver_options_read(argc, argv, o, error_r, error_size);
	const char *why;

	set_alarm(o);
	d->deadline_ms = clock_ms() + o->timeout_s * 1000;
	if (!is_right)
		return false;
	if (!http_target_parse(o->url, &d->target, &why)) {
		snprintf(error_r, error_size, "%s", why);
		return false;
	}
	d->token = deliver_token(o, error_r, error_size);
	return d->token != NULL;
}

int cmd_deliver(int argc, char **argv)
{
	struct delivery delivery = { 0 };
	struct outcome outcome;
	char error[256];

	/* Alone: among the others it may be a value that a stranger chose, such as a HELO name, and to
	 * answer 0 would lose the message. */
	if (argc == 2 && command_asks_help(argc, argv, deliver_usage))
		return 0;
	signal(SIGPIPE, SIG_IGN);
	if (!prepare(&delivery, argc, argv, error, sizeof(error)))
		outcome_failed(&outcome, OUTCOME_DEFERRED, "4.3.5", error);
	else if (delivery.options.flush)
		flush_spool(&delivery, &outcome);
	else
		deliver_input(&delivery, &outcome);
	/* An MTA that does not listen any more decides by the exit code. */
	puts(outcome.line);
	fflush(stdout);
	free(delivery.token);
	free(delivery.options.recipients);
	http_target_free(&delivery.target);
	return outcome_exit_code(&outcome, delivery.options.mta);
}
