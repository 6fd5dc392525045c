/* SPDX-License-Identifier: MIT */
/* internal.h - what the files of lib/mime share; nobody else includes it
 *
 * A parse is one `struct mime_work` that is handed down. It owns nothing that outlives the call but
 * the message under construction. */
#ifndef LIB_MIME_INTERNAL_H
#define LIB_MIME_INTERNAL_H

#include "lib/buf.h"
#include "lib/mime/mime.h"
#include "lib/slice.h"

/* What can be wrong with a message; docs/mime.md explains each word. The words are in mime.c. */
enum mime_defect {
	DEFECT_LIMIT_HEADER_BYTES, /* these five: not parsed any further */
	DEFECT_LIMIT_HEADER_FIELDS,
	DEFECT_LIMIT_PARTS,
	DEFECT_LIMIT_DEPTH,
	DEFECT_LIMIT_BOUNDARY,
	DEFECT_LIMIT_ADDRESSES,
	DEFECT_LIMIT_REFERENCES,
	DEFECT_LIMIT_TEXT,
	DEFECT_LIMIT_FILENAME,
	DEFECT_NO_HEADER,
	DEFECT_LEADING_BLANK,
	DEFECT_BAD_HEADER,
	DEFECT_MISSING_BLANK_LINE,
	DEFECT_BARE_CR,
	DEFECT_REPEATED_HEADER,
	DEFECT_HEADER_CONTROL,
	DEFECT_HEADER_CHARSET,
	DEFECT_BAD_ENCODED_WORD,
	DEFECT_BAD_ADDRESS,
	DEFECT_BAD_DATE,
	DEFECT_BAD_CONTENT_TYPE,
	DEFECT_MISSING_BOUNDARY,
	DEFECT_EMPTY_MULTIPART,
	DEFECT_UNCLOSED_MULTIPART,
	DEFECT_UNKNOWN_ENCODING,
	DEFECT_BAD_BASE64,
	DEFECT_BASE64_PADDING,
	DEFECT_BAD_CHARSET,
	DEFECT_UNKNOWN_CHARSET,
	DEFECT_GUESSED_CHARSET,
	DEFECT_NUL_BYTE,
	DEFECT_BAD_FILENAME,
	DEFECT_LIMIT_INNER,
	DEFECT_BAD_UUENCODE,
	DEFECT_BAD_YENC,
	DEFECT_BAD_TNEF,
	DEFECT_BAD_QUOTED,
	DEFECT_UNENDED_HEADER,
	DEFECT_MIXED_LINE_ENDS,
	DEFECT_COUNT,
	DEFECT_NONE = DEFECT_COUNT
};

/* Of the message or header that came with this one: what a mailer writes about. */
struct mime_returned {
	const char *id;           /* its Message-ID; or NULL */
	struct mime_addresses to; /* of To and Cc */
};

struct mime_work {
	const struct mime_limits *limits;
	struct arena *arena; /* the message's */
	struct mime_message *m;
	uint64_t defects;            /* a bit for each enum mime_defect */
	struct buf line, word, text; /* scratch: unfolded, decoded, converted */
	const char *body_charset;    /* of the top Content-Type; or NULL */
	unsigned header_guesses;     /* made so far at charsets of raw bytes in headers */
	struct mime_returned returned;
};

static inline void mime_note(struct mime_work *w, enum mime_defect defect)
{
	w->defects |= UINT64_C(1) << defect;
}

/* What a buffer holds; its base may be NULL while it is empty. */
static inline struct slice mime_text_of(const struct buf *buf)
{
	return (struct slice){ buf->len > 0 ? buf->base : "", buf->len };
}

/* charset.c */

/* Appends `bytes` as UTF-8. `label` may be empty (then it is US-ASCII, RFC 2045, 5.2). What the label
 * does not explain is guessed, UTF-8 before windows-1252, and noted. The result may still hold NUL
 * and malformed UTF-8: it goes through mime_clean() at the end. */
void mime_to_utf8(struct mime_work *w, struct slice label, struct slice bytes, struct buf *out);
/* The same for a body, where a byte order mark counts for more than the label, and an HTML text that
 * has no label may name its charset itself. */
void mime_body_to_utf8(
	struct mime_work *w, struct slice label, struct slice bytes, bool html, struct buf *out);
/* Raw 8-bit text of a header: UTF-8 (RFC 6532), or else what the body is labelled with, what the
 * detector says, or windows-1252; which is noted. */
void mime_header_to_utf8(struct mime_work *w, struct slice bytes, struct buf *out);
/* utf8_clean(), sooner done where nothing is to clean. */
char *mime_clean(struct mime_work *w, struct slice text, size_t max_bytes, bool *changed_r);
/* As much as fits, where buf_add() would leave out everything. */
void mime_add_some(struct buf *buf, const char *p, size_t len);

