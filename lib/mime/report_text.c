/* SPDX-License-Identifier: MIT */
/* What mailers say in words alone: fields of a delivery status that stand in the text, recipients in
 * X-Failed-Recipients (Exim) or in paragraphs that begin with "<recipient>:" (qmail, QSBMF), and the
 * header of the mail that came back. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

/* Whether a reply code of the same class stands in front of a status: "550 5.1.1", "550: 5.1.1". */
static bool is_behind_code(const char *start, const char *status)
{
	const char *end = status;

	while (end > start && strchr(" \t\r\n:-", end[-1]) != NULL)
		end--;
	return end < status && end - start >= 3 && end[-3] == status[0] &&
	       isdigit((unsigned char)end[-2]) && isdigit((unsigned char)end[-1]) &&
	       (end - start == 3 || !isalnum((unsigned char)end[-4]));
}

const char *mime_status_in(struct mime_work *w, struct slice text)
{
	const char *end = text.base + text.len;

	for (const char *p = text.base + 1; p + 5 <= end; p++) {
		if (strchr("245", p[0]) == NULL || p[1] != '.' || !isdigit((unsigned char)p[2]) ||
			(p[-1] != '#' && !is_behind_code(text.base, p)))
			continue;
		size_t len = 0;
		while (p + len < end && (isdigit((unsigned char)p[len]) || p[len] == '.'))
			len++;
		while (p[len - 1] == '.')
			len--;
		return mime_token(w, (struct slice){ p, len });
	}
	return NULL;
}

/* "<a@b>: and why not". QSBMF has a line end behind the colon. */
static void use_paragraph(struct mime_work *w, struct slice group)
{
	const char *end = group.base[0] == '<' ? memchr(group.base, '>', group.len) : NULL;

	if (end == NULL || end + 1 == group.base + group.len || end[1] != ':' ||
		memchr(group.base, '@', (size_t)(end - group.base)) == NULL ||
		memchr(group.base, '\n', (size_t)(end - group.base)) != NULL)
		return;
	struct slice address = { group.base + 1, (size_t)(end - group.base - 1) };
	struct slice why = slice_trim(
		(struct slice){ end + 2, (size_t)(group.base + group.len - end - 2) });
	mime_report_add(w, (struct mime_report_recipient){
				   .recipient = mime_header_text(w, address),
				   .action = "failed",
				   .status = mime_status_in(w, why),
				   .diagnostic = why.len > 0 ? mime_header_text(w, why) : NULL,
			   });
}

/* A copy of the message, or of its header, follows. */
static bool is_break(struct slice group)
{
	return group.base[0] == '-';
}

static void use_paragraphs(struct mime_work *w, struct slice text)
{
	struct slice group;

	while (mime_next_group(&text, &group) && !is_break(group))
		use_paragraph(w, group);
}

static void use_failed_recipients(struct mime_work *w)
{
	for (size_t i = 0; i < w->m->header_count; i++) {
		struct mime_addresses found = { NULL, 0 };
		if (strcasecmp(w->m->headers[i].name, "X-Failed-Recipients") != 0)
			continue;
		mime_addresses_parse(w, slice_str(w->m->headers[i].value), &found);
		for (size_t k = 0; k < found.count; k++) {
			if (strchr(found.list[k].address, '@') != NULL)
				mime_report_add(w, (struct mime_report_recipient){
							   .recipient = found.list[k].address,
							   .action = "failed" });
		}
	}
}

/* Fields of a delivery status; and the header of what came back, which stands behind them if there are
 * any. Returns what stands in front of that header: the notice itself. */
static struct slice use_groups(struct mime_work *w, struct slice text)
{
	bool wants_recipients = w->m->report.recipient_count == 0;
	bool has_part = w->returned.id != NULL, found = false;
	struct slice lines, rest = text, notice = text;

