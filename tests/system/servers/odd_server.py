# SPDX-License-Identifier: MIT
"""A server that says what no mailserver would, as proxies and accidents do."""
import contextlib
import socket
import threading


class OddServer:
    """with OddServer([b"HTTP/1.1 ..."]) as odd: each connection's request is read, then the next
    one of the answers is written as it stands, and the connection closed. An answer of None: the
    connection is closed at once. The last answer is given again and again. `requests`: what came."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    self.requests.append(b"")
                    continue
                self.requests.append(self._read(client))
                client.sendall(answer)

    @staticmethod
    def _read(client):
        """One request, of which the length is known."""
        client.settimeout(20)
        data = b""
        while b"\r\n\r\n" not in data and (piece := client.recv(65536)):
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length"))
        while len(body) < length and (piece := client.recv(65536)):
            body += piece
        return head + b"\r\n\r\n" + body


def answer(status, body=b"", *fields):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
