/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "cmd/mailserver/ledger.h"
#include "cmd/mailserver/maillog_files.h"
#include "cmd/mailserver/options.h"
#include "cmd/mailserver/server/server.h"
#include "lib/buf.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: mailserver reconcile [-c FILE] --maillog FILE... [OPTION]...\n"
	"\n"
	"      --maillog FILE...   logs of Postfix or Exim, in any order; gzip's too; - is "
	"standard "
	"input\n"
	"  -c, --config FILE       the configuration, which names the database\n"
	"      --transport NAME    of the MTA, that hands mail to the mailserver (default: "
	"mailserver);\n"
	"                          may be given more than once\n"
	"      --tenant NAME       whose mail it hands over, when the database holds others' too\n"
	"      --since TIME        reports what happened from then on, as 2026-11-25 or\n"
	"      --until TIME        \"2026-11-25 09:10:18\" (local time, or with an offset); and "
	"before then\n"
	"      --tolerance SECONDS between a commit and its line in the log, and between the "
	"clocks "
	"(default: 300)\n"
	"      --json              a JSON object for each line of output\n"
	"\n"
	"Says what the MTA handed over and the database lacks, and what the database holds and the "
	"MTA did not\n"
	"hand over. Exit code 0: nothing; 1: something, or a log or the database could not be "
	"read.\n";

enum {
	MAX_TRANSPORTS = 16,
	DEFAULT_TOLERANCE_S = 300,
	MAX_TOLERANCE_S = 86400,
	IDS_AT_ONCE = 1000,
	LINE_BYTES = 1 << 20,
};

/* How long an MTA may keep a message whose first copy was committed while the answer was lost:
 * Postfix's maximal_queue_lifetime, and more than Exim's usual four days. */
#define LONGEST_IN_QUEUE_US (INT64_C(5) * 86400 * 1000000)

struct wish {
	struct config_request request;
	const char **files;
	size_t file_count;
	struct slice transports[MAX_TRANSPORTS];
	size_t transport_count;
	const char *tenant;
	int64_t since_us, until_us, tolerance_us;
	bool json;
};

struct reconciliation {
	const struct wish *wish;
	struct storage_settings set;
	struct maillog_reading reading;
	struct ledger *ledger;
	uint64_t deliveries; /* recipients that the log says were handed over */
	uint64_t words[LEDGER_WORDS];
	struct buf line;
	char *error;
};

/* --- the logs --- */

static bool is_ours(const struct wish *wish, const struct maillog_line *line)
{
	for (size_t i = 0; i < wish->transport_count; i++)
		if (slice_eq(line->relay, wish->transports[i]) ||
			slice_eq(line->via, wish->transports[i]))
			return true;
	/* While a transport is suspended, Postfix defers without one. */
	return line->kind == MAILLOG_EXPIRED ||
	       (line->kind != MAILLOG_SENT && slice_eq(line->relay, SLICE_LIT("none")));
}

static void on_line(void *data, const struct maillog_line *line, int64_t at_us)
{
	struct reconciliation *r = data;

	if (!is_ours(r->wish, line))
		return;
	r->deliveries += line->kind == MAILLOG_SENT;
	ledger_add_line(r->ledger, line, at_us);
}

/* Nothing is said before all is read: a part of a log would make mail look lost. */
static bool read_logs(struct reconciliation *r)
{
	for (size_t i = 0; i < r->wish->file_count; i++)
		if (!maillog_read(&r->reading, r->wish->files[i], &r->error))
			return false;
	ledger_close_log(r->ledger);
	maillog_join_spans(&r->reading, r->wish->tolerance_us);
	return true;
}

/* --- the database --- */

static bool on_receipt(void *data, const struct storage_receipt *receipt)
{
	struct reconciliation *r = data;

	ledger_add_receipt(r->ledger, receipt);
	return ledger_error(r->ledger) == NULL;
}

static bool on_wanted_receipt(void *data, const struct storage_receipt *receipt)
{
	struct reconciliation *r = data;

	ledger_add_wanted_receipt(r->ledger, receipt);
	return ledger_error(r->ledger) == NULL;
}

