"""Behind a real nginx, with the configuration of docs/nginx.conf: who the client is, and what it may
pretend to be."""

import os
import unittest

from tests.lib import proxycase
from tests.lib.case import AT_ONCE_S, HttpCase, some_id
from tests.lib.http import Client, url
from tests.lib.index import ROOT, Stopwatch
from tests.lib.nginx import Nginx, free_port
from tests.lib.proxycase import FOREIGN, ONE, OTHER

OUTER = "127.0.0.31"  # from where a proxy in front of the first calls it


def documented(index_port, port, certificate):
    """docs/nginx.conf with the ports and files of a test."""
    with open(os.path.join(ROOT, "docs", "nginx.conf"), encoding="utf-8") as file:
        text = file.read()
    for old, new in (("127.0.0.1:7117;\n    keepalive", f"127.0.0.1:{index_port};\n    keepalive"),
                     ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
                     ("/etc/ssl/index.example.pem", certificate.certificate),
                     ("/etc/ssl/index.example.key", certificate.key)):
        assert old in text, old
        text = text.replace(old, new)
    return text


def hop(port, to, extra=""):
    """A plain one, which appends to what it was given."""
    return (f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {to}; "
            "proxy_http_version 1.1; proxy_set_header Host $host; proxy_read_timeout 75s; "
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; " + extra + " } }")


class ProxyCase(HttpCase):
    def proxy(self, http, port):
        nginx = Nginx(http, port)
        self.addCleanup(nginx.close)
        return nginx

    def through(self, nginx, source=ONE, **options):
        client = Client(nginx, source=source, **options)
        self.addCleanup(client.close)
        return client

    def you(self, client, **options):
        reply = client.post("/register", {"id": some_id(), "network": self.network}, **options)
        self.assertEqual(reply.status, 201, reply)
        return reply["you"]["address"]


class TestDocumented(proxycase.DocumentedCase):
    def setUp(self):
        super().setUp()
        self.begin(Nginx, documented)


class TestLimitsAreThoseOfTheClient(ProxyCase):
    def begin(self, *options):
        self.start("--trust-proxy", "127.0.0.1/32", "--open", *options, rate=None)
        port = free_port()
        self.nginx = self.proxy(hop(port, f"http://127.0.0.1:{self.index.port}"), port)

    def statuses(self, source, times=10):
        client = self.through(self.nginx, source)
        return [client.get("/list").status for _ in range(times)]

    def test_rate_is_that_of_the_client(self):
        self.begin("--rate", "1")
        self.assertIn(429, self.statuses(ONE))
        self.assertEqual(self.statuses(OTHER, 2), [200, 200])

    def test_nodes_are_those_of_the_client(self):
        self.begin("--rate", "1000", "--max-nodes-per-address", "2")
        for source in (ONE, OTHER):
            client = self.through(self.nginx, source)
            replies = [client.post("/register", {"id": some_id(), "network": self.network})
                       for _ in range(3)]
            self.assertEqual([reply.status for reply in replies], [201, 201, 429])

    def test_polls_are_those_of_the_client(self):
        self.begin("--rate", "1000", "--max-waiters-per-address", "1")
        self.client = self.connect()
        cursor = self.list()["cursor"]
        target = url("/list", network=self.network, since=cursor, wait=50)
        first = self.through(self.nginx).send("GET", target)
        self.settle()
        watch = Stopwatch()
        past = self.through(self.nginx).get(target)
        self.assertEqual(past.status, 200)
        self.assertIn("Retry-After", past.headers)
        self.assertLess(watch.elapsed(), AT_ONCE_S)
        other = self.through(self.nginx, OTHER).send("GET", target)
        self.node("news")
        self.assertNotIn("Retry-After", other.reply().headers)
        self.assertNotIn("Retry-After", first.reply().headers)

    def test_proxy_has_as_many_connections_as_it_needs(self):
        self.begin("--rate", "1000", "--max-connections-per-address", "2")
        self.client = self.connect()
        cursor = self.list()["cursor"]
        target = url("/list", network=self.network, since=cursor, wait=1)
        polls = [self.through(self.nginx, f"127.0.0.{n}").send("GET", target)
                 for n in range(40, 48)]
        self.assertEqual([poll.reply().status for poll in polls], [200] * 8)


class TestHops(ProxyCase):
    """A proxy in front of the proxy, which calls it from OUTER."""

    def begin(self, *trusted):
        options = [word for address in trusted for word in ("--trust-proxy", address)]
        self.start(*options, "--open")
        inner, outer = free_port(), free_port()
        self.inner = self.proxy(hop(inner, f"http://127.0.0.1:{self.index.port}"), inner)
        self.outer = self.proxy(
            hop(outer, f"http://127.0.0.1:{inner}", f"proxy_bind {OUTER};"), outer)

    def test_client_is_the_one_before_the_last_trusted_proxy(self):
        self.begin("127.0.0.1", OUTER)
        self.assertEqual(self.you(self.through(self.outer)), ONE)
        self.assertEqual(self.you(self.through(self.inner)), ONE)
        self.assertEqual(self.you(self.through(self.outer),
                                  headers={"X-Forwarded-For": f"{FOREIGN}, 127.0.0.1"}), ONE)

    def test_client_of_a_proxy_that_is_not_trusted_is_that_proxy(self):
        self.begin("127.0.0.1")
        self.assertEqual(self.you(self.through(self.outer)), OUTER)
        self.assertEqual(self.you(self.through(self.outer),
                                  headers={"X-Forwarded-For": FOREIGN}), OUTER)

    def test_no_proxy_is_trusted_unasked(self):
        self.begin()
        self.assertEqual(self.you(self.through(self.outer)), "127.0.0.1")

    def test_many_hops_are_read_from_the_right(self):
        self.begin("127.0.0.1", OUTER)
        many = ", ".join([FOREIGN] + [OUTER] * 100)
        self.assertEqual(self.you(self.through(self.outer), headers={"X-Forwarded-For": many}), ONE)


class TestLoopback(ProxyCase):
    def test_index_for_this_machine_is_not_let_out_by_a_proxy(self):
        self.start("--trust-proxy", "127.0.0.1")
        port = free_port()
        nginx = self.proxy(hop(port, f"http://127.0.0.1:{self.index.port}"), port)
        client = self.through(nginx)
        self.assertProblem(client.get("/list", headers={"Host": "index.example"}),
                           403, "foreign_host")
        self.assertProblem(client.get("/list", headers={"Origin": "https://index.example"}),
                           403, "foreign_host")


if __name__ == "__main__":
    unittest.main()
