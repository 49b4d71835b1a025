"""Join keys: who is let in, what of other networks can be seen (nothing), and keys that change
while the index runs."""

import json
import os
import secrets
import socket
import subprocess
import tempfile
import unittest

from tests.lib import index as process
from tests.lib.case import HttpCase, some_id
from tests.lib.http import url
from tests.lib.keys import KeysFile, new_key, reload

TURN = "turn:turn.example.org:3478"


class KeysCase(HttpCase):
    """An index with the keys blue, blue-operator, red and red-operator."""

    arguments = ()

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.keys = KeysFile(folder.name)
        for network in ("blue", "red"):
            self.keys.add(network, network)
            self.keys.add(network + "-operator", network, operator=True)
        self.start("--keys", self.keys.path, *self.arguments)

    def joins(self, key, id=None, **members):
        """A node of the network of that key."""
        token = secrets.token_urlsafe(32)
        members = {"id": id or some_id(), "ttl": 600, **members, "token": token}
        client = self.connect(token=self.keys[key])
        reply = client.post("/register", members)
        self.assertEqual(reply.status, 201, reply)
        node = self.connect(token=token)
        node.id, node.cursor, node.own_token = members["id"], reply["cursor"], token
        return node

    def ids(self, key):
        reply = self.client.get("/list", token=self.keys[key])
        self.assertEqual(reply.status, 200, reply)
        return [node["id"] for node in reply["nodes"]]


