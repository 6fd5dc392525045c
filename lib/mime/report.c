/* SPDX-License-Identifier: MIT */
/* Reports that machines write about mail: delivery status (RFC 3464), disposition (RFC 8098),
 * feedback (RFC 5965), DMARC (RFC 7489). */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

enum { MAX_KNOWN_BY = 200 }; /* fields that a report is known by, or the returned header */

/* What stands in the type's part, and what it is called. */
static const struct {
	const char *part, *report;
} kinds[] = {
	{ "message/delivery-status", "delivery-status" },
	{ "message/global-delivery-status", "delivery-status" },
	{ "message/disposition-notification", "disposition-notification" },
	{ "message/global-disposition-notification", "disposition-notification" },
	{ "message/feedback-report", "feedback-report" },
};

struct reader {
	struct mime_work *w;
	const char *raw;
	const struct mime_part *returned; /* the mail that the report is about, or its header */
	bool returned_is_message;         /* its bytes stand as they are */
	bool from_mailer, dmarc_name, tls;
};

static bool is_returned(const char *type)
{
	return strcmp(type, "text/rfc822-headers") == 0 ||
	       strcmp(type, "message/rfc822-headers") == 0 ||
	       strcmp(type, "message/global-headers") == 0 || strcmp(type, "message/rfc822") == 0 ||
	       strcmp(type, "message/global") == 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && strcasecmp(s + len - n, end) == 0;
}

/* RFC 7489, 7.2.1.1: receiver "!" policy domain "!" begin "!" end [ "!" unique ] "." extension */
static bool is_dmarc_name(const char *name)
{
	const char *begin, *end;

	if (name == NULL || (!ends_with(name, ".xml") && !ends_with(name, ".xml.gz") &&
				    !ends_with(name, ".zip") && !ends_with(name, ".gz")))
		return false;
	const char *domain = strchr(name, '!');
	if (domain == NULL || domain == name || (begin = strchr(domain + 1, '!')) == NULL ||
		begin == domain + 1)
		return false;
	size_t digits = strspn(begin + 1, "0123456789");
	end = begin + 1 + digits;
	if (digits == 0 || *end != '!')
		return false;
	digits = strspn(end + 1, "0123456789");
	return digits > 0 && (end[1 + digits] == '!' || end[1 + digits] == '.');
}

/* A part's content, as much as a header section may hold. Its damage has been noted before. */
static void read_part(
	struct reader *r, const struct mime_part *part, bool as_it_is, struct buf *out)
{
	struct mime_part ignored = { .n = 0 };
	struct slice raw = { r->raw + part->raw_offset, part->raw_length };
	size_t max = r->w->limits->header_bytes;
	uint64_t defects = r->w->defects;

	buf_init(out, max);
	if (raw.len / 4 > max) /* no encoding takes more */
		raw.len = 4 * max;
	mime_decode(r->w, as_it_is ? "binary" : part->encoding, raw, &ignored, out);
	r->w->defects = defects;
}

bool mime_next_group(struct slice *rest, struct slice *group_r)
{
	size_t at = 0, start = 0;
	bool any = false;

	while (at < rest->len) {
		const char *end = memchr(rest->base + at, '\n', rest->len - at);
		size_t next = end != NULL ? (size_t)(end + 1 - rest->base) : rest->len;
		bool blank = slice_trim((struct slice){ rest->base + at, next - at }).len == 0;
		if (blank && any)
			break;
		if (!blank && !any)
			start = at;
		any = any || !blank;
		at = next;
	}
	*group_r = (struct slice){ rest->base + start, at - start };
	*rest = (struct slice){ rest->base + at, rest->len - at };
	return any;
}

/* "rfc822; a@b", "dns; mx.example.org", "smtp; 550 no": what stands behind the type. */
static struct slice behind_type(struct slice value)
{
	const char *mark = memchr(value.base, ';', value.len);

	value = slice_trim(value);
	if (mark == NULL)
		return value;
	return slice_trim((struct slice){ mark + 1, (size_t)(value.base + value.len - mark - 1) });
}

