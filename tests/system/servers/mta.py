# SPDX-License-Identifier: MIT
"""What the real MTAs of the tests have in common: the client that they start for each message, its
token, and ways to hand them mail."""
import os
import pathlib
import re
import shutil
import signal
import smtplib
import subprocess

from servers.mailserver import BINARY, ROOT, TOKEN
from servers.program import Program
from servers.sample import CONFIGS
from servers.waiting import free_port, wait_for

UNPACKED = ROOT / "build/mta"
CLIENTS = ("deliver", "curl")
# What the samples of configs/ say, and a test says otherwise.
SAMPLE_CLIENT = "/usr/local/bin/mailserver deliver"
SAMPLE_URL = "http://127.0.0.1:3000/mail/inbound"
PATH = SAMPLE_URL.partition(":3000")[2]
SAMPLE_TOKEN = "/etc/mailserver/token"
SAMPLE_TIMEOUT = "--timeout 240"
SENDER = "alice@example.org"


class Mta(Program):
    """with Postfix(url, …) as mta: mail for example.com goes to the url, all other stays queued

    `client` is one of CLIENTS, `timeout_s` how long it may take, and `owner` the user that it runs
    as. All is below one folder, which names every process that belongs to it."""

    def __init__(self, name, url, client, timeout_s, owner):
        super().__init__(name)
        self.folder.chmod(0o755)  # for `owner`
        self.port = free_port()
        self.client, self.owner = client, owner
        self.token = self.folder / "token"
        self.changes = {SAMPLE_CLIENT: self._install_client(), SAMPLE_URL: url,
                        SAMPLE_TOKEN: str(self.token), SAMPLE_TIMEOUT: f"--timeout {timeout_s}"}
        self.set_token(TOKEN)
        self.begun_at = 0

    def _install_client(self):
        """Where `owner` may start it, whoever may look into the source tree; as in a sample."""
        source = BINARY if self.client == "deliver" else CONFIGS / "curl/mailserver-curl"
        self.program = pathlib.Path(shutil.copy(source, self.folder))
        self.program.chmod(0o755)
        return " ".join(self.command_of_client())

    def command_of_client(self):
        return [str(self.program), *(["deliver"] if self.client == "deliver" else [])]

    def set_token(self, text):
        self.token.write_text(text + "\n")
        self.token.chmod(0o400)
        if os.geteuid() == 0:
            os.chown(self.token, self.owner.pw_uid, self.owner.pw_gid)

    def answers(self):
        self.check_runs()
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=10):
                return True
        except OSError:
            return False

    # ---- mail in ----

    def swaks(self, *arguments, hold=False):
        """The id it was queued under."""
        with self.held(hold) as port:
            done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", *arguments],
                                  capture_output=True, text=True, errors="replace", check=False,
                                  timeout=120)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        return self.queue_id_in(done.stdout)

    def send(self, raw, recipients=("bob@example.com",), sender=SENDER, hold=False, options=()):
        """For bytes that swaks would change; addresses as they stand between the angle brackets."""
        with self.held(hold) as port, smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
            smtp.command_encoding = "utf-8"
            smtp.ehlo("client.example.org")
            check(smtp.docmd(f"MAIL FROM:<{sender}>", " ".join(options)))
            for recipient in recipients:
                check(smtp.docmd(f"RCPT TO:<{recipient}>"))
            return self.queue_id_in(check(smtp.data(raw)).decode())

    def queue_id_in(self, text):
        return re.search(self.QUEUED, text)[1]

    # ---- what belongs to it ----

    def begin(self):
        """A new test: what the log says so far is of no interest to it."""
        self.clear()
        self.begun_at = len(self.log())

    def recent_log(self):
        return self.log()[self.begun_at:].splitlines()

    def ids(self):
        return {mail.id for mail in self.queue()}

    def log_of(self, queue_id):
        return "\n".join(line for line in self.recent_log() if f" {queue_id}" in line)

    def bounces(self):
        """Messages that it made itself, to tell a sender."""
        return [mail for mail in self.queue() if mail.sender == "" and mail.made_here]

    def clients(self):
        """Pids of those that run, the shell that starts them left out."""
        for pid, words in processes():
            if str(self.program) in words[:2] and str(self.token) in words:
                yield pid

    def command_lines(self):
        """Of all that runs for a delivery, and of its children."""
        ours = {pid for pid, words in processes() if any(str(self.folder) in w for w in words)}
        for pid, words in processes():
            if pid in ours or parent_of(pid) in ours:
                yield " ".join(words)

    def kill_client(self):
        os.kill(self._only_client(), signal.SIGKILL)

    def kill_client_and_shell(self):
        client = self._only_client()
        os.kill(parent_of(client), signal.SIGKILL)
        os.kill(client, signal.SIGKILL)

    def _only_client(self):
        (pid,) = wait_for(lambda: list(self.clients()), "a client to run")
        return pid


def processes():
    """Pids, and the words of their command lines."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield int(path.parent.name), path.read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue


def parent_of(pid):
    try:
        return int(re.search(r"^PPid:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(),
                             re.MULTILINE)[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def check(answer):
    """The text of an SMTP answer that says yes."""
    code, text = answer
    assert code < 400, answer
    return text
