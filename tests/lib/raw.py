"""Bytes in and out of the index's socket as a test wants them, each step with a deadline."""

import contextlib
import json
import socket

from tests.lib.http import parse_head
from tests.lib.problem import check_problem

STEP_S = 10


def request_bytes(method, target, body=None, host="localhost", headers=(), version="1.1"):
    """One whole request; `body` is bytes, or something to write as JSON."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *headers]
    content = b""
    if body is not None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1") + content


class RawSocket:
    """A connection without any manners of its own. Use it in a `with`."""

    def __init__(self, index, source=None, timeout=STEP_S):
        self.socket = socket.create_connection(
            (index.host, index.port), timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def try_send(self, data):
        """True if all went out: for requests that the index may refuse before it has all."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            return False
        return True

    def half_close(self):
        """Nothing more will be sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def wait_for(self, timeout):
        """Gives what came, b"" at the end, None where nothing came within `timeout` seconds."""
        before = self.socket.gettimeout()
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
            self._buffer += data
            return data
        except TimeoutError:
            return None
        except ConnectionError:
            return b""
        finally:
            self.socket.settimeout(before)

    def _fill(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError(f"the index closed; unread: {self._buffer[:500]!r}")
        self._buffer += data

    def _take(self, length):
        while len(self._buffer) < length:
            self._fill()
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def read_reply(self, head_only=False):
        """The next reply; EOFError if the index closes before its end."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        reply = parse_head(head)
        if not head_only and reply.status >= 200 and reply.status not in (204, 304):
            if "Content-Length" in reply.headers:
                reply.body = self._take(int(reply.headers["Content-Length"]))
            else:
                reply.body = self.read_to_end()
        if not head_only and reply.media_type() == "application/problem+json":
            check_problem(reply)
        return reply

    def read_to_end(self):
        """All that comes until the index closes."""
        try:
            while True:
                self._fill()
        except EOFError:
            rest, self._buffer = self._buffer, b""
            return rest

    def close(self):
        self.socket.close()