/* charset_label.c */

enum mime_charset_kind {
	CHARSET_ASCII,
	CHARSET_UTF8,
	CHARSET_WINDOWS_1252,
	CHARSET_JIS,   /* ISO-2022-JP: as iconv knows it, or what Windows makes of it */
	CHARSET_ICONV, /* whether iconv knows the name remains to be seen */
};

struct mime_charset {
	enum mime_charset_kind kind;
	char name[41]; /* iconv's, of the last two kinds */
};

/* False when the label cannot be a charset's name (RFC 2978, 2.3), which keeps iconv's own suffixes
 * ("//TRANSLIT") out. No label is US-ASCII. */
bool mime_charset_find(struct slice label, struct mime_charset *charset_r);

/* jis.c */

/* ISO-2022-JP in the larger set of CP932. False when the bytes hold what is not in it. */
bool mime_jis_to_cp932(struct slice bytes, struct buf *out);

/* detect.c */

/* The label that the bytes, which are no UTF-8, most likely deserve; NULL when there is too little to
 * go by, or when it is windows-1252. Looks at a few KB. */
const char *mime_detect(struct slice bytes);
/* The ISO 2022 set that 7-bit text with escape sequences is in, or NULL. */
const char *mime_escape_charset(struct slice bytes);
/* What a byte order mark says: "utf-8", "utf-16", "utf-32", or NULL. */
const char *mime_bom_charset(struct slice bytes);
/* The charset that an HTML text names in a <meta>, or an empty slice. */
struct slice mime_meta_charset(struct slice html);

/* words.c */

/* A header's value as people read it: unfolded, encoded words decoded (RFC 2047), control characters
 * turned into spaces, trimmed; in the arena. */
const char *mime_header_text(struct mime_work *w, struct slice value);
/* The same without decoding, for ids and dates. */
struct slice mime_unfold(struct mime_work *w, struct slice value);

/* Length of the encoded word that `s` begins with, 0 when it begins with none. */
size_t mime_word_length(struct slice s);

/* field.c */

struct mime_field {
	struct slice name, value; /* as they stand, `value` with its folding */
};

struct mime_fields {
	struct mime_field *list;
	size_t count;
};

/* Splits a header section, up to its blank line or its end, into `max` fields at most. */
struct mime_fields mime_fields_split(struct mime_work *w, struct slice section, size_t max);
/* The last field of that name, as GMime chooses too; an empty slice when there is none. */
struct slice mime_fields_last(const struct mime_fields *fields, const char *name);
/* The length of the comment that `s` begins with (RFC 5322, 3.2.2), 0 when it has no end, for which all of
 * `s` is read: whoever asks at many places must not do so for ever. */
size_t mime_comment_length(struct slice s);
/* True when the bytes begin with a field's name and its colon. */
bool mime_is_field(struct slice line);
/* True when a line that has no blank in front continues the field before it all the same: `before` ends
 * with a semicolon, and the line begins with a parameter (`boundary="x"`). */
bool mime_is_stray_param(struct slice before, struct slice line);

/* param.c */

/* The value of a parameter of Content-Type or Content-Disposition, decoded (RFC 2231, and encoded
 * words, which are not allowed there but are common), in the arena; NULL when it is not there. */
const char *mime_param(struct mime_work *w, struct slice value, const char *name);
/* Whether parameters begin where there should be a semicolon first; they are read all the same. */
bool mime_lacks_semicolon(struct slice value);
/* What stands before the parameters: lower case, clean and short; NULL when empty. */
const char *mime_token(struct mime_work *w, struct slice value);
/* A name that is safe to show and to save under, or NULL when nothing is left of it. */
const char *mime_safe_filename(struct mime_work *w, const char *name);

/* address.c */

void mime_addresses_parse(struct mime_work *w, struct slice value, struct mime_addresses *out);

/* scan.c */

struct mime_range {
	size_t start, end;
};

struct mime_ranges {
	struct mime_range *list;
	size_t count, capacity;
};

/* The message as the cheap first pass saw it. */
struct mime_scan {
	struct mime_range header; /* the top section, without its blank line */
	size_t body_start;
	enum mime_defect over;         /* the limit that was passed, or DEFECT_NONE */
	char *masked;                  /* what GMime may see of the message: g_free(); or NULL */
	struct mime_ranges messages;   /* content of each attached message, in order */
	struct mime_ranges multiparts; /* of each multipart, likewise */
	size_t parts; /* leaves, containers and messages together: no fewer than GMime finds */
};

/* Without a header `header` is empty, `body_start` 0 and nothing is masked. */
void mime_scan(struct mime_work *w, const char *raw, size_t len, struct mime_scan *scan_r);

