/* SPDX-License-Identifier: MIT */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <string.h>

/* Types and the endings of their files. Of several endings for a type the first is the one to give;
 * of several types for an ending the first is the one to take. */
static const struct {
	const char *type, *ending;
} types[] = {
	{ "application/pdf", "pdf" },
	{ "application/zip", "zip" },
	{ "application/x-zip-compressed", "zip" },
	{ "application/gzip", "gz" },
	{ "application/x-gzip", "gz" },
	{ "application/x-7z-compressed", "7z" },
	{ "application/x-tar", "tar" },
	{ "application/json", "json" },
	{ "application/xml", "xml" },
	{ "application/rtf", "rtf" },
	{ "application/postscript", "ps" },
	{ "application/javascript", "js" },
	{ "application/msword", "doc" },
	{ "application/vnd.ms-excel", "xls" },
	{ "application/vnd.ms-powerpoint", "ppt" },
	{ "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx" },
	{ "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx" },
	{ "application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx" },
	{ "application/vnd.oasis.opendocument.text", "odt" },
	{ "application/vnd.oasis.opendocument.spreadsheet", "ods" },
	{ "application/x-sh", "sh" },
	{ "application/mac-binhex40", "hqx" },
	{ "application/applefile", "applefile" },
	{ "application/pgp-keys", "asc" },
	{ "audio/mpeg", "mp3" },
	{ "audio/mp4", "m4a" },
	{ "audio/wav", "wav" },
	{ "audio/x-wav", "wav" },
	{ "audio/ogg", "ogg" },
	{ "image/jpeg", "jpg" },
	{ "image/jpeg", "jpeg" },
	{ "image/pjpeg", "jpg" },
	{ "image/png", "png" },
	{ "image/gif", "gif" },
	{ "image/bmp", "bmp" },
	{ "image/tiff", "tif" },
	{ "image/tiff", "tiff" },
	{ "image/webp", "webp" },
	{ "image/svg+xml", "svg" },
	{ "image/x-icon", "ico" },
	{ "message/rfc822", "eml" },
	{ "message/global", "eml" },
	{ "message/rfc2822", "eml" },
	{ "message/news", "eml" },
	{ "text/plain", "txt" },
	{ "text/html", "html" },
	{ "text/html", "htm" },
	{ "text/css", "css" },
	{ "text/csv", "csv" },
	{ "text/calendar", "ics" },
	{ "text/vcard", "vcf" },
	{ "text/x-vcard", "vcf" },
	{ "text/directory", "vcf" },
	{ "application/pgp-encrypted", "txt" },
	{ "text/enriched", "txt" },
	{ "text/richtext", "txt" },
	{ "text/xml", "xml" },
	{ "text/markdown", "md" },
	{ "text/x-patch", "patch" },
	{ "text/x-diff", "diff" },
	{ "text/rtf", "rtf" },
	{ "video/mp4", "mp4" },
	{ "video/mpeg", "mpg" },
	{ "video/quicktime", "mov" },
	{ "video/webm", "webm" },
};

/* Types that mail readers expect under a name of their own. */
static const struct {
	const char *type, *name;
} names[] = {
	{ "text/calendar", "calendar.ics" },
	{ "application/ics", "calendar.ics" },
	{ "application/ms-tnef", "winmail.dat" },
	{ "application/vnd.ms-tnef", "winmail.dat" },
	{ "application/pgp-signature", "signature.asc" },
	{ "application/pkcs7-mime", "smime.p7m" },
	{ "application/x-pkcs7-mime", "smime.p7m" },
	{ "application/pkcs7-signature", "smime.p7s" },
	{ "application/x-pkcs7-signature", "smime.p7s" },
};

enum { MAX_ENDING = 5 }; /* of a subtype that serves as one: "image/heic" */

const char *mime_type_of_name(const char *filename)
{
	const char *dot = filename != NULL ? strrchr(filename, '.') : NULL;

	for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcasecmp(dot + 1, types[i].ending) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

static bool has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static const char *ending_of_type(const char *type)
{
	const char *subtype = strchr(type, '/');
	size_t len = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(type, types[i].type) == 0)
			return types[i].ending;
	}
	if (has_prefix(type, "text/") || has_prefix(type, "message/"))
		return "txt";
	if (has_prefix(type, "image/") || has_prefix(type, "audio/") ||
		has_prefix(type, "video/")) {
		while (isalnum((unsigned char)subtype[1 + len]))
			len++;
		if (len > 0 && len <= MAX_ENDING && subtype[1 + len] == '\0')
			return subtype + 1;
	}
	return "bin";
}

const char *mime_make_name(struct mime_work *w, const struct mime_part *part)
{
	const char *ending = ending_of_type(part->content_type), *name = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(part->content_type, names[i].type) == 0)
			name = names[i].name;
	}
	if (name == NULL)
		name = arena_printf(w->arena, "%s-%u.%s",
			strcmp(ending, "eml") == 0 ? "message" : "part", part->n, ending);
	return strlen(name) <= w->limits->filename_bytes ? name : NULL;
}
