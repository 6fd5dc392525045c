# SPDX-License-Identifier: MIT
"""A server, its own database in a Postgres that is about to suffer, and a relay between the two."""
from servers.ledger import settle
from servers.load import Load
from servers.metrics import value
from servers.relay import Relay
from servers.waiting import wait_for

CONNECT_S, STATEMENT_S = 1, 3
A_LITTLE_S = 1  # for the network, and for a machine that is busy with the test itself
WORKERS, CONNECTIONS = 2, 2


class PostgresSite:
    """with PostgresSite(pg, launch) as site: mail is sent to site.server

    The database's owner is not a superuser: those may do what is forbidden to others."""

    def __init__(self, pg, launch, tablespace="pg_default", relayed=True, **settings):
        self.pg, self.database = pg, pg.create_database()
        self.role = f"mail_of_{self.database}"
        pg.psql(f"create role {self.role} login")
        pg.psql(f"grant create on tablespace {tablespace} to {self.role}")
        pg.psql(f"alter database {self.database} owner to {self.role}")
        pg.psql(f"alter database {self.database} set tablespace {tablespace}")
        self.relay = Relay(pg.port)
        storage = {"connect_timeout": CONNECT_S, "statement_timeout": STATEMENT_S,
                   "connections": CONNECTIONS, **settings.pop("storage", {})}
        settings = {"workers": WORKERS, **settings, "storage": storage}
        self.links = settings["workers"] * storage["connections"]
        port = self.relay.port if relayed else pg.port
        self.server = launch(
            storage_url=f"postgresql://{self.role}@127.0.0.1:{port}/{self.database}",
            settings=settings)
        self.pid = self.server.process.pid
        self.await_health()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.relay.close()

    def sql(self, sql, parameters=None):
        """As a superuser, past the relay."""
        return self.pg.psql(sql, parameters, database=self.database)

    def terminate(self, count=None):
        """So many of our backends, any of them, or all; how many it was."""
        return len(self.sql("select pg_terminate_backend(pid) from (select pid from"
                            " pg_stat_activity where usename = %s order by random() limit %s) s",
                            (self.role, count)))

    def circuit(self):
        return value(self.server, "storage_circuit_state")

    def await_health(self):
        wait_for(self.server.is_ready, "the server to be ready")
        wait_for(lambda: self.circuit() == 0, "the circuit to close")
        wait_for(lambda: value(self.server, "storage_connections") == self.links, "connections")

    def load(self):
        return Load(self.server.url("/mail/inbound"))

    def settle(self, name, *loads):
        """The end of a test: all is there, in time, and the server is the one that was started."""
        settle(name, self.server, *loads)
        assert self.server.process.pid == self.pid and self.server.process.poll() is None
        slowest = max((a.seconds for load in loads for a in load.answers(503, 507)), default=0)
        assert slowest < STATEMENT_S + A_LITTLE_S, f"told to come again after {slowest:.1f} s"