static bool list(struct reconciliation *r, int64_t from_us, int64_t before_us,
	bool (*each)(void *data, const struct storage_receipt *receipt))
{
	struct storage_receipts want = {
		.from_us = from_us,
		.before_us = before_us,
		.tenant = r->wish->tenant,
		.each = each,
		.each_data = r,
	};

	return storage_list_receipts(&r->set, &want, &r->error) == STORAGE_OK;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool list_spans(struct reconciliation *r)
{
	const struct wish *wish = r->wish;

	for (size_t i = 0; i < r->reading.span_count; i++) {
		const struct maillog_span *span = &r->reading.spans[i];
		int64_t from_us = later(span->first_us, wish->since_us) - wish->tolerance_us;
		int64_t to_us = earlier(span->last_us, wish->until_us) + wish->tolerance_us;
		if (from_us < to_us && !list(r, from_us, to_us, on_receipt))
			return false;
	}
	return true;
}

/* A first copy may be older than the log; or the log knows better than the clocks. */
static bool look_up_ids(struct reconciliation *r)
{
	struct uuid ids[IDS_AT_ONCE];
	enum storage_fate fates[IDS_AT_ONCE];
	struct uuid last;
	size_t count = ledger_ids_unseen(r->ledger, NULL, ids, IDS_AT_ONCE);

	while (count > 0) {
		if (storage_fates(&r->set, ids, count, fates, &r->error) != STORAGE_OK)
			return false;
		for (size_t i = 0; i < count; i++)
			ledger_set_fate(r->ledger, &ids[i], fates[i]);
		last = ids[count - 1];
		count = ledger_ids_unseen(r->ledger, &last, ids, IDS_AT_ONCE);
	}
	return true;
}

/* Without an id nothing but a look at the time before helps: the answer to the first copy may have been
 * lost. What was spooled comes later. */
static bool match(struct reconciliation *r)
{
	int64_t first_us, last_us;
	bool spooled;

	if (ledger_match(r->ledger, &first_us, &last_us, &spooled)) {
		int64_t before_us = spooled ? now_us() : last_us;
		if (!list(r, first_us - LONGEST_IN_QUEUE_US, before_us + r->wish->tolerance_us,
			    on_wanted_receipt))
			return false;
		ledger_match(r->ledger, &first_us, &last_us, &spooled);
	}
	ledger_match_rest(r->ledger);
	return true;
}

/* --- the report --- */

/* At the ends of a log the other half of a pair may be missing. */
static bool is_judged(const struct reconciliation *r, const struct ledger_entry *entry)
{
	int64_t edge_us = r->wish->tolerance_us;

	if (entry->word != LEDGER_UNLOGGED)
		return true;
	for (size_t i = 0; i < r->reading.span_count; i++) {
		const struct maillog_span *span = &r->reading.spans[i];
		if (entry->at_us >= span->first_us + edge_us &&
			entry->at_us <= span->last_us - edge_us)
			return true;
	}
	return false;
}

static const char *const words[LEDGER_WORDS] = {
	[LEDGER_MISSING] = "missing",
	[LEDGER_SPOOLED] = "spooled",
	[LEDGER_DELETED] = "deleted",
	[LEDGER_UNLOGGED] = "unlogged",
	[LEDGER_PENDING] = "pending",
};

/* What the log says otherwise; or NULL. */
static const char *log_says(const struct ledger_entry *entry)
{
	return entry->word == LEDGER_PENDING ? "deferred" : entry->given_up ? "bounced" : NULL;
}

/* Whoever sends mail may choose addresses; they must not move the operator's cursor. */
static void put_printable(struct buf *buf, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		bool is_c1 = s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0; /* U+0080 to U+009F */
		buf_putc(buf, is_c1 || *s < ' ' || *s == 0x7f ? '?' : (char)*s);
		s += is_c1;
	}
}

static void put_field(struct buf *buf, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(buf, " %s=", name);
	put_printable(buf, value);
}

