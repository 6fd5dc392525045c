#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""First figures: messages a second, latency and peak memory, on each database, in one run.

Every answer is after its commit; the load generator runs on the same machine.
"""
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from servers.mailserver import TOKEN, Mailserver  # noqa: E402
from servers.postgres import Postgres  # noqa: E402

CONNECTIONS, SECONDS, ROUNDS, SIZES = 64, 4, 3, (4096, 25600)


def load(server, size):
    """(messages a second, p50 ms, p99 ms) of one round; every answer must have been a 200."""
    done = subprocess.run(
        ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "-s", HERE / "post.lua",
         server.url(""), "--", str(size), TOKEN], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, duration_us, errors, p50_us, p99_us, _ = map(int, line.split()[1:])
    assert errors == 0, done.stdout
    return requests / duration_us * 1e6, p50_us / 1000, p99_us / 1000


def peak_megabytes(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines()
                if line.startswith("VmHWM")) / 1024


def measure(name, storage_url=None):
    for size in SIZES:
        server = Mailserver(storage_url=storage_url() if storage_url else None,
                            settings={"log": {"level": "warning"}})
        try:
            server.start()
            load(server, size)
            rounds = [load(server, size) for _ in range(ROUNDS)]
            rates = [rate for rate, _, _ in rounds]
            print(f"{name:9} {size:6} B  {statistics.median(rates):8.0f}/s "
                  f"({min(rates):.0f}-{max(rates):.0f})  "
                  f"p50 {statistics.median(r[1] for r in rounds):6.1f} ms  "
                  f"p99 {statistics.median(r[2] for r in rounds):6.1f} ms  "
                  f"peak {peak_megabytes(server):5.0f} MB", flush=True)
            assert server.stop() == 0, server.log()[-3000:]
        finally:
            server.close()


def main():
    print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s, medians (spread)")
    measure("sqlite")
    with Postgres() as postgres:
        measure("postgres", lambda: postgres.url(postgres.create_database()))


if __name__ == "__main__":
    main()
