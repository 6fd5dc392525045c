/* SPDX-License-Identifier: MIT */
#include "lib/maillog.h"
#include "lib/maillog_stamp.h"

#include <time.h>

enum { A_DAY_S = 86400, LEAP_YEARS_APART = 8 };

/* --- reading --- */

static bool take_digits(struct slice *rest, unsigned count, int *number_r)
{
	int number = 0;

	if (rest->len < count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (rest->base[i] < '0' || rest->base[i] > '9')
			return false;
		number = 10 * number + (rest->base[i] - '0');
	}
	*number_r = number;
	slice_skip(rest, count);
	return true;
}

static bool take_char(struct slice *rest, char c)
{
	if (rest->len == 0 || rest->base[0] != c)
		return false;
	slice_skip(rest, 1);
	return true;
}

/* hh:mm:ss, and a fraction of any length. */
static bool take_time(struct slice *rest, struct maillog_stamp *stamp)
{
	if (!take_digits(rest, 2, &stamp->hour) || !take_char(rest, ':') ||
		!take_digits(rest, 2, &stamp->minute) || !take_char(rest, ':') ||
		!take_digits(rest, 2, &stamp->second))
		return false;
	if (!take_char(rest, '.'))
		return true;
	int digit, weight = 100000;
	while (take_digits(rest, 1, &digit)) {
		stamp->microsecond += digit * weight;
		weight /= 10;
	}
	return true;
}

/* "Z", "+01:00" or "+0100". */
static bool take_offset(struct slice *rest, struct maillog_stamp *stamp)
{
	int hours, minutes, sign = rest->len > 0 && rest->base[0] == '-' ? -1 : 1;
	struct slice ahead = *rest;

	if (take_char(rest, 'Z')) {
		stamp->has_offset = true;
		return true;
	}
	if (!take_char(&ahead, '+') && !take_char(&ahead, '-'))
		return false;
	if (!take_digits(&ahead, 2, &hours))
		return false;
	take_char(&ahead, ':');
	if (!take_digits(&ahead, 2, &minutes))
		return false;
	stamp->has_offset = true;
	stamp->offset_s = sign * (hours * 3600 + minutes * 60);
	*rest = ahead;
	return true;
}

static bool take_date(struct slice *rest, struct maillog_stamp *stamp)
{
	return take_digits(rest, 4, &stamp->year) && take_char(rest, '-') &&
	       take_digits(rest, 2, &stamp->month) && take_char(rest, '-') &&
	       take_digits(rest, 2, &stamp->day);
}

/* "2026-11-25T09:10:18.123456+00:00", or Exim's "2026-11-25 09:10:18.123 +0000". */
static bool take_dashed(struct slice *rest, struct maillog_stamp *stamp)
{
	if (!take_date(rest, stamp) || (!take_char(rest, 'T') && !take_char(rest, ' ')) ||
		!take_time(rest, stamp))
		return false;
	struct slice ahead = *rest;
	if (take_offset(rest, stamp))
		return true;
	if (take_char(&ahead, ' ') && take_offset(&ahead, stamp))
		*rest = ahead;
	return true;
}

/* "Nov 25 09:10:18", "Nov  5 09:10:18"; some put a fraction behind it. */
static bool take_traditional(struct slice *rest, struct maillog_stamp *stamp)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	if (rest->len < 4 || rest->base[3] != ' ')
		return false;
	for (int i = 0; i < 12; i++)
		if (memcmp(rest->base, months + 3 * i, 3) == 0)
			stamp->month = i + 1;
	if (stamp->month == 0)
		return false;
	slice_skip(rest, 4);
	bool one_digit = take_char(rest, ' ');
	return take_digits(rest, one_digit ? 1 : 2, &stamp->day) && take_char(rest, ' ') &&
	       take_time(rest, stamp);
}

bool maillog_take_stamp(struct slice *rest, struct maillog_stamp *stamp_r)
{
	struct maillog_stamp stamp = { .year = 0 };
	struct slice ahead = *rest;
	bool dashed = ahead.len > 0 && ahead.base[0] >= '0' && ahead.base[0] <= '9';

	if (!(dashed ? take_dashed(&ahead, &stamp) : take_traditional(&ahead, &stamp)))
		return false;
	*stamp_r = stamp;
	*rest = ahead;
	return true;
}

bool maillog_parse_moment(struct slice text, struct maillog_stamp *stamp_r)
{
	struct maillog_stamp stamp = { .year = 0 };
	char minutes[] = "0000-00-00 00:00:00";
	struct slice rest = text;

	if (text.len == strlen("2026-11-25 09:10")) {
		memcpy(minutes, text.base, text.len);
		rest = slice_str(minutes);
	}
	if (text.len == strlen("2026-11-25") ? !take_date(&rest, &stamp)
					     : !take_dashed(&rest, &stamp))
		return false;
	if (rest.len > 0)
		return false;
	*stamp_r = stamp;
	return true;
}

/* --- when that was --- */

void maillog_clock_init(struct maillog_clock *clock, int64_t not_after_us)
{
	tzset(); /* localtime_r() need not */
	*clock = (struct maillog_clock){ .not_after_us = not_after_us };
}

static bool is_same_hour(const struct maillog_stamp *a, const struct maillog_stamp *b)
{
	return a->hour == b->hour && a->day == b->day && a->month == b->month &&
	       a->year == b->year && a->has_offset == b->has_offset && a->offset_s == b->offset_s;
}

static bool is_possible(const struct maillog_stamp *stamp)
{
	return stamp->month >= 1 && stamp->month <= 12 && stamp->day >= 1 && stamp->day <= 31 &&
	       stamp->hour <= 23 && stamp->minute <= 59 && stamp->second <= 60;
}

/* The hour's first second. */
static bool hour_of(const struct maillog_stamp *stamp, int year, int64_t *s_r)
{
	struct tm tm = {
		.tm_year = year - 1900,
		.tm_mon = stamp->month - 1,
		.tm_mday = stamp->day,
		.tm_hour = stamp->hour,
		.tm_isdst = -1,
	};

	*s_r = stamp->has_offset ? (int64_t)timegm(&tm) - stamp->offset_s : (int64_t)mktime(&tm);
	return tm.tm_mday == stamp->day; /* the 30th of February became a day in March */
}

/* The latest year in which it is not in the future: a clock may be ahead by a day, and so may a time
 * zone be. */
static bool hour_without_year(
	const struct maillog_clock *clock, const struct maillog_stamp *stamp, int64_t *s_r)
{
	time_t last = (time_t)(clock->not_after_us / 1000000 + A_DAY_S);
	struct tm tm;

	localtime_r(&last, &tm);
	for (int year = tm.tm_year + 1900, i = 0; i <= LEAP_YEARS_APART; i++, year--)
		if (hour_of(stamp, year, s_r) && *s_r <= last)
			return true;
	return false;
}

bool maillog_when(struct maillog_clock *clock, const struct maillog_stamp *stamp, int64_t *us_r)
{
	if (!is_possible(stamp))
		return false;
	if (!clock->has_hour || !is_same_hour(&clock->hour, stamp)) {
		clock->has_hour = false;
		if (!(stamp->year != 0 ? hour_of(stamp, stamp->year, &clock->hour_s)
				       : hour_without_year(clock, stamp, &clock->hour_s)))
			return false;
		clock->hour = *stamp;
		clock->has_hour = true;
	}
	*us_r = (clock->hour_s + stamp->minute * 60 + stamp->second) * 1000000 + stamp->microsecond;
	return true;
}
