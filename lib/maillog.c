/* SPDX-License-Identifier: MIT */
/* Postfix's lines are those of its log_adhoc.c and pipe.c, Exim's those of its deliver.c. Both let a
 * quoted local part stand as it is: `>`, `=` and spaces within quotes end nothing. */
#include "lib/maillog.h"
#include "lib/maillog_stamp.h"

#include <ctype.h>

enum {
	SHORTEST_POSTFIX_ID = 5,
	LONGEST_POSTFIX_ID = 32,
	LONGEST_PREFIX = 256, /* of a syslog line: the host and the program */
};

static bool take(struct slice *rest, struct slice what)
{
	if (!slice_begins(*rest, what))
		return false;
	slice_skip(rest, what.len);
	return true;
}

static size_t length_until(struct slice s, const char *ends)
{
	size_t len = 0;

	while (len < s.len && strchr(ends, s.base[len]) == NULL)
		len++;
	return len;
}

/* Up to, and not with, any of the ends; `*rest` is behind what was taken. */
static struct slice take_until(struct slice *rest, const char *ends)
{
	struct slice word = { rest->base, length_until(*rest, ends) };

	slice_skip(rest, word.len);
	return word;
}

static bool find(struct slice s, struct slice what, size_t *at_r)
{
	const char *found = memmem(s.base, s.len, what.base, what.len);

	if (found != NULL)
		*at_r = (size_t)(found - s.base);
	return found != NULL;
}

/* Where the first of these characters stands outside of quotes; false when it does not, or a quote is
 * never closed. */
static bool find_unquoted(struct slice s, const char *ends, size_t *at_r)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.base[i] == '"') {
			quoted = !quoted;
		} else if (quoted && s.base[i] == '\\') {
			i++;
		} else if (!quoted && s.base[i] != '\0' && strchr(ends, s.base[i]) != NULL) {
			*at_r = i;
			return true;
		}
	}
	return false;
}

/* --- what `mailserver deliver` printed --- */

/* "2.0.0 id=…" or "2.0.0 spooled=… after …"; what comes later may be anything. */
static void take_report(struct slice text, struct maillog_line *line)
{
	size_t id_at = text.len, spooled_at = text.len;

	find(text, SLICE_LIT(" id="), &id_at);
	find(text, SLICE_LIT(" spooled="), &spooled_at);
	if (id_at < spooled_at) {
		slice_skip(&text, id_at + strlen(" id="));
		line->has_id = text.len >= UUID_TEXT && uuid_parse(text.base, UUID_TEXT, &line->id);
	} else if (spooled_at < text.len) {
		slice_skip(&text, spooled_at + strlen(" spooled="));
		line->spooled = take_until(&text, " ),;");
	}
}

/* --- Postfix --- */

/* `<address>`. Postfix before 3.5 puts no quotes where they belong, and a single one may stand in an
 * address: then whatever follows the address tells. */
static bool take_address(struct slice *rest, struct slice *address_r)
{
	size_t len;

	if (!take(rest, SLICE_LIT("<")))
		return false;
	if (!find_unquoted(*rest, ">", &len) && !find(*rest, SLICE_LIT(">, orig_to=<"), &len) &&
		!find(*rest, SLICE_LIT(">, relay="), &len))
		return false;
	*address_r = (struct slice){ rest->base, len };
	slice_skip(rest, len + 1);
	return true;
}

static enum maillog_kind postfix_kind(struct slice status)
{
	static const struct {
		struct slice name;
		enum maillog_kind kind;
	} known[] = {
		{ { "sent", 4 }, MAILLOG_SENT },
		{ { "deferred", 8 }, MAILLOG_DEFERRED },
		{ { "bounced", 7 }, MAILLOG_BOUNCED },
		{ { "expired", 7 }, MAILLOG_EXPIRED },
		{ { "force-expired", 13 }, MAILLOG_EXPIRED },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_eq(status, known[i].name))
			return known[i].kind;
	return MAILLOG_OTHER;
}

/* "relay=…, delay=…, …, status=sent (…)": none of these values holds a comma. */
static void parse_delivery(struct slice rest, struct maillog_line *line)
{
	size_t at;

	if (!take(&rest, SLICE_LIT(", relay=")))
		return;
	line->relay = take_until(&rest, ",");
	if (!find(rest, SLICE_LIT(", status="), &at))
		return;
	slice_skip(&rest, at + strlen(", status="));
	enum maillog_kind kind = postfix_kind(take_until(&rest, " "));
	if (kind == MAILLOG_EXPIRED)
		return;
	line->kind = kind;
	if (kind != MAILLOG_SENT || !take(&rest, SLICE_LIT(" (delivered via ")))
		return;
	line->via = take_until(&rest, " )");
	take_report(rest, line);
}

