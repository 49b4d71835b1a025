"""The command `signpost`: the node that it keeps registered, its secret and its key."""

import concurrent.futures
import hashlib
import json
import os
import signal
import stat
import subprocess
import tempfile
import unittest

from tests.cli.case import BINARY, ENDS_S, CliCase
from tests.lib.index import Index

KEY = "spk_" + "k" * 43


class TestRegister(CliCase):
    def test_node_is_listed_until_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number=number):
                running = self.registers("--id", "a", "--endpoint", "grpc://:1", "--endpoint",
                                         "udp://:2", "--meta", '{"role": "master"}')
                node = self.view("a")
                self.assertEqual(node["endpoints"], ["grpc://127.0.0.1:1", "udp://127.0.0.1:2"])
                self.assertEqual(node["meta"], {"role": "master"})
                self.assertEqual(running.end(number), (0, "", ""))
                self.assertEqual(self.look_up("a").status, 404)

    def test_line_names_id_index_and_address(self):
        running = self.starts("register", "--id", "a")
        self.assertEqual(running.line(), f"registered a at {self.env['SIGNPOST_INDEX']}, "
                                         "seen as 127.0.0.1\n")
        running.end()

    def test_json_line_names_id_index_and_address(self):
        running = self.starts("register", "--id", "a", "--json", "--quiet")
        self.assertEqual(running.json(), {
            "event": "registered", "id": "a", "index": self.env["SIGNPOST_INDEX"],
            "observed": "127.0.0.1"})
        running.end()

    def test_id_without_option_is_the_same_each_time(self):
        lines = []
        for _ in range(2):
            running = self.starts("register")
            lines.append(running.line())
            running.end()
        self.assertEqual(lines[0], lines[1])

    def test_ids_share_a_secret_file(self):
        first, second = self.registers("--id", "a"), self.registers("--id", "b")
        self.assertRegex(self.succeeds("list"), r"\Aa\t.*\nb\t.*\n\Z")
        self.assertEqual((first.end()[0], second.end()[0]), (0, 0))

    def test_ttl_and_unlisted_are_told(self):
        running = self.registers("--id", "a", "--ttl", "600", "--unlisted")
        self.assertGreater(self.view("a")["expires_in"], 590)
        self.assertEqual(self.succeeds("list"), "")
        running.end()

    def test_verbose_prints_peers_that_come_and_go(self):
        running = self.registers("--id", "a", "--verbose")
        node = self.node("b", endpoints=["grpc://:1"])
        self.assertEqual(running.line(), "up      b grpc://127.0.0.1:1\n")
        node.delete()
        self.assertEqual(running.line(), "down    b grpc://127.0.0.1:1\n")
        self.assertEqual(running.end()[0], 0)

    def test_id_of_someone_else_exits_77(self):
        self.node("a")
        self.assertEnds(77, "register", "--id", "a", "--quiet", says="refused")

    def test_key_that_the_index_does_not_know_exits_77(self):
        env = self.environment(SIGNPOST_KEY=KEY)
        done = self.cli("register", "--quiet", env=env)
        self.assertEqual((done.returncode, done.stdout), (77, ""))
        self.assertNotIn(KEY, done.stderr)

    def test_meta_that_is_no_object_exits_64(self):
        for meta in ("[]", "{", "role=master", '{"a": 1, "a": 2}', '{"a": "' + "x" * 4096 + '"}'):
            self.assertEnds(64, "register", "--meta", meta, says="--meta")

    def test_index_that_comes_back_is_told_once(self):
        with Index() as index:
            port = index.port
            running = self.registers("--id", "a", "--ttl", "5", "--index",
                                     f"http://127.0.0.1:{port}")
            index.kill()
            self.assertIn("trying again", running.note())
            with Index(listen=(f"127.0.0.1:{port}",)):
                self.assertRegex(running.line(), "^registered a ")
                self.assertIn("it is back", running.note())
                self.assertEqual(running.end(), (0, "", ""))
            index.start()


