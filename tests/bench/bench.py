#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""First figures: messages a second, latency, processor time and peak memory, on each database, with
metrics on and off, in one run. The two take turns, so that what else the machine does hits both. What
counting costs is less than one such run can tell; so the last line is of the cheapest request there
is, of which it would be the largest share.

Every answer is after its commit; the load generator runs on the same machine.
"""
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from servers.mailserver import TOKEN, Mailserver  # noqa: E402
from servers.postgres import Postgres  # noqa: E402

CONNECTIONS, SECONDS, ROUNDS, SIZES = 64, 2, 8, (4096, 25600)
CHEAP_ROUNDS = 12


def load(server, size):
    """(messages a second, p50 ms, p99 ms, the server's processor time in us for one) of one round;
    every answer must have been a 200."""
    cpu_before = cpu_seconds(server)
    done = subprocess.run(
        ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "-s", HERE / "post.lua",
         server.url(""), "--", str(size), TOKEN], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, duration_us, errors, p50_us, p99_us, _ = map(int, line.split()[1:])
    assert errors == 0, done.stdout
    cpu_us = (cpu_seconds(server) - cpu_before) / requests * 1e6
    return requests / duration_us * 1e6, p50_us / 1000, p99_us / 1000, cpu_us


def cpu_seconds(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines()
                if line.startswith("VmHWM")) / 1024


def report(name, size, metrics, rounds, server):
    rate, p50, p99, cpu = (statistics.median(column) for column in zip(*rounds))
    rates = [round_[0] for round_ in rounds]
    print(f"{name:9} {size:6} B  metrics {'on ' if metrics else 'off'}  {rate:8.0f}/s "
          f"({min(rates):.0f}-{max(rates):.0f})  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  "
          f"cpu {cpu:5.0f} us  peak {peak_megabytes(server):5.0f} MB", flush=True)
    return rate, cpu


def measure(name, storage_url=None):
    for size in SIZES:
        with contextlib.ExitStack() as stack:
            servers = {}
            for metrics in (True, False):
                servers[metrics] = Mailserver(
                    storage_url=storage_url() if storage_url else None,
                    settings={"log": {"level": "warning"}, "metrics_enabled": metrics})
                stack.callback(servers[metrics].close)
                load(servers[metrics].start(), size)
            rounds = {True: [], False: []}
            for number in range(ROUNDS):
                for metrics in (True, False) if number % 2 else (False, True):
                    rounds[metrics].append(load(servers[metrics], size))
            with_rate, with_cpu = report(name, size, True, rounds[True], servers[True])
            rate, cpu = report(name, size, False, rounds[False], servers[False])
            print(f"{name:9} {size:6} B  metrics cost {100 * (1 - with_rate / rate):+.1f}% of the "
                  f"rate, {100 * (with_cpu / cpu - 1):+.1f}% of the processor time", flush=True)
            for server in servers.values():
                assert server.stop() == 0, server.log()[-3000:]


def measure_cheapest():
    """Processor time of GET /health/live, which touches neither parser nor database."""
    with contextlib.ExitStack() as stack:
        servers = {metrics: Mailserver(settings={"log": {"level": "warning"}, "workers": 1,
                                                 "metrics_enabled": metrics})
                   for metrics in (True, False)}
        used = {True: [], False: []}
        for server in servers.values():
            stack.callback(server.close)
            server.start()
        for number in range(CHEAP_ROUNDS):
            for metrics in (True, False) if number % 2 else (False, True):
                before = cpu_seconds(servers[metrics])
                done = subprocess.run(
                    ["wrk", "-t", "1", "-c", "32", "-d", "1s", servers[metrics].url("/health/live")],
                    capture_output=True, text=True, check=True)
                requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
                used[metrics].append((cpu_seconds(servers[metrics]) - before) / requests * 1e6)
        with_metrics, without = statistics.median(used[True]), statistics.median(used[False])
        print(f"GET /health/live  cpu {with_metrics:.2f} us with metrics, {without:.2f} us without: "
              f"{100 * (with_metrics / without - 1):+.1f}%", flush=True)


def main():
    print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s, medians (spread)")
    measure("sqlite")
    with Postgres() as postgres:
        measure("postgres", lambda: postgres.url(postgres.create_database()))
    measure_cheapest()


if __name__ == "__main__":
    main()
