"""HTTPS: what is spoken and what is not, both kinds of listeners at once, certificates that change
while the index runs."""

import concurrent.futures
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

from tests.lib import index as process
from tests.lib.case import HttpCase, some_id
from tests.lib.certificate import Certificate, openssl
from tests.lib.http import url
from tests.lib.index import Stopwatch
from tests.lib.keys import reload
from tests.lib.tlscase import DEADLINE_S, TlsCase

class TestRequests(TlsCase):
    def test_curl_does_all_of_it(self):
        base = f"https://localhost:{self.index.port}"
        made = json.loads(self.curl("--json", '{"id": "a"}', base + "/register").stdout)
        bearer = ("--header", "Authorization: Bearer " + made["token"])
        self.assertIn('"a"', self.curl(base + "/list").stdout)
        self.assertIn("ttl", self.curl(*bearer, "--json", "{}", base + "/heartbeat").stdout)
        sent = self.curl(*bearer, "--json", '{"id":"m","type":"offer","body":{}}',
                         base + "/mailbox/a")
        self.assertIn("queued", sent.stdout)
        self.assertIn('"m"', self.curl(*bearer, base + "/mailbox/a").stdout)
        self.assertIn("alive", self.curl(base + "/healthz").stdout)
        self.assertEqual(self.curl("--head", base + "/list").returncode, 0)
        left = self.curl(*bearer, "--request", "DELETE", "--write-out", "%{http_code}",
                         base + "/nodes/a")
        self.assertEqual(left.stdout, "204")
        six = self.curl("--globoff", f"https://[::1]:{self.index.listeners[2][1]}/healthz")
        self.assertIn("alive", six.stdout)

    def test_requests_and_errors_are_the_same_as_without(self):
        connection = self.secure()
        for method, target, body in (("GET", "/list?limit=x", None), ("GET", "/none", None),
                                     ("POST", "/heartbeat", {}), ("PUT", "/list", None)):
            status, problem = self.answer(self.ask(connection, method, target, body))
            plain = self.client.request(method, target, body)
            self.assertEqual((status, problem), (plain.status, plain.json()))

    def test_poll_is_parked_and_woken(self):
        node = self.node("a", connection=self.connect(listener=1))
        polls = [self.ask(self.secure(), "POST", "/events",
                          {"since": node.cursor, "wait": 50}, node.token)]
        polls += [self.ask(self.secure(), "GET", url(
            "/list", network=self.network, since=node.cursor, wait=50)) for _ in range(20)]
        self.settle()
        self.node("b", connection=self.connect(listener=1))
        for poll in polls:
            status, body = self.answer(poll)
            self.assertEqual(status, 200)
            self.assertEqual([n["id"] for n in body.get("list", body)["nodes"]], ["b"])

    def test_connection_goes_on_after_a_poll(self):
        cursor = self.client.get("/list")["cursor"]
        connection = self.secure()
        for _ in range(3):
            status, body = self.answer(
                self.ask(connection, "GET", url("/list", since=cursor, wait=0.2)))
            self.assertEqual((status, body["nodes"]), (200, []))
            self.assertEqual(self.answer(self.ask(connection, "GET", "/healthz"))[0], 200)

    def test_pipelined_requests_are_all_answered(self):
        cursor = self.client.get("/list")["cursor"]
        raw = self.context().wrap_socket(
            socket.create_connection(("127.0.0.1", self.index.port)), server_hostname="localhost")
        self.addCleanup(raw.close)
        raw.settimeout(DEADLINE_S)
        poll = f"GET /list?since={cursor}&wait=0.3 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        raw.sendall((poll + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30).encode())
        got = b""
        while got.count(b'"alive"') < 30:
            piece = raw.recv(65536)
            self.assertTrue(piece, got)
            got += piece
        self.assertEqual(got.count(b"HTTP/1.1 200"), 31)

    def test_large_bodies_go_both_ways(self):
        node = self.node("a", connection=self.connect(listener=1))
        body = {"sdp": "x" * 60000}
        status, sent = self.answer(self.ask(self.secure(), "POST", "/mailbox/a", {
            "id": "m", "type": "offer", "body": body, "ttl": 600}, node.token))
        self.assertEqual(status, 202, sent)
        status, mail = self.answer(self.ask(self.secure(), "GET", "/mailbox/a", None, node.token))
        self.assertEqual(mail["messages"][0]["body"], body)
        for number in range(240):
            self.node(f"n{number:03}", connection=self.client, meta={"m": "y" * 3000})
            self.client.token = None
        status, page = self.answer(self.ask(self.secure(), "GET", url(
            "/list", network=self.network, limit=1000)))
        self.assertEqual(len(page["nodes"]), 241)

    def test_headers_too_large_are_told_over_tls(self):
        connection = self.secure()
        connection.request("GET", "/list", headers={f"X-{n}": "y" * 30 for n in range(42)})
        self.assertEqual(connection.getresponse().status, 431)

    def test_arguments_too_many_are_told_over_tls(self):
        status, problem = self.answer(self.ask(self.secure(), "GET", "/list?" + "a&" * 200))
        self.assertEqual((status, problem["code"]), (431, "headers_too_large"))

    def test_many_connections_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(
                lambda _: self.answer(self.ask(self.secure(), "GET", "/healthz"))[0], range(200)))
        self.assertEqual(statuses, [200] * 200)

    def test_address_is_that_of_the_socket(self):
        status, made = self.answer(self.ask(self.secure(), "POST", "/register", {"id": some_id()}))
        self.assertEqual((status, made["you"]["address"]), (201, "127.0.0.1"))


