/* SPDX-License-Identifier: MIT */
/* lines of Postfix's and Exim's logs, and their dates */
#include "lib/maillog.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define ID    "0198f1c2-0000-7000-8000-0123456789ab"
#define PIPED "relay=mailserver, delay=0.2, delays=0.05/0.01/0/0.14, dsn=2.0.0, "
#define SENT  "status=sent (delivered via mailserver service (2.0.0 id=" ID "))"
#define PF    "Nov 25 09:10:18 mx postfix/pipe[4711]: "

/* As an operator would see it: "kind queue relay to orig_to id|spooled", "-" for what is not there. */
static const char *summary_of(struct slice line)
{
	static const char *const kinds[] = { "other", "sent", "deferred", "bounced", "expired",
		"output" };
	static char text[4096];
	char id[UUID_TEXT + 1] = "-";
	struct maillog_line parsed;
	int len;

	maillog_parse(line, &parsed);
	if (parsed.kind == MAILLOG_OTHER)
		return "other";
	if (parsed.has_id)
		uuid_format(&parsed.id, id);
	len = snprintf(text, sizeof(text), "%s", kinds[parsed.kind]);
	const struct slice fields[] = { parsed.queue_id, parsed.relay, parsed.to, parsed.orig_to,
		parsed.spooled };
	for (size_t i = 0; i < 5; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "|%.*s",
			fields[i].len > 0 ? (int)fields[i].len : 1,
			fields[i].len > 0 ? fields[i].base : "-");
	snprintf(text + len, sizeof(text) - (size_t)len, "|%s", id);
	return text;
}

struct look {
	const char *line, *summary;
};

static void assert_looks(const struct look *looks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *summary = summary_of(slice_str(looks[i].line));
		ck_assert_msg(strcmp(summary, looks[i].summary) == 0, "%s\nis  %s\nnot %s",
			looks[i].line, summary, looks[i].summary);
	}
}
#define ASSERT_LOOKS(looks) assert_looks(looks, sizeof(looks) / sizeof((looks)[0]))

static void assert_passed_over(const char *const *lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(
			strcmp(summary_of(slice_str(lines[i])), "other") == 0, "%s", lines[i]);
}

/* ---- Postfix ---- */

START_TEST(postfix_hand_over_is_understood_in_every_frame)
{
	static const char rest[] = "4FxYz12abczK: to=<r@example.com>, " PIPED SENT;
	static const char *const frames[] = {
		PF,
		"Nov  5 09:10:18 mx postfix/pipe[4711]: ",
		"Nov 25 09:10:18 mx.example.com postfix-mx/pipe[1]: ",
		"Nov 25 09:10:18 mx postfix/mailserver/pipe[4711]: ",
		"2026-11-25T09:10:18.123456+00:00 mx postfix/pipe[4711]: ",
		"2026-11-25T09:10:18Z mx postfix/pipe[4711]: ",
		"2026-11-25T09:10:18+0100 mx postfix/pipe[4711]: ",
		"2026-11-25 09:10:18 mx postfix/pipe[4711]: ",
		"Nov 25 09:10:18.123 mx postfix/pipe[4711]: ",
		"Nov 25 09:10:18 postfix/pipe[4711]: ",
		"<22>Nov 25 09:10:18 mx postfix/pipe[4711]: ",
	};
	char line[1024];

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		snprintf(line, sizeof(line), "%s%s", frames[i], rest);
		ck_assert_str_eq(summary_of(slice_str(line)),
			"sent|4FxYz12abczK|mailserver|r@example.com|-|-|" ID);
		strcat(line, "\r\n");
		ck_assert_str_eq(summary_of(slice_str(line)),
			"sent|4FxYz12abczK|mailserver|r@example.com|-|-|" ID);
	}
}
END_TEST

