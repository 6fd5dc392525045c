# SPDX-License-Identifier: MIT
"""A HAProxy of a test's own: real, run with the file that operators install."""
import csv
import os
import socket
import subprocess

from servers.program import Program
from servers.sample import fill_in
from servers.waiting import free_port, wait_for


class HAProxy(Program):
    """with HAProxy(first.port, second.port) as proxy: post to proxy.url()

    The mailservers are called mail1 and mail2, as in the file."""

    def __init__(self, first_port, second_port):
        super().__init__("haproxy")
        self.port = free_port()
        self.socket = self.folder / "admin.sock"
        changes = {
            "bind :3000": f"bind 127.0.0.1:{self.port}",
            "/run/haproxy/admin.sock": str(self.socket),
            "192.0.2.11:3000": f"127.0.0.1:{first_port}",
            "192.0.2.12:3000": f"127.0.0.1:{second_port}",
        }
        if os.geteuid() != 0:  # then there is nothing to give up
            changes.update({"\tchroot /var/lib/haproxy\n": "", "\tuser haproxy\n": "",
                            "\tgroup haproxy\n": ""})
        self.config = self.folder / "haproxy.cfg"
        self.config.write_text(fill_in("haproxy/haproxy.cfg", changes))

    def start(self):
        """Until it has found both mailservers ready."""
        self.launch("haproxy", "-db", "-f", str(self.config))
        wait_for(lambda: self.states() == {"mail1": "UP", "mail2": "UP"}, "HAProxy to find both")

    def check(self):
        """What it says about its file: the exit code, and the text."""
        done = subprocess.run(["haproxy", "-c", "-f", str(self.config)], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        return done.returncode, done.stdout

    def url(self, path="/mail/inbound"):
        return f"http://127.0.0.1:{self.port}{path}"

    def states(self):
        """{"mail1": "UP", …}; empty until it answers."""
        self.check_runs()
        return {row["svname"]: row["status"] for row in self._stat()
                if row["svname"].startswith("mail") and not row["status"].startswith("no check")
                and row["check_status"] not in ("INI", "")}

    def _stat(self):
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(str(self.socket))
                sock.sendall(b"show stat\n")
                text = sock.makefile().read()
        except OSError:
            return []
        return csv.DictReader(text.removeprefix("# ").splitlines())
