"""The test case of a documented reverse proxy that ends TLS: what any of them has to leave as it
is. Import the module, not the class, or it is run as a test itself."""

import concurrent.futures
import http.client
import json
import ssl
import tempfile

from tests.lib.case import HttpCase, some_id
from tests.lib.certificate import Certificate
from tests.lib.http import url
from tests.lib.nginx import free_port

ONE, OTHER = "127.0.0.21", "127.0.0.22"  # clients
FOREIGN = "203.0.113.9"


class DocumentedCase(HttpCase):
    def begin(self, proxy, documented):
        """An index, and before it what `proxy` makes of a configuration and a port."""
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.certificate = Certificate(folder.name)
        self.start("--trust-proxy", "127.0.0.1/32", "--open", "--rate", "1000")
        self.proxy_port = free_port()
        running = proxy(documented(self.index.port, self.proxy_port, self.certificate),
                        self.proxy_port)
        self.addCleanup(running.close)

    def secure(self, source=ONE):
        connection = http.client.HTTPSConnection(
            "localhost", self.proxy_port, timeout=30, source_address=(source, 0),
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
