"""The unit for systemd: what systemd says of it, and whether the index can live in it."""

import os
import re
import signal
import socket
import ssl
import tempfile
import unittest

from tests.install import conf
from tests.install.test_install import ROOT, InstallCase, output_of, read, sanitizers
from tests.lib import index, past
from tests.lib.case import HttpCase
from tests.lib.certificate import Certificate
from tests.lib.index import Index, clean_environment


class UnitTest(InstallCase):
    """The unit as it is installed, by what systemd itself says of it."""

    EXPOSURE_MOST = 15  # tenths; systemd calls up to 20 "OK", and no service at all 96

    def setUp(self):
        self.unit = os.path.join(self.prefix, "lib/systemd/system/signpostd.service")

    def test_unit_names_what_is_installed(self):
        unit = dict(re.findall(r"^(ExecStart|EnvironmentFile)=(.*)$", read(self.unit), re.MULTILINE))
        self.assertEqual(unit, {
            "ExecStart": os.path.join(self.prefix, "bin/signpostd"),
            "EnvironmentFile": "-" + os.path.join(self.prefix, "etc/signpost/signpostd.conf")})
        self.assertNotIn("@PREFIX@", read(self.unit))
        self.assertNotIn("@SYSCONFDIR@", read(self.unit))

    def test_unit_is_understood_and_locked_down(self):
        self.assertEqual(output_of("systemd-analyze", "verify", "--man=no", self.unit), "")
        output_of("systemd-analyze", "security", "--offline=yes",
                  f"--threshold={self.EXPOSURE_MOST}", self.unit)

    def test_unit_without_its_locks_is_found(self):
        weak = os.path.join(self.folder, "weak.service")
        with open(weak, "w", encoding="utf-8") as file:
            file.write(re.sub(r"^(SystemCallFilter|DynamicUser|Protect\w+)=.*\n", "",
                              read(self.unit), flags=re.MULTILINE))
        with self.assertRaises(AssertionError):
            output_of("systemd-analyze", "security", "--offline=yes",
                      f"--threshold={self.EXPOSURE_MOST}", weak)

    def test_example_of_options_is_what_help_says(self):
        self.assertEqual(read(ROOT, "docs", "signpostd.conf"), conf.example(),
                         "run tests/install/conf.py >docs/signpostd.conf")

    def test_example_with_its_defaults_put_in_is_a_good_configuration(self):
        given = dict(re.findall(r"^#(SIGNPOST_\w+)=(.*)$", conf.example(), re.MULTILINE))
        self.assertGreater(len(given), 20)
        done = index.run("--check-config", env=clean_environment(
            **{**given, "SIGNPOST_DB": os.path.join(self.folder, "some.db")}))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)


class FilterTest(HttpCase):
    """Every call that the index makes, in a life with a bit of everything, by strace."""

    def group(self, name):
        """The system calls of one of systemd's groups."""
        calls = set()
        for word in output_of("systemd-analyze", "syscall-filter", name).split("\n")[1:]:
            word = word.strip()
            if word and not word.startswith("#"):
                calls |= self.group(word) if word.startswith("@") else {word}
        return calls

    def lives(self):
        """One life of an index, as strace saw it."""
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        trace = os.path.join(folder.name, "trace")
        certificate = Certificate(folder.name)
        self.index = Index(*certificate.options, "--stun", "127.0.0.1:0", "--check-private",
                           listen=("http://127.0.0.1:0", "127.0.0.1:0"),
                           wrapper=("strace", "-f", "-qq", "-o", trace))
        self.addCleanup(self.index.close)
        self.index.start()
        with open(trace, encoding="utf-8") as lines:
            pid = int(lines.readline().split()[0])
        self.client = self.connect()
        past.fill(self.client)
        with socket.create_server(("127.0.0.1", 0)) as target:
            question = {"port": target.getsockname()[1], "protocol": "tcp", "nonce": "a" * 32}
            reply = self.client.post("/check", question)
            self.assertEqual(reply.status, 200, reply)
        context = ssl.create_default_context(cafile=certificate.certificate)
        with context.wrap_socket(socket.create_connection(self.index.listeners[1]),
                                 server_hostname="localhost") as secured:
            secured.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertTrue(secured.recv(100).startswith(b"HTTP/1.1 200 "))
        os.kill(pid, signal.SIGHUP)
        self.index.wait_for_log("reloaded")
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(self.index.wait(), 0)
        return read(trace)

    def test_index_calls_nothing_that_the_unit_forbids(self):
        calls = self.lives()
        used = set(re.findall(r"^\d+ +(\w+)\(", calls, re.MULTILINE))
        self.assertLess({"accept4", "epoll_wait", "fdatasync"}, used)
        # SQLite gives files to their owner where it runs as root, which the unit does not.
        used -= {"fchown"} if os.geteuid() == 0 else set()
        unit = read(ROOT, "server", "signpostd.service.in")
        self.assertEqual(re.findall("^SystemCallFilter=(.*)$", unit, re.MULTILINE),
                         ["@system-service", "~@privileged"])
        allowed = self.group("@system-service") - self.group("@privileged")
        self.assertEqual(used - allowed, set())
        families = re.search("^RestrictAddressFamilies=(.*)$", unit, re.MULTILINE)[1].split()
        self.assertLessEqual(set(re.findall(r"\bsocket\((\w+)", calls)), set(families))
        self.assertNotRegex(calls, r"PROT_WRITE\|PROT_EXEC")  # MemoryDenyWriteExecute=


if sanitizers():
    del FilterTest  # they are not for strace, and do more than the index

if __name__ == "__main__":
    unittest.main()
