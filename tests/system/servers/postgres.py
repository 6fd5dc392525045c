# SPDX-License-Identifier: MIT
"""A Postgres server of a test's own: real, on a free port of the loopback, gone afterwards; and a
standby that follows it."""
import atexit
import glob
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg2

from servers.program import as_user
from servers.waiting import free_port, wait_for

START_DEADLINE_S = 60
STOP_DEADLINE_S = 30
PORT_TRIES = 5

# As an operator would run it: nothing that makes it fast at the cost of mail.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "log_min_messages": "warning",
}


def bin_directory():
    """Of the newest Postgres that Debian's packages installed."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if not found:
        raise RuntimeError("no Postgres server found: apt-get install postgresql-15")
    newest = max(found, key=lambda path: float(path.split("/")[4]))
    return os.path.dirname(newest)


class Postgres:
    """with Postgres() as pg: connect to pg.url()

    `settings` are lines of postgresql.conf, beside those above; `enter` is put before every
    command, `initdb` behind that one. The superuser is `postgres`, and needs no password. Only
    processes that this object started are ever ended, by their pid."""

    pattern = None  # a folder with what initdb makes; each server has a copy, which takes less time

    def __init__(self, enter=(), initdb=(), **settings):
        self.bin = bin_directory()
        self.directory = tempfile.mkdtemp(prefix="postgres-", dir="/tmp")
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "log")
        self.settings = {**SETTINGS, "unix_socket_directories": self.directory, **settings}
        self.port = None
        self._names, self._spare = itertools.count(1), []
        self._initdb, self._enter = initdb, enter
        self._as_user = [*enter, *as_user("postgres", self.directory)]
        atexit.register(self.close)
        try:
            self._make_data()
            with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as conf:
                for key, value in self.settings.items():
                    conf.write(f"{key} = '{value}'\n")
            self._first_start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # ---- what a test needs to know ----

    def url(self, database="postgres"):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, owner="postgres"):
        """A fresh, empty one; its name."""
        name = f"test_{next(self._names)}"
        self.psql(f"create database {name} owner {owner}")
        return name

    def take_database(self):
        """As new, like one of create_database(); until give_back(). To make one is to write hundreds
        of files."""
        if not self._spare:
            return self.create_database()
        name = self._spare.pop()
        self.psql("select pg_terminate_backend(pid, 20000) from pg_stat_activity"
                  " where datname = %s", [name])
        self.psql("drop schema public cascade; create schema public", database=name)
        return name

    def give_back(self, name):
        """Somebody may be at work there still: it is emptied when it is taken again."""
        self._spare.append(name)

    def create_role(self, name, password):
        """One that has to show its password; how the server keeps that."""
        self.psql(f"create role {name} login password %s", [password])
        path = os.path.join(self.data, "pg_hba.conf")
        with open(path, encoding="utf-8") as file:
            rules = file.read()
        with open(path, "w", encoding="utf-8") as file:  # the first rule that fits is taken
            file.write(f"host all {name} 127.0.0.1/32 scram-sha-256\n{rules}")
        self._run("pg_ctl", "reload", "-D", self.data, "-s")
        return self.psql("select rolpassword from pg_authid where rolname = %s", [name])[0][0]

    def configure(self, **settings):
        """Of the running server, as SHOW writes them; a session knows them by its next command."""
        for key, value in settings.items():
            self.psql(f"alter system set {key} = %s", [value])
        self.psql("select pg_reload_conf()")
        for key, value in settings.items():  # a session that began after the others were told
            wait_for(lambda: self.psql(f"show {key}") == [(value,)], f"{key} to be {value}")

    def psql(self, sql, parameters=None, database="postgres"):
        """Runs one command, committed at once; the rows, or None where there are none to give."""
        connection = psycopg2.connect(self.url(database), connect_timeout=10)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def is_ready(self):
        return self._command_succeeds("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))

    def pid(self):
        """Of the server's first process; None when it does not run."""
        try:
            with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as file:
                pid = int(file.readline())
        except (FileNotFoundError, ValueError):
            return None
        return pid if _runs(pid) else None

    # ---- its life ----

    def start(self):
        """Until it answers. After a kill the old processes' memory may take a moment to go."""
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                self._run(*self._start_arguments())
                break
            except subprocess.CalledProcessError as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Postgres does not start: {self._log_tail()}") from error
                time.sleep(0.2)
        wait_for(self.is_ready, "Postgres to answer", START_DEADLINE_S)

    def stop(self, mode="fast"):
        """`smart` waits for clients, `fast` disconnects them, `immediate` leaves a recovery."""
        if self.pid() is not None:
            self._run(*self._stop_arguments(mode))

    def kill9(self):
        """As when the power fails, but for the disk."""
        pid = self.pid()
        if pid is None:
            return
        children = self._children(pid)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(_runs, [pid, *children])), "the killed Postgres to be gone",
                 STOP_DEADLINE_S)
        # Where nobody waits for orphans the pid stays taken, and this file would forbid a start.
        os.unlink(os.path.join(self.data, "postmaster.pid"))

    def freeze(self):
        """As when its machine is lost: connections are taken by the kernel, nothing is answered."""
        pid = self.pid()
        os.kill(pid, signal.SIGSTOP)  # the first one: from now on there are no new children
        for child in self._children(pid):
            os.kill(child, signal.SIGSTOP)

    def thaw(self):
        pid = self.pid()
        for process in [*self._children(pid), pid]:
            os.kill(process, signal.SIGCONT)

    def demote(self):
        """Stops it, and starts it again as a standby that nothing comes to."""
        self.stop()
        signal_file, owner = os.path.join(self.data, "standby.signal"), os.stat(self.data)
        with open(signal_file, "wb"):
            os.chown(signal_file, owner.st_uid, owner.st_gid)
        self.start()

    def promote(self):
        """A standby is a primary when this returns."""
        self._run("pg_ctl", "promote", "-D", self.data, "-w", "-s", "-t", str(START_DEADLINE_S))

    def close(self):
        """Stops it and removes all it had. May be called again."""
        atexit.unregister(self.close)
        try:
            self.stop("immediate")
        except subprocess.CalledProcessError:
            self.kill9()
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- the same for a program under test, as shell commands ----

    def stop_command(self, mode="fast"):
        return self._shell(*self._stop_arguments(mode))

    def start_command(self):
        return self._shell(*self._start_arguments())

    # ---- how ----

    def _make_data(self):
        if self._enter or self._initdb:
            self._make_cluster(self.data)
            return
        if not Postgres.pattern:
            Postgres.pattern = tempfile.mkdtemp(prefix="postgres-", dir="/tmp")
            atexit.register(shutil.rmtree, Postgres.pattern, ignore_errors=True)
            as_user("postgres", Postgres.pattern)
            self._make_cluster(os.path.join(Postgres.pattern, "data"))
        self._run("cp", "-a", os.path.join(Postgres.pattern, "data"), self.data)

    def _make_cluster(self, folder):
        self._run("initdb", "-D", folder, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                  "--locale=C.UTF-8", "--no-sync", *self._initdb)

    def _first_start(self):
        for attempt in range(1, PORT_TRIES + 1):
            self.port = free_port()
            try:
                self._run(*self._start_arguments())
                break
            except subprocess.CalledProcessError as error:  # somebody took the port meanwhile
                if attempt == PORT_TRIES:
                    raise RuntimeError(f"Postgres does not start: {self._log_tail()}") from error
        wait_for(self.is_ready, "Postgres to answer", START_DEADLINE_S)

    def _start_arguments(self):
        return ("pg_ctl", "start", "-D", self.data, "-l", self.log, "-w", "-s",
                "-t", str(START_DEADLINE_S), "-o", f"-p {self.port}")

    def _stop_arguments(self, mode):
        return ("pg_ctl", "stop", "-D", self.data, "-m", mode, "-w", "-s",
                "-t", str(STOP_DEADLINE_S))

    def _argv(self, program, *arguments):
        path = shutil.which(program, path=f"{self.bin}:/bin")
        return [*self._as_user, path, *arguments]

    def _shell(self, *command):
        return (f"cd {shlex.quote(self.directory)} && {shlex.join(self._argv(*command))}"
                " </dev/null >/dev/null 2>&1")

    def _run(self, *command):
        # No pipes: the server would inherit them and keep them open.
        with open(os.path.join(self.directory, "commands"), "ab") as out:
            subprocess.run(self._argv(*command), cwd=self.directory, check=True,
                           stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def _command_succeeds(self, *command):
        return subprocess.run(self._argv(*command), cwd=self.directory, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def _log_tail(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()[-2000:]
        except FileNotFoundError:
            return "(no log)"

    @staticmethod
    def _children(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]


class Standby(Postgres):
    """with Standby(primary) as standby: a copy of the primary that follows it by streaming"""

    def __init__(self, primary, name="standby", **settings):
        self.primary, self.name = primary, name
        super().__init__(**settings)

    def follow_synchronously(self):
        """From now on nothing is committed at the primary that is not on this disk too."""
        self.primary.configure(synchronous_standby_names=self.name)
        self.wait_until_synchronous()

    def wait_until_synchronous(self):
        wait_for(lambda: self.primary.psql(
            "select true from pg_stat_replication where application_name = %s"
            " and state = 'streaming' and sync_state = 'sync'", [self.name]),
            "the standby to follow", START_DEADLINE_S)

    def _make_data(self):
        self._run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
                  "-d", f"host=127.0.0.1 port={self.primary.port} user=postgres"
                        f" application_name={self.name}")


def _runs(pid):
    """A process that has ended but was not waited for yet is gone, too."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
