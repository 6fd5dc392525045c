/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/command.h"
#include "cmd/mailserver/options.h"
#include "cmd/mailserver/server/server.h"
#include "lib/buf.h"
#include "lib/parse_pool.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
	"usage: mailserver reparse [-c FILE] [OPTION]...\n"
	"\n"
	"  -c, --config FILE       the configuration, which names the database and has the limits\n"
	"      --since TIME        what was taken in from then on, as 2026-11-25 or\n"
	"      --until TIME        \"2026-11-25 09:10:18\" (local time, or with an offset); and "
	"before then\n"
	"      --status LIST       what came out as that: ok, degraded, failed; with commas "
	"between\n"
	"      --older-parser      what a parser older than this one has derived\n"
	"      --dry-run           write nothing, and say what would change\n"
	"\n"
	"Derives again, from the raw bytes, what the columns and the parts of messages say, of all "
	"tenants.\n"
	"A server may run meanwhile. It may be interrupted, and run again.\n";

enum { PROGRESS_US = 5000000, WAIT_MS = 100, STATUSES = MIME_FAILED + 1, LINE_BYTES = 4096 };

struct wish {
	struct config_request request;
	int64_t since_us, until_us;
	unsigned statuses;
	bool older_parser, dry_run;
};

/* One message of a batch, while it is derived. */
struct anew {
	struct reparse *of;
	struct parse_job job;
	struct storage_message message;
};

struct reparse {
	struct loop *loop;
	struct loop_mailbox parsed;
	struct parse_pool *pool;
	struct arena *arena; /* of the batch */
	struct anew *batch;  /* NULL: none is between its two calls */
	size_t batch_count, unanswered;
	bool overloaded;
	uint64_t looked, outcomes[STORAGE_ANEW_GONE + 1];
	uint64_t moved[STATUSES + 1]
		      [STATUSES]; /* by status before, the last being any other; and after */
	int64_t said_us;
	struct uuid last;
};

static atomic_bool stop;

/* The second one ends the process. */
static void on_signal(int signum)
{
	atomic_store(&stop, true);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* --- deriving --- */

/* The server would have kept it without; here what there is, is better. */
static bool was_given_up(struct reparse *r, const struct mime_message *mime)
{
	const char *defect = mime->defects.count > 0 ? mime->defects.list[0] : "";

	r->overloaded = r->overloaded || strcmp(defect, "overload") == 0;
	return strcmp(defect, "deadline") == 0 || strcmp(defect, "overload") == 0;
}

static void on_parsed(struct parse_job *job)
{
	struct anew *anew = H2O_STRUCT_FROM_MEMBER(struct anew, job, job);

	anew->message.mime = job->mime;
	anew->of->unanswered--;
}

static void free_batch(struct reparse *r)
{
	for (size_t i = 0; r->batch != NULL && i < r->batch_count; i++)
		mime_message_free(&r->batch[i].job.mime);
	free(r->batch);
	r->batch = NULL;
	arena_free(&r->arena);
}

/* The bytes are what was hashed and parsed when they came: without an mbox line. */
static bool derive(void *data, struct storage_kept *batch, size_t count)
{
	struct reparse *r = data;

	r->arena = arena_new();
	r->batch = h2o_mem_alloc((count + 1) * sizeof(r->batch[0]));
	r->batch_count = r->unanswered = count;
	for (size_t i = 0; i < count; i++) {
		r->batch[i] = (struct anew){
			.of = r,
			.job = { .reply_to = &r->parsed, .raw = batch[i].raw, .done = on_parsed },
			.message = { .id = batch[i].id, .envelope = &batch[i].envelope },
		};
		parse_pool_submit(r->pool, &r->batch[i].job);
	}
	while (r->unanswered > 0)
		loop_run(r->loop, WAIT_MS);
	for (size_t i = 0; i < count; i++) {
		struct storage_message *m = &r->batch[i].message;
		if (was_given_up(r, m->mime))
			continue;
		storage_message_derive(m, r->arena);
		batch[i].anew = m;
	}
	if (r->overloaded)
		free_batch(r);
	return !r->overloaded;
}

/* --- counting --- */

static unsigned status_number(const char *name)
{
	enum mime_status status;

	return mime_status_parse(slice_str(name), &status) ? status : STATUSES;
}

static uint64_t derived(const struct reparse *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(r->outcomes) / sizeof(r->outcomes[0]); i++)
		sum += r->outcomes[i];
	return sum;
}

static uint64_t changed(const struct reparse *r)
{
	return r->outcomes[STORAGE_ANEW_CHANGED] + r->outcomes[STORAGE_ANEW_BARE];
}

static void say_progress(struct reparse *r)
{
	int64_t now = monotonic_us();
	struct buf line;

	if (now - r->said_us < PROGRESS_US)
		return;
	r->said_us = now;
	buf_init(&line, LINE_BYTES);
	buf_printf(&line, "%" PRIu64 " looked at, %" PRIu64 " derived, %" PRIu64 " changed",
		r->looked, derived(r), changed(r));
	if (derived(r) > 0) {
		buf_puts(&line, ", up to ");
		buf_time(&line, uuid7_time_us(&r->last), 0);
	}
	fprintf(stderr, "mailserver reparse: %s\n", line.base);
	buf_deinit(&line);
}

static void looked(void *data, size_t rows)
{
	struct reparse *r = data;

	r->looked += rows;
	say_progress(r);
}

