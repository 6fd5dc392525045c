/* SPDX-License-Identifier: MIT */
/* counting and showing: buckets, shards, both exposition formats byte for byte, Accept */
#include "lib/ids.h"
#include "lib/metrics/metrics.h"
#include "lib/metrics/process.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, ROUNDS = 200000, PAGE_BYTES = 1 << 20 };

static const char *const colours[] = { "red", "a \"b\"\\c\nd" };
static const char *const shapes[] = { "round", "square", "flat" };
static const uint64_t times[] = { 5000, 1000000, 2500000 };
static const uint64_t sizes[] = { 0, 1024, 131072, 1048576, 16777216, 100000000 };

static const struct metric_info things = {
	.name = "things_total",
	.help = "Things \\ of \"all\"\nkinds.",
	.type = METRIC_COUNTER,
	.labels = { { "colour", colours, 2 }, { "shape", shapes, 3 } },
};
static const struct metric_info depth = {
	.name = "depth",
	.help = "Deep.",
	.type = METRIC_GAUGE,
};
static const struct metric_info took = {
	.name = "took_seconds",
	.help = "Long.",
	.type = METRIC_HISTOGRAM,
	.unit = METRIC_SECONDS,
	.labels = { { "colour", colours, 1 } },
	.bounds = times,
	.bound_count = 3,
};
static const struct metric_info size = {
	.name = "size_bytes",
	.help = "Large.",
	.type = METRIC_HISTOGRAM,
	.bounds = sizes,
	.bound_count = 6,
};

static struct metrics *metrics;
static struct buf page;

static void begin(void)
{
	metrics = metrics_new("");
	buf_init(&page, PAGE_BYTES);
}

static void end(void)
{
	metrics_free(&metrics);
	ck_assert_ptr_null(metrics);
	metrics_free(&metrics);
	buf_deinit(&page);
}

static const char *render(enum metrics_format format)
{
	buf_clear(&page);
	metrics_render(metrics, format, &page);
	ck_assert(!page.truncated);
	return page.base;
}

static void must_show(const char *line)
{
	ck_assert_msg(strstr(render(METRICS_TEXT), line) != NULL, "no %s in:\n%s", line, page.base);
}

static void must_not_show(const char *text)
{
	ck_assert_msg(strstr(render(METRICS_TEXT), text) == NULL, "%s in:\n%s", text, page.base);
}

START_TEST(text_is_as_prometheus_reads_it)
{
	const struct metric *counter = metrics_declare(metrics, &things);
	const struct metric *gauge = metrics_declare(metrics, &depth);
	const struct metric *histogram = metrics_declare(metrics, &took);
	struct metrics_shard *shard = metrics_shard_new(metrics, METRICS_OWNED);

	metric_add(shard, counter, metric_series(counter, 0, 2, 0), 7);
	metric_add(shard, counter, metric_series(counter, 1, 0, 0), 1);
	metric_set(shard, gauge, 0, 3);
	metric_observe(shard, histogram, 0, 5000);
	metric_observe(shard, histogram, 0, 2500001);
	ck_assert_str_eq(render(METRICS_TEXT),
		"# HELP things_total Things \\\\ of \"all\"\\nkinds.\n"
		"# TYPE things_total counter\n"
		"things_total{colour=\"red\",shape=\"round\"} 0\n"
		"things_total{colour=\"red\",shape=\"square\"} 0\n"
		"things_total{colour=\"red\",shape=\"flat\"} 7\n"
		"things_total{colour=\"a \\\"b\\\"\\\\c\\nd\",shape=\"round\"} 1\n"
		"things_total{colour=\"a \\\"b\\\"\\\\c\\nd\",shape=\"square\"} 0\n"
		"things_total{colour=\"a \\\"b\\\"\\\\c\\nd\",shape=\"flat\"} 0\n"
		"# HELP depth Deep.\n"
		"# TYPE depth gauge\n"
		"depth 3\n"
		"# HELP took_seconds Long.\n"
		"# TYPE took_seconds histogram\n"
		"took_seconds_bucket{colour=\"red\",le=\"0.005\"} 1\n"
		"took_seconds_bucket{colour=\"red\",le=\"1\"} 1\n"
		"took_seconds_bucket{colour=\"red\",le=\"2.5\"} 1\n"
		"took_seconds_bucket{colour=\"red\",le=\"+Inf\"} 2\n"
		"took_seconds_sum{colour=\"red\"} 2.505001\n"
		"took_seconds_count{colour=\"red\"} 2\n");
}
END_TEST