	while (mime_next_group(&rest, &lines)) {
		struct mime_fields group = mime_fields_split(w, lines, w->limits->header_fields);
		enum mime_group kind = mime_report_group(&group);
		if (kind == GROUP_HEADER && !found) {
			if (!has_part)
				mime_report_returned(w, &group);
			notice.len = (size_t)(lines.base - text.base);
			found = true;
		}
		if (kind == GROUP_HEADER && w->m->report.recipient_count > 0)
			break;
		if (wants_recipients &&
			(kind == GROUP_RECIPIENT ||
				mime_fields_last(&group, "reporting-mta").len > 0)) {
			mime_report_use(w, &group);
			found = false;
		}
	}
	return notice;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || strchr("-_.+%", c) != NULL;
}

/* Whether a line of the notice, other than a copy of To or Cc, names the address. */
static bool names(const char *notice, const char *address)
{
	size_t len = strlen(address);
	const char *line = notice;

	for (const char *p = notice; (p = strcasestr(p, address)) != NULL; p += len) {
		const char *end = p + len, *next;
		while ((next = memchr(line, '\n', (size_t)(p - line))) != NULL)
			line = next + 1;
		const char *start = line + strspn(line, " \t");
		end += *end == '.'; /* of a sentence */
		if ((p == notice || !is_word(p[-1])) && !isalnum((unsigned char)*end) &&
			strncasecmp(start, "to:", 3) != 0 && strncasecmp(start, "cc:", 3) != 0)
			return true;
	}
	return false;
}

/* Those the returned message was for, as far as the notice names them. */
static void use_named(struct mime_work *w, struct slice notice)
{
	enum { MAX_NOTICE = 16384, MAX_NAMED = 100 };
	const struct mime_addresses *to = &w->returned.to;

	notice.len = notice.len < MAX_NOTICE ? notice.len : MAX_NOTICE;
	const char *text = arena_strndup(w->arena, notice.base, notice.len);
	for (size_t i = 0; i < to->count && i < MAX_NAMED; i++) {
		const char *address = to->list[i].address;
		if (strchr(address, '@') != NULL && names(text, address))
			mime_report_add(w, (struct mime_report_recipient){
						   .recipient = address, .action = "failed" });
	}
}

static void use_notice(struct mime_work *w, struct slice notice)
{
	struct mime_report *report = &w->m->report;

	use_paragraphs(w, notice);
	if (report->recipient_count == 0)
		use_failed_recipients(w);
	if (report->recipient_count == 0)
		use_named(w, notice);
	if (report->recipient_count == 1 && report->recipients[0].status == NULL)
		report->recipients[0].status = mime_status_in(w, notice);
}

static void read_text(struct mime_work *w)
{
	struct mime_report *report = &w->m->report;
	struct slice text = slice_str(w->m->text != NULL ? w->m->text : "");
	bool has_part = w->returned.id != NULL;

	if (text.len > w->limits->header_bytes)
		text.len = w->limits->header_bytes;
	struct slice notice = use_groups(w, text);

	if (report->recipient_count == 0 && mime_looks_like_bounce(w->m, false))
		use_notice(w, has_part ? text : notice);
	if (report->original_message_id == NULL)
		report->original_message_id = w->returned.id != NULL ? w->returned.id
								     : w->m->in_reply_to;
}

void mime_report_from_text(struct mime_work *w)
{
	struct mime_report *report = &w->m->report;
	uint64_t defects = w->defects; /* words are not expected to be fields */
	const uint64_t limit = UINT64_C(1) << DEFECT_LIMIT_ADDRESSES;

	if (report->type != NULL
			? strcmp(report->type, "delivery-status") != 0
			: !mime_is_from_mailer(w->m, false) && !mime_looks_like_bounce(w->m, false))
		return;
	read_text(w);
	if (report->recipient_count > 0 ||
		(report->original_message_id != NULL && mime_looks_like_bounce(w->m, false)))
		report->type = "delivery-status";
	else if (report->type == NULL)
		*report = (struct mime_report){ .type = NULL };
	w->defects = defects | (w->defects & limit);
}
