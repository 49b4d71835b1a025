"""Every limit that a client can meet is counted under its own name, once each time."""

import secrets
import socket
import ssl
import tempfile

from tests.http.test_stun import BURST, StunCase, request
from tests.lib.case import some_id
from tests.lib.http import url
from tests.lib.keys import KeysFile, reload
from tests.lib.metrics import MetricsCase, read_metrics, wait_for_metrics
from tests.lib.raw import RawSocket
from tests.lib.tlscase import TlsCase

OPS = ("--ops-listen", "127.0.0.1:0")
HITS = "signpost_limit_hits_total"


class TestNodes(MetricsCase):
    def register(self, client=None):
        body = {"id": some_id(), "network": self.network}
        return (client or self.client).post("/register", body)

    def meets(self, limit, *options):
        self.start(*OPS, *options)
        self.assertEqual(self.register().status, 201)
        self.moves(self.register, **{f"limit_hits_total__{limit}": 1,
                                     "registrations_total__created": 0, "limit_hits_total": 1})

    def test_nodes_in_all(self):
        self.meets("nodes", "--max-nodes", "1")

    def test_nodes_of_a_network(self):
        self.meets("nodes_per_network", "--max-nodes-per-network", "1")

    def test_nodes_of_an_address(self):
        self.meets("nodes_per_address", "--max-nodes-per-address", "1")


class TestConnections(MetricsCase):
    def test_connections_of_an_address(self):
        self.start(*OPS, "--max-connections-per-address", "1")
        self.assertEqual(self.client.get("/list").status, 200)

        def one_more():
            with RawSocket(self.index) as connection:
                self.assertEqual(connection.read_reply().status, 429)
        self.moves(one_more, limit_hits_total__connections_per_address=1, http_connections_total=0)

    def test_polls_that_may_wait(self):
        for option, limit in (("--max-waiters", "waiters"),
                              ("--max-waiters-per-address", "waiters_per_address")):
            with self.subTest(limit=limit):
                self.polls_meet(option, limit)

    def polls_meet(self, option, limit):
        self.start(*OPS, option, "1")
        since = self.list()["cursor"]
        self.park_list(since)

        def one_more():
            reply = self.client.get(url("/list", network=self.network, since=since, wait=50))
            self.assertEqual(reply.status, 200)
        self.moves(one_more, **{f"limit_hits_total__{limit}": 1, "limit_hits_total": 1,
                                "parked_polls": 0})
        if option == "--max-waiters":
            self.assertEqual(read_metrics(self.index)["signpost_parked_polls_max"], 1)


class TestKeys(MetricsCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.keys = KeysFile(folder.name)
        self.keys.add("one", "default")

    def test_rate_of_a_key(self):
        self.start(*OPS, "--keys", self.keys.path, "--rate-per-credential", "1", rate=None)
        before = read_metrics(self.index)[HITS, "rate_per_credential"]
        refused = sum(self.client.get("/list", token=self.keys["one"]).status == 429
                      for _ in range(8))
        self.assertGreater(refused, 0)
        after = read_metrics(self.index)
        self.assertEqual(after[HITS, "rate_per_credential"] - before, refused)
        self.assertEqual(after[HITS, "rate"], 0)

    def test_node_whose_key_went_is_evicted(self):
        self.keys.add("two", "default")
        self.start(*OPS, "--keys", self.keys.path)
        body = {"id": some_id(), "token": secrets.token_urlsafe(32)}
        self.assertEqual(self.client.post("/register", body, token=self.keys["two"]).status, 201)
        self.keys.remove("two")
        reload(self.index)
        metrics = wait_for_metrics(self.index, "signpost_nodes_gone_total")
        self.assertEqual(metrics["signpost_nodes_gone_total", "evicted"], 1)
        self.assertEqual(metrics["signpost_nodes"], 0)


class TestChecks(MetricsCase):
    def test_checks_of_an_address(self):
        self.start(*OPS, "--check-private")
        before = read_metrics(self.index)
        with socket.socket() as closed:  # bound, so that nobody else listens there
            closed.bind(("127.0.0.1", 0))
            body = {"port": closed.getsockname()[1], "protocol": "tcp"}
            replies = [self.client.post("/check", {**body, "nonce": f"{number:032x}"})
                       for number in range(25)]
        refused = [reply for reply in replies if reply.status != 200]
        self.assertTrue(refused)
        for reply in refused:
            self.assertProblem(reply, 429, "check_limited")
        after = read_metrics(self.index)
        self.assertEqual(after[HITS, "checks"] - before[HITS, "checks"], len(refused))
        made = "signpost_dialbacks_total"
        self.assertEqual(after[made] - before[made], 25 - len(refused))


class TestStun(StunCase):
    def test_stun_answers_and_refusals(self):
        self.start(*OPS, "--stun", "127.0.0.1:0")
        port = int(self.index.log().partition("stun_listening")[2].partition("ports=")[2]
                   .partition(",")[0])
        server, link = ("127.0.0.1", port), self.link("127.0.0.5")
        self.asks(link, server)
        self.assertEqual(read_metrics(self.index)["signpost_stun_replies_total"], 1)
        for _ in range(4 * BURST):
            link.sendto(request(), server)
        self.asks(self.link("127.0.0.6"), server)  # what was sent before it was seen before
        metrics = read_metrics(self.index)
        self.assertGreater(metrics[HITS, "stun"], 0)
        # A flood may be lost on its way, but nothing is counted that did not come.
        self.assertLessEqual(metrics[HITS, "stun"] + metrics["signpost_stun_replies_total"],
                             4 * BURST + 2)


class TestTls(TlsCase):
    arguments = OPS
    rate = 2

    def test_handshakes_that_are_too_many_or_fail(self):
        with RawSocket(self.index) as connection:
            connection.send(b"\x16\x03\x01")
        failed = "signpost_tls_handshakes_failed_total"
        metrics = wait_for_metrics(self.index, failed)
        self.assertEqual((metrics[failed], metrics[HITS, "handshakes"]), (1, 0))
        refused = 0
        for _ in range(20):
            try:
                self.secure().connect()
            except (ssl.SSLError, ConnectionError):
                refused += 1
        self.assertGreater(refused, 0)
        self.assertEqual(read_metrics(self.index)[HITS, "handshakes"], refused)
