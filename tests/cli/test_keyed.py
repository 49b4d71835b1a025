"""The command at an index with join keys, over HTTPS: what the README shows for a public address."""

import os
import subprocess
import tempfile
import unittest

from tests.cli.case import BINARY, CliCase, ENDS_S
from tests.lib.certificate import Certificate
from tests.lib.index import Index, ROOT
from tests.lib.keys import KeysFile, new_key, reload


class TestKeyed(CliCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.certificate = Certificate(folder.name)
        cls.keys = KeysFile(folder.name)
        cls.keys.add("first", "prod")
        cls.keys.add("second", "prod")
        cls.keys.add("other", "test")
        cls.arguments = (*cls.certificate.options, "--keys", cls.keys.path)
        cls.options = {"listen": ("127.0.0.1:0", "http://127.0.0.1:0")}
        super().setUpClass()

    def connect(self, **options):
        return super().connect(**{"listener": 1, **options})

    def environment(self, **extra):
        environment = super().environment(
            SIGNPOST_INDEX=f"https://localhost:{self.index.port}",
            SIGNPOST_CA_FILE=self.certificate.certificate, **extra)
        del environment["SIGNPOST_NETWORK"]
        return environment

    def key_file(self, name):
        return self.write(name + ".key", self.keys[name] + "\n")

    def test_node_registers_and_is_seen_in_its_network_alone(self):
        key, other = self.key_file("first"), self.key_file("other")
        running = self.registers(
            "--id", "a", "--endpoint", "grpc://:50051", "--verbose", "--key-file", key)
        self.assertIn("a\tgrpc://127.0.0.1:50051",
                      self.succeeds("list", "--key-file", self.key_file("second")))
        self.assertEqual(self.succeeds("list", "--key-file", other), "")
        self.assertEqual(self.succeeds("list", env={**self.env, "SIGNPOST_KEY": self.keys["other"]}),
                         "")
        self.assertEqual(running.end()[0], 0)

    def test_message_and_connection_need_no_more_than_the_key(self):
        first, second = self.key_file("first"), self.key_file("second")
        listener = self.starts("listen", "--id", "b", "--key-file", first)
        self.assertIn("b listens on port", listener.note())
        sender = subprocess.run(
            [BINARY, "connect", "b", "--id", "c", "--key-file", second], env=self.env,
            input="hello\n", capture_output=True, text=True, timeout=ENDS_S, check=False)
        self.assertEqual(sender.returncode, 0, sender)
        code, out, _ = listener.wait()
        self.assertEqual((code, out), (0, "hello\n"))

    def test_wrong_key_and_none_exit_77(self):
        wrong = self.write("wrong.key", new_key("prod")[0])
        self.assertEnds(77, "list", "--key-file", wrong, says="no such join key")
        self.assertEnds(77, "list", says="this index has join keys")
        self.assertEnds(77, "list", "--key-file", self.key_file("first"), "--network", "test",
                        says="another network")

    def test_certificate_that_nobody_knows_exits_69(self):
        environment = {k: v for k, v in self.env.items() if k != "SIGNPOST_CA_FILE"}
        self.assertEnds(69, "list", "--key-file", self.key_file("first"), env=environment,
                        says="certificate")

    def test_wrong_scheme_is_told(self):
        key = self.key_file("first")
        plain = f"localhost:{self.index.listeners[1][1]}"
        self.assertEnds(69, "list", "--key-file", key, "--index", "https://" + plain,
                        says="use http://")
        self.assertEnds(77, "list", "--key-file", key, "--index",
                        f"http://localhost:{self.index.port}", says="use https://")

    def test_key_that_is_withdrawn_ends_the_node(self):
        self.keys.add("leaving", "prod")
        reload(self.index)
        key = self.key_file("leaving")
        running = self.registers("--id", "leaving", "--verbose", "--key-file", key)
        self.keys.remove("leaving")
        reload(self.index)
        said = ""
        while "no such join key" not in said:
            said = running.note()
            self.assertTrue(said)
        self.assertNotIn("leaving", self.succeeds("list", "--key-file", self.key_file("first")))
        running.end()


class TestReadme(CliCase):
    def test_lines_of_the_readme_make_a_keyed_index(self):
        """The first line of that section, as it stands there."""
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            line, = [line.strip() for line in file if "key new prod |" in line]
        script = line.replace("build/signpost ", BINARY + " ")
        subprocess.run(["bash", "-c", script], cwd=self.folder, check=True,
                       env=self.env, timeout=ENDS_S)
        with Index("--keys", os.path.join(self.folder, "signpost.keys")) as index:
            done = self.cli("list", "--key-file", os.path.join(self.folder, "prod.key"),
                            "--index", f"http://127.0.0.1:{index.port}",
                            env={k: v for k, v in self.env.items() if k != "SIGNPOST_NETWORK"})
            self.assertEqual(done.returncode, 0, done)


if __name__ == "__main__":
    unittest.main()
