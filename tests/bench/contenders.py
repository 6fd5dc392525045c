# SPDX-License-Identifier: MIT
"""What is measured side by side: each takes its turn for a while, and says what came of it."""
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import typing
import uuid

import requests

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "system"))

from servers.mailserver import TOKEN, Mailserver  # noqa: E402
from servers.waiting import free_port, wait_for  # noqa: E402

from processes import cpu_seconds, peak_megabytes  # noqa: E402

BUILT = ROOT / "build/release"
BUILD_OF_PEER = ROOT / "build/bench/peer"
CONNECTIONS = 64
STOP_DEADLINE_S = 30
WARM_UP_S = 1
PEER_WARM_UP_S = 8  # until its code is compiled as well as it will be

# (connections, messages a commit) for the bare program to be at its best.
BARE_PAIRS = ((2, 64), (2, 128), (4, 64), (4, 128), (4, 256), (8, 64))


class Round(typing.NamedTuple):
    """One turn of a contender. Latencies are None where nobody waits for an answer; `cpu_us` is
    processor time a message, by whose it is."""
    rate: float
    messages: int
    p50_ms: typing.Optional[float]
    p99_ms: typing.Optional[float]
    cpu_us: dict
    generator_busy: float  # of one core; wrk uses one at most


def measured(pids, work):
    """work() -> (messages, rate, p50_ms, p99_ms), as a Round with the processor time of `pids`,
    which are by name."""
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    own, began = generator_seconds(), time.monotonic()
    messages, rate, p50_ms, p99_ms = work()
    busy = (generator_seconds() - own) / (time.monotonic() - began)
    cpu_us = {name: (cpu_seconds(pid) - before[name]) / messages * 1e6
              for name, pid in pids.items()}
    return Round(rate, messages, p50_ms, p99_ms, cpu_us, busy)


def generator_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def result_line(command):
    """The numbers of the line that begins with RESULT."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr}{done.stdout}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return [float(word) for word in line.split()[1:]]


def post_for(url, size, seconds):
    """(messages, rate, p50_ms, p99_ms); every answer must have been a 200."""
    requests_, duration_us, errors, p50_us, p99_us, _ = result_line(
        ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", HERE / "post.lua",
         url, "--", str(size), TOKEN, uuid.uuid4().hex])
    assert errors == 0, f"{errors} of {requests_} requests to {url} failed"
    return int(requests_), requests_ / duration_us * 1e6, p50_us / 1000, p99_us / 1000


class Server:
    """The mailserver; with `postgres`, that one's processor time counts too."""
    warm_up_s = WARM_UP_S

    def __init__(self, name, storage_url=None, postgres=None, settings=None, **more):
        self.name, self.postgres = name, postgres
        self.mailserver = Mailserver(
            storage_url=storage_url,
            settings={"log": {"level": "warning"}, "workers": None, **(settings or {})}, **more)

    def start(self):
        self.mailserver.start()

    def round(self, size, seconds):
        pids = {"server": self.mailserver.process.pid}
        if self.postgres:
            pids["postgres"] = self.postgres.pid()
        return measured(pids, lambda: post_for(self.mailserver.url(""), size, seconds))

    def peak_megabytes(self):
        return peak_megabytes(self.mailserver.process.pid)

    def stop(self):
        """Its end must be a clean one."""
        status = self.mailserver.stop()
        assert status == 0, f"{self.name} ended with {status}:\n{self.mailserver.log()[-3000:]}"

    def close(self):
        self.mailserver.close()


def null_server(**more):
    """Takes in, parses and answers, and keeps nothing."""
    return Server("null", storage_url="postgresql://nobody/nothing",
                  binary=str(BUILT / "bench/mailserver-null"), **more)


class Bare:
    """The rows without a server. Needs a message that the server stored, to copy."""
    name = "bare"
    warm_up_s = WARM_UP_S

    def __init__(self, postgres, database):
        self.postgres, self.database = postgres, database
        self.pair, self.sample = BARE_PAIRS[0], None

    def start(self):
        self.sample = newest_message(self.postgres, self.database)

    def search(self, passes, seconds):
        """Settles on the best of the pairs; the passes take them in turns, to and fro."""
        rates = {pair: [] for pair in BARE_PAIRS}
        for number in range(passes):
            for self.pair in in_turn(BARE_PAIRS, number):
                rates[self.pair].append(self.round(None, seconds).rate)
        self.pair = max(BARE_PAIRS, key=lambda pair: sum(rates[pair]))
        return {pair: sum(found) / passes for pair, found in rates.items()}

    def round(self, _size, seconds):
        return measured({"postgres": self.postgres.pid()}, lambda: self._insert(seconds))

    def _insert(self, seconds):
        messages, rate = result_line(
            [BUILT / "bench/bare", self.postgres.url(self.database), self.sample,
             *map(str, self.pair), str(seconds)])
        return int(messages), rate, None, None

    def peak_megabytes(self):
        return None

    def stop(self):
        pass

    def close(self):
        pass


class Peer:
    """Fastify, mailparser and pg, in two processes (tests/bench/peer)."""
    name = "peer"
    warm_up_s = PEER_WARM_UP_S

    def __init__(self, postgres, database):
        self.postgres, self.database = postgres, database
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="peer-"))
        self.process = None

    @staticmethod
    def install():
        """None, or why there is no peer on this machine. npm ci takes what the lock file names."""
        if not shutil.which("node") or not shutil.which("npm"):
            return "node or npm is missing"
        BUILD_OF_PEER.mkdir(parents=True, exist_ok=True)
        lock = HERE / "peer/package-lock.json"
        installed = BUILD_OF_PEER / "installed-lock.json"
        for file in (HERE / "peer").iterdir():
            shutil.copy(file, BUILD_OF_PEER)
        if installed.exists() and installed.read_bytes() == lock.read_bytes():
            return None
        done = subprocess.run(["npm", "ci", "--loglevel=error"], cwd=BUILD_OF_PEER, text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            return f"npm ci failed: {done.stderr.strip()[-500:]}"
        shutil.copy(lock, installed)
        return None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["node", "server.js"], cwd=BUILD_OF_PEER, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env={**os.environ, "PORT": str(self.port), "TOKEN": TOKEN,
                                 "NODE_ENV": "production",
                                 "DATABASE_URL": self.postgres.url(self.database)})
        wait_for(self._answers, "the peer to answer")

    def round(self, size, seconds):
        pids = {"server": self.process.pid, "postgres": self.postgres.pid()}
        return measured(pids, lambda: post_for(f"http://127.0.0.1:{self.port}", size, seconds))

    def peak_megabytes(self):
        return peak_megabytes(self.process.pid)

    def stop(self):
        self.process.terminate()
        status = self.process.wait(STOP_DEADLINE_S)
        assert status == 0, f"the peer ended with {status}:\n{self._log()}"

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self):
        assert self.process.poll() is None, f"the peer ended:\n{self._log()}"
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/health/live", timeout=5).ok
        except requests.RequestException:
            return False

    def _log(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]


def newest_message(postgres, database):
    return postgres.psql("SELECT id FROM messages ORDER BY id DESC LIMIT 1", database=database)[0][0]


def in_turn(things, number):
    """To and fro, so that what else the machine does hits all alike: ABC, CBA, ABC …"""
    return list(things) if number % 2 == 0 else list(reversed(things))


def take_turns(contenders, rounds, turn):
    """turn(contender) for each, so many times, in turn; the results, by name."""
    results = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in in_turn(contenders, number):
            results[contender.name].append(turn(contender))
    return results
