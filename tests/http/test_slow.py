"""Those who send slowly, or not at all, are cut by hard deadlines. It takes as long as those: the
tests of a class run at the same time."""

from tests.lib.case import concurrently
from tests.lib.index import Stopwatch
from tests.lib.raw import request_bytes
from tests.lib.rawcase import RawCase

HEADERS_S, BODY_S = 10, 20  # the deadlines
SLACK_S = 15  # of a loaded machine
TURN_S = 0.2


class TestShorter(RawCase):
    arguments = ("--headers-timeout", "1", "--body-timeout", "2")

    def test_deadlines_are_options(self):
        for sent, least in ((b"GET /list HTTP/1.1\r\n", 0.9),
                            (self.register_bytes("half")[:-1], 1.9)):
            watch = Stopwatch()
            connection = self.raw()
            connection.send(sent)
            self.assertIsNotNone(connection.wait_for(HEADERS_S - 1))
            self.assertGreater(watch.elapsed(), least)


@concurrently
class TestSlow(RawCase):
    def assertCut(self, connection, deadline, act):
        """Nothing but an error comes, about when it should; `act` is done all the while."""
        watch = Stopwatch()
        came = None
        while came is None and watch.elapsed() < deadline + SLACK_S:
            act()
            came = connection.wait_for(TURN_S)
        self.assertIsNotNone(came, f"nothing came within {deadline + SLACK_S} s")
        self.assertNotIn(b"HTTP/1.1 2", came)
        self.assertGreater(watch.elapsed(), deadline - 2)

    def ask(self):
        """The request of somebody else: the loop has no second of peace."""
        self.assertEqual(self.client.get("/healthz").status, 200)

    def test_slow_header_is_cut_however_it_trickles(self):
        connection = self.raw()
        trickle = iter(request_bytes("GET", "/healthz", headers=["X-Slow: " + "x" * 200]))
        self.assertCut(connection, HEADERS_S, lambda: connection.try_send(bytes([next(trickle)])))

    def test_header_without_end_is_cut_while_others_are_served(self):
        connection = self.raw()
        connection.send(b"GET /list HTTP/1.1\r\nHo")
        self.assertCut(connection, HEADERS_S, self.ask)

    def test_connection_without_a_byte_is_cut_while_others_are_served(self):
        self.assertCut(self.raw(), HEADERS_S, self.ask)

    def test_body_without_end_is_cut_while_others_are_served(self):
        connection = self.raw()
        connection.send(self.register_bytes("half")[:-1])
        self.assertCut(connection, BODY_S, self.ask)
        self.assertProblem(self.look_up("half"), 404, "unknown_node")

    def test_body_that_trickles_is_cut(self):
        connection = self.raw()
        connection.send(request_bytes("POST", "/register", headers=[
            "Content-Type: application/json", "Content-Length: 1000"]))
        self.assertCut(connection, BODY_S, lambda: connection.try_send(b" "))
