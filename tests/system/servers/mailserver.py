# SPDX-License-Identifier: MIT
"""The real server, started in a temporary folder on a free loopback port, and stopped again."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import requests

from servers.program import check_lives, watch
from servers.waiting import DEADLINE_S, free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("MAILSERVER", str(ROOT / "build/release/bin/mailserver"))
TOKEN = "test-token-0123456789abcdef"
SANITIZER = re.compile(r"(ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|Assertion .* failed)")


class Mailserver:
    """`settings` are merged over a small working configuration; a value of None removes a key."""

    def __init__(self, settings=None, storage_url=None, args=(), env=None, preexec=None,
                 folder=None, inherit=(), binary=BINARY, enter=()):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="mailserver-"))
        self.owns_folder = folder is None
        self.port = free_port()
        self.metrics_port = free_port()
        self.database = self.folder / "mail.db"
        self.storage_url = storage_url or f"sqlite://{self.database}"
        self.backend = "SQLite" if self.storage_url.startswith("sqlite:") else "Postgres"
        self.args, self.env, self.preexec = list(args), env or {}, preexec
        self.inherit, self.binary, self.enter = inherit, binary, enter
        self.settings = {
            "port": self.port,
            "metrics_port": self.metrics_port,
            "listen": ["127.0.0.1"],
            "data_dir": str(self.folder),
            "bearer_token": TOKEN,
            "workers": 2,
            # Not what most tests are about.
            "rate_limit_per_minute": 60_000_000,
            "rate_limit_burst": 1_000_000,
            "storage": {"url": self.storage_url},
            "log": {"format": "json", "level": "debug"},
        }
        for key, value in (settings or {}).items():
            if isinstance(value, dict):
                self.settings.setdefault(key, {}).update(value)
            elif value is None:
                self.settings.pop(key, None)
            else:
                self.settings[key] = value
        self.scheme, self.ca = "http", True  # https, with the file of a CA
        self.process = None
        self.log_path = self.folder / "stderr.log"
        self.session = requests.Session()

    # life

    def launch(self):
        """Starts the process and returns at once."""
        check_lives(self.process)
        config = self.write_settings()
        env = {key: value for key, value in os.environ.items() if not key.startswith("MAIL")}
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        env.update(self.env)
        with open(self.log_path, "ab") as log:
            self.process = watch(subprocess.Popen(
                [*self.enter, self.binary, "server", "-c", str(config), *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, preexec_fn=self.preexec, cwd=self.folder,
                pass_fds=self.inherit), self.log)
        return self

    def write_settings(self):
        config = self.folder / "mailserver.yaml"
        config.write_text(json.dumps(self.settings))
        return config

    def reload(self, said="the configuration was reloaded"):
        """SIGHUP with the present settings; waits until the server has said what came of it."""
        before = len(self.events(said))
        self.write_settings()
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(self.events(said)) > before, f"{said!r} in:\n{self.log()[-2000:]}")

    def start(self):
        self.launch()
        wait_for(self.answers, f"the server to answer; it said: {self.log()[-2000:]}")
        return self

    def answers(self):
        assert self.process.poll() is None, f"the server ended:\n{self.log()}"
        try:
            return requests.get(
                self.url("/health/live"), timeout=5, verify=self.ca).status_code == 200
        except requests.RequestException:
            return False

    def stop(self, signum=signal.SIGTERM):
        """The exit code, after a clean shutdown; checks that no sanitizer had anything to say."""
        self.session.close()
        check_lives(self.process)
        if self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"no end after signal {signum}:\n{self.log()}") from None
        log = self.log()
        assert not SANITIZER.search(log), log[-10000:]
        return self.process.returncode

    def kill9(self):
        """Nothing is left of it but its files; start() begins anew, on the same port."""
        self.session.close()
        check_lives(self.process)
        self.process.kill()
        self.process.wait()

    def close(self):
        """May be called again."""
        try:
            check_lives(self.process)
            if self.process is not None and self.process.poll() is None:
                self.kill9()
            log = self.log()
            assert not SANITIZER.search(log), log[-10000:]
        finally:
            if self.owns_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def events(self, name=None):
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if name is None or line["event"] == name]

    def anonymous_megabytes(self):
        """Memory of its own; not the files that it has mapped."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^RssAnon:\s+(\d+) kB", status, re.M)[1]) / 1024

    def bytes_read(self):
        """By read() and its like, from files and sockets, cached or not."""
        io = pathlib.Path(f"/proc/{self.process.pid}/io").read_text()
        return int(re.search(r"^rchar: (\d+)", io, re.M)[1])

    # requests

    def is_ready(self):
        return self.get("/health/ready").status_code == 200

    def url(self, path):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def scrape(self, path="/metrics", **more):
        """What Prometheus would get."""
        return requests.get(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10, **more)

    def request(self, method, path, token=TOKEN, headers=None, **more):
        headers = dict(headers or {})
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        more.setdefault("timeout", 60)
        more.setdefault("verify", self.ca)
        return self.session.request(method, self.url(path), headers=headers, **more)

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, body, headers=None, path="/mail/inbound", **more):
        headers = {"Content-Type": "message/rfc822", **(headers or {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        return self.request("POST", path, headers=headers, data=body, **more)

    def post_json(self, value, headers=None, **more):
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        return self.post(body, headers={"Content-Type": "application/json", **(headers or {})}, **more)

    def send_raw(self, data, read=True, timeout=30):
        """Bytes on a fresh connection; what comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            return receive_all(s) if read else b""


def receive_all(sock):
    chunks = []
    try:
        while chunk := sock.recv(65536):
            chunks.append(chunk)
    except ConnectionResetError:
        pass
    return b"".join(chunks)


def http_request(body, headers=(), method="POST", path="/mail/inbound", length=None):
    """A request as bytes, for what a well-behaved client library would not send."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}",
             "Connection: close"]
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    head = "\r\n".join(lines).encode() + b"\r\n"
    for header in headers:
        head += (header if isinstance(header, bytes) else header.encode()) + b"\r\n"
    return head + b"\r\n" + body


def message(subject="Hello", body="It works.\r\n", **fields):
    """A small message as bytes, CRLF; each call's own by its Message-ID unless one is given."""
    message.count += 1
    head = {"From": "Alice <alice@example.org>", "To": "bob@example.com", "Subject": subject,
            "Message-ID": f"<{message.count}.{time.monotonic_ns()}@example.org>",
            **{name.replace("_", "-"): value for name, value in fields.items()}}
    text = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None)
    return (text + "\r\n" + body).encode()


message.count = 0
