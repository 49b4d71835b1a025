"""What is counted by address is counted by IPv4 /32 and IPv6 /56, on a real network: requests,
STUN, connections, parked polls, nodes. One host plays all the strangers.

A bucket fills while the test runs. What is asserted holds however slow the machine is; a wrong
prefix violates it unless the machine is very slow."""

import collections
import contextlib
import os
import re
import socket
import struct
import time
import unittest

from tests.lib.http import Client, url
from tests.lib.index import Stopwatch
from tests.lib.lab import LabCase
from tests.lib.raw import RawSocket, request_bytes

Place = collections.namedtuple("Place", "host port")

INDEX = "2600:73:0:ff00::1"
BITS = "/48"  # all of them are on one link
ONE = ("2600:73:0:100::1", "2600:73:0:1ff:ffff:ffff:ffff:ffff")  # the ends of a /56
TWO = ("2600:73:0:2ff:ffff:ffff:ffff:ffff", "2600:73:0:300::")  # neighbours that are in two
SIX = "2600:73:0:400::1"
RATE = 5
STUN_RATE = 20
FLOOD = 300
JITTER_S = 2  # a Retry-After is up to so much longer than needed
ANSWER_S, SILENCE_S = 10, 0.3


class BucketCase(LabCase):
    nodes = ("strangers",)
    arguments = ("--listen", "[::]:0")

    def furnish(self):
        self.lab.ip("index", "address", "add", INDEX + BITS, "dev", "eth0", "nodad")
        for address in (*ONE, *TWO, SIX):
            self.lab.ip("strangers", "address", "add", address + BITS, "dev", "eth0", "nodad")
        fourth = [self.lab.new_address() for _ in range(4)]
        for address in fourth:
            self.lab.add_address("strangers", address)
        # Which pairs there are, and whether they are counted as one.
        self.pairs = (("of one /56", ONE, True), ("of two /56s", TWO, False),
                      ("of IPv4", fourth[:2], False), ("of two families", (SIX, fourth[2]), False))
        self.bystander = fourth[3]

    def setUp(self):
        super().setUp()
        (fourth, port), (_, port_6) = self.index.listeners
        self.index.listeners[1] = (INDEX, port_6)
        self.places = {False: Place(fourth, port), True: Place(INDEX, port_6)}
        self.acts_as("strangers")

    def stranger(self, address):
        client = Client(self.index, source=address, listener=int(":" in address))
        self.addCleanup(client.close)
        return client

    def raw(self, address):
        connection = RawSocket(self.places[":" in address], source=address)
        self.addCleanup(connection.close)
        return connection

    def assertBuckets(self, taken, same, rate, watch):
        """`taken`: how many requests of each of two were, who sent more than bursts."""
        burst = 2 * rate
        if same:
            self.assertGreaterEqual(sum(taken), burst)
            self.assertLessEqual(sum(taken), burst + rate * watch.elapsed() + 1)
        else:
            self.assertGreaterEqual(min(taken), burst)


