"""Many nodes at once, for measurements."""

import base64
import hashlib
import json
import socket


def token(number):
    digest = hashlib.sha256(b"bench %d" % number).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def registration(number):
    """The body that registers a node, and registers it again."""
    return json.dumps({
        "id": f"node-{number}", "token": token(number), "ttl": 7200,
        "endpoints": ["grpc://:50051"], "meta": {"role": "master"}}).encode()


def register(port, count):
    """By pipelining: what is timed comes later."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        replies = link.makefile("rb")
        for start in range(0, count, 50):
            batch = b""
            numbers = range(start, min(start + 50, count))
            for number in numbers:
                body = registration(number)
                batch += (b"POST /register HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                          % len(body) + body)
            link.sendall(batch)
            for _ in numbers:
                status = replies.readline()
                assert b" 201 " in status, status
                length = 0
                while (line := replies.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                replies.read(length)
