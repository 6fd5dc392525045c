/* SPDX-License-Identifier: MIT */
#include "lib/digest.h"
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

/* RFC 2231 lets a value come in numbered pieces; more than these are not looked at. */
enum { MAX_PIECES = 100, MAX_TOKEN = 255 };

/* One `name=value` of a list. */
struct param {
	struct slice name, value; /* the value without quotes, its backslashes still in */
	bool quoted;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Past white space, comments (which nest, RFC 5322, 3.2.2), and what is in `also`. */
static size_t skip_between(struct slice s, size_t i, const char *also)
{
	unsigned depth = 0;

	for (; i < s.len; i++) {
		char c = s.base[i];
		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0)
			i++;
		else if (depth == 0 && !is_blank(c) && (c == '\0' || strchr(also, c) == NULL))
			break;
	}
	return i < s.len ? i : s.len;
}

static size_t end_of_quoted(struct slice s, size_t i)
{
	while (i < s.len && s.base[i] != '"')
		i += s.base[i] == '\\' ? 2 : 1;
	return i < s.len ? i : s.len;
}

/* The parameter at or after `*at`, which is moved behind it; false at the end. Bare values go up to
 * the semicolon, for `filename=My picture.jpg` is common. */
static bool next_param(struct slice s, size_t *at, struct param *param_r)
{
	size_t i = skip_between(s, *at, ";"), start = i;

	if (i >= s.len)
		return false;
	while (i < s.len && s.base[i] != '=' && s.base[i] != ';')
		i++;
	param_r->name = slice_trim((struct slice){ s.base + start, i - start });
	param_r->value = (struct slice){ "", 0 };
	param_r->quoted = false;
	if (i < s.len && s.base[i] == '=') {
		i++;
		while (i < s.len && is_blank(s.base[i]))
			i++;
		start = i;
		if (i < s.len && s.base[i] == '"') {
			param_r->quoted = true;
			i = end_of_quoted(s, ++start);
			param_r->value = (struct slice){ s.base + start, i - start };
		}
		while (i < s.len && s.base[i] != ';')
			i++;
		if (!param_r->quoted)
			param_r->value = slice_trim((struct slice){ s.base + start, i - start });
	}
	*at = i;
	return true;
}

static void percent_decode(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.base[i] == '%' && i + 2 < s.len && hex_value(s.base[i + 1]) >= 0 &&
			hex_value(s.base[i + 2]) >= 0) {
			buf_putc(out,
				(char)(hex_value(s.base[i + 1]) << 4 | hex_value(s.base[i + 2])));
			i += 2;
		} else {
			buf_putc(out, s.base[i]);
		}
	}
}

static void unquote(const struct param *param, struct buf *out)
{
	struct slice s = param->value;

	for (size_t i = 0; i < s.len; i++) {
		/* Only a quote or a backslash: "C:\temp\new.doc" was not meant as quoting. */
		if (param->quoted && s.base[i] == '\\' && i + 1 < s.len &&
			strchr("\"\\", s.base[i + 1]) != NULL && s.base[i + 1] != '\0')
			i++;
		buf_putc(out, s.base[i]);
	}
}

/* The extended forms of one parameter (RFC 2231, sections 3 and 4): name*, name*0, name*1* … */
struct pieces {
	struct param piece[MAX_PIECES];
	bool there[MAX_PIECES], encoded[MAX_PIECES];
	bool any;
};

/* Whether `key` is `name` with a piece's number or a star behind it. */
static bool piece_number(struct slice key, const char *name, size_t *number_r, bool *encoded_r)
{
	size_t len = strlen(name), i = len + 1, number = 0;

	if (key.len <= len || strncasecmp(key.base, name, len) != 0 || key.base[len] != '*')
		return false;
	for (; i < key.len && isdigit((unsigned char)key.base[i]) && number < MAX_PIECES; i++)
		number = number * 10 + (size_t)(key.base[i] - '0');
	*encoded_r = i == len + 1 || (i < key.len && key.base[i] == '*');
	*number_r = number;
	return number < MAX_PIECES;
}

/* `charset'language'` in front of the first piece. */
static struct slice take_charset(struct slice *value)
{
	const char *first = memchr(value->base, '\'', value->len);
	struct slice charset = { "", 0 };

	if (first == NULL)
		return charset;
	size_t left = value->len - (size_t)(first + 1 - value->base);
	const char *second = memchr(first + 1, '\'', left);
	if (second == NULL)
		return charset;
	charset = (struct slice){ value->base, (size_t)(first - value->base) };
	value->len -= (size_t)(second + 1 - value->base);
	value->base = second + 1;
	return charset;
}

/* A value in pieces of which none is encoded: some writers put encoded words into them. */
static const char *plain_text(struct mime_work *w)
{
	struct buf joined;

	buf_init(&joined, w->word.len);
	buf_add(&joined, w->word.base, w->word.len);
	const char *text = mime_header_text(w, mime_text_of(&joined));
	buf_deinit(&joined);
	return text;
}

/* "UTF-8''a%20b.pdf" in a parameter that has no star to say so. */
static const char *star_forgotten(struct mime_work *w, const char *text)
{
	struct slice rest = slice_str(text), charset = take_charset(&rest);
	struct buf bytes;

	if ((!slice_ieq(charset, SLICE_LIT("utf-8")) &&
		    !slice_ieq(charset, SLICE_LIT("iso-8859-1"))) ||
		memchr(rest.base, '%', rest.len) == NULL)
		return text;
	buf_init(&bytes, rest.len);
	percent_decode(rest, &bytes);
	buf_clear(&w->text);
	mime_to_utf8(w, charset, mime_text_of(&bytes), &w->text);
	buf_deinit(&bytes);
	return mime_clean(w, mime_text_of(&w->text), w->text.len * 3, NULL);
}

