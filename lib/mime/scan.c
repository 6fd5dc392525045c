/* SPDX-License-Identifier: MIT */
/* The first pass: one look at each line, no more memory than the limits allow, before GMime sees
 * anything. It follows the structure the way GMime's parser does, for three ends:
 *
 * - limits: parts, nesting and header fields are counted, and the pass stops at the first excess.
 *   GMime would take seconds and hundreds of megabytes for what fits into one message.
 * - a masked copy for GMime: only Content-Type and Content-Transfer-Encoding keep their names, for
 *   structure needs no others. Unmasked, GMime would read the address fields of attached messages
 *   with a reader that calls itself for each nested group (and so takes the stack), take quadratic
 *   time for unclosed encoded words, and keep every charset name that it meets for the rest of the
 *   process' life.
 * - the extent of attached messages, which GMime does not tell. */
#include "lib/mime/internal.h"

#include <gmime/gmime.h>
#include <string.h>
#include <strings.h>

/* GMime's parser works in a window of 4 KB that a boundary has to fit into. */
enum { MAX_BOUNDARY = 2048 };

/* A multipart, or an attached message, that is open where the scan is. */
struct level {
	/* With its leading "--". Empty for a message, and for a multipart that has none: these end with
	 * what holds them. */
	struct slice boundary;
	bool digest;
	struct mime_ranges *ranges; /* its range is the one at `index` of these */
	size_t index;
};

/* What matters of the header section that is being read. */
struct section {
	size_t start;
	struct slice type, encoding; /* the last of each, as GMime takes them */
	struct slice *open;          /* the value that a continuation line belongs to, or NULL */
	bool any;                    /* a field has been seen */
};

struct scanner {
	struct mime_work *w;
	const char *raw;
	size_t len;
	struct mime_scan *scan;
	struct level *levels;
	size_t depth, fields;
	bool in_header;
	struct section section;
	bool binary;           /* the content that is being read has no lines (RFC 2045, 6.2) */
	bool has_crlf, has_lf; /* lines were met that end so */
};

static bool over(struct scanner *s, enum mime_defect limit)
{
	s->scan->over = limit;
	return false;
}

static void begin_section(struct scanner *s, size_t start)
{
	s->in_header = true;
	s->section = (struct section){ .start = start };
}

static void end_field(struct scanner *s)
{
	if (s->section.open == &s->section.type)
		mime_mask_type(s->scan->masked + (s->section.type.base - s->raw), s->section.type);
	s->section.open = NULL;
}

