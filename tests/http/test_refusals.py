"""Every operation that docs/openapi.json names refuses, in its words, what every one refuses."""

import time

from tests.lib.case import HttpCase
from tests.lib.http import record
from tests.lib.problem import check_headers
from tests.lib.raw import RawSocket
from tests.openapi.description import Description

STRANGER = "Authorization: Bearer " + "x" * 43
TYPE = "Content-Type: application/json"
LENGTH = "Content-Length: 2"  # that of the body stands in its place
# status: what brings it about (host, query, header lines)
REFUSALS = {
    "304": ("localhost", "", ["If-None-Match: *"]),
    "400": ("localhost", "", ["X Y: 1", TYPE, LENGTH]),
    "401": ("localhost", "", ["Authorization: Basic eHg6eHg=", TYPE, LENGTH]),
    "403": ("evil.example", "", [TYPE, LENGTH]),
    "404": ("localhost", "", [STRANGER, TYPE, LENGTH]),
    "411": ("localhost", "", ["Transfer-Encoding: chunked", TYPE]),
    "413": ("localhost", "", [TYPE, "Content-Length: 5000000"]),
    "414": ("localhost", "?x=" + "x" * 2048, [TYPE, LENGTH]),
    "415": ("localhost", "", [LENGTH]),
    "431": ("localhost", "", ["X-Pad: " + "x" * 4096, TYPE, LENGTH]),
}
BODIES = {
    ("POST", "/check"):
        b'{"port":50051,"protocol":"tcp","nonce":"9f86d081884c7d659a2feaa0c55ad015"}',
    ("POST", "/mailbox/nobody"): b'{"id":"m","type":"offer","body":null}',
}
# What is not there with these arguments.
HIDDEN = {"/demo": (), "/metrics": ("--open",)}


class TestRefusals(HttpCase):
    def setUp(self):
        super().setUp()
        self.description = Description()

    def exchange(self, method, target, host, lines, body=b""):
        """One request by bytes, its reply recorded as the other clients' are."""
        with RawSocket(self.index) as connection:
            head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: " + host, *lines])
            connection.try_send(head.encode() + b"\r\n\r\n" + body)
            reply = connection.read_reply(head_only=method == "HEAD")
        path, _, _ = target.partition("?")
        names = dict(line.partition(": ")[::2] for line in ["Host: " + host, *lines])
        if "Authorization" in names:
            names["Authorization"] = "Bearer ***"
        record(method, target, names, body, reply)
        self.assertFalse(self.description.judge({
            "method": method, "path": path, "query": "", "request_headers": names,
            "request_body": body.decode(), "status": reply.status,
            "response_headers": dict(reply.headers.items()), "response_body": reply.text}))
        return reply

    def each(self, status):
        """(method, path) of the operations that have it in the document."""
        return [(method.upper(), path.replace("{id}", "nobody"))
                for method, path, operation in self.description.operations()
                if status in operation["responses"]]

    def refuse(self, method, path, status):
        """What brings that status about, sent and answered."""
        host, query, lines = REFUSALS[status]
        body = BODIES.get((method, path), b"{}") if method == "POST" else b""
        kept = [line for line in lines if method == "POST" or line not in (TYPE, LENGTH)]
        sent = [line.replace(LENGTH, f"Content-Length: {len(body)}") for line in kept]
        return self.exchange(method, path + query, host, sent,
                             body if status not in ("411", "413") else b"")

    def test_operation_refuses_as_the_document_says(self):
        self.start("--demo")
        for status in REFUSALS:
            for method, path in self.each(status):
                if status == "404" and path in HIDDEN:
                    continue  # it is there
                with self.subTest(method=method, path=path, status=status):
                    reply = self.refuse(method, path, status)
                    self.assertEqual(str(reply.status), status, reply)
                    if reply.status >= 400:
                        check_headers(reply)

    def test_operation_without_credential_is_answered(self):
        self.start("--demo")
        self.node(id="nobody", network="default")
        for method, path, operation in self.description.operations():
            if method == "post" or (operation["security"] and {} not in operation["security"]):
                continue
            with self.subTest(method=method, path=path):
                reply = self.exchange(
                    method.upper(), path.replace("{id}", "nobody"), "localhost", [])
                self.assertEqual(reply.status, 204 if method == "options" else 200, reply)

    def test_path_that_is_not_served_there_is_unknown(self):
        for hidden, arguments in HIDDEN.items():
            self.start(*arguments)
            for method, path in self.each("404"):
                if path == hidden:
                    reply = self.exchange(method, path, "localhost", [])
                    self.assertEqual(reply.status, 404, reply)

    def test_operation_is_limited_in_rate(self):
        self.start(rate=1)
        for method, path in self.each("429"):
            with self.subTest(method=method, path=path):
                deadline = time.monotonic() + 20
                reply = None
                while (reply is None or reply.status != 429) and time.monotonic() < deadline:
                    reply = self.exchange(method, path, "localhost", [TYPE, LENGTH], b"{}")
                self.assertEqual(reply.status, 429, reply)
