"""TLS handshakes: those that stop half way and what they cost, those that come in pieces, and what
comes instead of one."""

import json
import os
import socket
import ssl
import subprocess
import threading
import time
import unittest

from tests.lib.certificate import openssl
from tests.lib.http import parse_head, url
from tests.lib.index import Stopwatch
from tests.lib.keys import reload
from tests.lib.raw import request_bytes
from tests.lib.tlscase import DEADLINE_S, TlsCase

HALF_A_RECORD = b"\x16\x03\x01\x02\x00\x01\x00"


class HandshakeCase(TlsCase):
    def tcp(self, listener=0):
        host, port = self.index.listeners[listener]
        connection = socket.create_connection((host, port), DEADLINE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(connection.close)
        return connection

    def half(self, **versions):
        """A client that has sent its hello, and what it needs to go on."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context(**versions).wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        connection = self.tcp()
        connection.sendall(outgoing.read())
        return connection, tls, incoming, outgoing

    def assertServes(self):
        self.assertEqual(self.answer(self.ask(self.secure(), "GET", "/healthz"))[0], 200)

    def assertClosed(self, connection):
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass


class TestHalf(HandshakeCase):
    def test_handshakes_that_wait_cost_no_processor(self):
        for _ in range(5):
            self.tcp()
            self.tcp().sendall(HALF_A_RECORD)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                connection = self.half(minimum_version=version, maximum_version=version)[0]
                self.assertTrue(connection.recv(1))  # the index has answered: it waits
        self.settle()
        before = self.index.cpu_s()
        watch = Stopwatch()
        while watch.elapsed() < 2:
            time.sleep(0.5)  # time in which nothing is to happen
        self.assertLess(self.index.cpu_s() - before, 0.3)
        self.assertServes()

    def test_one_byte_at_a_time_gets_there(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self.context(minimum_version=version, maximum_version=version).wrap_bio(
                incoming, outgoing, server_hostname="localhost")
            connection = self.tcp()
            done = False
            while not done:
                try:
                    tls.do_handshake()
                    done = True
                    tls.write(request_bytes("GET", "/healthz"))
                except ssl.SSLWantReadError:
                    pass
                for byte in outgoing.read():
                    connection.sendall(bytes([byte]))
                    self.client.get("/healthz")  # the loop has turned
                if not done:
                    incoming.write(connection.recv(65536))
            self.assertIn(b"HTTP/1.1 200", self.read_some(connection, tls, incoming))

    def read_some(self, connection, tls, incoming):
        while True:
            try:
                return tls.read(65536)
            except ssl.SSLWantReadError:
                data = connection.recv(65536)
                self.assertTrue(data)
                incoming.write(data)

    def test_last_word_and_request_in_one_piece_are_answered(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            connection, tls, incoming, outgoing = self.half(
                minimum_version=version, maximum_version=version)
            request = request_bytes("GET", "/healthz", headers=[f"X-{n}: {'y' * 30}"
                                                                 for n in range(30)])
            while True:
                incoming.write(connection.recv(65536))
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    if outgoing.pending:
                        connection.sendall(outgoing.read())
            tls.write(request * 3)
            connection.sendall(outgoing.read())
            got = b""
            while got.count(b"alive") < 3:
                got += self.read_some(connection, tls, incoming)
            self.assertEqual(got.count(b"HTTP/1.1 200"), 3)

    def test_reload_in_the_middle_of_a_handshake(self):
        connection, tls, incoming, outgoing = self.half()
        for _ in range(3):
            reload(self.index, "reloaded what=certificate")
        incoming.write(connection.recv(65536))
        tls.do_handshake()
        tls.write(request_bytes("GET", "/healthz"))
        connection.sendall(outgoing.read())
        self.assertIn(b"HTTP/1.1 200", self.read_some(connection, tls, incoming))

    def test_stop_does_not_wait_for_handshakes(self):
        waiting = [self.tcp() for _ in range(3)] + [self.half()[0] for _ in range(3)]
        self.settle()
        watch = Stopwatch()
        self.assertEqual(self.index.stop(), 0)
        self.assertLess(watch.elapsed(), 10)
        self.assertNotIn("stop_cut", self.index.log())
        for connection in waiting:
            self.assertClosed(connection)


class TestDeadline(HandshakeCase):
    arguments = ("--headers-timeout", "1", "--max-connections-per-address", "12")

    def test_handshake_that_never_ends_is_cut(self):
        late = [self.tcp() for _ in range(3)] + [self.half()[0] for _ in range(3)]
        for number, connection in enumerate(late[:3]):
            connection.sendall(HALF_A_RECORD[:number * 3])
        for connection in late:
            self.assertClosed(connection)
        self.assertServes()

    def test_trickling_does_not_move_the_deadline(self):
        connection = self.tcp()
        connection.settimeout(0.1)
        hello = HALF_A_RECORD + b"\x00" * 500
        watch = Stopwatch()
        with self.assertRaises((ConnectionError, EOFError)):
            for byte in hello:
                connection.sendall(bytes([byte]))
                try:
                    if connection.recv(1) == b"":
                        raise EOFError
                except TimeoutError:
                    self.assertLess(watch.elapsed(), DEADLINE_S)

    def test_abandoned_handshakes_leave_their_places(self):
        for _ in range(10):
            left = [self.half()[0] for _ in range(4)] + [self.tcp() for _ in range(4)]
            for connection in left:
                connection.close()
            self.settle()
        self.assertServes()


class TestRate(HandshakeCase):
    rate = 2

    def test_one_address_has_as_many_handshakes_as_requests(self):
        kept = self.secure()
        kept.connect()
        refused = 0
        for _ in range(20):
            connection = self.secure()
            try:
                connection.connect()
            except (ssl.SSLError, ConnectionError):
                refused += 1
        self.assertGreater(refused, 0)
        self.assertEqual(self.answer(self.ask(kept, "GET", "/healthz"))[0], 200)
        self.assertEqual(self.client.get("/healthz").status, 200)  # HTTP has none to count
        watch = Stopwatch()
        while True:
            try:
                self.secure().connect()
                break
            except (ssl.SSLError, ConnectionError):
                self.assertLess(watch.elapsed(), DEADLINE_S)


class TestInstead(HandshakeCase):
    def plain(self, data):
        connection = self.tcp()
        connection.sendall(data)
        got = b""
        while piece := connection.recv(65536):
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        reply = parse_head(head)
        self.assertEqual(int(reply.headers["Content-Length"]), len(body))
        return reply, json.loads(body)

    def test_who_speaks_http_to_the_port_of_https_is_told(self):
        for data in (request_bytes("GET", "/list"), request_bytes("POST", "/register", {"id": "a"}),
                     request_bytes("OPTIONS", "*"), b"G"):
            reply, problem = self.plain(data)
            self.assertEqual((reply.status, problem["status"], problem["code"]),
                             (400, 400, "bad_request"))
            self.assertIn("https://", problem["detail"])
            self.assertEqual(reply.headers["Connection"], "close")
        self.assertServes()

    def test_curl_shows_it(self):
        done = self.curl(f"http://localhost:{self.index.port}/list")
        self.assertIn("this port speaks HTTPS", done.stdout)

    def test_late_http_is_told_too(self):
        connection = self.tcp()
        self.settle()
        connection.sendall(request_bytes("GET", "/list"))
        self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 400 "))

    def test_nothing_in_clear_once_tls_has_begun(self):
        connection = self.half()[0]
        self.assertTrue(connection.recv(65536))
        connection.sendall(request_bytes("GET", "/list"))
        rest = b""
        try:
            while piece := connection.recv(65536):
                rest += piece
        except ConnectionResetError:
            pass
        self.assertNotIn(b"HTTP", rest)


class TestAfter(HandshakeCase):
    """What a client may still ask of TLS when the handshake is over."""

    def s_client_says(self, after, line, *options):
        """All that openssl's s_client wrote, which got `line` once it had written `after`."""
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"localhost:{self.index.port}", "-CAfile",
             self.certificate.certificate, *options], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        late = threading.Timer(DEADLINE_S, process.kill)
        late.start()
        said = b""
        with process.stdin as stdin, process.stdout as stdout:
            while piece := os.read(stdout.fileno(), 65536):
                said += piece
                if after in said and line:
                    stdin.write(line)
                    stdin.flush()
                    line = None
        process.wait()
        late.cancel()
        return said

    def test_renegotiation_is_refused(self):
        said = self.s_client_says(b"Verify return code", b"R\n", "-tls1_2")
        self.assertIn(b"RENEGOTIATING", said)
        self.assertEqual(said.count(b"depth=0"), 1, said)  # the certificate was shown once
        self.assertServes()

    def test_http_1_1_is_agreed_on(self):
        for offered in ("h2,http/1.1", "http/1.1"):
            self.assertIn(b"ALPN protocol: http/1.1", self.s_client("-alpn", offered).stdout)
        self.assertIn(b"No ALPN negotiated", self.s_client("-alpn", "h2").stdout)

    def test_no_compression_no_early_data(self):
        said = self.s_client("-tls1_3").stdout
        self.assertIn(b"Compression: NONE", said)
        self.assertNotIn(b"Max Early Data", said.replace(b"Max Early Data: 0", b""))

    def test_usual_clients_need_no_second_hello(self):
        said = openssl("s_client", "-connect", f"localhost:{self.index.port}", "-CAfile",
                       self.certificate.certificate, "-tls1_3", "-msg", input=b"Q\n").stdout
        self.assertEqual(said.count(b"], ClientHello"), 1, said)


class TestRules(TlsCase):
    def test_foreign_host_and_origin_are_refused(self):
        base = f"https://localhost:{self.index.port}"
        for header in ("Host: index.example", "Origin: https://page.example"):
            done = self.curl("--write-out", "%{http_code}", "--header", header, base + "/list")
            self.assertTrue(done.stdout.endswith("403"), done.stdout)
        done = self.curl("--write-out", "%{http_code}", "--header",
                         f"Origin: https://localhost:{self.index.port}", base + "/list")
        self.assertTrue(done.stdout.endswith("200"), done.stdout)

    def test_client_that_leaves_ends_its_poll(self):
        cursor = self.client.get(url("/list", network=self.network))["cursor"]
        for _ in range(3):
            poll = self.ask(self.secure(), "GET", url(
                "/list", network=self.network, since=cursor, wait=50))
            self.settle()
            poll.close()
        self.settle()
        self.assertEqual(self.index.stop(), 0)
        self.assertNotIn("stop_cut", self.index.log())


if __name__ == "__main__":
    unittest.main()
