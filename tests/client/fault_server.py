#!/usr/bin/env python3
"""A server that does what a real index never does: tests/client/fault_server.py

The first segment of the path chooses the fault, so that http://127.0.0.1:PORT/garbage can be the
URL of an index. Two lines on stdout when it is ready: `PORT TLS_PORT`, and the file with the
certificate of TLS_PORT, which is its own authority and made anew for each run. Listens on
127.0.0.1, and ends when its standard input does.

Wrong in what they say:      garbage half half-head continue long-head endless-head endless close reset
                             redirect
Wrong in when they say it:   stuck slow
Right, but no good news:     status/CODE retry/SECONDS-OR-DATE problem
Right:                       echo text chunked big/BYTES goodbye (closes after it, without a word)
"""

import contextlib
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.parse

HEAD_MAX = 1 << 20
PAUSE_S = 0.02  # between two bytes of a slow body
PART = b"x" * 65536


class Gone(Exception):
    """The client closed the connection, or it is to be closed."""


class Connection:
    """One client; `requests` counts what came over it."""

    def __init__(self, sock, address):
        self.sock = sock
        self.port = address[1]
        self.requests = 0
        self.unread = b""

    def receive(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.unread += data

    def read_request(self):
        while b"\r\n\r\n" not in self.unread:
            if len(self.unread) > HEAD_MAX:
                raise Gone
            self.receive()
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        line, *fields = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ", 2)
        self.fields = [tuple(part.strip() for part in field.split(":", 1)) for field in fields]
        size = int(dict((name.lower(), value) for name, value in self.fields)
                   .get("content-length", 0))
        while len(self.unread) < size:
            self.receive()
        self.body, self.unread = self.unread[:size], self.unread[size:]
        self.requests += 1

    def send(self, *parts):
        for part in parts:
            self.sock.sendall(part.encode() if isinstance(part, str) else part)

    def reply(self, status, body="", content_type="text/plain", fields=()):
        body = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status} Reason", f"Content-Type: {content_type}",
                 f"Content-Length: {len(body)}", *fields]
        self.send("\r\n".join(lines) + "\r\n\r\n", body)

    def wait_until_gone(self):
        while True:
            self.receive()


# --- faults ---------------------------------------------------------------------------------------

def garbage(connection, _argument):
    connection.send(b"\x00\xff\x17 this is no HTTP \x80\r\n\r\n" * 8)
    raise Gone


def half(connection, _argument):
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
                    "\r\n{\"id\": \"half")
    raise Gone


def half_head(connection, _argument):
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: appl")
    raise Gone


def interim(connection, _argument):
    connection.send("HTTP/1.1 100 Continue\r\n\r\n")
    raise Gone


def long_head(connection, _argument):
    connection.send("HTTP/1.1 200 OK\r\nX-Long: ", PART * 4, "\r\nContent-Length: 0\r\n\r\n")
    raise Gone


def endless_head(connection, _argument):
    connection.send("HTTP/1.1 200 OK\r\n")
    while True:
        connection.send("X-More: ", PART[:1000], "\r\n")


def endless(connection, _argument):
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        connection.send(PART)


def close(_connection, _argument):
    raise Gone


def reset(connection, _argument):
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Gone


def redirect(connection, _argument):
    connection.reply(302, fields=["Location: /echo"])


def stuck(connection, _argument):
    connection.wait_until_gone()


def slow(connection, _argument):
    """Byte by byte, and so many that nobody waits for the end; they go out as time passes."""
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    pause = threading.Event()
    while not pause.wait(PAUSE_S):
        connection.send("x")


def status(connection, argument):
    connection.reply(int(argument or 500), "something went wrong here")


def retry(connection, argument):
    connection.reply(503, "not now", fields=["Retry-After: " + argument])


def problem(connection, _argument):
    text = json.dumps({"type": "about:blank", "title": "No such node", "status": 404,
                       "detail": "nobody is not registered", "code": "unknown_node",
                       "action": "register"})
    connection.reply(404, text, "application/problem+json")


def echo(connection, _argument):
    """What was asked, and over which connection: its port, and which request of it this was."""
    text = json.dumps({"method": connection.method, "target": connection.target,
                       "headers": [f"{name}: {value}" for name, value in connection.fields],
                       "body": connection.body.decode("latin-1"),
                       "port": connection.port, "request": connection.requests})
    connection.reply(200, text, "application/json; charset=utf-8")


def text(connection, _argument):
    connection.reply(200, "hello")


def chunked(connection, _argument):
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n")
    connection.send("4\r\n{\"a\"\r\n", "4\r\n: 1}\r\n", "0\r\nX-Trailer: yes\r\n\r\n")


def big(connection, argument):
    connection.reply(200, b"y" * int(argument))


def goodbye(connection, argument):
    text(connection, argument)
    raise Gone


BEHAVIOURS = {
    "garbage": garbage, "half": half, "half-head": half_head, "continue": interim, "long-head": long_head,
    "endless-head": endless_head, "endless": endless, "close": close, "reset": reset,
    "redirect": redirect, "stuck": stuck, "slow": slow, "status": status, "retry": retry,
    "problem": problem, "echo": echo, "text": text, "chunked": chunked, "big": big,
    "goodbye": goodbye,
}


# --- the server -----------------------------------------------------------------------------------

def behave(connection):
    """A path without a behaviour is 404. As a proxy it is asked with a whole URL."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(connection.target).path)
    name, _, argument = path.lstrip("/").partition("/")
    if name in BEHAVIOURS:
        BEHAVIOURS[name](connection, argument)
    else:
        connection.reply(404, "no such fault")


def serve(sock, address, context):
    # ConnectionError and ssl.SSLError are both OSErrors: the client may leave at any moment.
    with contextlib.suppress(Gone, OSError), contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            sock = context.wrap_socket(sock, server_side=True)
            stack.callback(sock.close)
        connection = Connection(sock, address)
        while True:
            connection.read_request()
            behave(connection)


def accept(listener, context):
    while True:
        sock, address = listener.accept()
        threading.Thread(target=serve, args=(sock, address, context), daemon=True).start()


def listen(context=None):
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    return listener.getsockname()[1]


def make_certificate(folder):
    """For 127.0.0.1 and for no name."""
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "certificate.pem")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=signpost test",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit("openssl could not make a certificate: " + made.stderr)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def main():
    with tempfile.TemporaryDirectory() as folder:
        certificate, context = make_certificate(folder)
        print(listen(), listen(context))
        print(certificate, flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
