/* SPDX-License-Identifier: MIT */
/* Dates (RFC 5322, 3.3 and 4.3) as mail has them: the parts are told apart by how they look, not by
 * where they stand. So the order of RFC 5322, of asctime() and of ISO 8601 all do, a wrong or missing
 * weekday harms nothing, and what is not understood is skipped. */
#include "lib/mime/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Dates that every store and every reader of RFC 3339 can hold. */
enum { FIRST_YEAR = 1900, LAST_YEAR = 9999 };

struct date {
	int year, month, day, hour, minute, second;
	int offset_s; /* east of UTC */
	bool has_year, has_month, has_day, has_time, has_zone, bad;
};

/* RFC 5322, 4.3. The letters of the military zones say nothing: their signs were got wrong for years. */
static const struct {
	const char *name;
	int hours;
} zones[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 },
	{ "MDT", -6 }, { "PST", -8 }, { "PDT", -7 }, { "BST", 1 }, { "WEST", 1 }, { "CET", 1 },
	{ "MET", 1 }, { "CEST", 2 }, { "MEST", 2 }, { "EET", 2 }, { "EEST", 3 }, { "MSK", 3 },
	{ "JST", 9 }, { "KST", 9 }, { "GMT", 0 }, { "UTC", 0 }, { "UT", 0 }, { "Z", 0 } };

static bool month_from_name(const char *word, size_t len, int *month_r)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12 && len >= 3; i++) {
		if (strncasecmp(word, names + (size_t)i * 3, 3) == 0) {
			*month_r = i + 1;
			return true;
		}
	}
	return false;
}

static void set_month(struct date *d, int month)
{
	d->bad = d->bad || month < 1 || month > 12;
	d->month = month;
	d->has_month = true;
}

static void set_day(struct date *d, int day)
{
	d->day = day;
	d->has_day = true;
}

/* Years of two digits, and of three as some programs print them after 1999 (RFC 5322, 4.3). */
static void set_year(struct date *d, int year, size_t digits)
{
	if (digits == 2)
		year += year < 50 ? 2000 : 1900;
	else if (digits == 3)
		year += 1900;
	d->year = year;
	d->has_year = true;
}

/* Digits at `*p`, nine at most, which is moved behind them. */
static int number(const char **p, size_t *digits_r)
{
	int n = 0;

	for (*digits_r = 0; isdigit((unsigned char)**p) && *digits_r < 9; ++*digits_r, ++*p)
		n = n * 10 + (**p - '0');
	return n;
}

static void skip_comment(const char **p)
{
	unsigned depth = 0;

	for (; **p != '\0'; ++*p) {
		depth += **p == '(';
		if (**p == ')' && --depth == 0) {
			++*p;
			return;
		}
	}
}

/* Blanks and comments may stand around a colon (RFC 5322, 4.3). */
static void skip_cfws(const char **p)
{
	while (**p == ' ' || **p == '\t' || **p == '(') {
		if (**p == '(')
			skip_comment(p);
		else
			++*p;
	}
}

/* The number behind a colon, if there is one. */
static bool next_of_time(const char **p, int *n_r)
{
	const char *at = *p;
	size_t digits;

	skip_cfws(&at);
	if (*at != ':')
		return false;
	at++;
	skip_cfws(&at);
	*n_r = number(&at, &digits);
	*p = at;
	return digits > 0;
}

/* "+0200", "+02:00", "-5". What cannot be one is none. */
static void read_offset(struct date *d, const char **p)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes = 0;
	size_t digits, more;

	++*p;
	hours = number(p, &digits);
	if (digits == 0)
		return;
	if (digits > 2) {
		minutes = hours % 100;
		hours /= 100;
	} else if (**p == ':') {
		++*p;
		minutes = number(p, &more);
	}
	while (digits > 4 && isdigit((unsigned char)**p))
		++*p;
	if (hours < 24 && minutes < 60 && digits <= 4) {
		d->offset_s = sign * (hours * 3600 + minutes * 60);
		d->has_zone = true;
	}
}

/* "0200", whose sign was forgotten: all the rest of the date stands in front of it. */
static bool is_unsigned_offset(const struct date *d, int n, size_t digits)
{
	return digits == 4 && n <= 1400 && n % 100 < 60 && d->has_time && !d->has_zone &&
	       d->has_day && d->has_month && d->has_year;
}

/* "10:20", "10:20:30.5", with `hour` read already; false when no minute follows it. */
static bool read_time(struct date *d, int hour, const char **p)
{
	size_t digits = 0;

	if (d->has_time || !next_of_time(p, &d->minute))
		return false;
	d->hour = hour;
	d->has_time = true;
	if (next_of_time(p, &d->second) && (**p == '.' || **p == ',')) {
		const char *fraction = *p + 1;
		number(&fraction, &digits);
		*p = digits > 0 ? fraction : *p;
	}
	return true;
}