START_TEST(openmetrics_names_families_without_total_and_ends)
{
	const struct metric *counter = metrics_declare(
		metrics, &(struct metric_info){ .name = "things_total",
				 .help = "Things \\ of \"all\"\nkinds.",
				 .type = METRIC_COUNTER });
	const struct metric *histogram = metrics_declare(metrics, &took);
	struct metrics_shard *shard = metrics_shard_new(metrics, METRICS_OWNED);

	metric_add(shard, counter, 0, 7);
	metric_observe(shard, histogram, 0, 1000000);
	ck_assert_str_eq(render(METRICS_OPENMETRICS),
		"# HELP things Things \\\\ of \\\"all\\\"\\nkinds.\n"
		"# TYPE things counter\n"
		"things_total 7\n"
		"# HELP took_seconds Long.\n"
		"# TYPE took_seconds histogram\n"
		"took_seconds_bucket{colour=\"red\",le=\"0.005\"} 0\n"
		"took_seconds_bucket{colour=\"red\",le=\"1.0\"} 1\n"
		"took_seconds_bucket{colour=\"red\",le=\"2.5\"} 1\n"
		"took_seconds_bucket{colour=\"red\",le=\"+Inf\"} 1\n"
		"took_seconds_sum{colour=\"red\"} 1\n"
		"took_seconds_count{colour=\"red\"} 1\n"
		"# EOF\n");
}
END_TEST

START_TEST(namespace_comes_before_every_name)
{
	metrics_free(&metrics);
	metrics = metrics_new("gomail");
	metrics_declare(metrics, &depth);
	metrics_declare(metrics, &size);
	metrics_shard_new(metrics, METRICS_OWNED);
	must_show("# HELP gomail_depth Deep.\n# TYPE gomail_depth gauge\ngomail_depth 0\n");
	must_show("# TYPE gomail_size_bytes histogram\ngomail_size_bytes_bucket{le=\"0\"} 0\n");
	must_show("\ngomail_size_bytes_count 0\n");
}
END_TEST

START_TEST(bounds_are_inclusive_and_written_as_the_client_libraries_do)
{
	const struct metric *histogram = metrics_declare(metrics, &size);
	struct metrics_shard *shard = metrics_shard_new(metrics, METRICS_OWNED);

	metric_observe(shard, histogram, 0, 0);
	metric_observe(shard, histogram, 0, 1);
	metric_observe(shard, histogram, 0, 1024);
	metric_observe(shard, histogram, 0, 1025);
	metric_observe(shard, histogram, 0, 100000001);
	ck_assert_str_eq(strstr(render(METRICS_TEXT), "size_bytes_bucket"),
		"size_bytes_bucket{le=\"0\"} 1\n"
		"size_bytes_bucket{le=\"1024\"} 3\n"
		"size_bytes_bucket{le=\"131072\"} 4\n"
		"size_bytes_bucket{le=\"1.048576e+06\"} 4\n"
		"size_bytes_bucket{le=\"1.6777216e+07\"} 4\n"
		"size_bytes_bucket{le=\"1e+08\"} 4\n"
		"size_bytes_bucket{le=\"+Inf\"} 5\n"
		"size_bytes_sum 100002051\n"
		"size_bytes_count 5\n");
	ck_assert_ptr_nonnull(strstr(render(METRICS_OPENMETRICS), "{le=\"131072.0\"}"));
	ck_assert_ptr_nonnull(strstr(page.base, "{le=\"1e+08\"}"));
}
END_TEST

