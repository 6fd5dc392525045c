# SPDX-License-Identifier: MIT
"""The first command of the README: what `make run` starts, and the line it prints to paste."""
import os
import re
import shutil
import signal
import sqlite3
import subprocess

from servers.mailserver import BINARY, ROOT, SANITIZER
from servers.waiting import free_port, wait_for


def test_the_printed_line_delivers_a_mail(tmp_path):
    (tmp_path / "configs").mkdir()
    for name in ("run.sh", "development.yaml"):
        shutil.copy(ROOT / "configs" / name, tmp_path / "configs")
    port, metrics_port = free_port(), free_port()
    output = tmp_path / "output"
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAIL")}
    with open(output, "wb") as out:
        process = subprocess.Popen(["sh", "configs/run.sh", BINARY], cwd=tmp_path, stdout=out,
                                   stderr=out, env={**env, "PORT": str(port),
                                        "MAIL_METRICS_PORT": str(metrics_port)})
    try:
        wait_for(lambda: process.poll() is not None or "is up" in output.read_text(), "the server")
        assert process.poll() is None, output.read_text()
        token = tmp_path / "data" / "token"
        assert token.stat().st_mode & 0o777 == 0o600
        printed = output.read_text()
        command = re.search(r"^    (printf .*?/mail/inbound)$", printed, re.S | re.M)[1]
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0 and '"status":"success"' in done.stdout, done
        query = re.search(r"sqlite3 data/mail.db '(.*)'", printed)[1]
        with sqlite3.connect(tmp_path / "data" / "mail.db") as db:
            row = db.execute(query).fetchone()
        assert row[1:] == ("alice@example.org", "Hello", "It works.\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not SANITIZER.search(output.read_text()), output.read_text()
        first = token.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert len(first.strip()) >= 32