START_TEST(postfix_says_what_became_of_a_delivery)
{
	static const struct look looks[] = {
		{ PF "A1B2C3D4E5: to=<r@example.com>, orig_to=<alias@example.com>, " PIPED SENT,
			"sent|A1B2C3D4E5|mailserver|r@example.com|alias@example.com|-|" ID },
		{ PF "A1B2C3D4E5: to=<r@example.com>, " PIPED
		     "status=sent (delivered via mailserver service)",
			"sent|A1B2C3D4E5|mailserver|r@example.com|-|-|-" },
		{ PF "A1B2C3D4E5: to=<r@example.com>, " PIPED
		     "status=sent (delivered via mailserver service (2.0.0 spooled=1795.a7.msg))",
			"sent|A1B2C3D4E5|mailserver|r@example.com|-|1795.a7.msg|-" },
		{ PF "A1B2C3D4E5: to=<r@example.com>, " PIPED
		     "status=sent (delivered via mailserver service (2.0.0 spooled=1795.a7.msg "
		     "after 4.3.2 id=" ID " later))",
			"sent|A1B2C3D4E5|mailserver|r@example.com|-|1795.a7.msg|-" },
		{ PF "A1B2C3D4E5: to=<r@example.com>, " PIPED
		     "status=sent (delivered via mailserver service (2.0.0 spooled=1795.a7.msg "
		     "after 4.4.1 127.0.0.1:3000: Conn))",
			"sent|A1B2C3D4E5|mailserver|r@example.com|-|1795.a7.msg|-" },
		{ PF "A1B2C3D4E5: to=<r@example.com>, " PIPED
		     "status=sent (delivered via mailserver service (2.0.0 id=0198f1c2-))",
			"sent|A1B2C3D4E5|mailserver|r@example.com|-|-|-" },
		{ PF "A1B2C3D4E5: to=<r@example.com>, relay=mailserver, conn_use=2, delay=0.2, "
		     "delays=0/0/0/0.2, dsn=2.0.0, " SENT,
			"sent|A1B2C3D4E5|mailserver|r@example.com|-|-|" ID },
		{ PF "A1B2C3D4E5: to=<r@example.com>, relay=mailserver, delay=3, "
		     "delays=0/0/0/3, dsn=4.3.2, status=deferred (temporary failure. Command "
		     "output: 4.3.2 id=" ID ")",
			"deferred|A1B2C3D4E5|mailserver|r@example.com|-|-|-" },
		{ PF "A1B2C3D4E5: to=<r@example.com>, relay=mailserver, delay=3, "
		     "delays=0/0/0/3, dsn=5.3.4, status=bounced (data format error)",
			"bounced|A1B2C3D4E5|mailserver|r@example.com|-|-|-" },
		{ "Nov 25 09:10:18 mx postfix/error[9]: A1B2C3D4E5: to=<r@example.com>, "
		  "relay=none, delay=3, delays=0/0/0/3, dsn=4.3.2, status=deferred (delivery "
		  "temporarily suspended: temporary failure)",
			"deferred|A1B2C3D4E5|none|r@example.com|-|-|-" },
		{ "Nov 25 09:10:18 mx postfix/qmgr[9]: A1B2C3D4E5: from=<s@example.org>, "
		  "status=expired, returned to sender",
			"expired|A1B2C3D4E5|-|-|-|-|-" },
		{ "Nov 25 09:10:18 mx postfix/qmgr[9]: A1B2C3D4E5: from=<>, "
		  "status=force-expired, returned to sender",
			"expired|A1B2C3D4E5|-|-|-|-|-" },
		{ "Nov 25 09:10:18 mx postfix/smtp[9]: A1B2C3D4E5: to=<r@example.com>, "
		  "relay=mx.example.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, "
		  "status=sent (250 2.0.0 Ok: queued as 5F; id=" ID ")",
			"sent|A1B2C3D4E5|mx.example.com[192.0.2.1]:25|r@example.com|-|-|-" },
	};

	ASSERT_LOOKS(looks);
}
END_TEST

