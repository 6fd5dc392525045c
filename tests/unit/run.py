#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs Check programs, one on each processor, shows what failed, and adds up their counts in one
closing line."""
import multiprocessing.pool
import os
import re
import subprocess
import sys

TIMEOUT_S = 600
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


def run(program):
    """(passed, failed, what to show) of one program; a crash counts as a failure."""
    name = os.path.basename(program)
    # Check gives a test four seconds by itself, which a busy machine may need for nothing.
    env = {**SANITIZERS, "CK_VERBOSITY": "normal", "CK_DEFAULT_TIMEOUT": "60", **os.environ}
    try:
        done = subprocess.run(
            [program], env=env, timeout=TIMEOUT_S, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        output, code = f"{error.stdout or ''}\nno end after {TIMEOUT_S} s\n", 1
    counts = re.search(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", output)
    checks, failures, errors = map(int, counts.groups()) if counts else (0, 0, 0)
    failed = failures + errors
    if code != 0 and failed == 0:
        failed = 1
    passed = checks - failures - errors
    shown = [f"  {line}" for line in output.splitlines() if failed or "skip" in line.lower()]
    return passed, failed, "\n".join([*shown, f"{name}: {passed} passed, {failed} failed"])


def main(programs):
    passed = failed = 0
    with multiprocessing.pool.ThreadPool() as pool:
        for results in pool.imap(run, programs):
            print(results[2], flush=True)
            passed, failed = passed + results[0], failed + results[1]
    print(f"unit: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
