/* SPDX-License-Identifier: MIT */
#include "storage/postgres/row.h"
#include "lib/utf8.h"
#include "storage/storage_driver.h"

#include <stdlib.h>

void pg_row_init(struct pg_row *row, const struct storage_message *m, bool bare)
{
	*row = (struct pg_row){ .message = m, .derived = m };
	if (!bare)
		return;
	row->unparsed = mime_unparsed(STORAGE_BARE_DEFECT);
	row->nothing = (struct storage_message){
		.mime = row->unparsed,
		.headers_json = mime_headers_json(row->unparsed),
		.addresses_json = mime_addresses_json(row->unparsed),
	};
	row->derived = &row->nothing;
}

void pg_row_deinit(struct pg_row *row)
{
	mime_message_free(&row->unparsed);
}

const char *pg_row_clean(const struct pg_row *row, const char *s)
{
	return row->unparsed != NULL && s != NULL
		       ? utf8_clean(row->unparsed->arena, s, strlen(s), SIZE_MAX, NULL)
		       : s;
}

void pg_row_add_list(struct pg_params *p, const struct pg_row *row, const char *const *list,
	size_t count, const char *more)
{
	const char *few[16];
	const char **copy = count < 16 ? few : h2o_mem_alloc((count + 1) * sizeof(copy[0]));

	for (size_t i = 0; i < count; i++)
		copy[i] = pg_row_clean(row, list[i]);
	if (more != NULL)
		copy[count++] = more;
	pg_rows_list(p, copy, count);
	if (copy != few)
		free(copy);
}

/* The years 1 to 9999: what every client of the database can show. */
static bool year_has_four_digits(int64_t us)
{
	return us >= INT64_C(-62135596800) * 1000000 && us < INT64_C(253402300800) * 1000000;
}

static void add_fields(struct pg_params *p, const struct pg_row *row)
{
	const struct mime_message *m = row->derived->mime;
	const struct mime_address *from = m->from.count > 0 ? &m->from.list[0] : NULL;

	pg_rows_text(p, m->message_id);
	pg_rows_text(p, m->in_reply_to);
	pg_rows_list(p, m->references.list, m->references.count);
	if (m->has_date && year_has_four_digits(m->date_us))
		pg_rows_time(p, m->date_us);
	else
		pg_rows_null(p);
	pg_rows_text(p, m->subject);
	pg_rows_text(p, from != NULL ? from->address : NULL);
	pg_rows_text(p, from != NULL ? from->name : NULL);
	pg_rows_jsonb(p, row->derived->addresses_json);
	pg_rows_jsonb(p, row->derived->headers_json);
}

void pg_row_add_derived(struct pg_params *p, const struct pg_row *row)
{
	const struct storage_message *derived = row->derived;
	const struct mime_message *m = derived->mime;
	const struct mime_strings *defects = &row->message->mime->defects;

	add_fields(p, row);
	pg_rows_text(p, m->text);
	pg_rows_text(p, m->html);
	pg_rows_text(p, mime_status_name(m->status));
	pg_row_add_list(p, row, defects->list, defects->count,
		row->unparsed != NULL ? STORAGE_BARE_DEFECT : NULL);
	pg_rows_bool(p, m->text_is_derived);
	pg_rows_text(p, storage_reply_text(m));
	pg_rows_text(p, m->security);
	pg_rows_text(p, m->auto_submitted);
	pg_rows_text(p, m->list_id);
	pg_rows_bool(p, derived->is_bounce);
	if (derived->report_json != NULL)
		pg_rows_jsonb(p, derived->report_json);
	else
		pg_rows_null(p);
	pg_rows_text(p, derived->mailbox_tag);
	pg_rows_int4(p, MIME_PARSER_VERSION);
}

void pg_row_add_part(struct pg_params *p, const struct uuid *id, const struct mime_part *part)
{
	pg_rows_uuid(p, id);
	pg_rows_int4(p, part->n);
	pg_rows_text(p, part->path);
	pg_rows_text(p, part->content_type);
	pg_rows_text(p, part->filename);
	pg_rows_text(p, part->disposition);
	pg_rows_text(p, part->content_id);
	pg_rows_text(p, part->charset);
	pg_rows_text(p, part->encoding);
	pg_rows_int8(p, part->size);
	pg_rows_bytes(p, (struct slice){ (const char *)part->sha256, sizeof(part->sha256) });
	pg_rows_bool(p, part->is_attachment);
	pg_rows_int8(p, part->raw_offset);
	pg_rows_int8(p, part->raw_length);
	pg_rows_text(p, part->inside);
}