static const char *text_of(struct mime_work *w, struct slice value)
{
	const char *text = mime_header_text(w, value);

	return *text != '\0' ? text : NULL;
}

static const char *typed(struct mime_work *w, const struct mime_fields *fields, const char *name)
{
	return text_of(w, behind_type(mime_fields_last(fields, name)));
}

/* Either bracket may be missing. */
static const char *bare_address(struct mime_work *w, struct slice value)
{
	value = slice_trim(value);
	if (value.len > 0 && value.base[0] == '<')
		slice_skip(&value, 1);
	if (value.len > 0 && value.base[value.len - 1] == '>')
		value.len--;
	return text_of(w, value);
}

static const char *address(struct mime_work *w, const struct mime_fields *fields, const char *name)
{
	return bare_address(w, behind_type(mime_fields_last(fields, name)));
}

void mime_report_add(struct mime_work *w, struct mime_report_recipient recipient)
{
	struct mime_report *report = &w->m->report;
	size_t n = report->recipient_count;

	if (n >= w->limits->addresses) {
		mime_note(w, DEFECT_LIMIT_ADDRESSES);
		return;
	}
	/* Grown by doubling, at each power of two. */
	if ((n & (n - 1)) == 0) {
		struct mime_report_recipient *more = arena_alloc(
			w->arena, (n > 0 ? 2 * n : 1) * sizeof(more[0]));
		if (n > 0)
			memcpy(more, report->recipients, n * sizeof(more[0]));
		report->recipients = more;
	}
	report->recipients[report->recipient_count++] = recipient;
}

/* "automatic-action/MDN-sent-automatically; displayed/error": the word behind the mode. */
static const char *disposition(struct mime_work *w, const struct mime_fields *fields)
{
	struct slice value = behind_type(mime_fields_last(fields, "disposition"));
	const char *slash = memchr(value.base, '/', value.len);

	if (slash != NULL)
		value.len = (size_t)(slash - value.base);
	return mime_token(w, value);
}

static void use_recipient(struct mime_work *w, const struct mime_fields *fields)
{
	const char *action = mime_token(w, mime_fields_last(fields, "action"));
	struct mime_report_recipient recipient = {
		.recipient = address(w, fields, "final-recipient"),
		.original_recipient = address(w, fields, "original-recipient"),
		.action = action != NULL ? action : disposition(w, fields),
		.status = mime_token(w, mime_fields_last(fields, "status")),
		.diagnostic = typed(w, fields, "diagnostic-code"),
	};

	if (recipient.recipient == NULL)
		recipient.recipient = recipient.original_recipient;
	if (recipient.status == NULL)
		recipient.status = mime_status_in(w, mime_fields_last(fields, "diagnostic-code"));
	if (recipient.recipient != NULL || recipient.action != NULL || recipient.status != NULL)
		mime_report_add(w, recipient);
}

static void use_complaints(struct mime_work *w, const struct mime_fields *fields)
{
	for (size_t i = 0; i < fields->count; i++) {
		if (slice_ieq(fields->list[i].name, SLICE_LIT("original-rcpt-to")))
			mime_report_add(
				w, (struct mime_report_recipient){
					   .recipient = bare_address(w, fields->list[i].value) });
	}
}

static bool has_field(const struct mime_fields *fields, const char *name)
{
	return mime_fields_last(fields, name).len > 0;
}

/* The header of a message has a trace, or an id, and what people write beside it. */
enum mime_group mime_report_group(const struct mime_fields *group)
{
	static const char *const beside[] = { "return-path", "from", "to", "date", "subject" };
	bool message = has_field(group, "message-id") || has_field(group, "received");

	if (has_field(group, "final-recipient") || has_field(group, "original-recipient"))
		return has_field(group, "action") || has_field(group, "status") ? GROUP_RECIPIENT
										: GROUP_OTHER;
	if (has_field(group, "message-id") && has_field(group, "received"))
		return GROUP_HEADER;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]) && message; i++) {
		if (has_field(group, beside[i]))
			return GROUP_HEADER;
	}
	return GROUP_OTHER;
}