class TestRequests(BucketCase):
    options = {"rate": RATE}

    def test_requests_are_counted_by_prefix_with_bursts_of_twice_the_rate(self):
        for name, pair, same in self.pairs:
            with self.subTest(pair=name):
                watch = Stopwatch()
                clients = [self.stranger(address) for address in pair]
                statuses = [[client.get("/list").status for client in clients]
                            for _ in range(3 * RATE)]
                self.assertLessEqual({status for row in statuses for status in row}, {200, 429})
                self.assertBuckets([column.count(200) for column in zip(*statuses)], same, RATE,
                                   watch)

    def test_request_of_one_alone_has_one_burst(self):
        watch, client = Stopwatch(), self.stranger(SIX)
        taken = [client.get("/list").status for _ in range(4 * RATE)].count(200)
        self.assertBuckets([taken], True, RATE, watch)

    def refusals(self, client, count):
        """So many, of one moment: when they came, and the seconds to wait."""
        told = []
        while len(told) < count:
            reply = client.get("/list")
            if reply.status != 200:
                self.assertEqual((reply.status, reply["code"], reply["action"]),
                                 (429, "rate_limited", "retry"), reply)
                told.append((Stopwatch(), int(reply.headers["Retry-After"])))
        return told

    def test_who_waits_as_told_is_taken_and_not_all_at_once(self):
        client = self.stranger(self.bystander)
        told = self.refusals(client, 2 * RATE)
        seconds = [wait for _, wait in told]
        self.assertGreater(len(set(seconds)), 1)
        self.assertLessEqual(set(seconds), set(range(1, 1 + JITTER_S + 1)))
        for since, wait in sorted(told, key=lambda refusal: refusal[1]):
            time.sleep(max(0, wait - since.elapsed()))
            self.assertEqual(client.get("/list").status, 200, f"after {wait} s")

    def test_stranger_that_is_limited_takes_nothing_from_another(self):
        for name, (one, other), same in self.pairs:
            if same:
                continue
            with self.subTest(pair=name):
                loud, quiet = self.raw(one), self.stranger(other)
                flood = request_bytes("GET", "/list")
                for _ in range(2 * RATE):
                    loud.send(flood * (FLOOD // (2 * RATE)))
                    self.assertEqual(quiet.get("/list").status, 200)
                replies = [loud.read_reply() for _ in range(FLOOD)]
                self.assertEqual({reply.status for reply in replies}, {200, 429})


class TestStun(BucketCase):
    def furnish(self):
        super().furnish()
        self.arguments = (*self.arguments, "--stun", f"{self.lab.addresses['index']}:0",
                          "--stun", f"[{INDEX}]:0")

    def servers(self):
        found = re.findall(r"stun_listening address=(\S+) ports=(\d+)", self.index.log())
        return {":" in address: (address.strip('"[]'), int(port)) for address, port in found}

    def link(self, address):
        link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                             socket.SOCK_DGRAM)
        self.addCleanup(link.close)
        link.bind((address, 0))
        return link

    def answers(self, link):
        """All that came."""
        link.settimeout(SILENCE_S)
        count = 0
        with contextlib.suppress(TimeoutError):
            while True:
                link.recv(2048)
                count += 1
        return count

    def test_stun_is_counted_by_prefix(self):
        servers = self.servers()
        for name, pair, same in self.pairs:
            with self.subTest(pair=name):
                watch, links = Stopwatch(), [self.link(address) for address in pair]
                for _ in range(3 * STUN_RATE):
                    for link, address in zip(links, pair):
                        link.sendto(struct.pack("!HHI", 1, 0, 0x2112A442) + os.urandom(12),
                                    servers[":" in address])
                self.assertBuckets([self.answers(link) for link in links], same, STUN_RATE, watch)


class TestCaps(BucketCase):
    arguments = (*BucketCase.arguments, "--max-connections-per-address", "8",
                 "--max-waiters-per-address", "3", "--max-nodes-per-address", "3")

    def assertAnswered(self, reply, refused, status, code):
        self.assertEqual(reply.status, 429 if refused else status, reply)
        if refused:
            self.assertEqual(reply["code"], code)

    def test_connections_are_counted_by_prefix(self):
        for name, pair, same in self.pairs:
            with self.subTest(pair=name):
                for number in range(8):
                    self.assertEqual(self.stranger(pair[number % 2]).get("/healthz").status, 200)
                reply = self.stranger(pair[0]).get("/healthz")
                self.assertAnswered(reply, same, 200, "too_many_connections")

    def test_nodes_are_counted_by_prefix(self):
        for name, pair, same in self.pairs:
            with self.subTest(pair=name):
                one, other = map(self.stranger, pair)
                for client in (one, other, other):
                    self.assertEqual(client.post("/register", {}).status, 201)
                self.assertAnswered(one.post("/register", {}), same, 201, "too_many_nodes")

    def parks(self, address, network):
        client = self.stranger(address)
        cursor = client.get(url("/list", network=network))["cursor"]
        return client.send("GET", url("/list", network=network, since=cursor, wait=50))

    def test_parked_polls_are_counted_by_prefix(self):
        for number, (name, pair, same) in enumerate(self.pairs):
            with self.subTest(pair=name):
                network = f"net-{number}"
                parked = []
                for address in (pair[0], pair[1], pair[1], pair[0]):
                    parked.append(self.parks(address, network))
                    self.settle()
                node = self.stranger(self.bystander).post(
                    "/register", {"id": "news", "network": network})
                self.assertEqual(node.status, 201, node)
                replies = [pending.reply() for pending in parked]
                waited = [[node["id"] for node in reply["nodes"]] == ["news"] for reply in replies]
                self.assertEqual(waited, [True, True, True, not same])
                self.assertEqual(["Retry-After" in reply.headers for reply in replies],
                                 [False, False, False, same])
                gone = self.stranger(self.bystander).delete(
                    url("/nodes/news", network=network), token=node["token"])
                self.assertEqual(gone.status, 204, gone)

    def settle(self):
        """After some round trips the one loop of the index has seen all that was sent before."""
        client = self.stranger(self.bystander)
        for _ in range(5):
            self.assertEqual(client.get("/healthz").status, 200)
        client.close()


if __name__ == "__main__":
    unittest.main()
