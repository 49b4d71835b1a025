"""The test case of the suites that speak to the index by bytes."""

from tests.lib.case import IndexCase
from tests.lib.http import parse_head
from tests.lib.problem import check_problem
from tests.lib.raw import RawSocket, request_bytes


class RawCase(IndexCase):
    def raw(self, **options):
        connection = RawSocket(self.index, **options)
        self.addCleanup(connection.close)
        return connection

    def exchange(self, data):
        """The reply to `data` on a connection of its own; what is sent need not all be taken."""
        connection = self.raw()
        connection.try_send(data)
        return connection.read_reply()

    def register_bytes(self, id):
        return request_bytes("POST", "/register", {"id": id, "network": self.network})

    def assertServes(self):
        self.assertEqual(self.exchange(request_bytes("GET", "/healthz")).status, 200)

    def assertRefused(self, reply, status, code):
        check_problem(reply)
        self.assertProblem(reply, status, code)

    def only_reply(self, data):
        """The one reply to `data`, which asks to close: whole, and with nothing behind it."""
        connection = self.raw()
        connection.try_send(data)
        answer = connection.read_to_end()
        self.assertTrue(answer.startswith(b"HTTP/1.1 "), answer[:200])
        self.assertEqual(answer.count(b"HTTP/1."), 1, answer)
        head, _, body = answer.partition(b"\r\n\r\n")
        reply = parse_head(head)
        self.assertEqual(int(reply.headers["Content-Length"]), len(body), answer)
        reply.body = body
        return reply
