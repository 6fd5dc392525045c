# SPDX-License-Identifier: MIT
"""A PgBouncer of a test's own: real, run with the file that operators install."""
import shutil
import signal

import psycopg2

from servers.program import Program, as_user
from servers.sample import fill_in
from servers.waiting import free_port, wait_for

ROLE, PASSWORD = "mail", "not-a-secret-of-anybody"


class PgBouncer(Program):
    """with PgBouncer(postgres, database, secret) as pooler: connect to pooler.url()

    `secret` is what the server keeps of the role's password: postgres.create_role() tells."""

    def __init__(self, postgres, database, secret):
        super().__init__("pgbouncer")
        self.port, self.database = free_port(), database
        self.config = self.folder / "pgbouncer.ini"
        users = self.folder / "userlist.txt"
        users.write_text(f'"{ROLE}" "{secret}"\n')
        self.point_at(postgres)
        self.as_user = as_user("postgres", self.folder)
        if self.as_user:
            for path in (users, self.config):
                shutil.chown(path, "postgres", "postgres")

    def point_at(self, postgres):
        """The server that the file names; reload() makes it the one in use."""
        self.config.write_text(fill_in("pgbouncer/pgbouncer.ini", {
            "host=192.0.2.21 port=5432 dbname=mail":
                f"host=127.0.0.1 port={postgres.port} dbname={self.database}",
            "listen_port = 6432": f"listen_port = {self.port}",
            "unix_socket_dir = /run/postgresql": f"unix_socket_dir = {self.folder}",
            "/var/log/postgresql/pgbouncer.log": str(self.folder / "pgbouncer.log"),
            "/run/postgresql/pgbouncer.pid": str(self.folder / "pgbouncer.pid"),
            "/etc/pgbouncer/userlist.txt": str(self.folder / "userlist.txt"),
        }))

    def start(self):
        """Until it answers, which it does when Postgres does."""
        self.launch(*self.as_user, "pgbouncer", str(self.config))
        wait_for(self.answers, "PgBouncer to answer")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def url(self):
        login = f"{ROLE}:{PASSWORD}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/mail?target_session_attrs=any"

    def answers(self):
        self.check_runs()
        try:
            psycopg2.connect(self.url(), connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True