static void write_text(struct buf *buf, const struct ledger_entry *entry)
{
	buf_printf(buf, "%-8s ", words[entry->word]);
	buf_time(buf, entry->at_us, 0);
	put_field(buf, "queue", entry->queue_id);
	put_field(buf, "id", entry->id);
	put_field(buf, "file", entry->spooled);
	put_field(buf, "log", log_says(entry));
	put_field(buf, "to", entry->to != NULL ? entry->to : "");
	if (entry->more > 0)
		buf_printf(buf, " and %" PRIu64 " more", entry->more);
}

static void write_json(struct buf *buf, const struct ledger_entry *entry)
{
	buf_json_begin(buf, '{');
	buf_json_key(buf, "what");
	buf_json_string(buf, words[entry->word]);
	buf_json_key(buf, "time");
	buf_json_time(buf, entry->at_us, 3);
	buf_json_key(buf, "queue_id");
	buf_json_string(buf, entry->queue_id);
	buf_json_key(buf, "id");
	buf_json_string(buf, entry->id);
	buf_json_key(buf, "spooled");
	buf_json_string(buf, entry->spooled);
	buf_json_key(buf, "log");
	buf_json_string(buf, log_says(entry));
	buf_json_key(buf, "to");
	buf_json_string(buf, entry->to);
	buf_json_key(buf, "more");
	buf_json_int(buf, (int64_t)entry->more);
	buf_json_end(buf, '}');
}

static void on_entry(void *data, const struct ledger_entry *entry)
{
	struct reconciliation *r = data;

	if (!is_judged(r, entry))
		return;
	r->words[entry->word]++;
	buf_clear(&r->line);
	if (r->wish->json)
		write_json(&r->line, entry);
	else
		write_text(&r->line, entry);
	buf_putc(&r->line, '\n');
	fwrite(r->line.base, 1, r->line.len, stdout);
}

static void warn(const char *what)
{
	fprintf(stderr, "mailserver reconcile: warning: %s\n", what);
}

static void print_warnings(const struct reconciliation *r)
{
	if (r->reading.lines == r->reading.undated)
		warn("no line begins with a date: is this the log of an MTA?");
	else if (r->deliveries == 0)
		warn("the log has no delivery by this transport: is it the right log, and the "
		     "right --transport?");
	if (r->reading.too_many_spans)
		warn("the log's dates go back and forth too often: not all of the database's "
		     "messages were looked for in it");
}

static void put_count(struct buf *buf, uint64_t count, const char *one, const char *many)
{
	buf_printf(buf, "%" PRIu64 " %s", count, count == 1 ? one : many);
}

static void print_summary(struct reconciliation *r, uint64_t found)
{
	const struct maillog_reading *reading = &r->reading;
	struct buf *buf = &r->line;

	buf_clear(buf);
	put_count(buf, reading->lines, "line", "lines");
	if (reading->undated > 0)
		buf_printf(buf, " (%" PRIu64 " without a date)", reading->undated);
	buf_puts(buf, ", ");
	put_count(buf, r->deliveries, "delivery", "deliveries");
	if (reading->span_count > 0) {
		buf_puts(buf, ", from ");
		buf_time(buf, reading->spans[0].first_us, 0);
		buf_puts(buf, " to ");
		buf_time(buf, reading->spans[reading->span_count - 1].last_us, 0);
	}
	buf_printf(buf, ": %" PRIu64 " in the database", found);
	for (unsigned i = 0; i < LEDGER_WORDS; i++)
		buf_printf(buf, ", %" PRIu64 " %s", r->words[i], words[i]);
	fprintf(stderr, "mailserver reconcile: %s\n", buf->base);
}

/* --- all of it --- */

