# SPDX-License-Identifier: MIT
"""A Redis server of a test's own: real, on a free port of the loopback, gone afterwards."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from servers.program import check_lives, watch
from servers.waiting import free_port, wait_for

START_DEADLINE_S = 30


class RedisError(Exception):
    """An error that the server answered."""


class Redis:
    """with Redis() as redis: connect to redis.url()

    It keeps nothing on disk: stopped and started again, it is empty. Options are those of redis.conf.
    Only the process that this object started is ever stopped or ended."""

    def __init__(self, **options):
        self.directory = tempfile.mkdtemp(prefix="redis-", dir="/tmp")
        self.socket = os.path.join(self.directory, "redis.sock")
        self.port = free_port()
        self.options = options
        self.process = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # ---- what a test needs to know ----

    def url(self, login="", db=None):
        return f"redis://{login}127.0.0.1:{self.port}" + (f"/{db}" if db is not None else "")

    def command(self, *words, password=None, db=0):
        """The answer to one command: text, a number, a list of them, or None."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            stream = sock.makefile("rwb")
            if password:
                self._say(stream, "AUTH", password)
            if db:
                self._say(stream, "SELECT", db)
            return self._say(stream, *words)

    def keys(self, db=0):
        return sorted(self.command("KEYS", "*", db=db))

    # ---- its life ----

    def start(self):
        """Until it answers."""
        arguments = [word for name, value in self.options.items()
                     for word in (f"--{name.replace('_', '-')}", str(value))]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = watch(subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                 "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
                 "--dir", self.directory, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log), self._log)
        wait_for(self._starts, "Redis to answer", START_DEADLINE_S)

    def freeze(self):
        """It takes connections and bytes, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill9(self):
        check_lives(self.process)
        self.process.kill()
        self.process.wait()

    def close(self):
        """May be called again."""
        try:
            if self.process is not None and self.process.returncode is None:
                self.kill9()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    # ---- how ----

    def _starts(self):
        assert self.process.poll() is None, self._log()
        return self._answers()

    def _answers(self):
        try:
            return self.command("PING") == "PONG"
        except RedisError:  # it wants a password first
            return True
        except OSError:
            return False

    def _log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def _say(self, stream, *words):
        words = [str(word).encode() for word in words]
        stream.write(b"*%d\r\n" % len(words)
                     + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        stream.flush()
        return self._read(stream)

    def _read(self, stream):
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RedisError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if int(rest) < 0:
            return None
        if kind == b"*":
            return [self._read(stream) for _ in range(int(rest))]
        return stream.read(int(rest) + 2)[:-2].decode()