/* Whoever sends mail may choose an address that looks like the rest of a line. */
START_TEST(postfix_addresses_cannot_forge_a_status)
{
	static const struct look looks[] = {
		{ PF "A1B2C3D4E5: to=<\"a b\"@example.com>, " PIPED SENT,
			"sent|A1B2C3D4E5|mailserver|\"a b\"@example.com|-|-|" ID },
		{ PF "A1B2C3D4E5: to=<\"x>, relay=mailserver, status=sent (\"@example.com>, "
		     "relay=smtp, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (later)",
			"deferred|A1B2C3D4E5|smtp|\"x>, relay=mailserver, status=sent "
			"(\"@example.com|-|-|-" },
		{ PF "A1B2C3D4E5: to=<\"x\\\">, relay=mailserver, status=sent (\"@example.com>, "
		     "orig_to=<\">\"@example.com>, relay=smtp, delay=1, delays=0/0/0/1, "
		     "dsn=5.0.0, status=bounced (no)",
			"bounced|A1B2C3D4E5|smtp|\"x\\\">, relay=mailserver, status=sent "
			"(\"@example.com|\">\"@example.com|-|-" },
		{ PF "A1B2C3D4E5: to=<5\"disk@example.com>, " PIPED SENT,
			"sent|A1B2C3D4E5|mailserver|5\"disk@example.com|-|-|" ID },
		{ PF "A1B2C3D4E5: to=<5\"disk@example.com>, orig_to=<d@example.com>, " PIPED SENT,
			"sent|A1B2C3D4E5|mailserver|5\"disk@example.com|d@example.com|-|" ID },
		{ "Nov 25 09:10:18 mx postfix/qmgr[9]: A1B2C3D4E5: from=<\"x>, status=expired, "
		  "\"@example.org>, size=4711, nrcpt=1 (queue active)",
			"other" },
	};

	ASSERT_LOOKS(looks);
}
END_TEST

START_TEST(postfix_lines_about_other_things_are_passed_over)
{
	static const char *const lines[] = {
		PF "A1B2C3D4E5: from=<s@example.org>, size=4711, nrcpt=1 (queue active)",
		PF "A1B2C3D4E5: message-id=<a@b>",
		PF "A1B2C3D4E5: removed",
		PF "A1B2C3D4E5: uid=0 from=<root>",
		PF "A1B2C3D4E5: client=unknown[192.0.2.1]",
		PF "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <r@example.com>: "
		   "Relay access denied; from=<s@example.org> to=<r@example.com> proto=ESMTP",
		PF "A1B2C3D4E5: to=<r@example.com>, " PIPED "status=deliverable (delivers to "
		   "command: /usr/bin/mailserver)",
		PF "A1B2C3D4E5: to=<r@example.com>, relay=mailserver",
		PF "A1B2C3D4E5: to=<r@example.com",
		PF "A1B2C3D4E5: to=",
		PF "A1B2C3D4E5: ",
		PF "A1B2C3D4E5",
		PF "../..: to=<r@example.com>, " PIPED SENT,
		PF "A1: to=<r@example.com>, " PIPED SENT,
		"Nov 25 09:10:18 mx dovecot: imap(bob): Disconnected: Logged out",
		"Nov 25 09:10:18 mx last message repeated 2 times",
		"Nov 25 09:10:18",
		"A1B2C3D4E5: to=<r@example.com>, " PIPED SENT,
		"Foo 25 09:10:18 mx postfix/pipe[1]: A1B2C3D4E5: to=<r@e.com>, " PIPED SENT,
		"",
		"\n",
		"<22>",
		"-- Journal begins at Wed 2026-11-25 --",
	};

	assert_passed_over(lines, sizeof(lines) / sizeof(lines[0]));
}
END_TEST

/* ---- Exim ---- */

