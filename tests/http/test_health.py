"""Alive and ready, and how an index ends whose clients do not take what they asked for."""

import resource
import socket

from tests.lib.case import HttpCase
from tests.lib.index import Index

# Far more than what sockets hold: a script of the index's, again and again.
UNREAD_REQUESTS = 400


class TestHealth(HttpCase):
    def setUp(self):
        super().setUp()
        self.start()

    def test_index_says_that_it_is_alive_and_ready(self):
        for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
            with self.subTest(path=path):
                reply = self.client.get(path)
                self.assertEqual(reply.status, 200, reply)
                self.assertEqual(reply.json(), {"status": status})
                self.assertEqual(reply.headers["Cache-Control"], "no-store")
                self.assertEqual(self.client.request("HEAD", path).status, 200)

    def test_health_takes_nothing_but_get(self):
        for path in ("/healthz", "/readyz"):
            with self.subTest(path=path):
                reply = self.client.delete(path)
                self.assertProblem(reply, 405, "bad_method")
                self.assertEqual(reply.words("Allow"), {"get", "head", "options"})


class TestQuery(HttpCase):
    def setUp(self):
        super().setUp()
        self.start()

    def test_what_is_given_twice_is_named(self):
        for name, value in (("limit", "1"), ("wait", "0"), ("network", "a"), ("after", "a")):
            with self.subTest(name=name):
                reply = self.client.get(f"/list?{name}={value}&{name}={value}")
                self.assertProblem(reply, 400, "bad_request")
                self.assertIn(name, reply.json()["detail"])

    def test_what_is_unknown_may_be_given_twice(self):
        self.assertEqual(self.client.get("/list?x=1&x=2&y&=").status, 200)

    def test_name_without_a_value_is_an_empty_one(self):
        for query in ("wait", "limit", "wait="):
            with self.subTest(query=query):
                self.assertProblem(self.client.get("/list?" + query), 400, "bad_request")


class TestReluctantClient(HttpCase):
    def test_sigterm_waits_for_no_one_who_does_not_read(self):
        self.start()
        reader = socket.socket()
        self.addCleanup(reader.close)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((self.index.host, self.index.port))
        reader.sendall(b"GET /signpost.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * UNREAD_REQUESTS)
        # Once it has begun to answer, and others are answered, it is in the middle of this.
        self.assertEqual(reader.recv(12), b"HTTP/1.1 200")
        self.assertEqual(self.client.get("/healthz").status, 200)
        self.assertEqual(self.index.stop(), 0)
        self.assertIn("stop_cut", self.index.log())


class TestDescriptors(HttpCase):
    def test_soft_limit_is_raised_to_the_hard_one(self):
        hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096)
        limits = f'ulimit -S -n 128; ulimit -H -n {hard}; exec "$@"'
        with Index(wrapper=("sh", "-c", limits, "sh")) as index:
            with open(f"/proc/{index.pid}/limits", encoding="ascii") as file:
                line = next(line for line in file if line.startswith("Max open files"))
            self.assertEqual(line.split()[3:5], [str(hard), str(hard)])
            self.assertIn("caps_lowered", index.log())
