# SPDX-License-Identifier: MIT
"""Stands between a client and its server in TCP, and can be told to misbehave as networks do."""
import contextlib
import socket
import threading

PIECE = 65536


class Relay:
    """with Relay(port_of_the_server) as relay: connect to relay.port

    Each connection has two threads, one for each direction. The server itself is never touched."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.lock = threading.Lock()
        self.pairs = set()
        self.flows = threading.Event()
        self.flows.set()
        self.muted = False
        self.swallowed = 0  # bytes, since mute()
        self.listener = None
        self.port = 0
        self.accept()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.refuse()
        self.flows.set()
        self.cut()

    # ---- what it can be told ----

    def cut(self):
        """Ends every connection, at once and in both directions; new ones are welcome."""
        with self.lock:
            for end in (end for pair in self.pairs for end in pair):
                with contextlib.suppress(OSError):  # it has ended by itself
                    end.shutdown(socket.SHUT_RDWR)

    def refuse(self):
        """Nobody listens on the port any more. Connections stay."""
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None

    def accept(self):
        """After refuse(), on the same port as before."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept_all, args=(self.listener,), daemon=True).start()

    def hold(self):
        """Nothing gets through, in either direction, until release(): then all of it does."""
        self.flows.clear()

    def release(self):
        self.flows.set()

    def mute(self):
        """What the server says is lost, on these connections for ever: cut() ends them."""
        self.swallowed = 0
        self.muted = True

    def unmute(self):
        self.muted = False

    # ---- how ----

    def _accept_all(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                client.close()
                continue
            self._begin(client, server)

    def _begin(self, client, server):
        pair = (client, server)
        for end in pair:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.pairs.add(pair)
        back = threading.Thread(target=self._carry, args=(server, client, True), daemon=True)
        back.start()
        threading.Thread(target=self._carry_and_close, args=(pair, back), daemon=True).start()

    def _carry_and_close(self, pair, back):
        self._carry(*pair, False)
        back.join()
        with self.lock:
            self.pairs.discard(pair)
            for end in pair:
                end.close()

    def _carry(self, source, target, from_server):
        """Until the source ends; what comes is handed on, and so is the end."""
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                self.flows.wait()
                if from_server and self.muted:
                    self.swallowed += len(piece)
                else:
                    target.sendall(piece)
        self.flows.wait()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR if not from_server else socket.SHUT_RDWR)