START_TEST(exim_hand_over_is_understood_in_every_frame)
{
	static const char rest[] = "1r6Abc-0000xx-1A => r@example.com R=mailserver T=mailserver";
	static const char *const frames[] = {
		"2026-11-25 09:10:18 ",
		"2026-11-25 09:10:18.123 ",
		"2026-11-25 09:10:18 +0100 ",
		"2026-11-25 09:10:18.123 +0100 ",
		"2026-11-25 09:10:18 [4711] ",
		"2026-11-25 09:10:18.123 -0330 [4711] ",
		"Nov 25 09:10:18 mx exim[4711]: ",
		"Nov 25 09:10:18 mx exim4[4711]: 2026-11-25 09:10:18 ",
		"2026-11-25T09:10:18.123456+00:00 mx exim[4711]: [1/2] 2026-11-25 09:10:18 [4711] ",
	};
	char line[1024];

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		snprintf(line, sizeof(line), "%s%s", frames[i], rest);
		ck_assert_msg(
			strcmp(summary_of(slice_str(line)), "sent|1r6Abc-0000xx-1A|"
							    "mailserver|r@example.com|-|-|-") == 0,
			"%s: %s", line, summary_of(slice_str(line)));
	}
}
END_TEST

#define EX "2026-11-25 09:10:18 1r6Abc-0000xx-1A "

START_TEST(exim_says_what_became_of_a_delivery)
{
	static const struct look looks[] = {
		{ EX "=> bob <bob@example.com> R=mailserver T=mailserver S=4711 C=\"250 OK\" QT=1s",
			"sent|1r6Abc-0000xx-1A|mailserver|bob|bob@example.com|-|-" },
		{ EX "-> carol@example.com R=mailserver T=mailserver",
			"sent|1r6Abc-0000xx-1A|mailserver|carol@example.com|-|-|-" },
		{ "2026-11-25 09:10:18 1r6Abc-00000000xxx-1A2B => r@example.com R=m T=mailserver",
			"sent|1r6Abc-00000000xxx-1A2B|mailserver|r@example.com|-|-|-" },
		{ EX "=> r@example.com F=<s@example.org> P=<s@example.org> R=m T=mailserver",
			"sent|1r6Abc-0000xx-1A|mailserver|r@example.com|-|-|-" },
		{ EX "=> bob (b@example.com, c@example.com) <d@example.com> R=m T=mailserver",
			"sent|1r6Abc-0000xx-1A|mailserver|bob|d@example.com|-|-" },
		{ EX "=> |/usr/bin/mailserver deliver T=x <d@example.com> R=m T=address_pipe",
			"sent|1r6Abc-0000xx-1A|address_pipe|/usr/bin/mailserver deliver "
			"T=x|d@example.com|-|-" },
		{ EX "== r@example.com R=mailserver T=mailserver defer (0): Child process of "
		     "mailserver transport returned 75 from command: /usr/bin/mailserver",
			"deferred|1r6Abc-0000xx-1A|mailserver|r@example.com|-|-|-" },
		{ EX "** r@example.com R=mailserver T=mailserver: Child process of mailserver "
		     "transport returned 65 T=other",
			"bounced|1r6Abc-0000xx-1A|mailserver|r@example.com|-|-|-" },
		{ EX "<r@example.com>: mailserver transport output: 2.0.0 id=" ID,
			"output|1r6Abc-0000xx-1A|mailserver|r@example.com|-|-|" ID },
		{ EX "<r@example.com>: mailserver transport output: 2.0.0 spooled=1795.a7.msg",
			"output|1r6Abc-0000xx-1A|mailserver|r@example.com|-|1795.a7.msg|-" },
	};

	/* A `|` of the line's would look like one of the summary's. */
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		char *line = strdup(looks[i].line);
		const char *summary = summary_of(slice_str(line));
		if (strstr(line, "=> |") != NULL)
			ck_assert_ptr_nonnull(strstr(summary, "deliver T=x|d@example.com"));
		else
			ck_assert_str_eq(summary, looks[i].summary);
		free(line);
	}
}
END_TEST

