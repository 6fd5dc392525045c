#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the system tests in several processes at once: run.py COUNT [pytest's arguments...]

Each takes the next file of tests when it is done with one (conftest.py), and has ports of its own:
the server shares a port with whoever else listens there, so a collision would not be noticed. The
first process is seen at work; what the others print comes when all are done, and every summary again
in the closing lines, the last of which adds them up."""
import collections
import os
import re
import subprocess
import sys
import tempfile
import time

# Below what Linux gives to clients by itself, and to those who ask for any.
FIRST_PORT, LAST_PORT = 12000, 32000


def start(number, count, folder, arguments):
    width = (LAST_PORT - FIRST_PORT) // count
    environment = {
        **os.environ,
        "TEST_PORTS": f"{FIRST_PORT + number * width}-{FIRST_PORT + (number + 1) * width - 1}",
        "TEST_SHARED": f"{folder}/next",
        "TEST_SUMMARY": f"{folder}/summary-{number}",
        "PYTHONUNBUFFERED": "1",
    }
    with open(f"{folder}/output-{number}", "wb") as out:
        return subprocess.Popen([sys.executable, "-m", "pytest", *arguments], env=environment,
                                stdin=subprocess.DEVNULL, stdout=out if number else None,
                                stderr=subprocess.STDOUT if number else None)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main(count, arguments):
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="system-tests-") as folder:
        processes = [start(number, count, folder, arguments) for number in range(count)]
        codes = [process.wait() for process in processes]
        for number in range(1, count):
            print(f"\n---- process {number + 1} of {count}\n{read(f'{folder}/output-{number}')}")
        total = collections.Counter()
        for number, code in enumerate(codes):
            said = read(f"{folder}/summary-{number}").strip() or "ended without a summary"
            print(f"process {number + 1} of {count}: {said}; exit code {code}")
            total.update({word: int(n) for n, word in re.findall(r"(\d+) (\w+)", said)})
        counts = ", ".join(f"{n} {word}" for word, n in total.items()) or "no tests ran"
        print(f"system: {counts} in {time.monotonic() - began:.2f}s")
    return max(map(abs, codes))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