START_TEST(seconds_are_exact_to_the_microsecond)
{
	struct metric_info info = depth;
	info.unit = METRIC_SECONDS;
	const struct metric *gauge = metrics_declare(metrics, &info);
	struct metrics_shard *shard = metrics_shard_new(metrics, METRICS_OWNED);
	static const struct {
		uint64_t us;
		const char *line;
	} cases[] = {
		{ 0, "\ndepth 0\n" },
		{ 1, "\ndepth 0.000001\n" },
		{ 1200000, "\ndepth 1.2\n" },
		{ 30000000, "\ndepth 30\n" },
		{ 1795317532750001, "\ndepth 1795317532.750001\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		metric_set(shard, gauge, 0, cases[i].us);
		must_show(cases[i].line);
	}
}
END_TEST

START_TEST(gauges_are_sums_or_the_largest)
{
	const struct metric *sum = metrics_declare(metrics, &depth);
	const struct metric *largest = metrics_declare(
		metrics, &(struct metric_info){
				 .name = "worst", .help = "Worst.", .type = METRIC_GAUGE_MAX });
	struct metrics_shard *one = metrics_shard_new(metrics, METRICS_OWNED);
	struct metrics_shard *two = metrics_shard_new(metrics, METRICS_OWNED);

	metric_set(one, sum, 0, 2);
	metric_set(two, sum, 0, 3);
	metric_set(one, largest, 0, 2);
	metric_set(two, largest, 0, 3);
	must_show("\ndepth 5\n");
	must_show("\nworst 3\n");
	metric_set(two, sum, 0, 0);
	metric_set(two, largest, 0, 0);
	must_show("\ndepth 2\n");
	must_show("\nworst 2\n");
}
END_TEST

START_TEST(sparse_series_appear_when_they_count)
{
	struct metric_info counted = things, observed = took;
	counted.sparse = observed.sparse = true;
	const struct metric *counter = metrics_declare(metrics, &counted);
	const struct metric *histogram = metrics_declare(metrics, &observed);
	struct metrics_shard *shard = metrics_shard_new(metrics, METRICS_OWNED);

	must_not_show("things_total{");
	must_not_show("took_seconds_");
	metric_add(shard, counter, metric_series(counter, 0, 1, 0), 1);
	metric_observe(shard, histogram, 0, 0);
	must_show("things_total{colour=\"red\",shape=\"square\"} 1\n");
	must_show("took_seconds_count{colour=\"red\"} 1\n");
	must_not_show("shape=\"round\"");
}
END_TEST

START_TEST(nothing_is_counted_on_no_shard)
{
	const struct metric *counter = metrics_declare(metrics, &things);
	const struct metric *histogram = metrics_declare(metrics, &took);

	metric_add(NULL, counter, 0, 1);
	metric_set(NULL, counter, 0, 1);
	metric_observe(NULL, histogram, 0, 1);
	must_show("things_total{colour=\"red\",shape=\"round\"} 0\n");
}
END_TEST

static struct metrics_shard *shared;
static const struct metric *counted, *observed;

/* Each on a shard of its own, and all on the shared one. */
static void *count_much(void *unused)
{
	struct metrics_shard *own = metrics_shard_new(metrics, METRICS_OWNED);

	for (unsigned i = 0; i < ROUNDS; i++) {
		metric_add(own, counted, i % 6, 1);
		metric_observe(own, observed, 0, i % 2);
		metric_add(shared, counted, 5, 1);
		metric_observe(shared, observed, 0, 2048);
	}
	return NULL;
}

START_TEST(nothing_is_lost_between_threads_and_scrapes)
{
	pthread_t threads[THREADS];
	char line[128];

	counted = metrics_declare(metrics, &things);
	observed = metrics_declare(metrics, &size);
	shared = metrics_shard_new(metrics, METRICS_SHARED);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_much, NULL), 0);
	for (unsigned i = 0; i < 100; i++)
		render(METRICS_TEXT);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	snprintf(line, sizeof(line), "{colour=\"red\",shape=\"square\"} %u\n",
		THREADS * ((ROUNDS - 1 - 1) / 6 + 1));
	must_show(line);
	snprintf(line, sizeof(line), "shape=\"flat\"} %u\n",
		THREADS * ((ROUNDS - 1 - 5) / 6 + 1) + THREADS * ROUNDS);
	must_show(line);
	snprintf(line, sizeof(line), "size_bytes_bucket{le=\"0\"} %u\n", THREADS * ROUNDS / 2);
	must_show(line);
	snprintf(line, sizeof(line), "size_bytes_count %u\n", 2 * THREADS * ROUNDS);
	must_show(line);
	snprintf(line, sizeof(line), "size_bytes_sum %llu\n",
		(unsigned long long)THREADS * ROUNDS * 2048 + THREADS * ROUNDS / 2);
	must_show(line);
}
END_TEST

