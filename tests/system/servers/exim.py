# SPDX-License-Identifier: MIT
"""An Exim of a test's own: Debian's, unpacked below build/, with spool, configuration and a free
port in a temporary folder. It is one unprivileged user throughout."""
import contextlib
import os
import pwd
import re
import subprocess
from typing import NamedTuple

from servers.mta import UNPACKED, Mta
from servers.program import as_user
from servers.sample import fill_in
from servers.waiting import wait_for

BINARY = UNPACKED / "exim4-daemon-light/usr/sbin/exim4"
USER = "mail" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

CONFIG = """
primary_hostname = mx.example.com
exim_path = {binary}
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
pid_file_path = {folder}/pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
deliver_drop_privilege
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
tls_advertise_hosts =
host_lookup = *
recipients_max = 1000
queue_only_file = {folder}/queue-only
.include {folder}/main

begin acl
everybody:
  accept

begin routers
.include {folder}/router
# Nothing leaves the machine, and a bounce stays where a test can look at it.
others:
  driver = redirect
  data = :defer: kept here
  allow_defer

begin transports
.include {folder}/transport

begin retry
.include {folder}/retry
example.org  *  F,1d,1h
"""


class Queued(NamedTuple):
    id: str
    sender: str
    recipients: list  # those that are still waiting
    frozen: bool
    made_here: bool


class Exim(Mta):
    QUEUED = r"OK id=([\w-]+)"

    def __init__(self, url, client="deliver", timeout_s=60):
        user = pwd.getpwnam(USER)
        super().__init__("exim", url, client, timeout_s, user)
        self.log_path = self.folder / "log-main"
        self.config = self.folder / "exim.conf"
        self.queue_only = self.folder / "queue-only"
        changes = {"transport": {**self.changes, "user = mailserver": f"user = {USER}"}}
        for name in ("main", "router", "transport", "retry"):
            (self.folder / name).write_text(fill_in(f"exim/{name}", changes.get(name, {})))
        acl = "acl_smtp_rcpt = everybody\nacl_smtp_data = everybody\n"
        self.config.write_text(acl + CONFIG.format(folder=self.folder, port=self.port,
                                                   binary=BINARY))
        # The user that Debian's package would make is ours, for this program and its children.
        for name, entry in (("passwd", f"{user.pw_uid}:{user.pw_gid}::/:/bin/false"),
                            ("group", f"{user.pw_gid}:")):
            with open(f"/etc/{name}", encoding="utf-8") as file:
                (self.folder / name).write_text(f"{file.read()}Debian-exim:x:{entry}\n")
        self.env = {"PATH": os.environ["PATH"], "LD_PRELOAD": "libnss_wrapper.so",
                    "NSS_WRAPPER_PASSWD": str(self.folder / "passwd"),
                    "NSS_WRAPPER_GROUP": str(self.folder / "group")}
        self.command = [*as_user(USER, self.folder), str(BINARY), "-C", str(self.config)]

    def start(self):
        """Until it takes mail."""
        self.launch(*self.command, "-bdf", output=self.folder / "output", env=self.env)
        wait_for(self.answers, "Exim to answer")

    # ---- its queue ----

    @contextlib.contextmanager
    def held(self, hold):
        """The port to send to; what is held is queued, and not delivered until it is released."""
        if hold:
            self.queue_only.touch()
        try:
            yield self.port
        finally:
            self.queue_only.unlink(missing_ok=True)

    def release(self, queue_id):
        self._run("-M", queue_id)

    def flush(self):
        """Returns when each message has been tried once."""
        self._run("-qff")

    def clear(self):
        ids = self.ids()
        if ids:
            self._run("-Mrm", *ids)

    def queue(self):
        """As `exim -bp` prints it."""
        mails = []
        for line in self._run("-bpr").decode().splitlines():
            head = re.match(r"\s*\S+\s+\S+\s+(\S+) <(.*)>( \*\*\* frozen \*\*\*)?", line)
            if head:
                mails.append(Queued(head[1], head[2], [], bool(head[3]), self._made_here(head[1])))
            elif line.strip() and not line.strip().startswith("D "):
                mails[-1].recipients.append(line.strip())
        return mails

    def _made_here(self, queue_id):
        return re.search(rf" {queue_id} <= <> R=", self.log()) is not None

    def queued_bytes(self, queue_id):
        """The message as it lies in the queue, lines ending in LF as there."""
        return self._run("-Mvc", queue_id)

    def bounced(self):
        """Lines of its log about mail that it gave up."""
        return [line for line in self.recent_log()
                if re.search(r"^\S+ \S+ \S+ (\*\* |<= <> R=)", line)]

    def deferrals(self, queue_id):
        return [line for line in self.recent_log() if f" {queue_id} == " in line]

    def _run(self, *arguments):
        done = subprocess.run([*self.command, *arguments], env=self.env, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        assert done.returncode == 0, done
        return done.stdout