START_TEST(exim_local_parts_stand_without_quotes)
{
	static const struct look looks[] = {
		{ EX "=> a b <\"a b\"@example.com> R=mailserver T=mailserver",
			"sent|1r6Abc-0000xx-1A|mailserver|a b|\"a b\"@example.com|-|-" },
		{ EX "=> a b@example.com <\"a b\"@example.com> R=mailserver T=mailserver",
			"sent|1r6Abc-0000xx-1A|mailserver|a b@example.com|\"a "
			"b\"@example.com|-|-" },
		{ EX "-> 5\" disk <\"5\\\" disk\"@example.com> R=mailserver T=mailserver",
			"sent|1r6Abc-0000xx-1A|mailserver|5\" disk|\"5\\\" "
			"disk\"@example.com|-|-" },
		{ EX "<\"a b\"@example.com>: mailserver transport output: 2.0.0 id=" ID,
			"output|1r6Abc-0000xx-1A|mailserver|\"a b\"@example.com|-|-|" ID },
		{ EX "== a b@example.com <\"a b\"@example.com> R=r T=mailserver defer (0): <x> R=y",
			"deferred|1r6Abc-0000xx-1A|mailserver|a b@example.com|"
			"\"a b\"@example.com|-|-" },
	};

	ASSERT_LOOKS(looks);
}
END_TEST

START_TEST(exim_addresses_cannot_forge_a_transport)
{
	static const struct look looks[] = {
		{ EX "=> x T=mailserver @example.com <\"x T=mailserver \"@example.com> "
		     "F=<\"y T=mailserver \"@example.org> R=dns T=remote_smtp",
			"sent|1r6Abc-0000xx-1A|remote_smtp|x T=mailserver @example.com|"
			"\"x T=mailserver \"@example.com|-|-" },
		{ EX "=> x <y> R=a T=mailserver  <\"x <y> R=a T=mailserver \"@example.com> R=dns "
		     "T=remote_smtp",
			"sent|1r6Abc-0000xx-1A|remote_smtp|x <y> R=a T=mailserver |"
			"\"x <y> R=a T=mailserver \"@example.com|-|-" },
		{ EX "=> r@example.com R=dns T=remote_smtp C=\"250 T=mailserver \\\" "
		     "T=mailserver\"",
			"sent|1r6Abc-0000xx-1A|remote_smtp|r@example.com|-|-|-" },
	};

	ASSERT_LOOKS(looks);
}
END_TEST

START_TEST(exim_lines_about_other_things_are_passed_over)
{
	static const char *const lines[] = {
		EX "<= s@example.org H=(x) [192.0.2.1] P=esmtp S=4711 T=\"=> r T=mailserver\"",
		EX "<= <> R=1r6Abc-0000xx-1B U=Debian-exim P=local S=4711",
		EX "Completed",
		EX "*> r@example.com R=mailserver T=mailserver",
		EX "=> r@example.com",
		EX "=> r@example.com R=mailserver",
		EX "=> ",
		EX "== r@example.com routing defer (-52): retry time not reached",
		EX "<r@example.com>: mailserver transport output: 4.3.2 the server is away",
		EX,
		"2026-11-25 09:10:18 Start queue run: pid=4711",
		"2026-11-25 09:10:18 1r6Abc-0000xx-1 => r@example.com R=m T=mailserver",
		"2026-11-25 09:10:18 1r6Abc-0000-x-1A => r@example.com R=m T=mailserver",
		"2026-11-25 09:10 1r6Abc-0000xx-1A => r@example.com R=m T=mailserver",
	};

	assert_passed_over(lines, sizeof(lines) / sizeof(lines[0]));
}
END_TEST

/* Every beginning and every damaged byte of a line: nothing outside of it is looked at. */
START_TEST(damaged_lines_are_read_within_their_bounds)
{
	static const char *const lines[] = {
		PF "A1B2C3D4E5: to=<\"r \\\" x\"@example.com>, orig_to=<a@b>, " PIPED SENT,
		PF "A1B2C3D4E5: from=<s@example.org>, status=expired, returned to sender",
		EX "=> bob (b@example.com) <bob@example.com> F=<s@example.org> R=m T=mailserver",
		EX "<r@example.com>: mailserver transport output: 2.0.0 spooled=1795.a7.msg",
	};
	static const char bytes[] = { '\0', '<', '"', '\\', ' ', '\xff' };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		size_t len = strlen(lines[i]);
		for (size_t at = 0; at < len; at++) {
			char *part = malloc(at + 1); /* so that a sanitizer sees its end */
			struct maillog_line parsed;
			memcpy(part, lines[i], at + 1);
			maillog_parse((struct slice){ part, at + 1 }, &parsed);
			for (size_t b = 0; b < sizeof(bytes); b++) {
				part[at / 2] = bytes[b];
				maillog_parse((struct slice){ part, at + 1 }, &parsed);
				ck_assert_int_le((int)parsed.kind, MAILLOG_OUTPUT);
			}
			free(part);
		}
	}
}
END_TEST