START_TEST(openmetrics_is_for_those_who_ask_for_it)
{
	static const struct {
		const char *accept;
		enum metrics_format format;
	} cases[] = {
		{ "", METRICS_TEXT },
		{ "*/*", METRICS_TEXT },
		{ "text/plain", METRICS_TEXT },
		{ "application/openmetrics-text", METRICS_OPENMETRICS },
		{ "Application/OpenMetrics-Text ; Version=1.0.0 ; charset=utf-8",
			METRICS_OPENMETRICS },
		{ "application/openmetrics-text;version=0.0.1", METRICS_TEXT },
		{ "application/openmetrics-text;version=2.0.0", METRICS_TEXT },
		{ "application/openmetrics-text;q=0", METRICS_TEXT },
		{ "application/openmetrics-text;q=0.0,*/*", METRICS_TEXT },
		{ "application/openmetrics-text;q=0.5, text/plain;q=0.4", METRICS_OPENMETRICS },
		{ "application/openmetrics-text;q=0.5, text/plain", METRICS_TEXT },
		{ "application/openmetrics-text;q=0.125, text/plain;q=0.13", METRICS_TEXT },
		{ "application/openmetrics-textual", METRICS_TEXT },
		{ ",;,=;q=,;;application/openmetrics-text;;q", METRICS_TEXT },
		/* Prometheus 2.42 and 3 */
		{ "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		  "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			METRICS_OPENMETRICS },
		{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
		  "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;"
		  "escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
			METRICS_OPENMETRICS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(metrics_format_for(slice_str(cases[i].accept)) == cases[i].format,
			"%s", cases[i].accept);
	ck_assert_int_eq(metrics_format_for((struct slice){ NULL, 0 }), METRICS_TEXT);
}
END_TEST

static double shown(const char *name)
{
	const char *line = strstr(page.base, name);

	ck_assert_msg(line != NULL, "%s", name);
	return strtod(line + strlen(name), NULL);
}

START_TEST(process_is_as_the_system_sees_it)
{
	struct process_metrics process;
	process_metrics_declare(&process, metrics);
	struct metrics_shard *shard = metrics_shard_new(metrics, METRICS_OWNED);
	double now_s = (double)now_us() / 1e6;

	process_metrics_collect(&process, shard);
	render(METRICS_TEXT);
	double open_before = shown("\nprocess_open_fds ");
	ck_assert_double_gt(open_before, 2);
	ck_assert_double_ge(shown("\nprocess_max_fds "), open_before);
	ck_assert_double_ge(shown("\nprocess_threads "), 1);
	ck_assert_double_gt(shown("\nprocess_cpu_seconds_total "), 0);
	ck_assert_double_gt(shown("\nprocess_resident_memory_bytes "), 100000);
	ck_assert_double_gt(shown("\nprocess_virtual_memory_bytes "),
		shown("\nprocess_resident_memory_bytes "));
	ck_assert_double_gt(shown("\nprocess_virtual_memory_max_bytes "), 0);
	ck_assert_double_lt(shown("\nprocess_start_time_seconds "), now_s + 1);
	ck_assert_double_gt(shown("\nprocess_start_time_seconds "), now_s - 3600);

	FILE *one_more = fopen("/dev/null", "r");
	process_metrics_collect(&process, shard);
	fclose(one_more);
	render(METRICS_TEXT);
	ck_assert_double_eq(shown("\nprocess_open_fds "), open_before + 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tc = tcase_create("metrics");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, text_is_as_prometheus_reads_it);
	tcase_add_test(tc, openmetrics_names_families_without_total_and_ends);
	tcase_add_test(tc, namespace_comes_before_every_name);
	tcase_add_test(tc, bounds_are_inclusive_and_written_as_the_client_libraries_do);
	tcase_add_test(tc, seconds_are_exact_to_the_microsecond);
	tcase_add_test(tc, gauges_are_sums_or_the_largest);
	tcase_add_test(tc, sparse_series_appear_when_they_count);
	tcase_add_test(tc, nothing_is_counted_on_no_shard);
	tcase_add_test(tc, nothing_is_lost_between_threads_and_scrapes);
	tcase_add_test(tc, openmetrics_is_for_those_who_ask_for_it);
	tcase_add_test(tc, process_is_as_the_system_sees_it);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