static bool is_lwsp(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool matches(struct slice line, struct slice boundary, bool final)
{
	size_t len = boundary.len + (final ? 2 : 0);

	if (boundary.len == 0 || line.len < len ||
		memcmp(line.base, boundary.base, boundary.len) != 0)
		return false;
	if (final && memcmp(line.base + boundary.len, "--", 2) != 0)
		return false;
	while (line.len > len && is_lwsp(line.base[line.len - 1]))
		line.len--;
	return line.len == len;
}

/* A level whose content begins, and so far ends, there. */
static struct level new_level(struct scanner *s, struct mime_ranges *ranges, size_t start)
{
	if (ranges->count == ranges->capacity) {
		size_t capacity = ranges->capacity > 0 ? 2 * ranges->capacity : 4;
		struct mime_range *more = arena_alloc(s->w->arena, capacity * sizeof(more[0]));
		if (ranges->count > 0)
			memcpy(more, ranges->list, ranges->count * sizeof(more[0]));
		ranges->list = more;
		ranges->capacity = capacity;
	}
	ranges->list[ranges->count] = (struct mime_range){ start, start };
	return (struct level){ .ranges = ranges, .index = ranges->count++ };
}

/* Leaves all levels above `depth`, the content of each ending at `end`. */
static void close_levels(struct scanner *s, size_t depth, size_t end)
{
	for (; s->depth > depth; s->depth--) {
		struct level *level = &s->levels[s->depth - 1];
		struct mime_range *range = &level->ranges->list[level->index];
		range->end = end > range->start ? end : range->start;
	}
}

/* The same from outside: multiparts among them were not ended by a boundary of their own. */
static void cut_levels(struct scanner *s, size_t depth, size_t end)
{
	for (size_t i = depth; i < s->depth; i++) {
		if (s->levels[i].boundary.len > 0)
			mime_note(s->w, DEFECT_UNCLOSED_MULTIPART);
	}
	close_levels(s, depth, end);
}

static bool push(struct scanner *s, struct level level)
{
	if (s->depth >= s->w->limits->depth)
		return over(s, DEFECT_LIMIT_DEPTH);
	if (level.boundary.len > MAX_BOUNDARY)
		return over(s, DEFECT_LIMIT_BOUNDARY);
	s->levels[s->depth++] = level;
	return true;
}

static bool count_part(struct scanner *s)
{
	return ++s->scan->parts <= s->w->limits->parts || over(s, DEFECT_LIMIT_PARTS);
}

bool mime_is_message(const char *subtype)
{
	static const char *const subtypes[] = { "rfc822", "rfc2822", "global", "news" };

	for (size_t i = 0; i < sizeof(subtypes) / sizeof(subtypes[0]); i++) {
		if (strcasecmp(subtype, subtypes[i]) == 0)
			return true;
	}
	return false;
}

static bool is_message_type(GMimeContentType *type)
{
	return g_mime_content_type_is_type(type, "message", "*") &&
	       mime_is_message(g_mime_content_type_get_media_subtype(type));
}

static bool is_encoded(const struct section *section)
{
	char word[32];
	struct slice value = slice_trim(section->encoding);
	size_t len = value.len < sizeof(word) - 1 ? value.len : sizeof(word) - 1;

	memcpy(word, value.base != NULL ? value.base : "", len);
	word[len] = '\0';
	switch (g_mime_content_encoding_from_string(word)) {
	case GMIME_CONTENT_ENCODING_BASE64:
	case GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE:
	case GMIME_CONTENT_ENCODING_UUENCODE:
		return true;
	default:
		return false;
	}
}

/* The value as GMime gets it. Only types that begin with an "m" (or a comment) open a level. */
static GMimeContentType *parse_type(struct scanner *s, struct slice value)
{
	size_t at = value.base != NULL ? (size_t)(value.base - s->raw) : 0;
	struct slice first = slice_trim(value);

	if (first.len == 0 || strchr("mM(", first.base[0]) == NULL)
		return NULL;
	mime_unfold(s->w, (struct slice){ s->scan->masked + at, value.len });
	return g_mime_content_type_parse(NULL, s->w->line.base);
}

static bool open_message(struct scanner *s, size_t body, bool cut)
{
	struct level level = new_level(s, &s->scan->messages, body);

	if (cut)
		return true;
	if (!count_part(s) || !push(s, level))
		return false;
	begin_section(s, body);
	return true;
}

static bool is_open(const struct scanner *s, const char *boundary)
{
	for (size_t i = 0; i < s->depth; i++) {
		struct slice open = s->levels[i].boundary;
		if (open.len > 2 && slice_eq((struct slice){ open.base + 2, open.len - 2 },
					    slice_str(boundary)))
			return true;
	}
	return false;
}

/* The boundary of a multipart, `given` being what GMime sees. That a boundary never comes is found out
 * for the message's own alone: to look through all that follows for each would be too much. */
static const char *find_boundary(
	struct scanner *s, const char *given, size_t end, struct slice content)
{
	size_t start = s->section.start;
	const char *boundary = NULL;
	bool inferred = false;

	if (given != NULL) {
		const char *line = arena_printf(s->w->arena, "--%s", given);
		if (s->depth > 0 || content.len == 0 ||
			memmem(content.base, content.len, line, strlen(line)) != NULL)
			return given;
	} else {
		boundary = mime_boundary_extended(s->w, s->section.type);
	}
	if (boundary == NULL && content.len > 0) {
		boundary = mime_boundary_of_content(s->w, content);
		inferred = true;
	}
	if (boundary == NULL || is_open(s, boundary) ||
		!mime_boundary_give(
			s->w, s->scan->masked + start, end - start, s->section.type, boundary))
		return given;
	if (inferred)
		mime_note(s->w, DEFECT_MISSING_BOUNDARY);
	return boundary;
}

static bool open_multipart(
	struct scanner *s, GMimeContentType *type, size_t end, struct slice content)
{
	const char *boundary = find_boundary(
		s, g_mime_content_type_get_parameter(type, "boundary"), end, content);
	struct level level = new_level(s, &s->scan->multiparts, (size_t)(content.base - s->raw));

	if (boundary != NULL)
		level.boundary = slice_str(arena_printf(s->w->arena, "--%s", boundary));
	else if (content.len == 0)
		return true;
	level.digest = g_mime_content_type_is_type(type, "multipart", "digest");
	return push(s, level);
}

/* The section's blank line has been read (`body` lies behind it), or a boundary stands in its place
 * (`cut`), and then there is no content to descend into. */
static bool end_section(struct scanner *s, size_t end, size_t body, bool cut)
{
	bool digest = s->depth > 0 && s->levels[s->depth - 1].digest, good = true;

	end_field(s);
	struct section section = s->section;
	struct slice content = { s->raw + body, cut ? 0 : s->len - body };

	s->in_header = false;
	s->binary = slice_ieq(slice_trim(section.encoding), SLICE_LIT("binary"));
	if (s->scan->body_start == 0 && section.start == s->scan->header.start) {
		s->scan->header.end = end;
		s->scan->body_start = body;
	}
	if (section.type.len > 0 && mime_lacks_semicolon(section.type))
		mime_note(s->w, DEFECT_BAD_CONTENT_TYPE);
	GMimeContentType *type = parse_type(s, section.type);
	bool message = type != NULL ? is_message_type(type) : digest && section.type.len == 0;
	if (message && !is_encoded(&section)) {
		good = open_message(s, body, cut);
	} else if (type != NULL && g_mime_content_type_is_type(type, "multipart", "*")) {
		good = open_multipart(s, type, end, content);
	}
	if (type != NULL)
		g_object_unref(type);
	return good;
}

static bool is_multipart(struct slice type)
{
	type = slice_trim(type);
	return type.len > 10 && strncasecmp(type.base, "multipart/", 10) == 0;
}

/* Where the value of a field goes, or NULL when GMime need not see it. Of several types the last one
 * counts, but none takes its parts from a multipart. */
static struct slice *kept_value(struct scanner *s, struct slice name, struct slice value)
{
	if (slice_ieq(name, SLICE_LIT("Content-Type")))
		return is_multipart(s->section.type) && !is_multipart(value) ? NULL
									     : &s->section.type;
	if (slice_ieq(name, SLICE_LIT("Content-Transfer-Encoding")))
		return &s->section.encoding;
	return NULL;
}

/* A first field with blanks in front of it is no continuation of anything: for GMime the blanks stand
 * behind the colon. */
static void move_to_margin(struct scanner *s, struct slice line, struct slice value)
{
	size_t blanks = 0, name;

	while (blanks < line.len && (line.base[blanks] == ' ' || line.base[blanks] == '\t'))
		blanks++;
	name = (size_t)(value.base - line.base);
	if (name <= blanks || value.base[-1] != ':')
		return;
	char *masked = s->scan->masked + (line.base - s->raw);
	memmove(masked, masked + blanks, name - blanks);
	memset(masked + name - blanks, ' ', blanks);
}

static bool is_stray_param(const struct scanner *s, struct slice line)
{
	struct slice before = { s->raw + s->section.start,
		(size_t)(line.base - s->raw) - s->section.start };

	return s->section.any && mime_is_stray_param(before, line);
}

/* Puts a line behind the one before it, for GMime. */
static void join_lines(struct scanner *s, struct slice line)
{
	char *end = s->scan->masked + (line.base - s->raw) - 1;

	mime_note(s->w, DEFECT_BAD_HEADER);
	*end = ' ';
	if (end > s->scan->masked && end[-1] == '\r')
		end[-1] = ' ';
}

/* A line of a header section, without its line end. */
static bool header_line(struct scanner *s, struct slice line, size_t next)
{
	struct section *section = &s->section;

	bool stray = is_stray_param(s, line);
	if (((line.base[0] == ' ' || line.base[0] == '\t') && section->any) || stray) {
		if (stray)
			join_lines(s, line);
		if (section->open != NULL) {
			section->open->len = (size_t)(line.base + line.len - section->open->base);
			mime_mask_line(s->scan->masked + (line.base - s->raw), line);
		}
	} else {
		const char *colon = memchr(line.base, ':', line.len);
		struct slice name = { line.base, 0 };
		if (colon != NULL)
			name = slice_trim((struct slice){ line.base, (size_t)(colon - line.base) });
		struct slice value = { line.base + line.len, 0 };
		if (colon != NULL)
			value = (struct slice){ colon + 1,
				line.len - (size_t)(colon + 1 - line.base) };
		end_field(s);
		if (!section->any && (line.base[0] == ' ' || line.base[0] == '\t'))
			move_to_margin(s, line, value);
		section->any = true;
		section->open = kept_value(s, name, value);
		if (section->open != NULL) {
			*section->open = value;
			mime_mask_line(s->scan->masked + (value.base - s->raw), value);
		} else if ((unsigned char)line.base[0] > ' ' && line.base[0] != ':') {
			s->scan->masked[line.base - s->raw] = 'x';
		}
		if (++s->fields > s->w->limits->header_fields)
			return over(s, DEFECT_LIMIT_HEADER_FIELDS);
	}
	return next - section->start <= s->w->limits->header_bytes ||
	       over(s, DEFECT_LIMIT_HEADER_BYTES);
}

/* A line that begins with "--" and is a boundary of an open multipart. */
static bool boundary_line(
	struct scanner *s, struct slice line, size_t next, size_t level, bool final)
{
	size_t at = (size_t)(line.base - s->raw), end = at;

	if (s->in_header && !end_section(s, at, at, true))
		return false;
	/* The line end in front of it is the boundary's (RFC 2046, 5.1.1). */
	if (end > 0 && s->raw[end - 1] == '\n')
		end--;
	if (end > 0 && s->raw[end - 1] == '\r')
		end--;
	cut_levels(s, level + 1, end);
	if (final) {
		close_levels(s, level, end);
		return true;
	}
	begin_section(s, next);
	return count_part(s);
}

/* The line at `at`, without its line feed. */
static struct slice line_at(const struct scanner *s, size_t at)
{
	const char *end = memchr(s->raw + at, '\n', s->len - at);

	return (struct slice){ s->raw + at,
		end != NULL ? (size_t)(end - s->raw) - at : s->len - at };
}

static bool is_empty(struct slice line)
{
	return line.len == 0 || (line.len == 1 && line.base[0] == '\r');
}

static bool is_continuation(struct slice line)
{
	return line.len > 0 && (line.base[0] == ' ' || line.base[0] == '\t');
}

/* True when nothing but blank lines stands before the end, or before what may be a boundary. */
static bool is_all(const struct scanner *s, size_t at)
{
	while (at < s->len && is_empty(line_at(s, at)))
		at += line_at(s, at).len + 1;
	return at >= s->len || (at + 1 < s->len && s->raw[at] == '-' && s->raw[at + 1] == '-');
}

/* True for a line in a header section that is no field and behind which no field follows: the blank
 * line was forgotten, and this is content. A lone bad line among fields, or before the blank line of
 * a section that has content, is only left out. */
static bool content_begins(const struct scanner *s, struct slice line, size_t next)
{
	bool first = !s->section.any;

	if ((!first && is_continuation(line)) || mime_is_field(slice_trim(line)) ||
		is_stray_param(s, line))
		return false;
	while (next < s->len && is_continuation(line_at(s, next)))
		next += line_at(s, next).len + 1;
	if (next >= s->len)
		return true;
	struct slice follows = line_at(s, next);
	return is_empty(follows) ? first || is_all(s, next) : !mime_is_field(follows);
}

/* Ends the section in front of `line`. For GMime the line's first byte becomes the line feed that
 * is missing; mime_content_start() gives it back. */
static bool end_without_blank(struct scanner *s, struct slice line)
{
	size_t at = (size_t)(line.base - s->raw);

	mime_note(s->w, DEFECT_MISSING_BLANK_LINE);
	s->scan->masked[at] = '\n';
	return end_section(s, at, at, false);
}

size_t mime_content_start(const struct mime_scan *scan, const char *raw, size_t start)
{
	bool given = start > 0 && raw[start - 1] != '\n' && scan->masked[start - 1] == '\n';

	return given ? start - 1 : start;
}

static bool scan_line(struct scanner *s, struct slice line, size_t next)
{
	if (line.len >= 2 && line.base[0] == '-' && line.base[1] == '-') {
		for (size_t i = s->depth; i > 0; i--) {
			bool final = matches(line, s->levels[i - 1].boundary, true);
			if (final || matches(line, s->levels[i - 1].boundary, false))
				return boundary_line(s, line, next, i - 1, final);
		}
	}
	if (!s->in_header)
		return true;
	if (is_empty(line))
		return end_section(s, (size_t)(line.base - s->raw), next, false);
	if (!content_begins(s, line, next))
		return header_line(s, line, next);
	if (!end_without_blank(s, line))
		return false;
	return !s->in_header || header_line(s, line, next);
}

/* One line that is no field may stand in front of the header section, as long as a field follows that
 * every message has; it belongs to the section when all that is wrong with it are blanks in front. */
static size_t find_field_behind(const char *raw, size_t len, size_t at, struct slice line)
{
	static const char *const usual[] = { "from", "to", "subject", "date", "message-id",
		"received", "return-path", "delivered-to", "mime-version", "content-type" };
	size_t next = at + line.len + 1;

	if (next >= len)
		return len;
	struct slice follows = { raw + next, len - next };
	const char *colon = memchr(follows.base, ':', follows.len < 80 ? follows.len : 80);
	if (colon == NULL || !mime_is_field(follows))
		return len;
	follows.len = (size_t)(colon - follows.base);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (slice_ieq(slice_trim(follows), slice_str(usual[i])))
			return mime_is_field(slice_trim(line)) ? at : next;
	}
	return len;
}

