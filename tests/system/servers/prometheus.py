# SPDX-License-Identifier: MIT
"""A Prometheus of a test's own: real, on a free port of the loopback, scraping every second."""
import json

import requests

from servers.program import Program
from servers.waiting import free_port, wait_for


class Prometheus(Program):
    """with Prometheus(server.metrics_port) as p: p.value('up')"""

    def __init__(self, target_port, path="/metrics"):
        super().__init__("prometheus")
        self.port = free_port()
        self.config = self.folder / "prometheus.yml"
        self.config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "mailserver",
                "metrics_path": path,
                "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}],
            }],
        }))

    def start(self):
        self.launch("prometheus", f"--config.file={self.config}",
                    f"--storage.tsdb.path={self.folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn")
        wait_for(self.is_ready, "Prometheus")

    def is_ready(self):
        self.check_runs()
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
