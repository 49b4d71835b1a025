"""POST /check: what the dial-back finds, and that no guard of it gives way."""

import hashlib
import hmac
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

from tests.lib.case import HttpCase, IndexCase
from tests.lib.http import REPLY_S
from tests.lib import index as process

PRIVATE = ("--check-private",)


def proof(nonce, port):
    message = f"signpost-check:{port}".encode()
    return hmac.new(bytes.fromhex(nonce), message, hashlib.sha256).hexdigest().encode()


class Service:
    """Something that listens on TCP: says `greeting`, and keeps all that it hears."""

    def __init__(self, case, address, greeting=b"", stays=True, backlog=16):
        self.socket = socket.create_server((address, 0), backlog=backlog)
        self.port = self.socket.getsockname()[1]
        self.greeting, self.stays = greeting, stays
        self.heard, self.peers = b"", []
        self.connected, self.closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        case.addCleanup(self.close)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(REPLY_S)
        self.socket.close()

    def _serve(self):
        while True:
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            with connection:
                self.peers.append(peer[0])
                self.connected.set()
                try:
                    self.talk(connection)
                    while self.stays and (piece := connection.recv(4096)):
                        self.heard += piece
                except OSError:
                    pass
                self.closed.set()

    def talk(self, connection):
        connection.sendall(self.greeting)


class Flooding(Service):
    """Says more than anyone asks for, until it is cut off."""

    said = 0

    def talk(self, connection):
        while True:
            self.said += connection.send(b"x" * 65536)


class Dribbling(Service):
    """A byte, and another one, for as long as it is let."""

    said = 0

    def talk(self, connection):
        while not select.select([connection], [], [], 0.3)[0]:
            connection.sendall(b"0")
            self.said += 1


