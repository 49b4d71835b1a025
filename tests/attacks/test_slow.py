"""Slow in everything, and many of them: headers, bodies, and the reading of replies. Each takes as
long as the deadline that ends it, so all run at the same time, each with an index of its own."""

import contextlib
import time

from tests.lib.attack import SMALL_WINDOW, AttackCase, big_nodes, readable, request
from tests.lib.case import concurrently
from tests.lib.index import Stopwatch

HEADERS_S, BODY_S, REPLY_S = 10, 20, 60  # the deadlines
SLACK_S = 25  # of a loaded machine
BYTE_EVERY_S = 1


@concurrently
class TestSlow(AttackCase):
    def assertCutWhileTrickling(self, connections, deadline_s, byte):
        """A byte a second to each; all are closed at their deadline, and none got an answer."""
        end = time.monotonic() + deadline_s + SLACK_S
        left = list(connections)
        while left:
            self.assertLess(time.monotonic(), end, f"{len(left)} are not cut")
            turn = time.monotonic() + BYTE_EVERY_S
            for connection in left:
                with contextlib.suppress(OSError):
                    connection.send(byte)
            while left and (ready := readable(left, max(0, turn - time.monotonic()))):
                for connection in ready:
                    with contextlib.suppress(ConnectionResetError):
                        self.assertNotIn(b"HTTP/1.1 2", connection.recv(65536))
                    connection.close()
                left = [connection for connection in left if connection not in set(ready)]

    def test_headers_of_a_byte_a_second_are_cut(self):
        with self.attack("headers, a byte a second") as attack:
            connections = [self.comes(number % 10) for number in range(2_000)]
            for connection in connections:
                connection.send(b"GET /list HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            attack.what = f"{len(connections)} connections"
            self.assertCutWhileTrickling(connections, HEADERS_S, b"x")

    def test_bodies_of_a_byte_a_second_are_cut(self):
        """60 KB of each body come at once: what is kept of them has a cap in all."""
        length = 60_000
        head = (b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % length)
        with self.attack("bodies, a byte a second") as attack:
            connections = [self.comes(number % 40) for number in range(2_000)]
            for connection in connections:
                connection.sendall(head + b" " * (length - 100))
            attack.what = f"{len(connections)} connections, {len(connections) * length >> 20} MB"
            self.assertCutWhileTrickling(connections, BODY_S, b" ")

    def test_replies_that_nobody_reads_take_no_room(self):
        """Whole lists of 1 MiB, three to a connection, so that the kernel cannot take them."""
        with self.attack("lists of 1 MB, not read") as attack:
            big_nodes(self, "big", 250)
            connections = []
            for number in range(1_000):
                connection = self.comes(number % 40, SMALL_WINDOW)
                connection.sendall(request("GET", "/list?network=big&limit=1000") * 3)
                connections.append(connection)
            self.settle()
            attack.what = f"{len(connections)} connections"
            # Who reads is served meanwhile: in as many pages as it takes.
            self.assertEqual(self.list_all("big"), 250)
            for connection in connections:
                connection.close()

    def list_all(self, network):
        """How many nodes are listed, page by page."""
        count, after = 0, None
        while True:
            page = self.list(network=network, limit=1000, after=after)
            count += len(page["nodes"])
            if not page["more"]:
                return count
            after = page["nodes"][-1]["id"]

    def test_replies_read_a_byte_a_second_are_cut(self):
        with self.attack("replies, read a byte a second") as attack:
            big_nodes(self, "big", 250)
            self.settle()
            before = self.descriptors()
            connections = [self.comes(number, SMALL_WINDOW)
                           for number in range(20)]
            for connection in connections:
                connection.sendall(request("GET", "/list?network=big&limit=1000") * 20)
            attack.what = f"{len(connections)} connections"
            self.settle()
            self.assertGreater(self.descriptors(), before + len(connections) // 2)
            watch = Stopwatch()
            while self.descriptors() > before:
                self.assertLess(watch.elapsed(), REPLY_S + SLACK_S, "they are not cut")
                for connection in connections:
                    with contextlib.suppress(ConnectionError):
                        connection.recv(1)
                time.sleep(BYTE_EVERY_S)
            self.assertGreater(watch.elapsed(), REPLY_S - 5, "they are cut too soon")
            for connection in connections:
                connection.close()