class TestWhoIsLetIn(KeysCase):
    def test_all_but_what_is_public_needs_a_credential(self):
        for method, path, body in (
                ("POST", "/register", {"id": "a"}), ("POST", "/heartbeat", {}),
                ("GET", "/list", None), ("GET", "/list?network=blue", None),
                ("GET", "/nodes/a", None), ("DELETE", "/nodes/a", None),
                ("POST", "/mailbox/a", {"id": "m", "type": "offer", "body": {}}),
                ("GET", "/mailbox/a", None), ("POST", "/events", {}), ("GET", "/events", None),
                ("GET", "/ice", None), ("POST", "/check", {"port": 5000, "protocol": "tcp"})):
            with self.subTest(method=method, path=path):
                reply = self.client.request(method, path, body)
                self.assertProblem(reply, 401, "no_credential")
                self.assertEqual(reply.headers["WWW-Authenticate"], "Bearer")

    def test_health_pages_and_preflights_need_none(self):
        for path in ("/healthz", "/readyz", "/signpost.js"):
            self.assertEqual(self.client.get(path, check=False).status, 200)
        reply = self.client.request("OPTIONS", "/register", headers={
            "Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
        self.assertEqual(reply.status, 204, reply)

    def test_body_of_who_is_not_let_in_is_not_looked_at(self):
        for raw in (b"{", b"", b"\xff", b"[" * 60000):
            self.assertProblem(
                self.client.post("/heartbeat", raw=raw), 401, "no_credential")

    def test_key_that_is_not_there_gets_401(self):
        right = self.keys["blue"]
        for key in (new_key("blue")[0], right[:-1] + ("A" if right[-1] != "A" else "E"),
                    right.swapcase(), right[:-1], right + "A", "spk_", right[:-1] + "="):
            reply = self.client.get("/list", token=key)
            self.assertProblem(reply, 401, *(("bad_key",) if key.startswith("spk_")
                                             else ("bad_credential",)))

    def test_hash_of_a_key_is_none(self):
        digest = self.keys.lines()[0].split()[2]
        self.assertProblem(self.client.get("/list", token=digest), 401, "bad_credential")
        self.assertProblem(self.client.get("/list", token="spk_" + digest), 401, "bad_key")

    def test_node_token_admits_without_the_key(self):
        node = self.joins("blue", "a")
        self.assertEqual(node.post("/heartbeat", {}).status, 200)
        self.assertEqual([n["id"] for n in node.get("/list")["nodes"]], ["a"])
        self.assertEqual(node.post("/register", {"id": "a"}).status, 200)
        back = self.client.post("/register", {"id": "a", "token": node.own_token})
        self.assertEqual(back.status, 200, back)
        self.assertEqual(back["network"], "blue")

    def test_token_of_ones_own_does_not_admit(self):
        token = secrets.token_urlsafe(32)
        self.assertProblem(self.client.post("/register", {"id": "a", "token": token}),
                           401, "no_credential")
        self.assertProblem(self.client.post("/register", {"id": "a"}, token=token),
                           401, "no_credential")
        self.assertProblem(self.client.get("/list", token=token), 404, "unknown_node")

    def test_token_of_a_node_admits_no_other_node(self):
        node = self.joins("blue", "a")
        for members in ({"id": "b"}, {"id": "b", "token": secrets.token_urlsafe(32)}, {},
                        {"token": secrets.token_urlsafe(32)}):
            reply = node.post("/register", members)
            if reply.status != 200:  # without an id it is the same node that comes back
                self.assertProblem(reply, *((409, "token_in_use") if members == {"id": "b"}
                                            else (401, "no_credential")))
        self.assertEqual(self.ids("blue"), ["a"])

    def test_only_an_operator_removes_the_node_of_another(self):
        node = self.joins("blue", "a")
        other = self.joins("blue", "b")
        self.assertProblem(self.client.delete("/nodes/a", token=self.keys["blue"]),
                           403, "not_yours")
        self.assertProblem(other.delete("/nodes/a"), 403, "not_yours")
        reply = self.client.delete("/nodes/a", token=self.keys["red-operator"])
        self.assertProblem(reply, 404, "unknown_node")
        self.assertEqual(
            self.client.delete("/nodes/a", token=self.keys["blue-operator"]).status, 204)
        self.assertEqual(self.ids("blue"), ["b"])
        self.assertProblem(node.post("/heartbeat", {}), 404, "unknown_node")
        self.assertEqual(other.delete("/nodes/b").status, 204)

    def test_secrets_are_in_no_line_of_the_log(self):
        node = self.joins("blue", "a")
        self.client.get("/list", token=new_key("blue")[0])
        node.post("/heartbeat", {})
        reload(self.index)
        log = self.index.log()
        self.assertIn("access=keys", log)
        for text in [node.own_token, "spk_", *(line.split()[2] for line in self.keys.lines())]:
            self.assertNotIn(text, log)


class TestNetworks(KeysCase):
    def test_networks_see_nothing_of_each_other(self):
        self.joins("blue", "a", meta={"x": 1})
        red = self.joins("red", "b")
        self.assertEqual(self.ids("blue"), ["a"])
        self.assertEqual(self.ids("red"), ["b"])
        for client, token in ((self.client, self.keys["red"]), (red, None)):
            self.assertProblem(client.get("/nodes/a", token=token), 404, "unknown_node")
            for network in ("blue", "green", "default"):
                there = client.get(f"/list?network={network}", token=token)
                self.assertProblem(there, 403, "other_network")
                self.assertNotIn("blue", there["detail"].replace(network, ""))
                self.assertProblem(
                    client.get(f"/nodes/a?network={network}", token=token), 403, "other_network")
        reply = red.post("/mailbox/a", {"id": "m", "type": "offer", "body": {}})
        self.assertProblem(reply, 404, "unknown_node")
        self.assertProblem(red.get("/mailbox/a"), 404, "unknown_node")

    def test_networks_that_are_there_and_not_look_the_same(self):
        self.joins("blue", "a")
        red = self.joins("red", "b")
        there = red.get("/list?network=blue").json()
        nowhere = red.get("/list?network=none").json()
        self.assertEqual(there["detail"].replace("blue", "none"), nowhere["detail"])
        del there["detail"], nowhere["detail"]
        self.assertEqual(there, nowhere)

    def test_networks_have_the_same_ids_apart(self):
        blue, red = self.joins("blue", "a", meta={"in": 1}), self.joins("red", "a", meta={"in": 2})
        other = self.joins("red", "b")
        sent = other.post("/mailbox/a", {"id": "m", "type": "offer", "body": {}})
        self.assertEqual(sent.status, 202, sent)
        self.assertEqual(blue.get("/mailbox/a")["messages"], [])
        self.assertEqual(len(red.get("/mailbox/a")["messages"]), 1)
        self.assertEqual(blue.get("/nodes/a")["meta"], {"in": 1})

    def test_change_in_one_network_wakes_and_counts_in_no_other(self):
        red = self.joins("red", "b")
        poll = self.connect(token=red.own_token).send(
            "GET", url("/list", since=red.cursor, wait=1))
        for _ in range(5):
            self.joins("blue").delete("/nodes/none")
        reply = poll.reply()
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual((reply["nodes"], reply["gone"]), ([], []))
        self.assertEqual(reply["cursor"], red.cursor)
        self.assertEqual(red.get("/list")["cursor"], red.cursor)

    def test_register_names_the_network_of_its_key_or_none(self):
        for network, status in ((None, 201), ("blue", 201), ("red", 403), ("default", 403)):
            members = {"id": some_id()} | ({"network": network} if network else {})
            reply = self.client.post("/register", members, token=self.keys["blue"])
            self.assertEqual(reply.status, status, reply)
            if status == 201:
                self.assertEqual(reply["network"], "blue")

    def test_public_endpoints_and_names_may_be_announced(self):
        node = self.joins("blue", "a", endpoints=["tcp://192.0.2.7:1", "tcp://host.example:2"])
        self.assertEqual(node.get("/nodes/a")["endpoints"],
                         ["tcp://192.0.2.7:1", "tcp://host.example:2"])


class TestTurn(KeysCase):
    def setUp(self):
        with tempfile.NamedTemporaryFile("w", suffix=".secret", delete=False) as file:
            file.write("one-secret\n")
        self.addCleanup(os.unlink, file.name)
        self.secret = file.name
        self.arguments = ("--turn-uri", TURN, "--turn-secret-file", file.name)
        super().setUp()

    def password(self, secret, username):
        done = subprocess.run(
            ["openssl", "dgst", "-sha1", "-hmac", secret, "-binary"], input=username.encode(),
            capture_output=True, check=True)
        return subprocess.run(["base64"], input=done.stdout, capture_output=True,
                              check=True).stdout.decode().strip()

    def test_turn_is_for_nodes_not_for_keys(self):
        self.assertEqual(self.client.get("/ice", token=self.keys["blue"])["iceServers"], [])
        node = self.joins("blue", "a")
        server, = node.get("/ice")["iceServers"]
        self.assertEqual(server["urls"], [TURN])
        self.assertRegex(server["username"], r"^\d+:a$")
        self.assertEqual(server["credential"], self.password("one-secret", server["username"]))

    def test_turn_secret_is_read_again_on_sighup(self):
        node = self.joins("blue", "a")
        for content, secret in (("other-secret\none-secret\n", "other-secret"),
                                ("two words\n", "other-secret"), ("third\n", "third")):
            with open(self.secret, "w", encoding="utf-8") as file:
                file.write(content)
            good = " " not in content
            reload(self.index, f'{"reloaded" if good else "reload_failed"} what="TURN secret"')
            server, = node.get("/ice")["iceServers"]
            self.assertEqual(server["credential"], self.password(secret, server["username"]))


class TestKeysThatChange(KeysCase):
    def half(self, method, target, body, key):
        """A request whose last byte is not there yet."""
        content = json.dumps(body).encode()
        connection = socket.create_connection((self.index.host, self.index.port))
        self.addCleanup(connection.close)
        connection.settimeout(20)
        connection.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.keys[key]}\r\nContent-Length: {len(content)}\r\n\r\n"
            .encode() + content[:-1])
        return connection, content[-1:]

    def test_key_that_goes_while_a_body_comes_admits_no_more(self):
        self.joins("red", "there")
        self.keys.add("leaked", "blue")
        self.keys.add("leaked-operator", "red", operator=True)
        reload(self.index)
        halves = [self.half("POST", "/register", {"id": "late"}, "leaked"),
                  self.half("DELETE", "/nodes/there", {}, "leaked-operator"),
                  self.half("POST", "/events", {}, "leaked")]
        self.settle()
        self.keys.remove("leaked")
        self.keys.remove("leaked-operator")
        reload(self.index)
        self.settle()
        for connection, rest in halves:
            connection.sendall(rest)
            reply = b""
            while b"\r\n\r\n" not in reply or b"bad_key" not in reply:
                piece = connection.recv(4096)
                self.assertTrue(piece, reply)
                reply += piece
            self.assertIn(b"HTTP/1.1 401", reply)
        self.assertEqual(self.ids("blue"), [])
        self.assertEqual(self.ids("red"), ["there"])

    def test_key_that_is_added_admits_from_then_on(self):
        key = self.keys.add("new", "green")
        self.assertProblem(self.client.get("/list", token=key), 401, "bad_key")
        reload(self.index)
        self.assertEqual(self.client.get("/list", token=key)["network"], "green")

    def test_key_that_is_removed_evicts_whom_it_admitted(self):
        self.keys.add("second", "blue")
        reload(self.index)
        first, second = self.joins("blue", "a"), self.joins("second", "b")
        parked = self.connect(token=self.keys["second"]).send(
            "GET", url("/list", since=second.cursor, wait=50))
        events = self.connect(token=first.own_token).send(
            "GET", url("/events", since=second.cursor, wait=50))
        lists = self.connect(token=self.keys["blue"]).send(
            "GET", url("/list", since=second.cursor, wait=50))
        self.settle()
        removed = self.keys.remove("blue")
        reload(self.index)
        self.assertProblem(lists.reply(), 401, "bad_key")
        self.assertProblem(events.reply(), 404, "unknown_node")
        self.assertEqual(parked.reply()["gone"], ["a"])
        self.assertProblem(first.post("/heartbeat", {}), 404, "unknown_node")
        self.assertProblem(self.client.get("/list", token=removed), 401, "bad_key")
        self.assertEqual(second.post("/heartbeat", {}).status, 200)
        self.assertEqual(self.ids("second"), ["b"])

    def test_key_is_rotated_without_anyone_leaving(self):
        node = self.joins("blue", "a")
        cursor = node.cursor
        self.keys.add("next", "blue")
        reload(self.index)
        reply = self.client.post(
            "/register", {"id": "a", "ttl": 600, "token": node.own_token}, token=self.keys["next"])
        self.assertEqual(reply.status, 200, reply)
        self.keys.remove("blue")
        reload(self.index)
        self.settle()
        self.assertEqual(node.post("/heartbeat", {})["cursor"], cursor)
        self.index.kill()
        self.index.start()
        self.assertEqual(self.connect(token=node.own_token).post("/heartbeat", {}).status, 200)

    def test_broken_file_keeps_the_keys_of_before(self):
        node = self.joins("blue", "a")
        for text, why in (
                ("", "there is no key in it"), ("blue member", "line 1 has fewer words"),
                ("\n".join(self.keys.lines()) + "\nblue member 12", "line 5"),
                ("blue member " + self.keys["blue"], "line 1 has a join key itself")):
            self.keys.write(text)
            reload(self.index, "reload_failed what=keys")
            self.assertIn(why, self.index.log())
            self.assertEqual(node.post("/heartbeat", {}).status, 200)
            self.assertEqual(self.ids("red"), [])
        os.remove(self.keys.path)
        reload(self.index, "reload_failed what=keys")
        self.assertIn("No such file", self.index.log())
        self.assertEqual(node.post("/heartbeat", {}).status, 200)
        self.keys.write()
        reload(self.index)
        self.assertEqual(node.post("/heartbeat", {}).status, 200)

    def test_key_that_went_while_the_index_was_down_evicts_at_the_start(self):
        self.keys.add("second", "blue")
        reload(self.index)
        first, second = self.joins("blue", "a"), self.joins("second", "b")
        self.assertEqual(self.index.stop(), 0)
        self.keys.remove("blue")
        self.index.start()
        self.client = self.connect()
        self.assertEqual(
            self.connect(token=second.own_token).post("/heartbeat", {}).status, 200)
        self.assertProblem(self.client.get("/nodes/a", token=self.keys["second"]),
                           404, "unknown_node")
        self.assertProblem(self.connect(token=first.own_token).post("/heartbeat", {}),
                           404, "unknown_node")

    def test_key_that_changes_its_network_or_role_counts_from_then_on(self):
        node = self.joins("blue", "a")
        self.joins("red", "b")
        lines = self.keys.lines()
        self.keys.write("\n".join([lines[0].replace("blue member", "blue operator"),
                                   lines[2].replace("red", "green")]))
        reload(self.index)
        self.settle()
        self.assertProblem(self.client.get("/nodes/b", token=self.keys["red"]), 404)
        self.assertEqual(node.post("/heartbeat", {}).status, 200)
        self.assertEqual(self.client.delete("/nodes/a", token=self.keys["blue"]).status, 204)

    def test_keys_for_an_index_that_was_open_evict_who_is_there(self):
        self.assertEqual(self.index.stop(), 0)
        self.start(db=self.index.db)
        node = self.node("open")
        self.assertEqual(self.index.stop(), 0)
        self.start("--keys", self.keys.path, db=self.index.db)
        self.settle()
        self.assertProblem(self.connect(token=node.token).post("/heartbeat", {}),
                           404, "unknown_node")


