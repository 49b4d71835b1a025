"""The index's own STUN, on real UDP sockets, and how /ice names it."""

import contextlib
import os
import re
import socket
import struct
import tempfile

from tests.lib import index as process
from tests.lib.case import HttpCase
from tests.lib.raw import RawSocket, request_bytes

COOKIE = 0x2112A442
ANSWER_S, SILENCE_S = 10, 0.3  # so long an answer is waited for that is to come, or not
BURST = 40
FLOOD = 20000


def request(attributes=b"", cookie=COOKIE):
    return struct.pack("!HHI", 1, len(attributes), cookie) + os.urandom(12) + attributes


class StunCase(HttpCase):
    def starts(self, *addresses):
        """An index with STUN at these; gives the ports of each."""
        self.start(*(word for address in addresses for word in ("--stun", f"{address}:0")))
        found = re.findall(r"stun_listening address=(\S+) ports=(\d+),(\d+)", self.index.log())
        self.assertEqual(len(found), len(addresses), self.index.log())
        return [(int(first), int(second)) for _, first, second in found]

    def link(self, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        link = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(link.close)
        link.bind((address, 0))
        link.settimeout(ANSWER_S)
        return link

    def asks(self, link, server, attributes=b""):
        """The reply; it comes from whom was asked, and is of this request."""
        sent = request(attributes)
        link.sendto(sent, server)
        reply, source = link.recvfrom(2048)
        self.assertEqual(source[:2], server)
        self.assertEqual(reply[4:20], sent[4:20])
        return reply

    def settles(self, link, server):
        """What is asked now may still be lost behind a flood, and is then asked again."""
        link.settimeout(SILENCE_S)
        for _ in range(int(ANSWER_S / SILENCE_S)):
            link.sendto(request(), server)
            with contextlib.suppress(TimeoutError):
                return link.recvfrom(2048)
        self.fail("no answer after the flood")

    def assertSilence(self, link, server, datagram):
        link.settimeout(SILENCE_S)
        link.sendto(datagram, server)
        with self.assertRaises(TimeoutError):
            link.recvfrom(2048)
        link.settimeout(ANSWER_S)

    def mapped(self, reply):
        kind, length, _, family, port = struct.unpack("!HHBBH", reply[20:28])
        self.assertEqual((kind, len(reply)), (0x20, 24 + length))
        address = bytes(a ^ b for a, b in zip(reply[28:], reply[4:20]))
        return (socket.inet_ntop(socket.AF_INET if family == 1 else socket.AF_INET6, address),
                port ^ (COOKIE >> 16))


class TestAnswers(StunCase):
    def test_both_ports_of_each_address_tell_who_asks(self):
        hosts = ("127.0.0.1", "127.0.0.2", "::1")
        for host, ports in zip(hosts, self.starts("127.0.0.1", "127.0.0.2", "[::1]")):
            for port in ports:
                with self.subTest(host=host, port=port):
                    link = self.link("::1" if ":" in host else "127.0.0.9")
                    reply = self.asks(link, (host, port))
                    self.assertEqual(self.mapped(reply), link.getsockname()[:2])
                    self.assertEqual(len(reply), 44 if ":" in host else 32)

    def test_change_request_is_answered_with_420(self):
        [(port, _)] = self.starts("127.0.0.1")
        reply = self.asks(self.link(), ("127.0.0.1", port), struct.pack("!HHI", 3, 4, 6))
        self.assertEqual(reply[:2], b"\x01\x11")
        self.assertEqual(reply[26:28], bytes([4, 20]))

    def test_what_is_no_request_is_silence(self):
        [(port, _)] = self.starts("127.0.0.1")
        link = self.link()
        for datagram in (b"x", os.urandom(64), request(cookie=1), b"\x01" + request()[1:],
                         request() + b"\0\0\0\0", request()[:-4]):
            self.assertSilence(link, ("127.0.0.1", port), datagram)
        self.asks(link, ("127.0.0.1", port))


class TestLimits(StunCase):
    def test_who_asks_too_often_gets_silence_and_others_do_not(self):
        [(port, _)] = self.starts("127.0.0.1")
        link, other = self.link("127.0.0.5"), self.link("127.0.0.6")
        for _ in range(4 * BURST):
            link.sendto(request(), ("127.0.0.1", port))
        self.asks(other, ("127.0.0.1", port))
        link.settimeout(SILENCE_S)
        answers = 0
        with self.assertRaises(TimeoutError):
            while True:
                link.recvfrom(2048)
                answers += 1
        self.assertGreaterEqual(answers, BURST)
        self.assertLess(answers, 3 * BURST)
        self.assertEqual(self.index.log().count("stun_limited"), 1)

    def test_flood_leaves_the_index_to_others(self):
        [(port, _)] = self.starts("127.0.0.1")
        link = self.link("127.0.0.5")
        link.setblocking(False)
        for number in range(FLOOD):
            try:
                link.sendto(request(), ("127.0.0.1", port))
            except BlockingIOError:
                pass
            if number % (FLOOD // 5) == 0:
                self.assertEqual(self.client.get("/healthz").status, 200)
        self.settles(self.link("127.0.0.6"), ("127.0.0.1", port))


class TestStart(StunCase):
    def refuses(self, *words):
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder:
            done = process.run("--listen", "127.0.0.1:0", "--db", os.path.join(folder, "db"),
                               *words)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr.splitlines()[-1], "^signpostd: ")
        return done.returncode, done.stderr

    def test_port_in_use_is_told(self):
        link = self.link()
        code, text = self.refuses("--stun", "127.0.0.1:%d" % link.getsockname()[1])
        self.assertEqual(code, 1)
        self.assertIn("address already in use", text)

    def test_second_port_in_use_is_told(self):
        for first in range(20000, 20200):
            with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as probe, \
                    socket.socket(type=socket.SOCK_DGRAM) as taken:
                probe.bind(("127.0.0.1", first))
                taken.bind(("127.0.0.1", first + 1))
                probe.close()
                code, text = self.refuses("--stun", f"127.0.0.1:{first}")
                self.assertEqual(code, 1)
                self.assertIn(f"127.0.0.1:{first + 1}: address already in use", text)
                return
        self.fail("no two ports that are free")

    def test_wildcard_is_refused_with_the_reason(self):
        for address in ("0.0.0.0:3478", "[::]:3478"):
            self.assertIn("name one address", self.refuses("--stun", address)[1])

    def test_foreign_address_is_told(self):
        self.assertIn("192.0.2.1:3478", self.refuses("--stun", "192.0.2.1:3478")[1])

    def test_last_port_is_refused(self):
        self.assertIn("65535", self.refuses("--stun", "127.0.0.1:65535")[1])


class TestIce(StunCase):
    def urls(self, host):
        """Of /ice, asked by that Host."""
        with RawSocket(self.index) as link:
            link.send(request_bytes("GET", "/ice", host=host))
            reply = link.read_reply()
        self.assertEqual(reply.status, 200, reply)
        return [url for server in reply.json()["iceServers"]
                for url in ([server["urls"]] if isinstance(server["urls"], str)
                            else server["urls"])]

    def test_index_is_named_as_it_was_asked_and_its_second_address_by_itself(self):
        [(first, _), (second, _)] = self.starts("127.0.0.1", "127.0.0.2")
        self.assertEqual(self.urls(f"localhost:{self.index.port}"),
                         [f"stun:localhost:{first}", f"stun:127.0.0.2:{second}"])
        self.assertEqual(self.urls("127.0.0.1"),
                         [f"stun:127.0.0.1:{first}", f"stun:127.0.0.2:{second}"])

    def test_name_leads_to_both_families(self):
        [(first, _), (second, _)] = self.starts("127.0.0.1", "[::1]")
        self.assertEqual(self.urls("localhost"),
                         [f"stun:localhost:{first}", f"stun:localhost:{second}"])

    def test_other_family_than_that_of_a_literal_is_named_by_itself(self):
        [(first, _), (second, _)] = self.starts("127.0.0.1", "[::1]")
        self.assertEqual(self.urls("127.0.0.1"), [f"stun:127.0.0.1:{first}", f"stun:[::1]:{second}"])
        self.assertEqual(self.urls("[::1]"), [f"stun:127.0.0.1:{first}", f"stun:[::1]:{second}"])

    def test_own_responders_come_before_those_that_are_named(self):
        self.start("--stun", "127.0.0.1:0", "--stun-uri", "stun:stun.example.org")
        self.assertEqual(self.urls("localhost")[1], "stun:stun.example.org")


class TestHosts(StunCase):
    """A public index answers whatever Host there is; only what is a host gets into a URI."""

    def setUp(self):
        super().setUp()
        self.start("--stun", "127.0.0.1:0", "--open")
        self.stun_port = re.search(r"ports=(\d+)", self.index.log())[1]

    def servers(self, host):
        with RawSocket(self.index) as link:
            link.send(request_bytes("GET", "/ice", host=host))
            reply = link.read_reply()
        self.assertEqual(reply.status, 200, reply)
        return reply.json()["iceServers"]

    def assertNamed(self, host, name):
        self.assertEqual(self.servers(host), [{"urls": [f"stun:{name}:{self.stun_port}"]}])

    def test_host_is_the_name_in_the_uri(self):
        for host, name in (("index.example", "index.example"), ("Index.Example:8080", None),
                           ("10.0.0.1:80", "10.0.0.1"), ("a" * 253, "a" * 253)):
            with self.subTest(host=host):
                self.assertNamed(host, name or "Index.Example")

    def test_host_that_is_none_names_the_address(self):
        for host in ('a"b', "a b", "user@host", "user:pass@host", "host:80@evil", "[::1", "[x]",
                     "[]", "]", "[::1]x", "[127.0.0.1]", "::1", "a:b:c", "a:80:80", "a:80x", ":80",
                     "", "a/b", "a?b", "a#b", "a,b", "%41", "a_b", "h\\o", "\xe9", "x" * 254,
                     "x" * 300, "a.example:80\tb"):
            with self.subTest(host=host):
                self.assertNamed(host, "127.0.0.1")
