/* SPDX-License-Identifier: MIT */
/* Whether a message says that mail was not delivered. Few mailers that do not write reports agree on
 * how to say it, so it is read off who wrote, what the subject says, and what came back. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

#define COUNT(words) (sizeof(words) / sizeof((words)[0]))

/* What a mailer has to say stands in front, what came back behind it. */
enum { START = 8192 };

/* Letters of other alphabets compare with case: where one may begin a sentence, it is left out. */
static const char *const failed_words[] = { "undeliver", "not be delivered", "not deliver",
	"non-deliver", "nondeliver", "returned mail", "returned to sender", "failure notice",
	"delivery fail", "delivery has failed", "delivery error", "failed delivery",
	"failed permanently", "unsuccess", "permanent fatal error", "notification (failure)",
	"did not reach", "not reach the following", "unable to deliver", "mail failure",
	"unzustellbar", "nicht zugestellt", "zustellung fehlgeschlagen", "unbestellbar",
	"non remis", "chec de la remise", "chec de remise", "non distribu", "pas pu être remis",
	"pas pu être distribu", "no se puede entregar", "no se pudo entregar",
	"no se ha podido entregar", "error en la entrega", "error de entrega", "correo devuelto",
	"mancato recapito", "mancata consegna", "non recapitabil", "impossibile recapitare",
	"não foi entregue", "possível entregar", "falha na entrega", "onbestelbaar", "niet bezorgd",
	"niet worden bezorgd", "niet worden afgeleverd", "kan inte levereras",
	"kunde inte levereras", "kan ikke leveres", "kunne ikke leveres", "ikke leveret",
	"toimittaminen ep", "ei voitu toimittaa", "niedostarczon", "nie dostarczon",
	"zwrot wiadomo", "nedoručiteln", "nebyla doručena", "kézbesíthetetlen", "teslim edilemedi",
	"недоставленн", "е доставлено", "е удалось доставить", "е удается доставить",
	"шибка доставки", "配信不能", "配信できません", "配信エラー", "送信できません",
	"送信エラー", "配達不能", "配達できません", "お届けできません", "不達", "エラー通知",
	"退信", "退回", "未送达", "未送達", "无法送达", "无法投递", "無法傳遞", "无法传递",
	"投递失败", "배달되지", "배달 실패", "전송 실패", "반송" };

/* It may yet arrive, or has arrived. */
static const char *const other_words[] = { "delay", "warning", "verzöger", "retard", "retras",
	"ritard", "atrasad", "vertraag", "vertraging", "försena", "forsink", "opóźn", "zpožd",
	"gecik", "адерж", "遅延", "遅れ", "延迟", "延遲", "지연", "success", "receipt", "(relay",
	"erfolgreich", "réussi", "correctamente", "成功" };

/* A mailer that goes on trying says so in the text too. */
static const char *const late_words[] = { "be retried", "will retry", "still being retried",
	"keep trying", "continue trying", "not need to resend", "warning only",
	"warning message only", "has been delayed" };

/* Where the first of the words stands; NULL when none does. */
static const char *find(const char *text, const char *const *words, size_t count)
{
	const char *first = NULL, *at;

	for (size_t i = 0; i < count; i++) {
		at = strcasestr(text, words[i]);
		if (at != NULL && (first == NULL || at < first))
			first = at;
	}
	return first;
}

static void copy_start(char *to, const char *text)
{
	strncpy(to, text != NULL ? text : "", START - 1);
	to[START - 1] = '\0';
}

static bool is_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
	}
	return true;
}

/* A reply by which a server refuses for good (RFC 5321, 4.2): "550 5.1.1 no" anywhere, "550 no" in
 * front of a line; or a status "#5.1.1", as qmail has it. */
static bool has_refusal(const char *text)
{
	for (const char *p = text; (p = strchr(p, '5')) != NULL; p++) {
		const char before = p > text ? p[-1] : '\n';
		if (isalnum((unsigned char)before) || before == '.')
			continue;
		if (before == '#' && p[1] == '.' && isdigit((unsigned char)p[2]) && p[3] == '.')
			return true;
		if (p[1] < '0' || p[1] > '5' || !is_digits(p + 2, 1) ||
			strchr(" -", p[3]) == NULL || p[3] == '\0')
			continue;
		if (before == '\n' || (p[4] == '5' && p[5] == '.' && is_digits(p + 6, 1)))
			return true;
	}
	return false;
}

/* The same name without case and whatever stands between its letters: "Mail.Delivery.System". */
static bool is_name(const char *name, size_t len, const char *letters)
{
	for (size_t i = 0; i < len; i++) {
		if (isalnum((unsigned char)name[i]) || (unsigned char)name[i] >= 0x80) {
			if (tolower((unsigned char)name[i]) != *letters)
				return false;
			letters++;
		}
	}
	return *letters == '\0';
}