/* "from=<…>, status=expired, returned to sender" */
static void parse_expiry(struct slice rest, struct maillog_line *line)
{
	struct slice from;

	if (!take_address(&rest, &from) || !take(&rest, SLICE_LIT(", status=")))
		return;
	if (postfix_kind(take_until(&rest, ", ")) == MAILLOG_EXPIRED)
		line->kind = MAILLOG_EXPIRED;
}

/* From "QUEUEID: " on. */
static void parse_postfix(struct slice rest, struct maillog_line *line)
{
	line->queue_id = take_until(&rest, ": ");
	if (line->queue_id.len < SHORTEST_POSTFIX_ID || line->queue_id.len > LONGEST_POSTFIX_ID ||
		!take(&rest, SLICE_LIT(": ")))
		return;
	for (size_t i = 0; i < line->queue_id.len; i++)
		if (!isalnum((unsigned char)line->queue_id.base[i]))
			return;
	if (take(&rest, SLICE_LIT("from="))) {
		parse_expiry(rest, line);
		return;
	}
	if (!take(&rest, SLICE_LIT("to=")) || !take_address(&rest, &line->to))
		return;
	if (take(&rest, SLICE_LIT(", orig_to=")) && !take_address(&rest, &line->orig_to))
		return;
	parse_delivery(rest, line);
}

/* --- Exim --- */

/* "1r6Abc-0000xx-1A"; since 4.97 "1r6Abc-00000000xxx-1A2B". */
static bool take_exim_id(struct slice *rest, struct slice *id_r)
{
	static const size_t shapes[][3] = { { 6, 6, 2 }, { 6, 11, 4 } };
	struct slice ahead = *rest, id = take_until(&ahead, " ");

	for (size_t shape = 0; shape < 2; shape++) {
		const size_t *parts = shapes[shape];
		bool fits = id.len == parts[0] + parts[1] + parts[2] + 2;
		for (size_t i = 0; fits && i < id.len; i++)
			fits = i == parts[0] || i == parts[0] + 1 + parts[1]
				       ? id.base[i] == '-'
				       : isalnum((unsigned char)id.base[i]) != 0;
		if (!fits)
			continue;
		*id_r = id;
		*rest = ahead;
		return true;
	}
	return false;
}

/* "NAME=value" after a space; the value may be quoted or in angle brackets. */
static bool take_field(struct slice *rest, struct slice *name_r, struct slice *value_r)
{
	size_t len;

	if (!take(rest, SLICE_LIT(" ")))
		return false;
	*name_r = take_until(rest, "= ");
	*value_r = (struct slice){ rest->base, 0 };
	if (!take(rest, SLICE_LIT("=")))
		return true; /* a word, as K for chunking */
	if (slice_begins(*rest, SLICE_LIT("<"))) {
		if (!find_unquoted(*rest, ">", &len))
			return false;
		len++;
	} else if (!find_unquoted(*rest, " ", &len)) {
		len = rest->len;
	}
	*value_r = (struct slice){ rest->base, len };
	slice_skip(rest, len);
	return true;
}

/* Whether an address ends here, and the fields begin. */
static bool is_before_fields(struct slice rest)
{
	static const struct slice fields[] = { { " R=", 3 }, { " T=", 3 }, { " F=<", 4 },
		{ " P=<", 4 }, { " Q=", 3 } };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (slice_begins(rest, fields[i]))
			return true;
	return false;
}

/* Where " <address>" stands, with fields behind it; and how long it is. */
static bool find_bracketed(struct slice s, size_t *at_r, size_t *len_r)
{
	size_t at = 0, skipped = 0, len;

	for (struct slice rest = s; find(rest, SLICE_LIT(" <"), &at); skipped += at + 2) {
		slice_skip(&rest, at + 2);
		struct slice behind = rest;
		if (!find_unquoted(rest, ">", &len))
			continue;
		slice_skip(&behind, len + 1);
		if (!is_before_fields(behind))
			continue;
		*at_r = skipped + at;
		*len_r = len + 3;
		return true;
	}
	return false;
}

/* "r@example.com", "local <r@example.com>", "local (parents) <r@example.com>", "|/a/pipe with arguments
 * <r@example.com>". What stands before the brackets is not quoted, whatever is in it: behind a hand-over
 * nothing but the fields follows, so the last brackets are the right ones; behind the others free
 * text does. */
static bool take_exim_address(struct slice *rest, bool is_last, struct maillog_line *line)
{
	struct slice s = *rest;
	size_t at, len, end = 0, parents;

	while ((end == 0 || is_last) &&
		find_bracketed((struct slice){ s.base + end, s.len - end }, &at, &len)) {
		line->to = (struct slice){ s.base, end + at };
		line->orig_to = (struct slice){ s.base + end + at + 2, len - 3 };
		end += at + len;
	}
	if (end == 0) {
		while (end < s.len &&
			!is_before_fields((struct slice){ s.base + end, s.len - end }))
			end++;
		line->to = (struct slice){ s.base, end };
	}
	if (find(line->to, SLICE_LIT(" ("), &parents))
		line->to.len = parents;
	slice_skip(rest, end);
	return line->to.len > 0;
}