/* Numbers begin at 0, and of some writers at 1. */
static const char *join_pieces(struct mime_work *w, struct pieces *p)
{
	struct slice charset = { "utf-8", 5 };
	size_t first = p->there[0] ? 0 : 1;
	bool encoded = false;

	buf_clear(&w->word);
	if (p->encoded[first]) {
		struct slice given = take_charset(&p->piece[first].value);
		if (given.len > 0)
			charset = given;
	}
	for (size_t i = first; i < MAX_PIECES && p->there[i]; i++) {
		encoded = encoded || p->encoded[i];
		if (p->encoded[i])
			percent_decode(p->piece[i].value, &w->word);
		else
			unquote(&p->piece[i], &w->word);
	}
	if (!encoded)
		return star_forgotten(w, plain_text(w));
	buf_clear(&w->text);
	mime_to_utf8(w, charset, mime_text_of(&w->word), &w->text);
	return mime_clean(w, mime_text_of(&w->text), w->text.len * 3, NULL);
}

/* Behind the type or disposition. Its semicolon may be missing, or the word itself. */
static size_t params_start(struct slice value)
{
	size_t start = 0, i;

	while (start < value.len && is_blank(value.base[start]))
		start++;
	for (i = start; i < value.len && !is_blank(value.base[i]); i++) {
		if (value.base[i] == '=')
			return start;
		if (value.base[i] == ';' || value.base[i] == '(')
			break;
	}
	return i;
}

bool mime_lacks_semicolon(struct slice value)
{
	size_t at = skip_between(value, params_start(value), ""), start = at;

	while (at < value.len && value.base[at] != ';' && value.base[at] != '=')
		at++;
	return at < value.len && value.base[at] == '=' && at > start;
}

const char *mime_param(struct mime_work *w, struct slice value, const char *name)
{
	struct pieces *pieces = NULL;
	struct param param;
	size_t at = params_start(value), number;
	bool encoded;
	const char *plain = NULL;

	while (next_param(value, &at, &param)) {
		if (piece_number(param.name, name, &number, &encoded)) {
			if (pieces == NULL)
				pieces = arena_zalloc(w->arena, sizeof(*pieces));
			pieces->piece[number] = param;
			pieces->encoded[number] = encoded;
			pieces->there[number] = true;
		} else if (plain == NULL && slice_ieq(param.name, slice_str(name))) {
			struct buf text;
			buf_init(&text, value.len);
			unquote(&param, &text);
			plain = mime_header_text(w, mime_text_of(&text));
			buf_deinit(&text);
		}
	}
	if (pieces != NULL && (pieces->there[0] || pieces->there[1]))
		return join_pieces(w, pieces);
	return plain != NULL ? star_forgotten(w, plain) : NULL;
}

const char *mime_token(struct mime_work *w, struct slice value)
{
	size_t start = skip_between(value, 0, ""), end = start;
	char *token;

	while (end < value.len && end - start < MAX_TOKEN && !is_blank(value.base[end]) &&
		value.base[end] != ';' && value.base[end] != '(')
		end++;
	if (end == start)
		return NULL;
	token = mime_clean(w, (struct slice){ value.base + start, end - start }, MAX_TOKEN, NULL);
	for (char *p = token; *p != '\0'; p++)
		*p = (unsigned char)*p < 0x20 || *p == 0x7f ? '_'
							    : (char)tolower((unsigned char)*p);
	return token;
}

/* Control characters, those that end a line (U+2028/9), and those that turn the direction of text
 * around ("exe.txt" for "txt.exe"): U+0080-009F, U+061C, U+200E/F, U+202A-202E, U+2066-2069. */
static size_t harmful(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	if (u[0] < 0x20 || u[0] == 0x7f)
		return 1;
	if (u[0] == 0xc2 && u[1] < 0xa0)
		return 2;
	if (u[0] == 0xd8 && u[1] == 0x9c)
		return 2;
	if (u[0] == 0xe2 && u[1] == 0x80 &&
		(u[2] == 0x8e || u[2] == 0x8f || (u[2] >= 0xa8 && u[2] <= 0xae)))
		return 3;
	if (u[0] == 0xe2 && u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9)
		return 3;
	return 0;
}

const char *mime_safe_filename(struct mime_work *w, const char *name)
{
	const char *last = name;
	bool cut = false;

	if (name == NULL)
		return NULL;
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '/' || *p == '\\')
			last = p + 1;
	}
	char *safe = arena_alloc(w->arena, strlen(last) + 1), *to = safe;
	bool changed = last != name;
	for (const char *p = last; *p != '\0';) {
		size_t skip = *p != '\t' ? harmful(p) : 0;
		if (skip == 0)
			*to++ = *p != '\t' ? *p : ' '; /* many fold a name with a tab */
		changed = changed || skip > 0;
		p += skip > 0 ? skip : 1;
	}
	*to = '\0';
	size_t len = (size_t)(to - safe);
	while (to > safe && (to[-1] == ' ' || to[-1] == '.'))
		to--;
	*to = '\0';
	while (*safe == ' ')
		safe++, len--;
	if (changed || strlen(safe) != len)
		mime_note(w, DEFECT_BAD_FILENAME);
	if (*safe == '\0')
		return NULL;
	safe = mime_clean(w, slice_str(safe), w->limits->filename_bytes, &cut);
	if (cut)
		mime_note(w, DEFECT_LIMIT_FILENAME);
	return *safe != '\0' ? safe : NULL;
}