class TestWhatIsSpoken(TlsCase):
    def test_tls_1_2_and_1_3_are(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                              (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            connection = self.secure(
                self.context(minimum_version=version, maximum_version=version))
            connection.connect()
            self.assertEqual(connection.sock.version(), name)
            self.assertEqual(self.answer(self.ask(connection, "GET", "/healthz"))[0], 200)

    def test_openssl_sees_forward_secrecy_and_aead_alone(self):
        for option, cipher in (("-tls1_2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
                               ("-tls1_3", "TLS_AES_256_GCM_SHA384")):
            done = self.s_client(option)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(cipher.encode(), done.stdout)
            self.assertIn(b"Verify return code: 0", done.stdout)

    def test_older_versions_are_not(self):
        for option in ("-tls1", "-tls1_1"):
            done = self.s_client(option, "-cipher", "ALL:@SECLEVEL=0")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"Cipher is (NONE)", done.stdout)

    def test_weak_ciphers_are_not(self):
        for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
                       "DHE-RSA-AES128-GCM-SHA256", "NULL", "aNULL", "CAMELLIA128-SHA"):
            with self.subTest(cipher=cipher):
                done = self.s_client("-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
                self.assertNotEqual(done.returncode, 0)
                self.assertNotIn(b"Cipher is " + cipher.encode(), done.stdout)

    def test_https_to_the_port_of_http_is_closed(self):
        done = self.curl(f"https://localhost:{self.index.listeners[1][1]}/list")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.client.get("/healthz").status, 200)

    def test_garbage_is_closed(self):
        for garbage in (b"\x00" * 100, b"\xff" * 100, b"\x16\x03\x01\x00\x05hello", b"\r\n\r\nGET"):
            with socket.create_connection(("127.0.0.1", self.index.port)) as connection:
                connection.settimeout(DEADLINE_S)
                connection.sendall(garbage)
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        self.assertEqual(self.answer(self.ask(self.secure(), "GET", "/healthz"))[0], 200)


class TestRsa(TlsCase):
    kind = "rsa"

    def test_rsa_certificate_is_served_with_forward_secrecy(self):
        done = self.s_client("-tls1_2")
        self.assertIn(b"ECDHE-RSA-AES256-GCM-SHA384", done.stdout)
        for cipher in ("AES256-GCM-SHA384", "AES128-SHA", "ECDHE-RSA-AES128-SHA",
                       "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256", "aNULL"):
            with self.subTest(cipher=cipher):
                refused = self.s_client("-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn(b"Cipher is (NONE)", refused.stdout)


class TestChanges(TlsCase):
    def renew(self, name, event="reloaded what=certificate"):
        """Puts another certificate in the place of the first."""
        fresh = Certificate(self.folder, name)
        shutil.copy(fresh.certificate, self.certificate.certificate)
        shutil.copy(fresh.key, self.certificate.key)
        reload(self.index, event)
        return fresh

    def test_certificate_is_read_again_on_sighup(self):
        self.assertEqual(self.shown()["commonName"], "index")
        old = self.context()
        kept = self.secure(old)
        poll = self.secure(old)
        cursor = self.client.get(url("/list", network=self.network))["cursor"]
        self.answer(self.ask(kept, "GET", "/healthz"))
        self.ask(poll, "GET", url("/list", network=self.network, since=cursor, wait=50))
        self.settle()
        for name in ("second", "third", "fourth"):
            fresh = self.renew(name)
            self.assertEqual(self.shown(fresh)["commonName"], name)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.secure(old).connect()
        self.assertEqual(self.answer(self.ask(kept, "GET", "/healthz"))[0], 200)
        self.node("woken", connection=self.client)
        status, body = self.answer(poll)
        self.assertEqual((status, body["nodes"][0]["id"]), (200, "woken"))

    def test_broken_certificate_keeps_the_one_of_before(self):
        other = Certificate(self.folder, "other")
        with open(self.certificate.certificate, encoding="ascii") as file:
            good = file.read()
        with open(other.certificate, encoding="ascii") as file:
            others = file.read()
        for content, why in (("", "no certificate in PEM"), ("nonsense", "no certificate in PEM"),
                             (good[:300], "no certificate in PEM"),
                             (others, "not the key of the certificate")):
            with open(self.certificate.certificate, "w", encoding="ascii") as file:
                file.write(content)
            reload(self.index, "reload_failed what=certificate")
            self.assertIn(why, self.index.log())
            with open(self.certificate.certificate, "w", encoding="ascii") as file:
                file.write(good)
            self.assertEqual(self.shown()["commonName"], "index")
        os.remove(self.certificate.key)
        reload(self.index, "reload_failed what=certificate")
        self.assertEqual(self.shown()["commonName"], "index")
        self.assertNotIn("PRIVATE", self.index.log())

    def test_stop_answers_polls_over_tls(self):
        cursor = self.client.get("/list")["cursor"]
        polls = [self.ask(self.secure(), "GET", url("/list", since=cursor, wait=50))
                 for _ in range(10)]
        idle = self.secure()
        self.answer(self.ask(idle, "GET", "/healthz"))
        self.settle()
        watch = Stopwatch()
        self.assertEqual(self.index.stop(), 0)
        self.assertLess(watch.elapsed(), 10)
        for poll in polls:
            status, body = self.answer(poll)
            self.assertEqual((status, body["nodes"]), (200, []))


class TestCaps(HttpCase):
    def test_connection_past_the_cap_is_closed_without_plaintext(self):
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder:
            certificate = Certificate(folder)
            self.start(*certificate.options, "--max-connections-per-address", "2",
                       listen=("127.0.0.1:0", "http://127.0.0.1:0"))
            held = [socket.create_connection(("127.0.0.1", self.index.port)) for _ in range(2)]
            with socket.create_connection(("127.0.0.1", self.index.port)) as third:
                third.settimeout(DEADLINE_S)
                self.assertEqual(third.recv(1000), b"")
            for connection in held:
                connection.close()


class TestStart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.one, self.other = Certificate(folder.name), Certificate(folder.name, "other")

    def check(self, certificate, key, code=2):
        done = process.run("--check-config", "--tls-cert", certificate, "--tls-key", key)
        self.assertEqual(done.returncode, code, done)
        return done.stderr

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(content)
        os.chmod(path, 0o600)
        return path

    def read(self, path):
        with open(path, encoding="ascii") as file:
            return file.read()

    def test_files_that_are_right_are_fine(self):
        said = self.check(self.one.certificate, self.one.key, 0)
        self.assertIn("certificate file=", said)
        chain = self.write("both.pem", self.read(self.one.certificate) + self.read(self.one.key))
        self.check(chain, chain, 0)

    def test_files_that_are_wrong_exit_2(self):
        none = os.path.join(self.folder, "none")
        empty, text = self.write("empty", ""), self.write("text", "hello\n")
        sealed = os.path.join(self.folder, "sealed.key")
        openssl("pkcs8", "-topk8", "-in", self.one.key, "-out", sealed, "-passout", "pass:x")
        unsorted = self.write("unsorted.pem", self.read(self.one.certificate) +
                              self.read(self.other.certificate))
        long = self.write("long.pem", self.read(self.one.certificate) * 17)
        for certificate, key, option, why in (
                (none, self.one.key, "--tls-cert", "No such file"),
                (self.one.certificate, none, "--tls-key", "No such file"),
                (self.folder, self.one.key, "--tls-cert", "Is a directory"),
                (empty, self.one.key, "--tls-cert", "no certificate in PEM"),
                (text, self.one.key, "--tls-cert", "no certificate in PEM"),
                (self.one.key, self.one.key, "--tls-cert", "no certificate in PEM"),
                (self.one.certificate, text, "--tls-key", "no private key in PEM"),
                (self.one.certificate, self.one.certificate, "--tls-key", "no private key in PEM"),
                (self.one.certificate, sealed, "--tls-key", "encrypted"),
                (self.one.certificate, self.other.key, "--tls-key", "not the key of"),
                (unsorted, self.one.key, "--tls-cert", "not in order"),
                (long, self.one.key, "--tls-cert", "more than 16 certificates")):
            with self.subTest(certificate=certificate, key=key):
                said = self.check(certificate, key)
                self.assertIn(option, said)
                self.assertIn(why, said)
                self.assertEqual(len(said.splitlines()), 1, said)

    def test_expired_certificate_is_told_and_served(self):
        if shutil.which("faketime") is None:
            self.fail("faketime is not installed: tests/setup test")
        expired = os.path.join(self.folder, "expired.pem")
        subprocess.run(
            ["faketime", "2020-01-01", "openssl", "req", "-x509", "-key", self.one.key, "-out",
             expired, "-days", "10", "-subj", "/CN=old"], capture_output=True, check=True)
        self.assertIn("warn certificate_expired", self.check(expired, self.one.key, 0))
        early = os.path.join(self.folder, "early.pem")
        subprocess.run(
            ["faketime", "2090-01-01", "openssl", "req", "-x509", "-key", self.one.key, "-out",
             early, "-days", "10", "-subj", "/CN=new"], capture_output=True, check=True)
        self.assertIn("warn certificate_early", self.check(early, self.one.key, 0))

    def test_pipe_that_nobody_writes_to_is_not_waited_for(self):
        pipe = os.path.join(self.folder, "pipe")
        os.mkfifo(pipe)
        self.assertIn("no certificate in PEM", self.check(pipe, self.one.key))

    def test_key_that_everyone_may_read_is_told(self):
        os.chmod(self.one.key, 0o644)
        self.assertIn("warn secret_exposed", self.check(self.one.certificate, self.one.key, 0))


if __name__ == "__main__":
    unittest.main()