void mime_report_returned(struct mime_work *w, const struct mime_fields *header)
{
	uint64_t defects = w->defects; /* the returned mail's faults are not this one's */
	struct mime_returned returned = {
		.id = mime_first_id(w, mime_fields_last(header, "message-id")),
	};

	mime_addresses_parse(w, mime_fields_last(header, "to"), &returned.to);
	mime_addresses_parse(w, mime_fields_last(header, "cc"), &returned.to);
	w->returned = returned;
	w->defects = defects;
}

static size_t count_fields(const struct mime_fields *fields, struct slice name)
{
	size_t n = 0;

	for (size_t i = 0; i < fields->count; i++)
		n += slice_ieq(fields->list[i].name, name);
	return n;
}

static bool is_of_recipient(struct slice name)
{
	return slice_ieq(name, SLICE_LIT("final-recipient")) ||
	       slice_ieq(name, SLICE_LIT("original-recipient")) ||
	       slice_ieq(name, SLICE_LIT("action")) || slice_ieq(name, SLICE_LIT("status"));
}

/* Recipients should be a group each. Where blank lines are missing, a new one begins with the field
 * that began the first. */
static void use_recipients(struct mime_work *w, const struct mime_fields *group)
{
	size_t recipients = count_fields(group, SLICE_LIT("final-recipient"));
	size_t first = 0, start = 0;

	while (first < group->count && !is_of_recipient(group->list[first].name))
		first++;
	if (recipients < 2 || recipients != count_fields(group, group->list[first].name)) {
		use_recipient(w, group);
		return;
	}
	for (size_t i = first + 1; i <= group->count; i++) {
		if (i < group->count && !slice_ieq(group->list[i].name, group->list[first].name))
			continue;
		use_recipient(w, &(struct mime_fields){ group->list + start, i - start });
		start = i;
	}
}

void mime_report_use(struct mime_work *w, const struct mime_fields *group)
{
	static const char *const id_names[] = { "original-message-id", "x-original-message-id" };
	struct mime_report *report = &w->m->report;

	if (report->reporting_mta == NULL)
		report->reporting_mta = typed(w, group, "reporting-mta");
	for (size_t i = 0; i < 2 && report->original_message_id == NULL; i++)
		report->original_message_id = mime_first_id(
			w, mime_fields_last(group, id_names[i]));
	if (report->type == NULL || strcmp(report->type, "feedback-report") != 0) {
		use_recipients(w, group);
		return;
	}
	if (report->feedback_type == NULL)
		report->feedback_type = mime_token(w, mime_fields_last(group, "feedback-type"));
	use_complaints(w, group);
}

/* False when what came back follows, which has lost its own part. */
static bool use_group(struct mime_work *w, struct slice text)
{
	struct mime_fields group = mime_fields_split(w, text, w->limits->header_fields);

	if (mime_report_group(&group) == GROUP_HEADER) {
		mime_report_returned(w, &group);
		return false;
	}
	mime_report_use(w, &group);
	return true;
}

static void read_report(struct reader *r, const struct mime_part *part)
{
	struct buf content;
	struct slice group;
	bool more = true;

	read_part(r, part, false, &content);
	struct slice rest = mime_text_of(&content);
	while (more && r->w->m->report.recipient_count < r->w->limits->addresses &&
		mime_next_group(&rest, &group))
		more = use_group(r->w, group);
	if (more && (slice_trim(rest).len > 0 || content.truncated))
		mime_note(r->w, DEFECT_LIMIT_ADDRESSES);
	buf_deinit(&content);
}

static const char *kind_of(const struct mime_node *node)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && node->kind == NODE_LEAF; i++) {
		if (strcmp(node->type, kinds[i].part) == 0)
			return kinds[i].report;
	}
	return NULL;
}

/* Parts of a report that are labelled as something else are known by their fields. What is looked into
 * is what may be text; pictures and the like are not. */