static void settled(void *data, const struct storage_kept *batch, size_t count)
{
	struct reparse *r = data;

	for (size_t i = 0; i < count; i++) {
		const struct storage_kept *kept = &batch[i];
		r->outcomes[kept->outcome]++;
		r->last = kept->id;
		if (kept->outcome != STORAGE_ANEW_SAME && kept->outcome != STORAGE_ANEW_CHANGED &&
			kept->outcome != STORAGE_ANEW_BARE)
			continue;
		unsigned after = kept->outcome == STORAGE_ANEW_BARE ? MIME_FAILED
								    : kept->anew->mime->status;
		r->moved[status_number(kept->parse_status)][after]++;
	}
	free_batch(r);
	say_progress(r);
}

/* --- the summary --- */

static void print_count(uint64_t count, const char *what)
{
	if (count > 0)
		printf("  %-22s %" PRIu64 "\n", what, count);
}

static void print_summary(const struct reparse *r, bool dry_run)
{
	char move[64];

	printf("looked at %" PRIu64 " message%s, derived %" PRIu64 " anew, %s%" PRIu64 "\n",
		r->looked, r->looked == 1 ? "" : "s", derived(r),
		dry_run ? "would change " : "changed ", changed(r));
	for (unsigned before = 0; before <= STATUSES; before++)
		for (unsigned after = 0; after < STATUSES; after++) {
			snprintf(move, sizeof(move), "%s -> %s",
				before < STATUSES ? mime_status_name(before) : "other",
				mime_status_name(after));
			print_count(r->moved[before][after], move);
		}
	print_count(r->outcomes[STORAGE_ANEW_BARE], "kept bare");
	print_count(r->outcomes[STORAGE_ANEW_REFUSED], "refused");
	print_count(r->outcomes[STORAGE_ANEW_LEFT], "over the deadline");
	print_count(r->outcomes[STORAGE_ANEW_GONE], "deleted meanwhile");
}

/* --- all of it --- */

static int run(struct reparse *r, const struct wish *wish, const struct storage_settings *set)
{
	const struct storage_reparse want = {
		.from_us = wish->since_us,
		.before_us = wish->until_us,
		.statuses = wish->statuses,
		.older_parser = wish->older_parser,
		.only_look = wish->dry_run,
		.stop = &stop,
		.data = r,
		.derive = derive,
		.settled = settled,
		.looked = looked,
	};
	char *error = NULL;
	enum storage_result result = storage_reparse(set, &want, &error);

	free_batch(r); /* of which it said nothing more */
	if (result == STORAGE_OK || r->looked > 0)
		print_summary(r, wish->dry_run);
	if (result != STORAGE_OK)
		fprintf(stderr, "mailserver reparse: %s\n", error);
	else if (r->overloaded)
		fprintf(stderr, "mailserver reparse: too many messages in a row took longer than "
				"limits.parse_cpu_ms: ended\n");
	else if (atomic_load(&stop))
		fprintf(stderr, "mailserver reparse: interrupted; run it again for the rest\n");
	free(error);
	return result == STORAGE_OK && !r->overloaded && !atomic_load(&stop) ? 0 : 1;
}

static int reparse(const struct wish *wish, const struct config *config)
{
	struct storage_settings set = server_storage_settings(config);
	struct parse_pool_settings parsing = server_parse_settings(config);
	struct reparse r = { .loop = loop_new(), .said_us = monotonic_us() };

	parsing.threads = 1; /* the others are the server's */
	mime_init();
	r.pool = parse_pool_new(&parsing);
	parse_mailbox_init(&r.parsed, r.loop);
	catch_signals();
	int exit_code = run(&r, wish, &set);
	bool is_quiet = parse_pool_stats(r.pool).lost == 0;
	parse_pool_free(&r.pool);
	if (!is_quiet) { /* no library may be torn down under who still works */
		fflush(stdout);
		_exit(exit_code);
	}
	loop_mailbox_deinit(&r.parsed);
	loop_free(&r.loop);
	return exit_code;
}

/* --- what is wanted --- */

static bool take_statuses(const char *list, unsigned *statuses)
{
	for (const char *at = list; at != NULL;) {
		size_t len = strcspn(at, ",");
		enum mime_status status;
		if (!mime_status_parse((struct slice){ at, len }, &status))
			return false;
		*statuses |= 1u << status;
		at = at[len] == ',' ? at + len + 1 : NULL;
	}
	return true;
}

static bool take_option(void *data, int option, const char *value)
{
	struct wish *wish = data;

	switch (option) {
	case 'c':
		wish->request.file = value;
		return true;
	case 's':
		return options_parse_moment(value, &wish->since_us);
	case 'u':
		return options_parse_moment(value, &wish->until_us);
	case 't':
		return take_statuses(value, &wish->statuses);
	case 'o':
		wish->older_parser = true;
		return true;
	case 'd':
		wish->dry_run = true;
		return true;
	default:
		return false;
	}
}

/* False for wrong usage, which was said. */
static bool parse_wish(int argc, char **argv, struct wish *wish)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "since", required_argument, NULL, 's' },
		{ "until", required_argument, NULL, 'u' },
		{ "status", required_argument, NULL, 't' },
		{ "older-parser", no_argument, NULL, 'o' },
		{ "dry-run", no_argument, NULL, 'd' },
		{ 0 },
	};

	if (!options_walk(argc, argv, known, usage, take_option, wish))
		return false;
	if (optind == argc)
		return true;
	fprintf(stderr, "mailserver reparse: \"%s\" is not expected here\n\n%s", argv[optind],
		usage);
	return false;
}

int cmd_reparse(int argc, char **argv)
{
	struct wish wish = { .since_us = 0, .until_us = INT64_MAX / 2 };

	if (command_asks_help(argc, argv, usage))
		return 0;
	if (!parse_wish(argc, argv, &wish))
		return 2;
	struct config_result *result = options_load(&wish.request, "reparse");
	int exit_code = result != NULL ? reparse(&wish, config_result_config(result)) : 1;
	config_result_free(&result);
	return exit_code;
}