/* Lines of nothing but blanks before the first field, and mbox "From " lines, are not part of the
 * message; when no field follows them there is no header at all. */
static size_t find_header(struct mime_work *w, const char *raw, size_t len)
{
	size_t at = 0;
	bool blank = false;

	if (len > 3 && memcmp(raw, "\xef\xbb\xbf", 3) == 0 &&
		mime_is_field((struct slice){ raw + 3, len - 3 })) {
		mime_note(w, DEFECT_BAD_HEADER); /* an editor's byte order mark */
		return 3;
	}
	while (at < len) {
		const char *end = memchr(raw + at, '\n', len - at);
		struct slice line = { raw + at, end != NULL ? (size_t)(end - raw) - at : len - at };
		bool mbox = (line.len > 5 && memcmp(line.base, "From ", 5) == 0) ||
			    (line.len > 6 && memcmp(line.base, ">From ", 6) == 0);
		if (!mbox && slice_trim(line).len > 0) {
			if (!mime_is_field(line)) {
				at = find_field_behind(raw, len, at, line);
				if (at < len)
					mime_note(w, DEFECT_BAD_HEADER);
				return at;
			}
			if (blank)
				mime_note(w, DEFECT_LEADING_BLANK);
			return at;
		}
		blank = blank || !mbox;
		at += line.len + 1;
	}
	return len;
}

