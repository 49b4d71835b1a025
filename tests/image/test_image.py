"""The image of the index: what is in it, and that it runs as a container has to."""

import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

from tests.lib.certificate import Certificate
from tests.lib.image import Image
from tests.lib.index import ROOT
from tests.lib.keys import KeysFile
from tests.lib.lab import CLONE_NEWNET

MOST_BYTES = 15_000_000
ANYONE = "12345:23456"  # a user that the image does not know
OPEN = {"SIGNPOST_OPEN": "1"}


def own_network():
    """From here on this process, and all that it starts, has no other network than a loopback: so
    the index listens where it does in a container."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class TestImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.image = Image(cls)
        cls.client, cls.turn = Image(cls, "client"), Image(cls, "turn")
        own_network()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.volume = os.path.join(folder.name, "data")
        os.mkdir(self.volume)
        self.let_write(self.volume)

    def let_write(self, path):
        user, group = map(int, ANYONE.split(":"))
        os.chown(path, user, group)

    def start(self, **environment):
        return self.image.start(self, user=ANYONE, volume=self.volume, environment=environment)

    def run_once(self, *arguments, **environment):
        return self.image.run(*arguments, user=ANYONE, volume=self.volume, environment=environment)

    def ask(self, method, path, body=None, scheme=http.client.HTTPConnection, **options):
        connection = scheme("127.0.0.1", 7117, timeout=30, **options)
        self.addCleanup(connection.close)
        connection.request(method, path, body and json.dumps(body),
                           {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())

    def assertEnds(self, done, code, *said):
        """With this code, and one line that says it all."""
        self.assertEqual(done.returncode, code, done)
        lines = [line for line in done.stderr.splitlines() if line.startswith("signpostd: ")]
        self.assertEqual(len(lines), 1, done)
        for words in said:
            self.assertIn(words, lines[0])

    # --- what it is -----------------------------------------------------------------------------

    def test_image_is_small_and_has_nothing_but_the_index(self):
        files = self.image.files()
        size = sum(length for length, _ in files)
        largest = ", ".join(f"{os.path.basename(path)} {length / 1e6:.1f}"
                            for length, path in files[:6])
        print(f"figure: image | {size / 1e6:.1f} MB in {len(files)} files: {largest}", flush=True)
        self.assertLess(size, MOST_BYTES)
        others = [path for _, path in files if not re.search(
            r"^signpostd$|^licenses/|/lib[\w-]+\.so\.\d+$|/ld-linux[^/]*\.so\.\d$", path)]
        self.assertEqual(others, [])

    def test_image_says_how_it_is_run(self):
        config = self.image.config
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"], ["/signpostd"])
        self.assertFalse(config.get("Cmd"))
        self.assertEqual(list(config["Volumes"]), ["/data"])
        self.assertEqual(set(config["ExposedPorts"]), {"7117/tcp", "3478/udp", "3479/udp"})
        self.assertIn("SIGNPOST_LISTEN=0.0.0.0:7117", config["Env"])
        self.assertIn("SIGNPOST_DB=/data/signpost.db", config["Env"])
        check = config["Healthcheck"]
        self.assertEqual(check["Test"], ["CMD", "/signpostd", "--healthcheck"])
        self.assertEqual((check["Interval"], check["Timeout"], check["Retries"]),
                         (10 * 10**9, 5 * 10**9, 6))
        with open(os.path.join(ROOT, "server", "version.h"), encoding="ascii") as header:
            version = re.search(r'VERSION "(.*)"', header.read())[1]
        self.assertEqual(config["Labels"]["org.opencontainers.image.version"], version)
        self.assertEqual(self.run_once("--version").stdout, f"signpostd {version}\n")

    def test_images_beside_it_have_what_compose_runs(self):
        for image, command, says in ((self.client, ("signpost", "--version"), "signpost "),
                                     (self.client, ("master",), "INDEX_URL"),
                                     (self.turn, ("turnserver", "--version"), "4.")):
            with self.subTest(command=command):
                self.assertEqual(image.config["User"], "65532:65532")
                done = subprocess.run(
                    ["chroot", "--groups=", "--userspec", ANYONE, image.root, *command],
                    capture_output=True, text=True, timeout=20, check=False)
                self.assertIn(says, done.stdout + done.stderr)
        secrets = os.stat(os.path.join(self.client.root, "secrets"))
        self.assertEqual((secrets.st_uid, secrets.st_mode & 0o777), (65532, 0o700))

    # --- its life -------------------------------------------------------------------------------

    def test_index_runs_as_anyone_and_keeps_what_it_had(self):
        container = self.start(**OPEN)
        print(f"figure: container | {1000 * container.start_s:.0f} ms from start to ready",
              flush=True)
        with open(f"/proc/{container.pid}/status", encoding="ascii") as file:
            status = file.read()
        self.assertRegex(status, r"NSpid:\s+\d+\s+1\n")
        self.assertRegex(status, r"Uid:(\s+12345){4}\n")
        self.assertRegex(status, r"CapEff:\s+0+\n")
        done = self.run_once("--healthcheck", **OPEN)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "signpostd: ready\n", ""))
        self.assertEqual(self.ask("POST", "/register", {"id": "a", "ttl": 600})[0], 201)
        self.assertEqual(container.stop(), 0, container.log())
        self.assertEnds(self.run_once("--healthcheck", **OPEN), 1, "127.0.0.1:7117", "refused")

        container = self.start(**OPEN)
        self.assertEqual(self.ask("GET", "/nodes/a")[1]["id"], "a")
        self.assertEqual(container.stop(signal.SIGINT), 0, container.log())

    def test_folder_of_the_image_itself_takes_the_database_of_anyone(self):
        shutil.rmtree(self.volume)
        copy = subprocess.run(["cp", "-a", os.path.join(self.image.root, "data"), self.volume],
                              check=False)
        self.assertEqual(copy.returncode, 0)  # as an engine does it for a new volume
        self.assertEqual(self.start(**OPEN).stop(), 0)

    def test_sighup_reads_the_keys_again(self):
        keys = KeysFile(self.volume)
        keys.add("one", "default")
        self.let_write(keys.path)
        container = self.start(SIGNPOST_KEYS="/data/" + os.path.basename(keys.path))
        container.send(signal.SIGHUP)
        container.wait_for_log(" reloaded what=keys")
        self.assertEqual(container.stop(), 0)

    def test_healthcheck_asks_over_https_too(self):
        certificate = Certificate(self.volume)
        self.let_write(certificate.key)
        environment = {"SIGNPOST_TLS_CERT": "/data/index.pem", "SIGNPOST_TLS_KEY": "/data/index.key"}
        container = self.start(**OPEN, **environment)
        done = self.run_once("--healthcheck", **OPEN, **environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        context = ssl.create_default_context(cafile=certificate.certificate)
        self.assertEqual(self.ask("GET", "/readyz", scheme=http.client.HTTPSConnection,
                                  context=context)[0], 200)
        self.assertEqual(container.stop(), 0)

    # --- what is wrong with it ------------------------------------------------------------------

    def test_without_keys_it_wants_to_be_told_that_it_is_open(self):
        self.assertEnds(self.run_once(), 2, "0.0.0.0:7117", "--keys", "--open")

    def test_volume_that_is_not_writable_exits_1(self):
        os.chown(self.volume, 0, 0)
        self.assertEnds(self.run_once(**OPEN), 1, "/data/signpost.db", "Permission denied")

    def test_volume_that_is_read_only_exits_1(self):
        done = self.image.run(user=ANYONE, environment={**OPEN})
        self.assertEnds(done, 1, "/data/signpost.db", "Read-only file system")

    def test_port_taken_exits_1(self):
        with socket.create_server(("0.0.0.0", 7117)):
            self.assertEnds(self.run_once(**OPEN), 1, "0.0.0.0:7117", "in use")

    def test_certificate_of_another_key_exits_2(self):
        for name in ("one", "other"):
            self.let_write(Certificate(self.volume, name).key)
        done = self.run_once(**OPEN, SIGNPOST_TLS_CERT="/data/one.pem",
                             SIGNPOST_TLS_KEY="/data/other.key")
        self.assertEnds(done, 2, "/data/other.key", "--tls-cert")

    def test_file_that_is_not_there_exits_2(self):
        self.assertEnds(self.run_once(SIGNPOST_KEYS="/keys/signpost.keys"), 2,
                        "/keys/signpost.keys", "No such file")

    def test_value_or_option_that_is_wrong_exits_2(self):
        self.assertEnds(self.run_once(**OPEN, SIGNPOST_RATE="fast"), 2, "SIGNPOST_RATE", "fast")
        self.assertEnds(self.run_once("--nonsense", **OPEN), 2, "--nonsense")


if __name__ == "__main__":
    unittest.main()
