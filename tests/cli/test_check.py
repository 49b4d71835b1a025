"""The command `check`: on loopback, where the index dials back with --check-private. The networks
that are at fault are in tests/nat."""

import json

import secrets
import signal
import socket
import threading

from tests.cli.case import CliCase, closed_port

class CheckCase(CliCase):
    arguments = ("--check-private",)

    def setUp(self):
        super().setUp()
        if not hasattr(type(self), "port"):
            type(self).port = str(closed_port())  # one for all tests: the index counts ports

    def reports(self, *words):
        done = self.cli("check", "--port", self.port, "--json", *words)
        return done.returncode, json.loads(done.stdout)

class TestVerdicts(CheckCase):
    def test_open_port_exits_0_and_tells_each_test(self):
        done = self.cli("check", "--port", self.port)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(f"Checking port {self.port}", done.stdout)
        self.assertIn("index sees you at 127.0.0.1", done.stdout)
        self.assertRegex(done.stdout, rf"\nopen\n  127\.0\.0\.1:{self.port} was reached")

    def test_quiet_check_tells_the_verdict_alone(self):
        done = self.cli("check", "--port", self.port, "--quiet")
        self.assertEqual(done.returncode, 0, done)
        self.assertTrue(done.stdout.startswith("open\n"), done.stdout)

    def test_verbose_check_tells_the_times(self):
        done = self.cli("check", "--port", self.port, "--verbose")
        self.assertRegex(done.stdout, r"\n ?\d+\.\d\d s  ")

    def test_report_says_what_was_tested_and_what_was_not(self):
        code, report = self.reports()
        self.assertEqual((code, report["verdict"]["code"]), (0, 0))
        self.assertEqual(report["ipv4"]["tcp"]["dials"][0]["result"], "open")
        self.assertIs(report["ipv4"]["tcp"]["verified"], True)
        self.assertIsNone(report["ipv4"]["udp"])
        self.assertIsNone(report["port_mapping"])
        self.assertEqual(report["ipv6"]["error"]["name"], "UNREACHABLE")

    def test_nothing_listening_exits_10(self):
        code, report = self.reports("--no-listen")
        self.assertEqual(code, 10, report["verdict"])
        self.assertIn(self.port, report["verdict"]["advice"])

    def test_port_that_a_program_holds_is_open(self):
        with socket.create_server(("127.0.0.1", int(self.port))):
            code, report = self.reports()
            self.assertEqual((code, report["ipv4"]["tcp"]["held"]), (0, True))
            self.assertEqual(report["ipv4"]["tcp"]["dials"][0]["result"], "connected")

    def test_udp_port_is_open(self):
        code, report = self.reports("--protocol", "udp")
        self.assertEqual((code, report["verdict"]["protocol"]), (0, "udp"))

class TestPublish(CheckCase):
    def test_publish_writes_the_record(self):
        self.registers("--id", "a")
        code, _ = self.reports("--publish", "--id", "a")
        self.assertEqual(code, 0)
        reach = self.client.get(f"/nodes/a?network={self.network}").json()["reach"]
        self.assertEqual(reach["tcp"]["ipv4"],
                         {"verdict": "open", "at": f"127.0.0.1:{self.port}"}, reach)

    def test_publish_of_no_node_says_so(self):
        done = self.cli("check", "--port", self.port, "--quiet", "--publish", "--id", "nobody")
        self.assertEqual(done.returncode, 66, done)
        self.assertIn("no node with this secret is registered", done.stderr)

class TestWrongUse(CheckCase):
    def test_wrong_options_exit_64(self):
        self.assertEnds(64, "check", says="--port")
        for port in ("0", "65536", "-1", "abc", "1.5", ""):
            self.assertEnds(64, "check", f"--port={port}", says="from 1 to 65535")
        self.assertEnds(64, "check", "--port", "5000", "--protocol", "sctp", says="tcp or udp")
        self.assertEnds(64, "check", "--port", "5000", "more", says="more")

    def test_port_that_the_index_does_not_dial_is_refused_with_its_sentence(self):
        done = self.cli("check", "--port", "80", "--no-listen", "--quiet")
        self.assertEqual(done.returncode, 77, done)
        self.assertIn("port 80", done.stderr)
        self.assertNotIn("closed", done.stderr)

class TestIndexes(CheckCase):
    def test_index_that_is_away_exits_69_and_never_says_closed(self):
        self.assertEnds(69, "check", "--port", self.port, "--quiet", "--index",
                        f"http://127.0.0.1:{closed_port()}", says=("nothing can be said",))

    def test_silent_index_exits_69(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            done = self.cli("check", "--port", self.port, "--json", "--index", url)
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode, 69, done)
        self.assertIsNone(report["verdict"])
        self.assertEqual(report["error"]["name"], "TIMEOUT")

    def test_server_that_is_no_index_exits_76(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def answers():
                while True:
                    try:
                        link, _ = server.accept()
                    except OSError:
                        return
                    link.recv(4096)
                    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                    link.close()
            thread = threading.Thread(target=answers, daemon=True)
            thread.start()
            self.assertEnds(76, "check", "--port", self.port, "--quiet", "--index",
                            f"http://127.0.0.1:{server.getsockname()[1]}")
            server.shutdown(socket.SHUT_RDWR)
        thread.join()

    def test_interrupt_ends_a_check(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            running = self.starts("check", "--port", self.port, "--index", url)
            running.line()
            self.assertEqual(running.end(signal.SIGINT)[0], 130)

class TestLimits(CheckCase):
    def test_too_many_checks_exit_75(self):
        for _ in range(20):
            reply = self.client.post("/check", {
                "port": int(self.port), "protocol": "tcp", "nonce": secrets.token_hex(16)})
            self.assertEqual(reply.status, 200, reply)
        done = self.cli("check", "--port", self.port, "--quiet")
        self.assertEqual(done.returncode, 75, done)
        self.assertIn("20", done.stderr)
        self.assertNotIn("closed", done.stderr)

class TestPrivate(CliCase):
    def test_index_on_the_internet_does_not_dial_a_private_address(self):
        done = self.cli("check", "--port", str(closed_port()), "--quiet")
        self.assertEqual(done.returncode, 77, done)
        self.assertIn("--check-private", done.stderr)