static const char *kind_by_fields(struct reader *r, const struct mime_node *node)
{
	struct buf content;
	struct slice rest, lines;
	const char *kind = NULL;
	uint64_t defects = r->w->defects;

	if (node->kind != NODE_LEAF ||
		(strncmp(node->type, "text/", 5) != 0 && strncmp(node->type, "message/", 8) != 0 &&
			strcmp(node->type, "application/octet-stream") != 0))
		return NULL;
	read_part(r, node->part, false, &content);
	rest = mime_text_of(&content);
	if (mime_next_group(&rest, &lines)) {
		struct mime_fields group = mime_fields_split(r->w, lines, MAX_KNOWN_BY);
		if (mime_report_group(&group) == GROUP_HEADER && r->w->returned.id == NULL)
			mime_report_returned(r->w, &group);
		else if (has_field(&group, "feedback-type"))
			kind = "feedback-report";
		else if (has_field(&group, "final-recipient") && has_field(&group, "disposition"))
			kind = "disposition-notification";
		else if (has_field(&group, "reporting-mta") ||
			 mime_report_group(&group) == GROUP_RECIPIENT)
			kind = "delivery-status";
	}
	r->w->defects = defects;
	buf_deinit(&content);
	return kind;
}

/* There may be several parts of the kind, each about another recipient. */
static void look_at(struct reader *r, const struct mime_node *node, bool behind_words)
{
	const char **type = &r->w->m->report.type, *kind = kind_of(node);

	if (kind == NULL && behind_words && !is_returned(node->type))
		kind = kind_by_fields(r, node);
	if (kind != NULL && (*type == NULL || strcmp(*type, kind) == 0)) {
		*type = kind;
		read_report(r, node->part);
	}
	if (r->returned == NULL && is_returned(node->type)) {
		r->returned = node->part;
		r->returned_is_message = node->kind == NODE_MESSAGE;
	}
	r->dmarc_name = r->dmarc_name || is_dmarc_name(node->part->filename);
	r->tls = r->tls || strncmp(node->type, "application/tlsrpt", 18) == 0;
}

/* Not within attached messages: their reports are about other mail. */
static void look_through(struct reader *r, const struct mime_node *node, bool behind_words)
{
	bool report = r->from_mailer || strcmp(node->type, "multipart/report") == 0;

	if (node->part != NULL)
		look_at(r, node, behind_words);
	for (const struct mime_node *c = node->first; c != NULL && node->kind == NODE_MULTIPART;
		c = c->next)
		look_through(r, c, report && c != node->first);
}

/* Some put blank lines in front of it. */
static void read_returned(struct reader *r)
{
	struct buf content;
	struct slice header;

	read_part(r, r->returned, r->returned_is_message, &content);
	struct slice rest = mime_text_of(&content);
	uint64_t defects = r->w->defects; /* the returned mail's faults are not this one's */
	mime_next_group(&rest, &header);
	struct mime_fields fields = mime_fields_split(r->w, header, r->w->limits->header_fields);
	mime_report_returned(r->w, &fields);
	r->w->defects = defects;
	buf_deinit(&content);
}

/* RFC 7489, 7.2.1.1: "Report Domain: example.org Submitter: mail.receiver.example Report-ID: …" */
static bool is_dmarc_subject(const char *subject)
{
	static const char start[] = "report domain:";

	return subject != NULL && strncasecmp(subject, start, sizeof(start) - 1) == 0 &&
	       strcasestr(subject, "submitter:") != NULL;
}

void mime_report_fill(struct mime_work *w, const char *raw, const struct mime_node *top)
{
	struct reader r = { .w = w, .raw = raw, .from_mailer = mime_is_from_mailer(w->m, false) };

	look_through(&r, top, false);
	if (r.returned != NULL)
		read_returned(&r);
	if (w->m->report.type != NULL) {
		if (w->returned.id != NULL)
			w->m->report.original_message_id = w->returned.id;
	} else if (!r.tls && (r.dmarc_name || is_dmarc_subject(w->m->subject))) {
		w->m->report.type = "dmarc"; /* a TLS report (RFC 8460) has the same subject */
	}
}