static bool compare(struct reconciliation *r)
{
	bool ok = read_logs(r) && list_spans(r) && look_up_ids(r) && match(r);

	if (ok)
		ledger_report(r->ledger, on_entry, r);
	uint64_t found = ok ? ledger_found(r->ledger) : 0;
	if (ledger_error(r->ledger) != NULL) {
		free(r->error);
		r->error = strdup(ledger_error(r->ledger));
	} else if (ok && (fflush(stdout) != 0 || ferror(stdout))) {
		r->error = strdup("standard output cannot be written to");
	}
	if (r->error != NULL)
		return false;
	print_warnings(r);
	print_summary(r, found);
	return true;
}

static int reconcile(const struct wish *wish, const struct config *config)
{
	struct reconciliation r = {
		.wish = wish,
		.set = server_storage_settings(config),
		.ledger = ledger_open(wish->since_us, wish->until_us),
	};

	r.reading.each = on_line;
	r.reading.data = &r;
	buf_init(&r.line, LINE_BYTES);
	bool ok = compare(&r);
	if (!ok)
		fprintf(stderr, "mailserver reconcile: %s; nothing was compared to the end\n",
			r.error);
	ledger_close(&r.ledger);
	buf_deinit(&r.line);
	free(r.reading.spans);
	free(r.error);
	if (!ok)
		return 1;
	return r.words[LEDGER_MISSING] + r.words[LEDGER_SPOOLED] + r.words[LEDGER_UNLOGGED] > 0;
}

/* --- what is wanted --- */

static bool parse_seconds(const char *text, int64_t *us_r)
{
	char *end;
	long seconds = strtol(text, &end, 10);

	if (end == text || *end != '\0' || seconds < 0 || seconds > MAX_TOLERANCE_S)
		return false;
	*us_r = (int64_t)seconds * 1000000;
	return true;
}

static bool take_option(void *data, int option, const char *value)
{
	struct wish *wish = data;

	switch (option) {
	case 'c':
		wish->request.file = value;
		return true;
	case 'l':
		wish->files[wish->file_count++] = value;
		return true;
	case 'r':
		if (wish->transport_count == MAX_TRANSPORTS || value[0] == '\0')
			return false;
		wish->transports[wish->transport_count++] = slice_str(value);
		return true;
	case 'n':
		wish->tenant = value;
		return true;
	case 's':
		return options_parse_moment(value, &wish->since_us);
	case 'u':
		return options_parse_moment(value, &wish->until_us);
	case 't':
		return parse_seconds(value, &wish->tolerance_us);
	case 'j':
		wish->json = true;
		return true;
	default:
		return false;
	}
}

/* What the shell made of a pattern behind --maillog are words without an option. False for wrong
 * usage, which was said. */
static bool parse_wish(int argc, char **argv, struct wish *wish)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "maillog", required_argument, NULL, 'l' },
		{ "transport", required_argument, NULL, 'r' },
		{ "tenant", required_argument, NULL, 'n' },
		{ "since", required_argument, NULL, 's' },
		{ "until", required_argument, NULL, 'u' },
		{ "tolerance", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 },
	};

	if (!options_walk(argc, argv, known, usage, take_option, wish))
		return false;
	if (wish->file_count == 0) {
		fprintf(stderr, "mailserver reconcile: --maillog is missing\n\n%s", usage);
		return false;
	}
	while (optind < argc)
		wish->files[wish->file_count++] = argv[optind++];
	if (wish->transport_count == 0)
		wish->transports[wish->transport_count++] = SLICE_LIT("mailserver");
	return true;
}

int cmd_reconcile(int argc, char **argv)
{
	struct wish wish = {
		.since_us = 0,
		.until_us = INT64_MAX / 2,
		.tolerance_us = (int64_t)DEFAULT_TOLERANCE_S * 1000000,
	};
	int exit_code = 2;

	if (command_asks_help(argc, argv, usage))
		return 0;
	wish.files = calloc((size_t)argc, sizeof(*wish.files));
	if (wish.files == NULL)
		abort();
	if (parse_wish(argc, argv, &wish)) {
		struct config_result *result = options_load(&wish.request, "reconcile");
		exit_code = result != NULL ? reconcile(&wish, config_result_config(result)) : 1;
		config_result_free(&result);
	}
	free(wish.files);
	return exit_code;
}