class TestIdentity(CliCase):
    def secret(self):
        return os.path.join(self.folder, "state", "signpost", "secret")

    def test_secret_is_made_for_its_owner_alone(self):
        self.registers().end()
        with open(self.secret(), encoding="ascii") as file:
            self.assertRegex(file.read(), r"\A[0-9a-f]{64}\n\Z")
        self.assertEqual(stat.S_IMODE(os.stat(self.secret()).st_mode), 0o600)
        for folder in ("state", "state/signpost"):
            mode = os.stat(os.path.join(self.folder, folder)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o700)
        self.assertEqual(os.listdir(os.path.dirname(self.secret())), ["secret"])

    def test_secret_is_in_the_home_without_a_state_directory(self):
        for extra in ({"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
            home = tempfile.mkdtemp(dir=self.folder)
            self.registers(env=self.environment(HOME=home, **extra)).end()
            self.assertTrue(os.path.isfile(os.path.join(home, ".local/state/signpost/secret")))

    def test_secrets_made_at_once_are_one(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: self.cli("recv", "--timeout", "0.1"), range(8)))
        self.assertNotIn(78, [one.returncode for one in done])
        self.assertEqual(os.listdir(os.path.dirname(self.secret())), ["secret"])

    def test_secret_that_is_none_exits_78(self):
        for text in ("", "x" * 64, "0" * 63, "0" * 65, "0" * 1000, "A" * 64):
            path = self.write("secret", text)
            self.assertEnds(78, "register", "--secret-file", path, says=path)
        self.assertEnds(78, "register", "--secret-file", self.folder, says=self.folder)

    def test_secret_that_others_can_read_is_told(self):
        path = self.write("secret", "0" * 64, mode=0o644)
        running = self.registers("--secret-file", path)
        self.assertIn("chmod 600", running.note())
        running.end()

    def test_reading_needs_no_secret(self):
        self.succeeds("list")
        self.assertFalse(os.path.exists(self.secret()))

    def test_key_file_that_holds_none_exits_78(self):
        for text in ("", "hunter2", KEY + "k", KEY[:-1], "spk_" + "!" * 43):
            path = self.write("key", text)
            done = self.cli("list", "--key-file", path)
            self.assertEqual(done.returncode, 78)
            self.assertNotIn(text or "?", done.stderr)
        self.assertEnds(78, "list", "--key-file", path + "-not", says=path + "-not")
        self.assertEnds(78, "list", env=self.environment(SIGNPOST_KEY="hunter2"),
                        says="SIGNPOST_KEY")

    def test_key_file_of_the_command_line_goes_before_the_key(self):
        path = self.write("key", "hunter2")
        self.assertEnds(78, "list", "--key-file", path, env=self.environment(SIGNPOST_KEY=KEY),
                        says=path)
        env = self.environment(SIGNPOST_KEY="hunter2", SIGNPOST_KEY_FILE=path)
        self.assertEnds(78, "list", env=env, says="SIGNPOST_KEY ")

    def test_ca_file_that_is_not_there_exits_78(self):
        self.assertEnds(78, "list", "--ca-file", self.folder + "/none", says="/none")


class TestKey(CliCase):
    def test_key_new_prints_key_and_line(self):
        for option, role in (((), "member"), (("--operator",), "operator")):
            key, line = self.succeeds("key", "new", "prod", *option).splitlines()
            self.assertRegex(key, r"\Aspk_[A-Za-z0-9_-]{43}\Z")
            digest = hashlib.sha256(key.encode()).hexdigest()
            self.assertRegex(line, rf"\Aprod {role} {digest}  # made \d{{4}}-\d\d-\d\d\Z")

    def test_key_new_as_json_says_the_same(self):
        made = json.loads(self.succeeds("key", "new", "prod", "--json"))
        self.assertEqual(made["sha256"], hashlib.sha256(made["key"].encode()).hexdigest())
        self.assertEqual(made["line"].split()[:3], ["prod", "member", made["sha256"]])

    def test_keys_differ(self):
        self.assertNotEqual(self.succeeds("key", "new", "a"), self.succeeds("key", "new", "a"))

    def test_key_with_other_words_exits_64(self):
        self.assertEnds(64, "key", "old", "prod", says="new")
        self.assertEnds(64, "key", "new", "a b", says="a b")

    def test_output_that_cannot_be_written_exits_74(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([BINARY, "key", "new", "prod"], env=self.env, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=ENDS_S, check=False)
        self.assertEqual(done.returncode, 74)
        self.assertRegex(done.stderr, r"\Asignpost: stdout: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
