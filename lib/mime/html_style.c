/* SPDX-License-Identifier: MIT */
/* The few things that a style attribute says about text (CSS 2.2, and what mail has of it). */
#include "lib/mime/html.h"

#include <string.h>

/* The next `property: value` of what is left of a style. */
static bool next_declaration(struct slice *style, struct slice *property_r, struct slice *value_r)
{
	while (style->len > 0) {
		const char *end = memchr(style->base, ';', style->len);
		size_t len = end != NULL ? (size_t)(end - style->base) : style->len;
		const char *colon = memchr(style->base, ':', len);
		struct slice all = { style->base, len };
		slice_skip(style, len + (end != NULL));
		if (colon == NULL)
			continue;
		size_t name = (size_t)(colon - all.base);
		*property_r = slice_trim((struct slice){ all.base, name });
		*value_r = slice_trim((struct slice){ colon + 1, len - name - 1 });
		return true;
	}
	return false;
}

/* "0", "0px", "0.0", but not "0.5em". */
static bool is_zero(struct slice value)
{
	if (value.len == 0 || value.base[0] != '0')
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.base[i] >= '1' && value.base[i] <= '9')
			return false;
	}
	return true;
}

bool html_style_hides(struct slice style)
{
	bool flat = false, clipped = false;
	struct slice property, value;

	while (next_declaration(&style, &property, &value)) {
		if ((slice_ieq(property, SLICE_LIT("display")) &&
			    slice_ibegins(value, SLICE_LIT("none"))) ||
			(slice_ieq(property, SLICE_LIT("visibility")) &&
				slice_ibegins(value, SLICE_LIT("hidden"))) ||
			(slice_ieq(property, SLICE_LIT("opacity")) && is_zero(value)))
			return true;
		if (slice_ieq(property, SLICE_LIT("max-height")) ||
			slice_ieq(property, SLICE_LIT("height")))
			flat |= is_zero(value);
		else if (slice_ieq(property, SLICE_LIT("overflow")))
			clipped |= slice_ibegins(value, SLICE_LIT("hidden"));
	}
	return flat && clipped;
}

bool html_style_keeps_blanks(struct slice style)
{
	struct slice property, value;

	while (next_declaration(&style, &property, &value)) {
		if (slice_ieq(property, SLICE_LIT("white-space")))
			return slice_ibegins(value, SLICE_LIT("pre")) ||
			       slice_ibegins(value, SLICE_LIT("break-spaces"));
	}
	return false;
}

bool html_style_has_no_border(struct slice style)
{
	struct slice property, value;
	bool none = false;

	while (next_declaration(&style, &property, &value)) {
		if (slice_ieq(property, SLICE_LIT("border")))
			none = slice_ibegins(value, SLICE_LIT("none")) || is_zero(value);
		else if (slice_ibegins(property, SLICE_LIT("border-left")))
			return false;
	}
	return none;
}
