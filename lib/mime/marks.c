/* SPDX-License-Identifier: MIT */
/* What header fields say about who wrote a message: a person, a machine, or a list. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

const char *mime_field(const struct mime_message *m, const char *name)
{
	for (size_t i = 0; i < m->header_count; i++) {
		if (strcasecmp(m->headers[i].name, name) == 0)
			return m->headers[i].value;
	}
	return NULL;
}

static bool field_is(const struct mime_message *m, const char *name, const char *word)
{
	const char *value = mime_field(m, name);

	return value != NULL && strcasecmp(value, word) == 0;
}

static bool is_list(const struct mime_message *m)
{
	static const char *const marks[] = { "List-Id", "List-Post", "Mailing-List",
		"X-Mailing-List", "X-BeenThere", "X-Loop" };

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (mime_field(m, marks[i]) != NULL)
			return true;
	}
	return false;
}

/* What mail programs put in front of the subject that they answer by themselves. */
static bool is_reply_subject(const char *subject)
{
	static const char *const starts[] = { "automatic reply", "auto reply", "auto-reply",
		"autoreply", "autoresponse", "auto response", "out of office",
		"automatische antwort", "abwesenheitsnotiz", "réponse automatique",
		"respuesta automática", "risposta automatica", "resposta automática",
		"automatisch antwoord", "autosvar", "automatiskt svar", "automatisk svar",
		"automaattinen vastaus", "odpowiedź automatyczna", "automatická odpověď",
		"Автоматический ответ", "otomatik yanıt", "自動応答", "自動返信", "自动答复",
		"自动回复", "自動回覆", "자동 회신" };

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]) && subject != NULL; i++) {
		if (strncasecmp(subject, starts[i], strlen(starts[i])) == 0)
			return strstr(subject, ":") != NULL || strstr(subject, "：") != NULL;
	}
	return false;
}

/* Fields that say the same as Auto-Submitted, of writers that do not know it. Precedence "list" and,
 * on a mailing list, "bulk" say nothing about the writer. */
static const char *substitute(const struct mime_message *m)
{
	static const char *const replies[] = { "X-Autoreply", "X-Autorespond", "X-AutoReply-From" };

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		if (mime_field(m, replies[i]) != NULL && !field_is(m, replies[i], "no"))
			return "auto-replied";
	}
	if (field_is(m, "Precedence", "auto_reply") || field_is(m, "X-Precedence", "auto_reply") ||
		is_reply_subject(m->subject))
		return "auto-replied";
	if (mime_field(m, "X-Auto-Response-Suppress") != NULL &&
		!field_is(m, "X-Auto-Response-Suppress", "none"))
		return "auto-generated";
	if (!is_list(m) && (field_is(m, "Precedence", "bulk") || field_is(m, "Precedence", "junk")))
		return "auto-generated";
	return NULL;
}

static const char *auto_submitted(struct mime_work *w)
{
	const char *value = mime_field(w->m, "Auto-Submitted");
	const char *word = value != NULL ? mime_token(w, slice_str(value)) : NULL;

	if (word == NULL)
		return substitute(w->m);
	return strcmp(word, "no") == 0 ? NULL : word;
}

/* RFC 2919: what stands in the last brackets; case does not matter, so it is small. */
static const char *list_id(struct mime_work *w)
{
	const char *value = mime_field(w->m, "List-Id");
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

void mime_marks_fill(struct mime_work *w)
{
	w->m->auto_submitted = auto_submitted(w);
	w->m->list_id = list_id(w);
	mime_report_from_text(w);
	w->m->is_bounce = mime_is_bounce(w->m, false);
}
