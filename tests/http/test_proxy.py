"""Behind a real nginx, with the configuration of docs/nginx.conf: who the client is, and what it may
pretend to be."""

import concurrent.futures
import http.client
import json
import os
import ssl
import tempfile
import unittest

from tests.lib.case import HttpCase, some_id
from tests.lib.certificate import Certificate
from tests.lib.http import Client, url
from tests.lib.index import ROOT, Stopwatch
from tests.lib.nginx import Nginx, free_port

ONE, OTHER = "127.0.0.21", "127.0.0.22"  # clients
OUTER = "127.0.0.31"                     # from where a proxy in front of the first calls it
FOREIGN = "203.0.113.9"


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


class TestDocumented(ProxyCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.certificate = Certificate(folder.name)
        self.start("--trust-proxy", "127.0.0.1/32", "--open", "--rate", "1000")
        port = free_port()
        self.nginx = self.proxy(documented(self.index.port, port, self.certificate), port)

    def secure(self, source=ONE):
        connection = http.client.HTTPSConnection(
            "localhost", self.nginx.port, timeout=30, source_address=(source, 0),
            context=ssl.create_default_context(cafile=self.certificate.certificate))
        self.addCleanup(connection.close)
        return connection

    def ask(self, connection, method, target, body=None, **headers):
        connection.request(method, target, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json", **headers})
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, json.loads(content) if content else None

    def test_client_is_the_one_before_the_proxy(self):
        connection = self.secure()
        status, made = self.ask(connection, "POST", "/register", {
            "id": "a", "network": self.network, "endpoints": ["grpc://:50051"]})
        self.assertEqual((status, made["you"]["address"]), (201, ONE))
        self.assertEqual(made["endpoints"], [f"grpc://{ONE}:50051"])
        other = self.secure(OTHER)
        bearer = {"Authorization": "Bearer " + made["token"]}
        status, beat = self.ask(other, "POST", "/heartbeat", {}, **bearer)
        self.assertEqual(beat["you"]["address"], OTHER)
        self.assertEqual(self.view("a")["endpoints"], [f"grpc://{OTHER}:50051"])
        sent = self.ask(connection, "POST", "/mailbox/a",
                        {"id": "m", "type": "offer", "body": {}}, **bearer)
        self.assertEqual(sent[0], 202)
        status, mail = self.ask(other, "GET", "/mailbox/a", **bearer)
        self.assertEqual(mail["messages"][0]["from_address"], ONE)

    def test_headers_of_the_client_are_no_proof(self):
        for headers in ({"X-Forwarded-For": FOREIGN}, {"Forwarded": "for=" + FOREIGN},
                        {"X-Forwarded-For": f"{FOREIGN}, {OTHER}", "Forwarded": "for=x"},
                        {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-For": "x" * 2000},
                        {"X-Real-IP": FOREIGN}, {"Forwarded": 'for="[::1]";for=1.2.3.4'}):
            with self.subTest(headers=headers):
                status, made = self.ask(self.secure(), "POST", "/register", {
                    "id": some_id(), "network": self.network}, **headers)
                self.assertEqual((status, made["you"]["address"]), (201, ONE))

    def test_poll_waits_through_the_proxy_and_is_woken(self):
        cursor = self.list()["cursor"]
        target = url("/list", network=self.network, since=cursor, wait=50)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            polls = [pool.submit(self.ask, self.secure(), "GET", target) for _ in range(8)]
            while self.parked_connections() < 8:
                pass
            self.node("woken")
            for poll in polls:
                status, body = poll.result(30)
                self.assertEqual((status, [n["id"] for n in body["nodes"]]), (200, ["woken"]))

    def parked_connections(self):
        """Established to the index, as the kernel counts them, but for the test's own."""
        local = f":{self.index.port:04X}"
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
        return sum(row[1].endswith(local) and row[3] == "01" for row in rows) - 1

    def test_connections_to_the_index_are_kept(self):
        connection = self.secure()
        for _ in range(20):
            self.assertEqual(self.ask(connection, "GET", "/healthz")[0], 200)
        self.assertLessEqual(self.parked_connections(), 2)

    def test_errors_and_preflights_pass_unchanged(self):
        status, problem = self.ask(self.secure(), "GET", "/nodes/none?network=" + self.network)
        self.assertEqual((status, problem["code"]), (404, "unknown_node"))
        connection = self.secure()
        connection.request("OPTIONS", "/register", headers={
            "Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
        reply = connection.getresponse()
        reply.read()
        self.assertEqual(reply.status, 204)
        self.assertEqual(reply.headers["Access-Control-Allow-Origin"], "*")

    def test_largest_message_fits(self):
        status, made = self.ask(self.secure(), "POST", "/register",
                                {"id": "a", "network": self.network})
        sent, answer = self.ask(self.secure(), "POST", "/mailbox/a", {
            "id": "m", "type": "offer", "body": "x" * 65000},
            Authorization="Bearer " + made["token"])
        self.assertEqual(sent, 202, answer)


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
        target = url("/list", network=self.network, since=cursor, wait=2)
        first = self.through(self.nginx).send("GET", target)
        self.settle()
        watch = Stopwatch()
        past = self.through(self.nginx).get(target)
        self.assertEqual(past.status, 200)
        self.assertIn("Retry-After", past.headers)
        self.assertLess(watch.elapsed(), 1.9)
        other = self.through(self.nginx, OTHER).send("GET", target)
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
