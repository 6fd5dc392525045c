# SPDX-License-Identifier: MIT
"""A Prometheus of a test's own: real, on a free port of the loopback, scraping every second."""
import json
import pathlib
import shutil
import subprocess
import tempfile

import requests

from servers.waiting import free_port, wait_for

STOP_DEADLINE_S = 30


class Prometheus:
    """with Prometheus(server.metrics_port) as p: p.value('up')

    Only the process that this object started is ever ended, by its pid."""

    def __init__(self, target_port, path="/metrics"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="prometheus-"))
        self.port = free_port()
        config = self.folder / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "mailserver",
                "metrics_path": path,
                "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}],
            }],
        }))
        self.log_path = self.folder / "log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}",
                 f"--storage.tsdb.path={self.folder / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)

    def __enter__(self):
        try:
            wait_for(self.is_ready, "Prometheus")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_ready(self):
        assert self.process.poll() is None, self.log_path.read_text()
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=5).ok
        except requests.RequestException:
            return False

    def api(self, path, **parameters):
        answer = requests.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=parameters,
                              timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def query(self, expression):
        """{labels as a frozenset of pairs: value}, without those that Prometheus adds itself."""
        return {frozenset((name, value) for name, value in sample["metric"].items()
                          if name not in ("instance", "job", "__name__")):
                float(sample["value"][1])
                for sample in self.api("query", query=expression)["result"]}

    def value(self, expression):
        """Of an expression with one result; None while there is none."""
        return next(iter(self.query(expression).values()), None)

    def target(self):
        return next(iter(self.api("targets")["activeTargets"]), None)

    def type_of(self, family):
        """As the scrape declared it."""
        entries = self.api("targets/metadata", metric=family)
        return entries[0]["type"] if entries else None