/* The transport. Behind that of a failure or a deferral stands a colon and free text. */
static bool take_exim_transport(struct slice rest, struct maillog_line *line)
{
	struct slice name, value;

	while (take_field(&rest, &name, &value)) {
		if (!slice_eq(name, SLICE_LIT("T")))
			continue;
		if (value.len > 0 && value.base[value.len - 1] == ':')
			value.len--;
		line->relay = value;
		return true;
	}
	return false;
}

/* "<r@example.com>: mailserver transport output: 2.0.0 id=…" */
static void parse_output(struct slice rest, struct maillog_line *line)
{
	if (!take_address(&rest, &line->to) || !take(&rest, SLICE_LIT(": ")))
		return;
	line->relay = take_until(&rest, " ");
	if (!take(&rest, SLICE_LIT(" transport output: ")))
		return;
	take_report(rest, line);
	if (line->has_id || line->spooled.len > 0)
		line->kind = MAILLOG_OUTPUT;
}

/* From the message's id on. */
static void parse_exim(struct slice rest, struct maillog_line *line)
{
	static const struct {
		struct slice flag;
		enum maillog_kind kind;
	} flags[] = {
		{ { "=> ", 3 }, MAILLOG_SENT },
		{ { "-> ", 3 }, MAILLOG_SENT },
		{ { "== ", 3 }, MAILLOG_DEFERRED },
		{ { "** ", 3 }, MAILLOG_BOUNCED },
	};

	if (!take_exim_id(&rest, &line->queue_id) || !take(&rest, SLICE_LIT(" ")))
		return;
	if (slice_begins(rest, SLICE_LIT("<")) && !slice_begins(rest, SLICE_LIT("<= "))) {
		parse_output(rest, line);
		return;
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (take(&rest, flags[i].flag)) {
			line->is_joined = i == 1;
			if (take_exim_address(&rest, flags[i].kind == MAILLOG_SENT, line) &&
				take_exim_transport(rest, line))
				line->kind = flags[i].kind;
			return;
		}
}

/* --- the frame --- */

/* Exim's log_selector may put "[pid] " there; a part of a long line, in syslog, is "[1/2] ". */
static void skip_brackets(struct slice *rest)
{
	struct slice ahead = *rest;

	if (take(&ahead, SLICE_LIT("[")) && take_until(&ahead, "] ").len > 0 &&
		take(&ahead, SLICE_LIT("] ")))
		*rest = ahead;
}

static bool is_exim(struct slice program)
{
	return memmem(program.base, program.len, "exim", 4) != NULL;
}

/* Behind "HOST PROGRAM[PID]: "; the host may be missing. */
static bool skip_syslog_prefix(struct slice *rest, struct slice *program_r)
{
	struct slice head = { rest->base, rest->len < LONGEST_PREFIX ? rest->len : LONGEST_PREFIX };
	size_t len, word = 0;

	if (!find(head, SLICE_LIT(": "), &len))
		return false;
	for (size_t i = 0; i < len; i++)
		if (head.base[i] == ' ')
			word = i + 1;
	*program_r = (struct slice){ head.base + word, len - word };
	slice_skip(rest, len + 2);
	return true;
}

static void parse_message(struct slice rest, struct maillog_line *line)
{
	struct slice program, ahead = rest;
	struct maillog_stamp own;

	skip_brackets(&rest);
	parse_exim(rest, line); /* with nothing but a date before it: its own log */
	if (line->kind != MAILLOG_OTHER || !skip_syslog_prefix(&ahead, &program))
		return;
	rest = ahead;
	if (!is_exim(program)) {
		parse_postfix(rest, line);
		return;
	}
	skip_brackets(&rest);
	if (maillog_take_stamp(&rest, &own))
		take(&rest, SLICE_LIT(" "));
	skip_brackets(&rest);
	parse_exim(rest, line);
}

/* "<22>", where a receiver of syslog's wrote down what it got. */
static void skip_priority(struct slice *rest)
{
	struct slice ahead = *rest;

	if (take(&ahead, SLICE_LIT("<")) && take_until(&ahead, "> ").len <= 3 &&
		take(&ahead, SLICE_LIT(">")))
		*rest = ahead;
}

void maillog_parse(struct slice line, struct maillog_line *line_r)
{
	struct maillog_line parsed = { .kind = MAILLOG_OTHER };
	struct slice rest = slice_trim(line);

	skip_priority(&rest);
	parsed.has_stamp = maillog_take_stamp(&rest, &parsed.stamp);
	if (parsed.has_stamp && take(&rest, SLICE_LIT(" ")))
		parse_message(rest, &parsed);
	if (parsed.kind != MAILLOG_OTHER)
		*line_r = parsed;
	else
		*line_r = (struct maillog_line){ .has_stamp = parsed.has_stamp,
			.stamp = parsed.stamp };
}