class TestRates(KeysCase):
    arguments = ("--rate-per-credential", "1", "--max-nodes-per-network", "2")

    def answers(self, token, times=6):
        return [self.connect(token=token).get("/list") for _ in range(times)]

    def test_credential_has_its_rate_from_wherever_it_is_used(self):
        node = self.joins("blue-operator", "a")
        for token in (self.keys["blue"], node.own_token):
            replies = [self.connect(token=token, source=f"127.0.0.{number}").get("/list")
                       for number in range(2, 8)]
            refused = [reply for reply in replies if reply.status != 200]
            self.assertEqual([reply.status for reply in replies[:2]], [200, 200])
            self.assertTrue(refused)
            for reply in refused:
                self.assertProblem(reply, 429, "rate_limited")
                self.assertIn("join key or node token", reply["detail"])
                self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)
        self.assertEqual(self.client.get("/list", token=self.keys["red"]).status, 200)

    def test_network_has_its_nodes(self):
        self.joins("blue"), self.joins("blue")
        reply = self.client.post("/register", {"id": "c"}, token=self.keys["blue-operator"])
        self.assertProblem(reply, 429, "network_full")
        self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)
        self.joins("red")


class TestStart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.keys = KeysFile(folder.name)
        self.db = os.path.join(folder.name, "signpost.db")

    def ends(self, code, *args, **options):
        done = process.run("--db", self.db, *args, **options)
        self.assertEqual(done.returncode, code, done)
        return done.stderr

    def test_check_config_reads_the_keys(self):
        self.keys.add("a", "blue")
        self.assertEqual(self.ends(0, "--keys", self.keys.path, "--check-config"), "")
        self.ends(0, "--keys", self.keys.path, "--check-config", "--listen", "0.0.0.0:0")
        environment = process.clean_environment(SIGNPOST_KEYS=self.keys.path)
        self.ends(0, "--check-config", "--listen", "0.0.0.0:0", env=environment)

    def test_keys_that_are_wrong_exit_2(self):
        for content, why in (("", "there is no key in it"), ("x", "line 1 has fewer words")):
            self.keys.write(content)
            said = self.ends(2, "--keys", self.keys.path)
            self.assertIn(self.keys.path, said)
            self.assertIn(why, said)
        self.assertIn("No such file", self.ends(2, "--keys", self.keys.path + "-none"))

    def test_keys_and_open_contradict(self):
        self.keys.add("a", "blue")
        self.assertIn("--open", self.ends(2, "--keys", self.keys.path, "--open"))

    def test_keys_that_everyone_may_read_are_told(self):
        self.keys.add("a", "blue")
        os.chmod(self.keys.path, 0o644)
        said = self.ends(0, "--keys", self.keys.path, "--check-config")
        self.assertIn("warn secret_exposed", said)
        self.assertIn("chmod 600", said)


if __name__ == "__main__":
    unittest.main()