static bool is_from(const struct mime_message *m, const char *const *names, size_t count)
{
	const struct mime_address *from = m->from.count > 0 ? &m->from.list[0] : NULL;

	for (size_t i = 0; i < count && from != NULL; i++) {
		if (is_name(from->address, strcspn(from->address, "@+"), names[i]) ||
			(from->name != NULL && is_name(from->name, strlen(from->name), names[i])))
			return true;
	}
	return false;
}

static bool field_has(const struct mime_message *m, const char *name, const char *word)
{
	const char *value = mime_field(m, name);

	return value != NULL && strcasestr(value, word) != NULL;
}

/* Nobody else writes such mail. */
static bool is_mailer(const struct mime_message *m)
{
	static const char *const names[] = { "mailerdaemon" };

	return is_from(m, names, COUNT(names)) || field_has(m, "Auto-Submitted", "(failure)");
}

/* People write such mail too, or machines with other things to say. */
static bool is_postmaster(const struct mime_message *m)
{
	static const char *const names[] = { "postmaster", "maildeliverysystem",
		"maildeliverysubsystem", "maildeliveryservice", "systemadministrator" };

	return is_from(m, names, COUNT(names));
}

static bool is_null_sender(const struct mime_message *m)
{
	return field_has(m, "Return-Path", "<>") || field_has(m, "Return-Path", "mailer-daemon") ||
	       (m->from.count > 0 && m->from.list[0].address[0] == '\0');
}

/* By its form, though nothing of the report could be read. */
static bool is_report(const struct mime_message *m)
{
	return field_has(m, "Content-Type", "report-type=delivery-status") ||
	       field_has(m, "Content-Type", "report-type=\"delivery-status\"");
}

static bool is_machine(const struct mime_message *m)
{
	static const char *const names[] = { "noreply", "donotreply" };

	return m->list_id == NULL && (m->auto_submitted != NULL || is_from(m, names, COUNT(names)));
}

static bool has_returned_part(const struct mime_message *m)
{
	for (size_t i = 0; i < m->part_count; i++) {
		const char *type = m->parts[i].content_type;
		if (strcmp(type, "message/rfc822") == 0 || strcmp(type, "message/global") == 0 ||
			strcmp(type, "text/rfc822-headers") == 0)
			return true;
	}
	return false;
}

bool mime_is_from_mailer(const struct mime_message *m, bool from_null_sender)
{
	return is_mailer(m) || is_postmaster(m) || from_null_sender || is_null_sender(m) ||
	       is_report(m) || mime_field(m, "X-Failed-Recipients") != NULL;
}

/* The subject says what it is about; if it does not, the text may. The subject of the mail that came
 * back may follow in it, so the first word counts. */
static bool says_other(const char *subject, const char *text)
{
	const char *failed = find(subject, failed_words, COUNT(failed_words));
	const char *other = find(subject, other_words, COUNT(other_words));

	if (other != NULL)
		return failed == NULL || other < failed;
	return failed == NULL && find(text, late_words, COUNT(late_words)) != NULL;
}

bool mime_looks_like_bounce(const struct mime_message *m, bool from_null_sender)
{
	bool mailer = mime_is_from_mailer(m, from_null_sender);
	bool returned = has_returned_part(m);
	char subject[START], text[START];

	if (!mailer && !(returned && is_machine(m)))
		return false;
	copy_start(subject, m->subject);
	copy_start(text, m->text);
	if (says_other(subject, text))
		return false;
	if (is_mailer(m) || mime_field(m, "X-Failed-Recipients") != NULL ||
		(is_postmaster(m) && field_has(m, "Content-Type", "multipart/report")))
		return true;
	if (mailer && find(subject, failed_words, COUNT(failed_words)) != NULL)
		return true;
	if (is_postmaster(m) && has_refusal(text))
		return true;
	returned = returned || (m->text != NULL && strcasestr(m->text, "\nmessage-id:") != NULL);
	return returned &&
	       (has_refusal(text) || find(text, failed_words, COUNT(failed_words)) != NULL);
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count && word != NULL; i++) {
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

bool mime_is_bounce(const struct mime_message *m, bool from_null_sender)
{
	static const char *const failed[] = { "failed", "failure", "fail", "undeliverable" };
	static const char *const others[] = { "delayed", "delivered", "relayed", "expanded",
		"deliverable" };
	const struct mime_report *report = &m->report;
	bool settled = report->recipient_count > 0;

	if (report->type != NULL && strcmp(report->type, "delivery-status") != 0)
		return false;
	for (size_t i = 0; i < report->recipient_count; i++) {
		const struct mime_report_recipient *r = &report->recipients[i];
		bool other = is_one_of(r->action, others, COUNT(others));
		if (is_one_of(r->action, failed, COUNT(failed)) ||
			(!other && r->status != NULL && r->status[0] == '5'))
			return true;
		settled = settled && (other || (r->status != NULL && r->status[0] == '2'));
	}
	return !settled && mime_looks_like_bounce(m, from_null_sender);
}