/* Whether message/`subtype` is a message with a header, rather than something about one. */
bool mime_is_message(const char *subtype);

/* Where content that begins at `start` for GMime begins in the message itself. */
size_t mime_content_start(const struct mime_scan *scan, const char *raw, size_t start);

/* mask.c: `masked` is where the same bytes are in what GMime gets to see. */

/* A line of a field that GMime reads. */
void mime_mask_line(char *masked, struct slice line);
/* A Content-Type's value, all lines of which have been masked. */
void mime_mask_type(char *masked, struct slice value);

/* boundary.c: NULL where there is none, or one that cannot be given to GMime. */

/* That of a Content-Type, in the forms of RFC 2231, too. */
const char *mime_boundary_extended(struct mime_work *w, struct slice type);
/* That of the first delimiter line in the content that a part's field follows. */
const char *mime_boundary_of_content(struct mime_work *w, struct slice content);
/* Makes a header section of `len` bytes into one field that names the boundary. False when there is no
 * room for it. */
bool mime_boundary_give(
	struct mime_work *w, char *masked, size_t len, struct slice type, const char *boundary);

/* header.c */

/* Everything that the top header section gives. */
void mime_headers_fill(struct mime_work *w, struct slice section);
/* The first id, or the whole value when it has no brackets and can be one; or NULL. */
const char *mime_first_id(struct mime_work *w, struct slice value);

/* date.c */

/* Seconds since 1970, UTC, of a Date field's text without folding. False when it says no date. */
bool mime_date_parse(struct slice text, int64_t *s_r);

/* parts.c */

/* Decodes `raw` for the part's size and digest; the bytes themselves go to `keep`, if there is one. */
void mime_decode(struct mime_work *w, const char *encoding, struct slice raw,
	struct mime_part *part, struct buf *keep);

enum mime_node_kind { NODE_LEAF, NODE_MULTIPART, NODE_MESSAGE };
enum mime_body_kind { BODY_NONE, BODY_TEXT, BODY_HTML, BODY_ENRICHED, BODY_CALENDAR };

/* The structure, out of GMime's hands. Only leaves and attached messages have a part. */
struct mime_node {
	enum mime_node_kind kind;
	const char *type; /* "multipart/related", lower case */
	const char *root; /* of multipart/related: the root's content id, or NULL */
	struct mime_part *part;
	struct slice content_type; /* of a leaf, with its parameters; as it stands in the message */
	enum mime_body_kind body;  /* what kind of text it is, if it is one */
	bool in_text, in_html;     /* whether `text`, `html` show it */
	bool left_out; /* a blank alternative: nobody shows it, and it is no attachment either */
	struct mime_node *first, *next; /* children; the message's structure for a message */
};

/* Parses the structure of what was scanned and fills parts, text and html. */
void mime_parts_fill(
	struct mime_work *w, const char *raw, size_t len, const struct mime_scan *scan);

/* Size and digest anew, from bytes that differ from those that were parsed. */
void mime_part_measure(const char *raw, struct mime_part *part);

/* name.c */

/* The type that a file's ending stands for, application/octet-stream when it stands for none. */
const char *mime_type_of_name(const char *filename);
/* A name for a part that has none, by its type and number; NULL when the limit is too small. */
const char *mime_make_name(struct mime_work *w, const struct mime_part *part);

/* tnef.c */

struct mime_tnef {
	struct slice rest;
	const char *codepage; /* of its 8-bit text; NULL until it says */
};

struct mime_tnef_file {
	struct slice data;                    /* within the stream */
	bool embedded;                        /* a message or object, a TNEF stream again */
	const char *name, *type, *content_id; /* as given; or NULL */
};

/* False when it is no TNEF. `stream` is decoded, and outlives the files. */
bool mime_tnef_begin(struct mime_tnef *t, struct slice stream);
/* The next attached file; false at the end. */
bool mime_tnef_next(struct mime_work *w, struct mime_tnef *t, struct mime_tnef_file *file_r);

/* inner.c */

/* Files within a part's content, in the order they are met. They become parts at the end. */
struct mime_inner {
	struct mime_part *list; /* `n` is that of the part they lie in */
	size_t count, capacity;
	unsigned of, in_same; /* the part that the last one lies in, and how many it has */
};

bool mime_is_tnef(const struct mime_part *part);
/* The attachments of a TNEF part, whose decoded content is `stream`. */
void mime_inner_tnef(struct mime_work *w, struct mime_inner *inner, const struct mime_part *outer,
	struct slice stream);
/* `found`, a part of a message that is `outer`'s content once it is decoded, lying at found->raw_offset
 * in `message`, the decoded bytes. False when there are as many parts as there may be. */
