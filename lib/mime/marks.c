/* SPDX-License-Identifier: MIT */
/* What header fields say about who wrote a message: a person, a machine, a list, or a mailer that
 * could not deliver. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

static const char *field(const struct mime_message *m, const char *name)
{
	for (size_t i = 0; i < m->header_count; i++) {
		if (strcasecmp(m->headers[i].name, name) == 0)
			return m->headers[i].value;
	}
	return NULL;
}

static bool field_is(const struct mime_message *m, const char *name, const char *word)
{
	const char *value = field(m, name);

	return value != NULL && strcasecmp(value, word) == 0;
}

static bool is_list(const struct mime_message *m)
{
	static const char *const marks[] = { "List-Id", "List-Post", "Mailing-List",
		"X-Mailing-List", "X-BeenThere", "X-Loop" };

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (field(m, marks[i]) != NULL)
			return true;
	}
	return false;
}

/* Fields that say the same as Auto-Submitted, of writers that do not know it. Precedence "list" and,
 * on a mailing list, "bulk" say nothing about the writer. */
static const char *substitute(const struct mime_message *m)
{
	static const char *const replies[] = { "X-Autoreply", "X-Autorespond", "X-AutoReply-From" };

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		if (field(m, replies[i]) != NULL && !field_is(m, replies[i], "no"))
			return "auto-replied";
	}
	if (field_is(m, "Precedence", "auto_reply") || field_is(m, "X-Precedence", "auto_reply"))
		return "auto-replied";
	if (field(m, "X-Auto-Response-Suppress") != NULL &&
		!field_is(m, "X-Auto-Response-Suppress", "none"))
		return "auto-generated";
	if (!is_list(m) && (field_is(m, "Precedence", "bulk") || field_is(m, "Precedence", "junk")))
		return "auto-generated";
	return NULL;
}

static const char *auto_submitted(struct mime_work *w)
{
	const char *value = field(w->m, "Auto-Submitted");
	const char *word = value != NULL ? mime_token(w, slice_str(value)) : NULL;

	if (word == NULL)
		return substitute(w->m);
	return strcmp(word, "no") == 0 ? NULL : word;
}

/* RFC 2919: what stands in the last brackets; case does not matter, so it is small. */
static const char *list_id(struct mime_work *w)
{
	const char *value = field(w->m, "List-Id");
	const char *open = value != NULL ? strrchr(value, '<') : NULL;
	struct slice id = slice_str(value != NULL ? value : "");

	if (open != NULL)
		id = (struct slice){ open + 1, strcspn(open + 1, ">") };
	id = slice_trim(id);
	if (id.len == 0 || (open == NULL && memchr(id.base, ' ', id.len) != NULL))
		return NULL;
	char *small = arena_strndup(w->arena, id.base, id.len);
	for (char *p = small; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return small;
}

static bool is_from(const struct mime_message *m, const char *local_part)
{
	const char *from = m->from.count > 0 ? m->from.list[0].address : "";
	size_t len = strlen(local_part);

	return strncasecmp(from, local_part, len) == 0 && (from[len] == '@' || from[len] == '\0');
}

static bool subject_has(const struct mime_message *m, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count && m->subject != NULL; i++) {
		if (strcasestr(m->subject, words[i]) != NULL)
			return true;
	}
	return false;
}

/* A bounce that is no report (qmail, Exim, old Exchange): Exim says so in a field; else it comes
 * from the mailer, or from a postmaster or the null sender with a subject that says it. */
static bool looks_like_bounce(const struct mime_message *m, bool from_null_sender)
{
	static const char *const late[] = { "delay", "warning" };
	static const char *const failed[] = { "undeliver", "not be delivered", "returned mail",
		"failure notice", "delivery failed", "delivery failure", "delivery has failed",
		"delivery status notification" };

	if (field(m, "X-Failed-Recipients") != NULL)
		return true;
	if (subject_has(m, late, 2))
		return false;
	return is_from(m, "mailer-daemon") ||
	       ((from_null_sender || is_from(m, "postmaster") ||
			field_is(m, "Return-Path", "<>")) &&
		       subject_has(m, failed, sizeof(failed) / sizeof(failed[0])));
}

bool mime_is_bounce(const struct mime_message *m, bool from_null_sender)
{
	const struct mime_report *report = &m->report;

	if (report->type != NULL && strcmp(report->type, "delivery-status") != 0)
		return false;
	for (size_t i = 0; i < report->recipient_count; i++) {
		const char *action = report->recipients[i].action;
		if (action != NULL && strncmp(action, "fail", 4) == 0)
			return true;
	}
	return report->recipient_count == 0 && looks_like_bounce(m, from_null_sender);
}

void mime_marks_fill(struct mime_work *w)
{
	w->m->auto_submitted = auto_submitted(w);
	w->m->list_id = list_id(w);
	w->m->is_bounce = mime_is_bounce(w->m, false);
}
