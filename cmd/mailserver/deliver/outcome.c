/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/outcome.h"

#include <jansson.h>
#include <stdio.h>
#include <sysexits.h>

/* An MTA writes the line into its log, and into a bounce. */
static void write_line(struct outcome *outcome, const char *enhanced, const char *text)
{
	snprintf(outcome->line, sizeof(outcome->line), "%s %s", enhanced, text);
	for (char *p = outcome->line; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

void outcome_delivered(struct outcome *outcome_r, const char *what)
{
	*outcome_r = (struct outcome){ .kind = OUTCOME_DELIVERED, .sysexit = EX_OK };
	write_line(outcome_r, "2.0.0", what);
}

void outcome_failed(struct outcome *outcome_r, int kind, const char *enhanced, const char *why)
{
	outcome_r->kind = kind;
	outcome_r->sysexit = EX_TEMPFAIL;
	outcome_r->retry_after_s = -1;
	write_line(outcome_r, enhanced, why);
}

/* What the answer's JSON says; "" where it says nothing. */
struct said {
	json_t *root;
	const char *id, *message, *enhanced, *request_id;
	bool duplicate, is_final;
};

static const char *text(const json_t *root, const char *key)
{
	const char *value = json_string_value(json_object_get(root, key));

	return value != NULL ? value : "";
}

static struct said read_json(const struct http_answer *answer)
{
	json_t *root = json_loadb(answer->body.base, answer->body.len, 0, NULL);
	struct said said = {
		.root = root,
		.id = text(root, "id"),
		.message = text(root, "message"),
		.enhanced = text(root, "enhanced_status"),
		.request_id = text(root, "request_id"),
		.duplicate = json_is_true(json_object_get(root, "duplicate")),
		.is_final = json_is_false(json_object_get(root, "retryable")),
	};

	if (said.id[0] == '\0') /* GoMail's */
		said.id = text(root, "message_id");
	if (!is_enhanced_status(slice_str(said.enhanced)))
		said.enhanced = "";
	return said;
}

/* RFC 3463: X.1 is about the address, X.7 about security or policy. */
static int sysexit_of(const char *enhanced)
{
	if (strncmp(enhanced, "5.1.", 4) == 0)
		return EX_NOUSER;
	if (strncmp(enhanced, "5.7.", 4) == 0)
		return EX_NOPERM;
	return EX_DATAERR;
}

static void delivered(struct outcome *outcome, const struct said *said, int status)
{
	char line[256];

	/* A page of some proxy's that answers 200 to everything has no id in it. */
	if (said->id[0] == '\0' && status != 204) {
		snprintf(line, sizeof(line), "%d without a message's id: is this the mailserver?",
			status);
		outcome_failed(outcome, OUTCOME_DEFERRED, "4.3.0", line);
		return;
	}
	snprintf(line, sizeof(line), "id=%s%s", said->id[0] != '\0' ? said->id : "-",
		said->duplicate ? " duplicate" : "");
	outcome_delivered(outcome, line);
}

/* The temporary status of an answer that means "later": its own if it has one. */
static const char *later_status(const struct http_answer *answer)
{
	if (answer->enhanced[0] == '4')
		return answer->enhanced;
	if (answer->status == 429)
		return "4.7.1";
	return answer->status == 507 ? "4.3.1" : "4.3.2";
}

/* Only the server itself can say so, by `"retryable":false`; a size is too large for ever. */
static bool is_refused(int status, const struct said *said)
{
	static const int mistakes[] = { 401, 403, 404, 405, 408, 415, 425, 429 };

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		if (status == mistakes[i])
			return false;
	return status == 413 ||
	       (status >= 400 && status < 500 && said->is_final && said->enhanced[0] == '5');
}

static void not_delivered(
	struct outcome *outcome, const struct http_answer *answer, const struct said *said)
{
	int status = answer->status;
	char line[384];

	snprintf(line, sizeof(line), "%d %s%s%s%s", status,
		said->message[0] != '\0' ? said->message : "from the server",
		said->request_id[0] != '\0' ? " (" : "", said->request_id,
		said->request_id[0] != '\0' ? ")" : "");
	if (is_refused(status, said)) {
		const char *enhanced = status == 413 ? "5.3.4" : said->enhanced;
		outcome_failed(outcome, OUTCOME_REFUSED, enhanced, line);
		outcome->sysexit = sysexit_of(enhanced);
	} else if (status == 408 || status == 425 || status == 429 || status >= 500) {
		outcome_failed(outcome, OUTCOME_AWAY, later_status(answer), line);
		outcome->retry_after_s = answer->retry_after_s;
	} else if (status == 401 || status == 403) {
		outcome_failed(outcome, OUTCOME_DEFERRED, "4.7.0", line);
	} else if (status == 404 || status == 405 || status == 415 || status < 400) {
		outcome_failed(outcome, OUTCOME_DEFERRED, "4.3.5", line);
	} else {
		outcome_failed(outcome, OUTCOME_DEFERRED, "4.5.0", line);
	}
}

void outcome_of_answer(const struct http_answer *answer, struct outcome *outcome_r)
{
	struct said said = read_json(answer);

	if (answer->status >= 200 && answer->status < 300)
		delivered(outcome_r, &said, answer->status);
	else
		not_delivered(outcome_r, answer, &said);
	json_decref(said.root);
}

int outcome_exit_code(const struct outcome *outcome, enum mta mta)
{
	if (mta != MTA_QMAIL)
		return outcome->sysexit;
	if (outcome->kind == OUTCOME_DELIVERED)
		return 0;
	return outcome->kind == OUTCOME_REFUSED ? 100 : 111;
}
