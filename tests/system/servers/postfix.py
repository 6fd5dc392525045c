# SPDX-License-Identifier: MIT
"""A Postfix of a test's own: Debian's, unpacked below build/, with queue, configuration and free
ports in a temporary folder. It needs root, because its parts run as several users."""
import contextlib
import json
import os
import pwd
import subprocess
from typing import NamedTuple

from servers.mta import UNPACKED, Mta
from servers.sample import fill_in
from servers.waiting import free_port, wait_for

FILES = UNPACKED / "postfix"
LIBRARIES = str(FILES / "usr/lib/postfix")
# Users and groups that every Debian has, in the places of those that the package would make.
OWNER, GROUP, CLIENT_USER = "news", "uucp", "nobody"

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {files}/usr/sbin
daemon_directory = {files}/usr/lib/postfix/sbin
shlib_directory = {files}/usr/lib/postfix
meta_directory = {files}/etc/postfix
mail_owner = {owner}
setgid_group = {group}
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.com
mydestination =
alias_maps =
default_database_type = texthash
recipient_delimiter = +
# Nothing leaves the machine, and a bounce stays where a test can look at it.
default_transport = retry:4.3.0 kept here
transport_maps = inline:{{ discard.example.com=discard }}
relay_domains = discard.example.com
# A second attempt is made when it is asked for.
minimal_backoff_time = 1000s
queue_run_delay = 1000s
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{hold_port} inet n - n - - smtpd
  -o {{ smtpd_client_restrictions = check_client_access static:HOLD }}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Queued(NamedTuple):
    id: str
    sender: str
    recipients: list
    reasons: list  # why they are still here
    made_here: bool


class Postfix(Mta):
    QUEUED = r"queued as (\w+)"

    def __init__(self, url, client="deliver", timeout_s=60):
        super().__init__("postfix", url, client, timeout_s, pwd.getpwnam(CLIENT_USER))
        self.hold_port = free_port()
        self.log_path = self.folder / "maillog"
        self.env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": LIBRARIES,
                    "MAIL_CONFIG": str(self.folder / "conf")}
        self._make_folders()
        names = {"folder": self.folder, "files": FILES, "owner": OWNER, "group": GROUP,
                 "port": self.port, "hold_port": self.hold_port}
        sample = fill_in("postfix/master.cf.sample",
                         {**self.changes, "user=mailserver": f"user={CLIENT_USER}"})
        (self.folder / "conf/master.cf").write_text(MASTER.format(**names) + sample)
        (self.folder / "conf/main.cf").write_text(
            MAIN.format(**names) + fill_in("postfix/main.cf.sample", {}))

    def _make_folders(self):
        for name in ("conf", "queue", "queue/pid"):
            (self.folder / name).mkdir()
        owner = pwd.getpwnam(OWNER).pw_uid
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                     "incoming", "maildrop", "private", "public", "saved", "trace", "../data"):
            path = self.folder / "queue" / name
            path.mkdir(mode=0o700)
            os.chown(path, owner, -1)

    def start(self):
        """Until it takes mail."""
        self.launch(f"{LIBRARIES}/sbin/master", "-d", "-c", str(self.folder / "conf"),
                    output=self.folder / "output", env=self.env)
        wait_for(self.answers, "Postfix to answer")

    # ---- its queue ----

    @contextlib.contextmanager
    def held(self, hold):
        """The port to send to."""
        yield self.hold_port if hold else self.port

    def release(self, queue_id):
        self._run("postsuper", "-H", queue_id)
        self._run("postqueue", "-i", queue_id)

    def flush(self):
        """It begins with that now."""
        self._run("postqueue", "-f")

    def clear(self):
        self._run("postsuper", "-d", "ALL")

    def queue(self):
        mails = map(json.loads, self._run("postqueue", "-j").splitlines())
        return [self._queued(mail) for mail in mails]

    @staticmethod
    def _queued(mail):
        null = mail["sender"] == "MAILER-DAEMON"
        return Queued(mail["queue_id"], "" if null else mail["sender"],
                      [r["address"] for r in mail["recipients"]],
                      [r.get("delay_reason", "") for r in mail["recipients"]], null)

    def queued_bytes(self, queue_id):
        """The message as it lies in the queue, lines ending in LF as there."""
        return self._run("postcat", "-bh", "-q", queue_id)

    def bounced(self):
        """Lines of its log about mail that it gave up."""
        return [line for line in self.recent_log()
                if "status=bounced" in line or "status=expired" in line
                or "non-delivery notification" in line]

    def deferrals(self, queue_id):
        return [line for line in self.recent_log()
                if f" {queue_id}: to=" in line and "status=deferred" in line]

    def _run(self, program, *arguments):
        done = subprocess.run([FILES / "usr/sbin" / program, *arguments], env=self.env, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout
