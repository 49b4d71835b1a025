"""Help with connecting: which STUN servers an index names, and that an open one gives no TURN."""

import os
import secrets
import tempfile
import unittest

from tests.lib import index as process
from tests.lib.case import HttpCase, IndexCase
from tests.lib.http import curl
from tests.lib.index import clean_environment

STUN = ("stun:stun.example.org", "stuns:[2001:db8::1]:5349")
TURN = "turn:turn.example.org:3478?transport=udp"
SECRET = "a-secret-that-nobody-is-told"


def write_secret(folder, content=SECRET + "\n", mode=0o600):
    path = os.path.join(folder, "turn.secret")
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(path, mode)
    return path


class TestNothingNamed(IndexCase):
    def test_ice_without_servers_is_empty(self):
        reply = self.client.get("/ice")
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(reply.json(), {"iceServers": [], "ttl": 3600})
        self.assertEqual(reply.headers["Cache-Control"], "no-store")


class TestStun(IndexCase):
    arguments = ("--stun-uri", STUN[0], "--stun-uri", STUN[1])
    configuration = {"iceServers": [{"urls": list(STUN)}], "ttl": 3600}

    def test_ice_names_the_stun_servers(self):
        self.assertEqual(self.client.get("/ice").json(), self.configuration)
        self.assertEqual(curl(self.index, "GET", "/ice").json(), self.configuration)
        self.assertEqual(self.client.get("/ice?network=x&unknown=1").json(), self.configuration)

    def test_ice_is_the_same_for_a_node(self):
        self.assertEqual(self.node().client.get("/ice").json(), self.configuration)

    def test_ice_of_a_token_without_node_gets_404_with_action(self):
        reply = self.client.get("/ice", token=secrets.token_urlsafe(32))
        self.assertProblem(reply, 404, "unknown_node")
        self.assertEqual(reply["action"], "register")

    def test_ice_of_a_node_that_left_gets_404(self):
        node = self.node()
        self.assertEqual(node.delete().status, 204)
        self.assertProblem(node.client.get("/ice"), 404, "unknown_node")

    def test_ice_of_a_credential_that_is_none_gets_401(self):
        self.assertProblem(self.client.get("/ice", token="short"), 401, "bad_credential")
        self.assertProblem(
            self.client.get("/ice", token="spk_" + secrets.token_urlsafe(32)), 401, "bad_key")

    def test_ice_takes_get_and_head_alone(self):
        for method in ("POST", "PUT", "DELETE"):
            with self.subTest(method=method):
                reply = self.client.request(method, "/ice", {})
                self.assertProblem(reply, 405, "bad_method")
                self.assertEqual(reply.words("Allow"), {"get", "head", "options"})
        head = self.client.request("HEAD", "/ice")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(int(head.headers["Content-Length"]), len(self.client.get("/ice").body))
        self.assertProblem(self.client.get("/ice/"), 404, "unknown_path")
        self.assertProblem(self.client.get("/ice/x"), 404, "unknown_path")

    def test_ice_is_for_pages_of_this_machine(self):
        origin = {"Origin": "http://localhost:8080"}
        reply = self.client.get("/ice", headers=origin)
        self.assertEqual(reply.headers["Access-Control-Allow-Origin"], origin["Origin"])
        preflight = self.client.request("OPTIONS", "/ice", headers={
            **origin, "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization"})
        self.assertEqual(preflight.status, 204, preflight)
        self.assertIn("get", preflight.words("Access-Control-Allow-Methods"))
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            self.assertProblem(self.client.get("/ice", headers=headers), 403, "foreign_host")


class TestTurn(HttpCase):
    """An open index has TURN servers and gives them to nobody: today that is every index."""

    def start_with_turn(self, *arguments, mode=0o600, **options):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.start("--stun-uri", STUN[0], "--turn-uri", TURN, "--turn-secret-file",
                   write_secret(folder.name, mode=mode), "--log-level", "debug", *arguments,
                   **options)

    def assertGivesNone(self):
        for client in (self.client, self.node().client):
            reply = client.get("/ice")
            self.assertEqual(reply.json(), {"iceServers": [{"urls": [STUN[0]]}], "ttl": 3600})
        self.assertIn(" warn turn_withheld ", self.index.log())
        self.assertNotIn(SECRET, self.index.log())

    def test_turn_on_an_open_loopback_is_for_nobody(self):
        self.start_with_turn()
        self.assertGivesNone()

    def test_turn_on_an_index_open_to_all_is_for_nobody(self):
        self.start_with_turn("--open", listen=("0.0.0.0:0",))
        self.assertGivesNone()

    def test_turn_secret_that_all_may_read_is_warned_of(self):
        self.start_with_turn(mode=0o644)
        line = next(line for line in self.index.log().splitlines() if "secret_exposed" in line)
        self.assertIn(" warn ", line)
        self.assertIn("turn.secret", line)
        self.assertIn("chmod 600", line)
        self.assertNotIn(SECRET, self.index.log())

    def test_turn_secret_of_its_owner_is_fine(self):
        self.start_with_turn()
        self.assertNotIn("secret_exposed", self.index.log())

    def test_turn_missing_is_not_warned_of(self):
        self.start("--stun-uri", STUN[0])
        self.assertNotIn("turn_withheld", self.index.log())


class TestOptions(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def check(self, *arguments, env=None):
        db = os.path.join(self.folder, "signpost.db")
        done = process.run("--check-config", "--db", db, *arguments, env=env)
        self.assertNotIn(SECRET, done.stdout + done.stderr)
        return done

    def assertRefused(self, *arguments, says):
        """By the check and by a start alike."""
        for more in ((), ("--check-config=no", "--listen", "127.0.0.1:0")):
            done = self.check(*arguments, *more)
            self.assertEqual(done.returncode, 2, done)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done)
            self.assertIn(says, done.stderr)

    def test_uri_that_is_none_exits_2(self):
        for option, value in (("--stun-uri", "stun.example.org"),
                              ("--stun-uri", "stun://stun.example.org"), ("--stun-uri", TURN),
                              ("--turn-uri", STUN[0]), ("--turn-uri", TURN + "x")):
            with self.subTest(option=option, value=value):
                self.assertRefused(option, value, says=option)

    def test_turn_without_secret_and_secret_without_turn_exit_2(self):
        self.assertRefused("--turn-uri", TURN, says="--turn-secret-file")
        self.assertRefused("--turn-secret-file", write_secret(self.folder), says="--turn-uri")

    def test_secret_file_that_is_wrong_exits_2(self):
        for content in ("", "\n\n", "# nothing\n", b"\0" * 40, SECRET + " and more\n",
                        SECRET + "\n\xff\n", SECRET * 40, os.urandom(70000)):
            with self.subTest(content=content[:40]):
                self.assertRefused("--turn-uri", TURN, "--turn-secret-file",
                                   write_secret(self.folder, content), says="turn.secret")
        self.assertRefused("--turn-uri", TURN, "--turn-secret-file", self.folder, says=self.folder)
        self.assertRefused("--turn-uri", TURN, "--turn-secret-file", self.folder + "/none",
                           says="No such file")

    def test_secret_file_that_is_right_exits_0(self):
        for content in (SECRET, SECRET + "\r\nolder\r\n", "# new\n\n  " + SECRET + "\t\n# old\nx"):
            done = self.check("--turn-uri", TURN, "--turn-secret-file",
                              write_secret(self.folder, content))
            self.assertEqual((done.returncode, done.stderr), (0, ""), done)

    def test_secret_file_in_the_environment_is_read(self):
        done = self.check(env=clean_environment(
            SIGNPOST_TURN_URI=TURN, SIGNPOST_TURN_SECRET_FILE=self.folder + "/none"))
        self.assertEqual(done.returncode, 2, done)
