/* SPDX-License-Identifier: MIT */
/* render.c - the exposition formats: Prometheus' text, version 0.0.4, and OpenMetrics 1.0
 *
 * They differ in a counter's name (OpenMetrics' family leaves _total out), in how a bucket's bound
 * is written, in what is escaped in a help, and in the last line. */
#include "lib/metrics/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_BOUND = 32, MICROSECONDS = 1000000 };

struct page {
	const struct metrics *metrics;
	enum metrics_format format;
	struct buf *out;
};

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

static void put_escaped(struct buf *out, const char *s, bool quotes_too)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			buf_puts(out, "\\n");
		else if (*s == '\\')
			buf_puts(out, "\\\\");
		else if (*s == '"' && quotes_too)
			buf_puts(out, "\\\"");
		else
			buf_putc(out, *s);
	}
}

/* Exact, and as short as can be. */
static void put_value(struct buf *out, enum metric_unit unit, uint64_t value)
{
	if (unit == METRIC_PLAIN) {
		buf_printf(out, "%" PRIu64, value);
		return;
	}
	buf_printf(out, "%" PRIu64, value / MICROSECONDS);
	unsigned fraction = value % MICROSECONDS;
	int digits = 6;
	if (fraction == 0)
		return;
	for (; fraction % 10 == 0; fraction /= 10)
		digits--;
	buf_printf(out, ".%0*u", digits, fraction);
}

/* As Go's client library writes it, so that a site's series keep their names: the fewest digits, and
 * an exponent from a million on. OpenMetrics wants it to look like a float. */
static void format_bound(const struct page *page, double bound, char text[MAX_BOUND])
{
	int digits = 1;

	do {
		snprintf(text, MAX_BOUND, "%.*g", digits, bound);
	} while (strtod(text, NULL) != bound && digits++ < 17);
	if (bound >= 1e6)
		snprintf(text, MAX_BOUND, "%.*e", digits - 1, bound);
	else
		snprintf(text, MAX_BOUND, "%.*g", digits > 6 ? digits : 6, bound);
	if (page->format == METRICS_OPENMETRICS && strpbrk(text, ".e") == NULL)
		strcat(text, ".0");
}

static void put_name(struct page *page, const struct metric *metric, bool family)
{
	size_t len = strlen(metric->info.name);

	if (family && page->format == METRICS_OPENMETRICS && metric->info.type == METRIC_COUNTER)
		len -= strlen("_total");
	if (page->metrics->namespace[0] != '\0')
		buf_printf(page->out, "%s_", page->metrics->namespace);
	buf_add(page->out, metric->info.name, len);
}

/* `{a="x",le="1"}`, or nothing. `le` may be NULL. */
static void put_labels(
	struct page *page, const struct metric *metric, unsigned series, const char *le)
{
	unsigned at[METRIC_MAX_LABELS];
	const char *before = "{";

	for (unsigned i = metric->label_count; i-- > 0; series /= metric->info.labels[i].count)
		at[i] = series % metric->info.labels[i].count;
	for (unsigned i = 0; i < metric->label_count; i++) {
		const struct metric_label *label = &metric->info.labels[i];
		buf_printf(page->out, "%s%s=\"", before, label->name);
		put_escaped(page->out, label->values[at[i]], true);
		buf_putc(page->out, '"');
		before = ",";
	}
	if (le != NULL) {
		buf_printf(page->out, "%sle=\"%s\"", before, le);
		before = ",";
	}
	if (*before == ',')
		buf_putc(page->out, '}');
}

static void put_sample(struct page *page, const struct metric *metric, const char *suffix,
	unsigned series, const char *le, enum metric_unit unit, uint64_t value)
{
	put_name(page, metric, false);
	buf_puts(page->out, suffix);
	put_labels(page, metric, series, le);
	buf_putc(page->out, ' ');
	put_value(page->out, unit, value);
	buf_putc(page->out, '\n');
}

static uint64_t total(
	const struct page *page, const struct metric *metric, unsigned series, unsigned cell)
{
	return metrics_total(
		page->metrics, metric, metric->first + (size_t)series * metric->width + cell);
}

static void put_histogram(struct page *page, const struct metric *metric, unsigned series)
{
	const struct metric_info *info = &metric->info;
	double scale = info->unit == METRIC_SECONDS ? MICROSECONDS : 1;
	uint64_t so_far = 0;
	char le[MAX_BOUND];

	for (unsigned i = 0; i < info->bound_count; i++) {
		so_far += total(page, metric, series, i);
		format_bound(page, (double)info->bounds[i] / scale, le);
		put_sample(page, metric, "_bucket", series, le, METRIC_PLAIN, so_far);
	}
	so_far += total(page, metric, series, info->bound_count);
	put_sample(page, metric, "_bucket", series, "+Inf", METRIC_PLAIN, so_far);
	put_sample(page, metric, "_sum", series, NULL, info->unit,
		total(page, metric, series, info->bound_count + 1));
	put_sample(page, metric, "_count", series, NULL, METRIC_PLAIN, so_far);
}

/* A histogram that counted only zeros has them in a bucket. */
static bool is_shown(const struct page *page, const struct metric *metric, unsigned series)
{
	for (unsigned cell = 0; metric->info.sparse && cell < metric->width; cell++)
		if (total(page, metric, series, cell) > 0)
			return true;
	return !metric->info.sparse;
}

static const char *type_name(enum metric_type type)
{
	switch (type) {
	case METRIC_COUNTER:
		return "counter";
	case METRIC_HISTOGRAM:
		return "histogram";
	case METRIC_GAUGE:
	case METRIC_GAUGE_MAX:
		break;
	}
	return "gauge";
}

static void put_metric(struct page *page, const struct metric *metric)
{
	buf_puts(page->out, "# HELP ");
	put_name(page, metric, true);
	buf_putc(page->out, ' ');
	put_escaped(page->out, metric->info.help, page->format == METRICS_OPENMETRICS);
	buf_puts(page->out, "\n# TYPE ");
	put_name(page, metric, true);
	buf_printf(page->out, " %s\n", type_name(metric->info.type));
	for (unsigned series = 0; series < metric->series; series++) {
		if (!is_shown(page, metric, series))
			continue;
		if (metric->info.type == METRIC_HISTOGRAM)
			put_histogram(page, metric, series);
		else
			put_sample(page, metric, "", series, NULL, metric->info.unit,
				total(page, metric, series, 0));
	}
}

void metrics_render(struct metrics *metrics, enum metrics_format format, struct buf *out)
{
	struct page page = { metrics, format, out };

	pthread_mutex_lock(&metrics->lock);
	for (size_t i = 0; i < metrics->count; i++)
		put_metric(&page, metrics->list[i]);
	pthread_mutex_unlock(&metrics->lock);
	if (format == METRICS_OPENMETRICS)
		buf_puts(out, "# EOF\n");
}
