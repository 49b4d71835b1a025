"""`signpostd --healthcheck`: what a container asks, instead of a shell and curl."""

import os
import re
import socket
import tempfile
import threading
import time
import unittest

from tests.lib import index as process
from tests.lib.case import HttpCase
from tests.lib.certificate import Certificate
from tests.lib.index import START_S, clean_environment
from tests.lib.keys import KeysFile


class HealthcheckCase(HttpCase):
    def check(self, *arguments, env=None):
        return process.run("--healthcheck", *arguments, env=env)

    def listening(self, address=None):
        address = address or "127.0.0.1"
        return "--listen", f"{address}:{self.index.port}"

    def assertReady(self, *arguments, env=None):
        done = self.check(*arguments, env=env)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "signpostd: ready\n", ""))

    def assertNotReady(self, *arguments, says, env=None):
        """With one line that says why not."""
        done = self.check(*arguments, env=env)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, r"^signpostd: [^\n]+\n$")
        self.assertIn(says, done.stderr)


class TestReady(HealthcheckCase):
    def test_index_on_loopback_is_asked_there(self):
        self.start()
        self.assertReady(*self.listening())
        self.assertReady(env=clean_environment(SIGNPOST_LISTEN=self.listening()[1],
                                               SIGNPOST_HEALTHCHECK="1"))

    def test_index_on_all_addresses_is_asked_on_loopback(self):
        for everywhere in ("0.0.0.0", "[::]"):
            with self.subTest(everywhere=everywhere):
                self.start("--open", listen=(everywhere + ":0",))
                self.assertReady("--open", *self.listening(everywhere))
                # As in a container where --open came after the name of the image.
                self.assertReady(*self.listening(everywhere))

    def test_index_on_one_address_is_asked_there(self):
        self.start(listen=("127.0.0.77:0",))
        self.assertReady(*self.listening("127.0.0.77"))
        self.assertNotReady(*self.listening(), says="refused")

    def test_first_listener_is_asked(self):
        self.start()
        self.assertReady(*self.listening(), "--listen", "127.0.0.1:1")
        self.assertNotReady("--listen", "127.0.0.1:1", *self.listening(), says="127.0.0.1:1:")

    def test_listener_for_operations_is_asked_first(self):
        self.start("--ops-listen", "127.0.0.79:0", "--max-connections", "1")
        port = re.search(r"ops_listening address=127.0.0.79 port=(\d+)", self.index.log())[1]
        self.assertEqual(self.client.get("/healthz").status, 200)  # and keeps the one connection
        self.assertReady("--ops-listen", "127.0.0.79:" + port, "--listen", "127.0.0.1:1")
        self.assertNotReady("--ops-listen", "127.0.0.79:1", *self.listening(), says="127.0.0.79:1:")

    def test_index_with_keys_lets_it_ask(self):
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder:
            keys = KeysFile(folder)
            keys.add("one", "blue")
            self.start("--keys", keys.path, "--trust-proxy", "127.0.0.1")
            self.assertReady("--keys", keys.path, *self.listening())

    def test_https_is_asked_whatever_its_certificate_is_for(self):
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder:
            certificate = Certificate(folder)
            self.start(*certificate.options, listen=("127.0.0.78:0",))
            self.assertReady(*certificate.options, *self.listening("127.0.0.78"))
            self.assertNotReady(*self.listening("http://127.0.0.78"), says="127.0.0.78")


class TestNotReady(HealthcheckCase):
    def test_index_whose_database_is_gone_says_so(self):
        self.start()
        os.rename(self.index.db, self.index.db + ".away")
        end = time.monotonic() + START_S
        while (reply := self.client.get("/readyz")).status == 200:
            self.assertLess(time.monotonic(), end)
        self.assertNotReady(*self.listening(), says=f"is not ready: {reply['detail']}\n")
        self.assertEqual(self.client.get("/healthz").status, 200)

    def test_index_that_is_not_there_is_not_ready(self):
        self.start()
        self.index.stop()
        self.assertNotReady("--listen", "127.0.0.1:1", says="127.0.0.1:1: Connection refused")

    def test_port_zero_cannot_be_asked(self):
        self.assertNotReady("--listen", "127.0.0.1:0", says="port 0; give --listen a port")

    def test_options_that_are_wrong_exit_2(self):
        done = self.check("--listen", "everywhere")
        self.assertEqual(done.returncode, 2, done)


class TestStrangers(HealthcheckCase):
    """Something else has the port."""

    def stranger(self, says):
        """Sends it to who comes, and then no more, until the test ends."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        taken = []
        self.addCleanup(lambda: [client.close() for client in taken])

        def serve():
            taken.append(server.accept()[0])
            if says is None:
                return
            taken[0].recv(4096)
            taken[0].sendall(says)
            taken[0].shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)
        return "--listen", f"127.0.0.1:{server.getsockname()[1]}"

    def test_reply_that_is_none_is_not_ready(self):
        for says, told in ((b"", '""'), (b"SSH-2.0-x\r\n\r\n", "SSH-2.0-x"),
                           (b"HTTP/1.1 404 \x1b[31m\n\n", "HTTP/1.1 404 ?[31m"),
                           (b"HTTP/1.1 301 Moved\r\n\r\n" + b"x" * 5000, "301"),
                           (b'HTTP/1.1 503 No\r\n\r\n{"detail":"gone\x1b' + b"x" * 5000,
                            "is not ready: gone\n")):
            with self.subTest(says=says[:30]):
                self.assertNotReady(*self.stranger(says), says=told)

    def test_one_that_says_nothing_is_not_waited_for(self):
        self.assertNotReady(*self.stranger(None), says="no answer from the index within 3 seconds")


if __name__ == "__main__":
    unittest.main()