void mime_scan(struct mime_work *w, const char *raw, size_t len, struct mime_scan *scan_r)
{
	struct scanner s = { .w = w, .raw = raw, .len = len, .scan = scan_r };
	size_t at = find_header(w, raw, len);

	*scan_r = (struct mime_scan){ .over = DEFECT_NONE, .parts = 1 };
	if (at == len) {
		mime_note(w, DEFECT_NO_HEADER);
		return;
	}
	scan_r->masked = g_memdup2(raw, len);
	scan_r->header = (struct mime_range){ at, len };
	s.levels = arena_alloc(w->arena, w->limits->depth * sizeof(s.levels[0]));
	begin_section(&s, at);
	while (at < len) {
		const char *end = memchr(raw + at, '\n', len - at);
		size_t next = end != NULL ? (size_t)(end - raw) + 1 : len;
		struct slice line = { raw + at, end != NULL ? next - 1 - at : len - at };
		if (!scan_line(&s, line, next))
			break;
		if (end != NULL && (s.in_header || !s.binary)) {
			bool crlf = line.len > 0 && line.base[line.len - 1] == '\r';
			s.has_crlf = s.has_crlf || crlf;
			s.has_lf = s.has_lf || !crlf;
		}
		at = next;
	}
	if (s.in_header && scan_r->over == DEFECT_NONE) {
		if (scan_r->body_start == 0)
			mime_note(w, DEFECT_UNENDED_HEADER);
		end_section(&s, len, len, true);
	}
	if (s.has_crlf && s.has_lf)
		mime_note(w, DEFECT_MIXED_LINE_ENDS);
	if (scan_r->over == DEFECT_NONE)
		cut_levels(&s, 0, len);
	if (scan_r->body_start == 0)
		scan_r->header.end = scan_r->body_start = at;
	if (scan_r->header.end - scan_r->header.start > w->limits->header_bytes)
		scan_r->header.end = scan_r->header.start + w->limits->header_bytes;
}
