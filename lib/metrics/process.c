/* SPDX-License-Identifier: MIT */
#include "lib/metrics/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MICROSECONDS = 1000000, MAX_STAT = 4096 };

static const struct metric_info infos[PROCESS_METRICS] = {
	[PROCESS_CPU] = { "process_cpu_seconds_total",
		"Total user and system CPU time spent in seconds.", METRIC_COUNTER,
		METRIC_SECONDS },
	[PROCESS_RESIDENT] = { "process_resident_memory_bytes", "Resident memory size in bytes.",
		METRIC_GAUGE },
	[PROCESS_VIRTUAL] = { "process_virtual_memory_bytes", "Virtual memory size in bytes.",
		METRIC_GAUGE },
	[PROCESS_VIRTUAL_MAX] = { "process_virtual_memory_max_bytes",
		"Maximum amount of virtual memory available in bytes.", METRIC_GAUGE },
	[PROCESS_OPEN_FDS] = { "process_open_fds", "Number of open file descriptors.",
		METRIC_GAUGE },
	[PROCESS_MAX_FDS] = { "process_max_fds", "Maximum number of open file descriptors.",
		METRIC_GAUGE },
	[PROCESS_START_TIME] = { "process_start_time_seconds",
		"Start time of the process since unix epoch in seconds.", METRIC_GAUGE,
		METRIC_SECONDS },
	[PROCESS_THREADS] = { "process_threads", "Number of threads.", METRIC_GAUGE },
};

void process_metrics_declare(struct process_metrics *process, struct metrics *metrics)
{
	for (unsigned i = 0; i < PROCESS_METRICS; i++)
		process->list[i] = metrics_declare(metrics, &infos[i]);
}

/* The file's first bytes, as a string; false when it cannot be read. */
static bool read_start(const char *path, char text[MAX_STAT])
{
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return false;
	size_t len = fread(text, 1, MAX_STAT - 1, file);
	fclose(file);
	text[len] = '\0';
	return len > 0;
}

/* Seconds from the epoch to the boot; 0 when unknown. */
static uint64_t boot_time(void)
{
	unsigned long long seconds = 0;
	char line[256];
	FILE *file = fopen("/proc/stat", "re");

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL && /* long lines come in pieces */
		sscanf(line, "btime %llu", &seconds) != 1)
		;
	fclose(file);
	return seconds;
}

/* proc(5): fields 20 (threads), 22 (start, in ticks since the boot), 23 and 24 (memory). The second
 * is the program's name, in parentheses, and may hold anything. */
static void collect_stat(const struct process_metrics *process, struct metrics_shard *shard)
{
	unsigned long long threads, start, virtual, resident;
	char text[MAX_STAT];
	const char *after;

	if (!read_start("/proc/self/stat", text) || (after = strrchr(text, ')')) == NULL)
		return;
	if (sscanf(after + 1,
		    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %llu %*d"
		    " %llu %llu %llu",
		    &threads, &start, &virtual, &resident) != 4)
		return;
	metric_set(shard, process->list[PROCESS_THREADS], 0, threads);
	metric_set(shard, process->list[PROCESS_VIRTUAL], 0, virtual);
	metric_set(shard, process->list[PROCESS_RESIDENT], 0,
		resident * (uint64_t)sysconf(_SC_PAGESIZE));
	metric_set(shard, process->list[PROCESS_START_TIME], 0,
		boot_time() * MICROSECONDS + start * MICROSECONDS / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void collect_descriptors(const struct process_metrics *process, struct metrics_shard *shard)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t open = 0;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			open++;
	closedir(dir);
	metric_set(shard, process->list[PROCESS_OPEN_FDS], 0, open - 1); /* this one was ours */
}

static uint64_t limit_of(__rlimit_resource_t resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 ? limit.rlim_cur : 0; /* no limit is UINT64_MAX */
}

static uint64_t microseconds(struct timeval t)
{
	return (uint64_t)t.tv_sec * MICROSECONDS + (uint64_t)t.tv_usec;
}

void process_metrics_collect(const struct process_metrics *process, struct metrics_shard *shard)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		metric_set(shard, process->list[PROCESS_CPU], 0,
			microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
	metric_set(shard, process->list[PROCESS_MAX_FDS], 0, limit_of(RLIMIT_NOFILE));
	metric_set(shard, process->list[PROCESS_VIRTUAL_MAX], 0, limit_of(RLIMIT_AS));
	collect_stat(process, shard);
	collect_descriptors(process, shard);
}