bool mime_inner_part(struct mime_work *w, struct mime_inner *inner, const struct mime_part *outer,
	const struct mime_part *found, struct slice message);
/* Files that stand as blocks of uuencode or yEnc in a text part's content, decoded but not yet
 * converted; `rest` gets the content without them. */
void mime_inner_blocks(struct mime_work *w, struct mime_inner *inner, const struct mime_part *outer,
	struct slice content, struct buf *rest);
/* Puts all of them behind the parts they lie in, numbers all, and names what is attached without one. */
void mime_inner_finish(struct mime_work *w, struct mime_inner *inner);

/* report.c */

/* What a report says, if the message is one. */
void mime_report_fill(struct mime_work *w, const char *raw, const struct mime_node *top);
/* What a group of fields is that may belong to a report. */
enum mime_group {
	GROUP_OTHER,
	GROUP_RECIPIENT, /* has a recipient, and what became of it */
	GROUP_HEADER,    /* of the mail that the report is about: the report has ended */
};
enum mime_group mime_report_group(const struct mime_fields *group);
/* Keeps what the header of a returned message says. */
void mime_report_returned(struct mime_work *w, const struct mime_fields *header);
/* Adds what a group says about the report and its recipients. */
void mime_report_use(struct mime_work *w, const struct mime_fields *group);
void mime_report_add(struct mime_work *w, struct mime_report_recipient recipient);
/* The next lines up to a blank one; false at the end. */
bool mime_next_group(struct slice *rest, struct slice *group_r);

/* report_text.c */

/* The first "5.1.1" behind a reply code or, as qmail has it, a "#"; NULL when there is none. */
const char *mime_status_in(struct mime_work *w, struct slice text);
/* What the text of a mailer says that writes no report, or none that names recipients. */
void mime_report_from_text(struct mime_work *w);

/* bounce.c */

/* Whether it says that a mailer wrote it: by its name, its null sender, or its form. */
bool mime_is_from_mailer(const struct mime_message *m, bool from_null_sender);
/* The same as mime_is_bounce() of a message that has no recipients in its report. */
bool mime_looks_like_bounce(const struct mime_message *m, bool from_null_sender);

/* marks.c */

/* The first field of that name in the top header section; or NULL. */
const char *mime_field(const struct mime_message *m, const char *name);
/* auto_submitted, list_id and is_bounce; goes last, for it looks at the report and at the text. */
void mime_marks_fill(struct mime_work *w);

/* body.c */

/* Marks the leaves that a mail reader would show. */
void mime_bodies_mark(struct slice raw, struct mime_node *top);
/* Of a structure that is marked, whether it has a leaf of that kind. */
bool mime_has_body(const struct mime_node *node, enum mime_body_kind kind);

/* security.c */

/* What `security` says of a structure; `raw` is the message. */
const char *mime_security(struct mime_work *w, struct slice raw, const struct mime_node *top);

/* text.c */

/* The two bodies while they are put together. */
struct mime_bodies {
	struct buf text, html;
	bool has_text, has_html;
	bool wants_html; /* else nobody looks at `html` */
};

/* `top` has been marked. */
void mime_bodies_begin(
	struct mime_work *w, struct mime_bodies *bodies, const struct mime_node *top);
/* Adds a leaf's decoded bytes to the bodies that show it. */
void mime_bodies_add(struct mime_work *w, struct mime_bodies *bodies, const struct mime_node *leaf,
	struct slice decoded);
/* Fills text, html and what follows from them; releases the rest. */
void mime_bodies_end(struct mime_work *w, struct mime_bodies *bodies);

/* flowed.c, rich.c, html.c: text that wants to be rendered, UTF-8 with LF, as plain text. Each reads
 * its input once and writes no more than a small multiple of it. */

/* format=flowed (RFC 3676): paragraphs become lines, quotes begin with "> ". */
void mime_unflow(struct slice text, bool delsp, struct buf *out);
/* text/enriched (RFC 1896), and text/richtext, its forerunner (RFC 1341, 7.1.3). */
void mime_enriched_to_text(struct slice enriched, bool richtext, struct buf *out);
/* text/calendar (RFC 5545): what the event is called, when and where, and its description. */
void mime_calendar_to_text(struct slice calendar, struct buf *out);
/* Quotes begin with "> ", list items with "- ", links are followed by "<their address>". */
void mime_html_to_text(struct slice html, struct buf *out);
/* The other way, as one element that keeps lines and blanks. */
void mime_text_to_html(struct slice text, struct buf *out);

/* reply.c */

/* What was newly written in a clean `text`: without quotations, signature and the lines that
 * introduce them (docs/mime.md says how it is told). In the arena. */
const char *mime_reply_text(struct mime_work *w, const char *text);

#endif