class CheckTests:
    """What asks; for cases of both kinds."""

    def ask(self, port, client=None, **members):
        return (client or self.client).post("/check", self.question(port, **members))

    def question(self, port, **members):
        body = {"port": port, "protocol": "tcp", "nonce": secrets.token_hex(16), **members}
        return {name: value for name, value in body.items() if value is not None}

    def stranger(self, number):
        """A client at an address that no other test of the class has."""
        return self.connect(source=f"127.0.0.{number}")

    def asks(self, port, client=None, **members):
        reply = self.ask(port, client, **members)
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def silent(self, address):
        """Takes no connection: what is dialled there waits until it gives up."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind((address, 0))
        listener.listen(0)
        # Two fill the queue: the kernel drops what comes after them.
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self.addCleanup(filler.close)
        return listener.getsockname()[1]

    def pending(self, client, port, **members):
        return client.send("POST", "/check", self.question(port, **members))

    def wait_for_log(self, text, since=0):
        index = self.index
        with index._changed:
            found = index._changed.wait_for(
                lambda: any(text in line for line in index._lines[since:]), REPLY_S)
        self.assertTrue(found, f"no {text} in the log:\n{index.log()}")


class TestResults(CheckTests, IndexCase):
    arguments = PRIVATE

    def test_check_of_a_checker_is_open_and_verified(self):
        client = self.stranger(11)
        nonce = secrets.token_hex(16)
        service = Service(self, "127.0.0.11")
        service.greeting = proof(nonce, service.port)
        reply = self.asks(service.port, client, nonce=nonce)
        self.assertEqual((reply["result"], reply["verified"]), ("open", True))
        self.assertEqual(reply["target"], f"127.0.0.11:{service.port}")
        self.assertEqual((reply["dialed_from"], reply["contacted"]), ("127.0.0.1", True))
        self.assertGreaterEqual(reply["ms"], 0)
        self.assertEqual((reply["you"]["address"], reply["you"]["family"]), ("127.0.0.11", "ipv4"))
        self.assertTrue(service.closed.wait(REPLY_S))
        self.assertEqual((service.heard, service.peers), (b"", ["127.0.0.1"]))
        self.wait_for_log(f"check address=127.0.0.11 port={service.port} protocol=tcp result=open")

    def test_check_with_the_proof_of_another_port_is_not_verified(self):
        nonce = secrets.token_hex(16)
        service = Service(self, "127.0.0.12")
        service.greeting = proof(nonce, service.port + 1)
        reply = self.asks(service.port, self.stranger(12), nonce=nonce)
        self.assertEqual((reply["result"], reply["verified"]), ("connected", False))

    def test_check_with_a_proof_in_capitals_or_cut_short_is_not_verified(self):
        for number, change in ((13, bytes.upper), (14, lambda text: text[:63])):
            with self.subTest(number):
                nonce = secrets.token_hex(16)
                service = Service(self, f"127.0.0.{number}", stays=False)
                service.greeting = change(proof(nonce, service.port))
                reply = self.asks(service.port, self.stranger(number), nonce=nonce)
                self.assertEqual((reply["result"], reply["verified"]), ("connected", False))

    def test_check_of_a_silent_service_sends_it_nothing(self):
        service = Service(self, "127.0.0.15")
        reply = self.asks(service.port, self.stranger(15))
        self.assertEqual((reply["result"], reply["verified"]), ("connected", False))
        self.assertTrue(service.closed.wait(REPLY_S))
        self.assertEqual(service.heard, b"")

    def test_check_does_not_tell_what_a_service_said(self):
        service = Service(self, "127.0.0.16", greeting=b"SSH-2.0-private-banner\r\n" * 8)
        reply = self.ask(service.port, self.stranger(16))
        self.assertEqual(reply["result"], "connected")
        self.assertNotIn(b"banner", reply.body)
        self.assertNotIn("banner", self.index.log())
        self.assertTrue(service.closed.wait(REPLY_S))
        self.assertEqual(service.heard, b"")

    def test_check_of_a_flooding_service_takes_little(self):
        service = Flooding(self, "127.0.0.17")
        self.assertEqual(self.asks(service.port, self.stranger(17))["result"], "connected")
        self.assertTrue(service.closed.wait(REPLY_S))
        # What it has got rid of stands in its own sending buffer.
        self.assertLess(service.said, 16 * 1024 * 1024)

    def test_check_of_a_dribbling_service_ends(self):
        service = Dribbling(self, "127.0.0.18")
        self.assertEqual(self.asks(service.port, self.stranger(18))["result"], "connected")
        self.assertTrue(service.closed.wait(REPLY_S))
        self.assertLess(service.said, 64, "it was ended by its deadline, not by what it said")

    def test_check_where_nothing_listens_is_refused(self):
        with socket.create_server(("127.0.0.19", 0)) as once:
            port = once.getsockname()[1]
        self.assertEqual(self.asks(port, self.stranger(19))["result"], "refused")

    def test_check_where_nothing_answers_times_out(self):
        reply = self.asks(self.silent("127.0.0.20"), self.stranger(20), timeout=1)
        self.assertEqual((reply["result"], reply["verified"]), ("timeout", False))
        self.assertEqual(reply["dialed_from"], "127.0.0.1")

    def test_check_over_udp_sends_three_datagrams_with_the_nonce(self):
        for number, mute in ((21, False), (22, True)):
            with self.subTest(mute=mute), socket.socket(type=socket.SOCK_DGRAM) as service:
                service.bind((f"127.0.0.{number}", 0))
                nonce = secrets.token_hex(16)
                reply = self.asks(service.getsockname()[1], self.stranger(number), nonce=nonce,
                                  protocol="udp")
                self.assertEqual((reply["result"], reply["verified"]), ("sent", False))
                self.assertEqual(reply["dialed_from"], "127.0.0.1")
                # The answer comes after the last of them, and on one machine none is on its way.
                service.setblocking(False)
                heard = []
                while True:
                    try:
                        heard.append(service.recvfrom(2048))
                    except BlockingIOError:
                        break
                self.assertEqual([data for data, _ in heard], [nonce.encode()] * 3)
                self.assertEqual({peer[0] for _, peer in heard}, {"127.0.0.1"})

    def test_check_over_udp_where_nothing_listens_is_sent_too(self):
        with socket.socket(type=socket.SOCK_DGRAM) as once:
            once.bind(("127.0.0.23", 0))
            port = once.getsockname()[1]
        self.assertEqual(self.asks(port, self.stranger(23), protocol="udp")["result"], "sent")

    def test_check_from_another_address_that_is_not_there_gets_400(self):
        reply = self.ask(50051, self.stranger(24), **{"from": "other"})
        self.assertProblem(reply, 400, "bad_request")
        self.assertIn("no other IPv4 address", reply["detail"])

    def test_check_malformed_gets_400(self):
        for members in ({"port": 0}, {"port": 65536}, {"port": 1.5}, {"port": "1024"},
                        {"port": None}, {"protocol": "sctp"}, {"protocol": None}, {"nonce": None},
                        {"nonce": "00" * 15}, {"nonce": "00" * 17}, {"nonce": "AB" * 16},
                        {"nonce": "zz" * 16}, {"timeout": 0}, {"timeout": 5.1}, {"from": "mars"}):
            with self.subTest(members):
                reply = self.ask(**{"port": 50051, **members})
                self.assertProblem(reply, 400, "bad_request")
                [member] = members
                self.assertIn(f"`{member}`", reply["detail"])

    def test_check_with_a_bad_credential_is_refused(self):
        self.assertProblem(self.connect(token="short").post("/check", self.question(50051)), 401,
                           "bad_credential")

    def test_check_takes_post_alone(self):
        self.assertProblem(self.client.get("/check"), 405, "bad_method")


class TestOtherAddress(CheckTests, IndexCase):
    arguments = PRIVATE + ("--check-from", "127.0.0.1", "--check-from", "127.0.0.9")

    def test_check_dials_from_the_address_that_was_not_contacted(self):
        for wanted, address in ((None, "127.0.0.9"), ("other", "127.0.0.9"),
                                ("contacted", "127.0.0.1")):
            with self.subTest(wanted):
                service = Service(self, "127.0.0.11", stays=False)
                reply = self.asks(service.port, self.stranger(11), **{"from": wanted})
                self.assertEqual(reply["dialed_from"], address)
                self.assertEqual(reply["contacted"], wanted == "contacted")
                self.assertEqual(service.peers, [address])

    def test_check_over_udp_comes_from_the_other_address(self):
        with socket.socket(type=socket.SOCK_DGRAM) as service:
            service.bind(("127.0.0.12", 0))
            service.settimeout(REPLY_S)
            reply = self.asks(service.getsockname()[1], self.stranger(12), protocol="udp")
            self.assertEqual(reply["dialed_from"], "127.0.0.9")
            self.assertEqual(service.recvfrom(64)[1][0], "127.0.0.9")


class TestIpv6(CheckTests, HttpCase):
    def test_check_over_ipv6_is_open(self):
        self.start(*PRIVATE, listen=("[::1]:0",))
        nonce = secrets.token_hex(16)
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            port = listener.getsockname()[1]
            listener.settimeout(REPLY_S)
            pending = self.pending(self.client, port, nonce=nonce)
            connection = listener.accept()[0]
            with connection:
                connection.sendall(proof(nonce, port))
                reply = pending.reply()
        self.assertEqual((reply["result"], reply["target"]), ("open", f"[::1]:{port}"))
        self.assertEqual((reply["dialed_from"], reply["contacted"]), ("::1", True))
        self.assertEqual(reply["you"]["family"], "ipv6")


class TestStart(unittest.TestCase):
    def test_start_with_an_address_of_another_machine_fails(self):
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder:
            ended = process.run("--listen", "127.0.0.1:0", "--db", os.path.join(folder, "db"),
                                "--log-level", "error", "--check-from", "192.0.2.7")
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stderr, r"\A[^\n]*--check-from[^\n]*192\.0\.2\.7[^\n]*\n\Z")


class TestTargets(CheckTests, IndexCase):
    """Any address may be presented here; none of these is dialled."""

    arguments = ("--trust-proxy", "127.0.0.1", "--check-ports", "1024-65535",
                 "--check-ports", "443")

    def refused(self, address, port=50051, client=None):
        for header in ({"X-Forwarded-For": address},
                       {"Forwarded": f'for="[{address}]"' if ":" in address else f"for={address}"}):
            reply = (client or self.client).post(
                "/check", self.question(port), headers=header)
            self.assertProblem(reply, 403, "target_refused")
        return reply["detail"]

    def test_check_of_what_no_stranger_has_is_refused(self):
        for address in (
                "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                "100.127.255.255", "169.254.1.1", "0.0.0.0", "0.1.2.3", "127.0.0.5",
                "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.2.1",
                "198.51.100.7", "203.0.113.7", "198.18.0.1", "198.19.255.255", "192.0.0.8",
                "192.88.99.1", "::", "::1", "fe80::1", "fc00::1", "fdff::1", "ff02::1",
                "2001:db8::1", "3fff::1", "2002:808:808::1", "2001::1", "2001:0:808:808::1",
                "2001:2::1", "64:ff9b::808:808", "64:ff9b:1::808:808", "::ffff:10.0.0.1",
                "::ffff:127.0.0.1", "::ffff:192.0.2.1", "::ffff:c0a8:101", "::10.0.0.1",
                "::ffff:0:10.0.0.1", "100::1", "4000::1", "1fff::1", "fec0::1", "5f00::1"):
            with self.subTest(address):
                self.assertIn("dial", self.refused(address))

    def test_check_of_a_low_port_is_refused_unless_allowed(self):
        for port in (1, 22, 80, 442, 444, 1023):
            with self.subTest(port):
                self.assertIn(f"port {port}", self.refused("8.8.8.8", port))

    def test_check_of_a_proxy_itself_is_refused(self):
        reply = self.ask(50051)
        self.assertProblem(reply, 403, "target_refused")
        self.assertIn("X-Forwarded-For", reply["detail"])

    def test_check_believes_no_header_of_a_stranger(self):
        for name, value in (("X-Forwarded-For", "8.8.8.8"), ("Forwarded", "for=8.8.8.8"),
                            ("X-Real-IP", "8.8.8.8")):
            with self.subTest(name):
                reply = self.stranger(77).post(
                    "/check", self.question(50051), headers={name: value})
                self.assertProblem(reply, 403, "target_refused")
                self.assertIn("127.0.0.77", reply["detail"])

    def test_check_of_this_machine_itself_is_refused(self):
        self.assertIn("loopback", self.refused("127.0.0.77"))


class TestPrivateTargets(CheckTests, IndexCase):
    arguments = PRIVATE + ("--trust-proxy", "127.0.0.1")

    def test_check_of_private_lifts_nothing_else(self):
        for address in ("192.0.2.1", "169.254.1.1", "fe80::1", "2002:a00:1::1", "::10.0.0.1",
                        "64:ff9b::a00:1", "224.0.0.1", "0.0.0.0"):
            with self.subTest(address):
                reply = self.client.post(
                    "/check", self.question(50051), headers={"X-Forwarded-For": address})
                self.assertProblem(reply, 403, "target_refused")

    def test_check_behind_a_proxy_contacted_nothing(self):
        service = Service(self, "127.0.0.31", stays=False)
        reply = self.client.post("/check", self.question(service.port),
                                 headers={"X-Forwarded-For": "127.0.0.31"})
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(reply["target"], f"127.0.0.31:{service.port}")
        self.assertFalse(reply["contacted"])


class TestOwnAddress(CheckTests, HttpCase):
    """In a network of its own, where the index has addresses that a test may give it."""

    OWN = ("10.77.0.1", "73.0.0.1", "fd77::1")

    def setUp(self):
        super().setUp()
        if os.geteuid() or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
            self.skipTest("only root makes a network")
        script = "ip link set lo up; for a; do [ $a = -- ] && break; shift; " \
                 "ip addr add $a dev lo nodad; done; shift; exec \"$@\""
        self.index = process.Index(
            *PRIVATE, "--trust-proxy", "127.0.0.1",
            wrapper=("unshare", "-n", "sh", "-c", script, "sh", *self.OWN, "--"))
        self.addCleanup(self.index.close)
        self.index.start()

    def test_check_of_the_index_own_address_is_refused(self):
        for address in self.OWN:
            with self.subTest(address):
                ended = subprocess.run(
                    ["nsenter", "-t", str(self.index.pid), "-n", "curl", "-s", "--json",
                     json.dumps(self.question(50051)), "-H", f"X-Forwarded-For: {address}",
                     f"http://127.0.0.1:{self.index.port}/check"],
                    capture_output=True, timeout=REPLY_S, check=True)
                reply = json.loads(ended.stdout)
                self.assertEqual(reply["code"], "target_refused")
                self.assertIn("own address", reply["detail"])


class TestLimits(CheckTests, HttpCase):
    def setUp(self):
        super().setUp()
        self.start(*PRIVATE)

    def limited(self, reply, words, most_s):
        self.assertProblem(reply, 429, "check_limited")
        self.assertIn(words, reply["detail"])
        self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)
        self.assertLessEqual(int(reply.headers["Retry-After"]), most_s + 3)

    def test_check_with_a_nonce_of_before_gets_409_from_anyone(self):
        nonce = secrets.token_hex(16)
        with socket.create_server(("127.0.0.1", 0)) as once:
            port = once.getsockname()[1]
        self.asks(port, self.stranger(11), nonce=nonce)
        for number, members in ((11, {}), (12, {}), (11, {"protocol": "udp"})):
            reply = self.ask(port, self.stranger(number), nonce=nonce, **members)
            self.assertProblem(reply, 409, "nonce_used")

    def test_check_of_one_address_runs_one_of_a_protocol_at_a_time(self):
        service = Service(self, "127.0.0.11")
        first = self.pending(self.stranger(11), service.port)
        self.assertTrue(service.connected.wait(REPLY_S))
        self.limited(self.ask(service.port, self.stranger(11)), "at a time", 8)
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.11", 0))
            datagrams.settimeout(REPLY_S)
            port = datagrams.getsockname()[1]
            second = self.pending(self.stranger(11), port, protocol="udp")
            datagrams.recv(64)
            self.limited(self.ask(port, self.stranger(11), protocol="udp"), "at a time", 8)
            self.assertEqual(second.reply()["result"], "sent")
        self.assertEqual(first.reply()["result"], "connected")
        self.assertEqual(self.asks(self.closed_port(11), self.stranger(11))["result"], "refused")

    def closed_port(self, number):
        with socket.create_server((f"127.0.0.{number}", 0)) as once:
            return once.getsockname()[1]

    def test_check_of_one_address_runs_twenty_a_minute(self):
        port = self.closed_port(11)
        client = self.stranger(11)
        for _ in range(20):
            self.assertEqual(self.asks(port, client)["result"], "refused")
        self.limited(self.ask(port, client), "20 checks a minute", 60)
        self.assertEqual(self.asks(port, self.stranger(12))["result"], "refused")

    def test_check_of_one_address_dials_eight_ports_an_hour(self):
        client = self.stranger(11)
        ports = set()
        while len(ports) < 9:
            ports.add(self.closed_port(11))
        *first, last = ports
        for port in first:
            self.asks(port, client)
        self.limited(self.ask(last, client), "8 different ports", 3600)
        self.assertEqual(self.asks(first[0], client)["result"], "refused")

    def test_checks_of_a_hundred_strangers_are_bounded(self):
        port = self.silent_everywhere()
        pending = [self.pending(self.stranger(number), port, timeout=5)
                   for number in range(11, 111)]
        busy = [reply for reply in self.answers_that_come_first(pending, 36)]
        self.assertEqual(self.client.get("/healthz").status, 200)
        for reply in busy:
            self.assertProblem(reply, 503, "index_full")
            self.assertIn("Retry-After", reply.headers)
        rest = [each.reply() for each in pending if each]
        self.assertEqual({(reply.status, reply["result"]) for reply in rest}, {(200, "timeout")})
        self.assertEqual(len(rest), 64)

    def answers_that_come_first(self, pending, count):
        replies = []
        while len(replies) < count:
            sockets = {each._connection.sock: i for i, each in enumerate(pending) if each}
            ready = select.select(list(sockets), [], [], REPLY_S)[0]
            self.assertTrue(ready, f"only {len(replies)} were answered")
            for each in ready[:count - len(replies)]:
                replies.append(pending[sockets[each]].reply())
                pending[sockets[each]] = None
        return replies

    def silent_everywhere(self):
        """A port that all of this machine's addresses have, and that takes no connection."""
        return self.silent("0.0.0.0")

    def test_check_of_all_strangers_runs_a_hundred_and_twenty_a_minute(self):
        with socket.create_server(("0.0.0.0", 0)) as once:
            port = once.getsockname()[1]
        for number in range(11, 131):
            self.assertEqual(self.asks(port, self.stranger(number))["result"], "refused")
        self.limited(self.ask(port, self.stranger(131)), "120 checks a minute in all", 60)

    def test_check_of_a_client_that_vanishes_is_called_off(self):
        service = Service(self, "127.0.0.11")
        client = self.stranger(11)
        pending = self.pending(client, service.port)
        self.assertTrue(service.connected.wait(REPLY_S))
        pending.vanish()
        self.assertTrue(service.closed.wait(REPLY_S))
        self.wait_for_log("result=cut")
        self.assertEqual(self.asks(self.closed_port(11), self.stranger(11))["result"], "refused")

    def test_check_under_way_is_answered_when_the_index_stops(self):
        service = Service(self, "127.0.0.11")
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.12", 0))
            datagrams.settimeout(REPLY_S)
            pending = [
                self.pending(self.stranger(11), service.port),
                self.pending(self.stranger(12), datagrams.getsockname()[1], protocol="udp"),
                self.pending(self.stranger(13), self.silent("127.0.0.13")),
            ]
            datagrams.recv(64)
            self.assertTrue(service.connected.wait(REPLY_S))
            self.settle()
            self.assertEqual(self.index.stop(), 0)
        for each in pending:
            reply = each.reply()
            self.assertProblem(reply, 503, "not_ready")
            self.assertEqual(reply.headers["Connection"].lower(), "close")
        self.assertNotIn("stop_cut", self.index.log())
        self.assertTrue(service.closed.wait(REPLY_S))


class TestWithoutPrivate(CheckTests, IndexCase):
    def test_check_of_a_caller_on_this_machine_is_refused(self):
        reply = self.ask(50051)
        self.assertProblem(reply, 403, "target_refused")
        self.assertIn("--check-private", reply["detail"])


if __name__ == "__main__":
    unittest.main()