/* "2025-11-07", "07-Nov-2025", "7.11.2025", "07/Nov/25"; the first number and its mark were read. */
static void read_joined(struct date *d, int first, size_t first_digits, const char **p)
{
	char mark = *(*p)++;
	size_t digits, letters = 0;
	int n;

	if (isalpha((unsigned char)**p)) {
		while (isalpha((unsigned char)(*p)[letters]))
			letters++;
		d->bad = d->bad || !month_from_name(*p, letters, &n);
		*p += letters;
	} else {
		n = number(p, &digits);
	}
	if (d->bad)
		return;
	set_month(d, n);
	if (**p == mark)
		++*p;
	n = number(p, &digits);
	if (digits == 0)
		return;
	if (first_digits == 4) {
		set_year(d, first, 4);
		set_day(d, n);
	} else {
		set_day(d, first);
		set_year(d, n, digits);
	}
}

/* "10.20", "10.20.30" where a time is missing, with `hour` read already. */
static bool read_dotted_time(struct date *d, int hour, const char **p)
{
	const char *at = *p + 1;
	size_t digits;
	int minute;

	if (d->has_time || !d->has_day || !d->has_month || !d->has_year || **p != '.')
		return false;
	minute = number(&at, &digits);
	if (digits != 2)
		return false;
	d->minute = minute;
	if (*at == '.') {
		at++;
		d->second = number(&at, &digits);
	}
	d->hour = hour;
	d->has_time = true;
	*p = at;
	return true;
}

static void read_number(struct date *d, const char **p, bool apart)
{
	size_t digits;
	int n = number(p, &digits);

	if (read_time(d, n, p) || read_dotted_time(d, n, p))
		return;
	if (strchr("-/.", **p) != NULL && **p != '\0' && isalnum((unsigned char)(*p)[1]) &&
		!d->has_day)
		read_joined(d, n, digits, p);
	else if (digits <= 2 && !d->has_day)
		set_day(d, n);
	else if (!d->has_year && digits <= 4 && digits > 1)
		set_year(d, n, digits);
	else if (apart && is_unsigned_offset(d, n, digits))
		d->offset_s = (n / 100 * 60 + n % 100) * 60, d->has_zone = true;
	else if (digits > 4)
		d->bad = true;
}

static void read_word(struct date *d, const char **p)
{
	const char *word = *p;
	size_t len = 0;
	int month;

	while (isalpha((unsigned char)word[len]))
		len++;
	*p += len;
	if (!d->has_month && month_from_name(word, len, &month)) {
		set_month(d, month);
		return;
	}
	if (d->has_time && len == 2 &&
		(strncasecmp(word, "pm", 2) == 0 || strncasecmp(word, "am", 2) == 0)) {
		d->bad = d->bad || d->hour > 12 || d->hour == 0;
		d->hour = d->hour % 12 + (tolower((unsigned char)word[0]) == 'p' ? 12 : 0);
		return;
	}
	for (size_t i = 0; d->has_time && !d->has_zone && i < sizeof(zones) / sizeof(zones[0]);
		i++) {
		if (strlen(zones[i].name) != len || strncasecmp(word, zones[i].name, len) != 0)
			continue;
		/* "GMT+0200" is what stands behind it. */
		if (zones[i].hours == 0 && (**p == '+' || **p == '-'))
			return;
		d->offset_s = zones[i].hours * 3600;
		d->has_zone = true;
		return;
	}
}

static void read_parts(struct date *d, const char *p)
{
	const char *start = p;

	while (*p != '\0') {
		if (*p == '(')
			skip_comment(&p);
		else if (isdigit((unsigned char)*p))
			read_number(d, &p, p == start || p[-1] == ' ' || p[-1] == '\t');
		else if (isalpha((unsigned char)*p))
			read_word(d, &p);
		else if ((*p == '+' || *p == '-') && d->has_time && !d->has_zone)
			read_offset(d, &p);
		else
			p++;
	}
}

static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970 of a date in the Gregorian calendar. */
static int64_t days_since_1970(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

bool mime_date_parse(struct slice text, int64_t *s_r)
{
	struct date d = { .bad = false };
	char copy[256];
	size_t len = text.len < sizeof(copy) - 1 ? text.len : sizeof(copy) - 1;

	for (size_t i = 0; i < len; i++)
		copy[i] = text.base[i] != '\0' ? text.base[i] : ' ';
	copy[len] = '\0';
	read_parts(&d, copy);
	if (d.bad || !d.has_year || !d.has_month || !d.has_day || d.year < FIRST_YEAR ||
		d.year > LAST_YEAR || d.day < 1 || d.day > days_in(d.year, d.month) ||
		d.hour > 24 || d.minute > 59 || d.second > 60 ||
		(d.hour == 24 && (d.minute > 0 || d.second > 0))) /* ISO 8601: midnight */
		return false;
	*s_r = days_since_1970(d.year, d.month, d.day) * 86400 + d.hour * 3600 + d.minute * 60 +
	       d.second - d.offset_s;
	/* A zone can carry it over the edge. */
	return *s_r >= days_since_1970(FIRST_YEAR, 1, 1) * 86400 &&
	       *s_r < days_since_1970(LAST_YEAR + 1, 1, 1) * 86400;
}