/* ---- dates ---- */

static void use_zone(const char *zone)
{
	ck_assert_int_eq(setenv("TZ", zone, 1), 0);
}

/* "in microseconds since 1970", of a line that begins with this date. */
static int64_t when(const char *date, const char *not_after)
{
	struct maillog_stamp bound;
	struct maillog_clock clock;
	struct maillog_line line;
	char text[128];
	int64_t bound_us = 0, us = -1;

	maillog_clock_init(&clock, 0);
	ck_assert(maillog_parse_moment(slice_str(not_after), &bound));
	ck_assert(maillog_when(&clock, &bound, &bound_us));
	maillog_clock_init(&clock, bound_us);
	snprintf(text, sizeof(text), "%s mx postfix/qmgr[1]: A1B2C3D4E5: removed", date);
	maillog_parse(slice_str(text), &line);
	ck_assert_msg(line.has_stamp, "%s", date);
	return maillog_when(&clock, &line.stamp, &us) ? us : -1;
}

#define S INT64_C(1000000)

START_TEST(dates_are_moments_in_their_zone)
{
	static const struct {
		const char *zone, *date;
		int64_t us;
	} cases[] = {
		{ "UTC", "2026-11-25T09:10:18.123456+00:00", INT64_C(1795597818123456) },
		{ "UTC", "2026-11-25T09:10:18.5Z", INT64_C(1795597818500000) },
		{ "Europe/Berlin", "2026-11-25T10:10:18+01:00", INT64_C(1795597818) * S },
		{ "UTC", "2026-11-25T05:40:18-0330", INT64_C(1795597818) * S },
		{ "Europe/Berlin", "2026-11-25 10:10:18", INT64_C(1795597818) * S },
		{ "Europe/Berlin", "2026-11-25 05:40:18.25 -0330", INT64_C(1795597818250000) },
		{ "America/New_York", "Nov 25 04:10:18", INT64_C(1795597818) * S },
		{ "UTC", "Nov 25 09:10:18.1", INT64_C(1795597818100000) },
		{ "UTC", "2026-12-31T23:59:60Z", INT64_C(1798761600) * S },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		use_zone(cases[i].zone);
		ck_assert_msg(when(cases[i].date, "2026-11-25 12:00") == cases[i].us, "%s: %lld",
			cases[i].date, (long long)when(cases[i].date, "2026-11-25 12:00"));
	}
}
END_TEST

START_TEST(date_without_a_year_is_not_in_the_future)
{
	static const struct {
		const char *date, *not_after, *is;
	} cases[] = {
		{ "Nov 25 09:10:18", "2026-11-25 12:00", "2026-11-25T09:10:18" },
		{ "Nov 25 23:10:18", "2026-11-25 12:00", "2026-11-25T23:10:18" },
		{ "Dec 31 23:59:59", "2027-01-01 00:05", "2026-12-31T23:59:59" },
		{ "Jan  1 00:00:01", "2027-01-01 00:05", "2027-01-01T00:00:01" },
		{ "Jan  1 00:00:01", "2026-12-31 23:58", "2027-01-01T00:00:01" },
		{ "Nov 27 09:10:18", "2026-11-25 12:00", "2025-11-27T09:10:18" },
		{ "Feb 29 09:10:18", "2026-11-25 12:00", "2024-02-29T09:10:18" },
		{ "Feb 29 09:10:18", "1903-03-01 12:00", "1896-02-29T09:10:18" },
	};

	use_zone("UTC");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(when(cases[i].date, cases[i].not_after) ==
				      when(cases[i].is, cases[i].not_after),
			"%s", cases[i].date);
}
END_TEST

START_TEST(dates_that_do_not_exist_are_none)
{
	static const char *const dates[] = { "2026-02-29T09:10:18", "2026-13-01T09:10:18",
		"2026-00-01T09:10:18", "2026-11-31T09:10:18", "2026-11-25T24:10:18",
		"2026-11-25T09:60:18", "Feb 30 09:10:18", "Nov  0 09:10:18" };

	use_zone("UTC");
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		ck_assert_msg(when(dates[i], "2026-11-25 12:00") == -1, "%s", dates[i]);
}
END_TEST

/* The clock remembers the last hour. */
START_TEST(hours_before_and_after_a_change_of_the_clocks_are_told_apart)
{
	static const char *const dates[] = { "2026-03-29 01:59:59", "2026-03-29 03:00:00",
		"2026-03-29 03:00:01", "2026-03-29 01:59:58", "2026-02-30 01:59:58",
		"2026-03-29 01:59:57" };
	static const int64_t offsets[] = { 0, 1, 2, -1, 0, -2 };
	struct maillog_clock clock;
	int64_t first = 0, us = 0;

	use_zone("Europe/Berlin");
	maillog_clock_init(&clock, 0);
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		struct maillog_stamp stamp;
		ck_assert(maillog_parse_moment(slice_str(dates[i]), &stamp));
		if (!maillog_when(&clock, &stamp, &us)) {
			ck_assert_uint_eq(i, 4); /* no such day */
			continue;
		}
		first = i == 0 ? us : first;
		ck_assert_int_eq(us, first + offsets[i] * S);
	}
}
END_TEST

START_TEST(moments_are_read_as_people_write_them)
{
	static const char *const good[] = { "2026-11-25", "2026-11-25 09:10", "2026-11-25T09:10",
		"2026-11-25 09:10:18", "2026-11-25T09:10:18Z", "2026-11-25T09:10:18.5+01:00" };
	static const char *const bad[] = { "", "2026", "2026-11-2", "25.11.2026", "2026-11-25 ",
		"2026-11-25 9:10", "yesterday", "2026-11-25 09:10:18 x", "Nov 25 09:10:18" };
	struct maillog_stamp stamp;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(maillog_parse_moment(slice_str(good[i]), &stamp), "%s", good[i]);
		ck_assert_int_eq(stamp.day, 25);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!maillog_parse_moment(slice_str(bad[i]), &stamp), "%s", bad[i]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("maillog");
	TCase *tc = tcase_create("maillog");

	suite_add_tcase(s, tc);
	tcase_add_test(tc, postfix_hand_over_is_understood_in_every_frame);
	tcase_add_test(tc, postfix_says_what_became_of_a_delivery);
	tcase_add_test(tc, postfix_addresses_cannot_forge_a_status);
	tcase_add_test(tc, postfix_lines_about_other_things_are_passed_over);
	tcase_add_test(tc, exim_hand_over_is_understood_in_every_frame);
	tcase_add_test(tc, exim_says_what_became_of_a_delivery);
	tcase_add_test(tc, exim_local_parts_stand_without_quotes);
	tcase_add_test(tc, exim_addresses_cannot_forge_a_transport);
	tcase_add_test(tc, exim_lines_about_other_things_are_passed_over);
	tcase_add_test(tc, damaged_lines_are_read_within_their_bounds);
	tcase_add_test(tc, dates_are_moments_in_their_zone);
	tcase_add_test(tc, date_without_a_year_is_not_in_the_future);
	tcase_add_test(tc, dates_that_do_not_exist_are_none);
	tcase_add_test(tc, hours_before_and_after_a_change_of_the_clocks_are_told_apart);
	tcase_add_test(tc, moments_are_read_as_people_write_them);
	return s;
}

int main(void)
{
	SRunner *sr = srunner_create(suite());

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
