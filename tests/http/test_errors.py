"""What a wrong request is told. That each error is a proper problem is looked at with every reply
(tests/lib/problem.py); here are the inputs that somebody sends sooner or later."""

import json
import secrets

from tests.lib.case import IndexCase
from tests.lib.http import curl, url

DEEP = 5000
BODIES = {
    "nothing": b"",
    "blanks": b"  \n",
    "no JSON": b"hello",
    "half an object": b'{"id": "x"',
    "half a string": b'{"id": "x',
    "single quotes": b"{'id': 'x'}",
    "a comma too many": b'{"id": "x",}',
    "a comment": b'{"id": "x"} // x',
    "something behind": b'{"id": "x"} {"id": "y"}',
    "a number": b"5",
    "a string": b'"id"',
    "an array": b'[{"id": "x"}]',
    "null": b"null",
    "not a number": b'{"ttl": NaN}',
    "a member twice": b'{"id": "x", "id": "y"}',
    "a member twice, once escaped": b'{"id": "x", "\\u0069d": "y"}',
    "NUL within": b'{"id": "x\0y"}',
    "NUL behind": b'{"id": "x"}\0',
    "invalid UTF-8": b'{"id": "\xff"}',
    "overlong UTF-8": b'{"id": "\xc0\xaf"}',
    "half a surrogate in UTF-8": b'{"id": "\xed\xa0\x80"}',
    "half a surrogate": b'{"id": "\\ud800"}',
    "a control character": b'{"id": "\x01"}',
    "UTF-16": '{"id": "x"}'.encode("utf-16"),
    "deep arrays": b'{"meta": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"meta": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "deep arrays without end": b"[" * DEEP,
}


class TestBadBodies(IndexCase):
    def test_body_that_is_wrong_gets_400_everywhere(self):
        node = self.node()
        for target in ("/register", "/heartbeat", "/events", "/mailbox/" + node.id):
            for name, body in BODIES.items():
                if name == "nothing" and target in ("/heartbeat", "/events"):
                    continue  # There every member may be absent.
                with self.subTest(target=target, body=name):
                    reply = node.client.post(target, raw=body)
                    self.assertProblem(reply, 400)
        self.assertEqual(self.client.get("/healthz").status, 200)

    def test_body_that_is_no_json_is_told_where(self):
        for body in (b'{"id": "x",}', b'{"id": "x"\n\n  nonsense', b'{"id": "\xff"}'):
            with self.subTest(body=body):
                reply = self.client.post("/register", raw=body)
                self.assertProblem(reply, 400, "bad_json")
                self.assertRegex(reply["detail"], r"\d")

    def test_number_that_is_enormous_harms_nobody(self):
        for digits in (30, 400, 5000):
            reply = self.client.post("/register", raw=b'{"ttl": 1' + b"0" * digits + b"}")
            self.assertIn(reply.status, (201, 400))

    def test_member_that_is_wrong_is_named(self):
        for members in ({"ttl": "x"}, {"meta": 5}, {"endpoints": 5}, {"listed": 5}, {"reach": 5}):
            with self.subTest(members=members):
                reply = self.client.post("/register", {"network": self.network, **members})
                self.assertProblem(reply, 400)
                self.assertIn(next(iter(members)), reply["detail"])

    def test_body_too_large_gets_413_everywhere(self):
        node = self.node()
        for target in ("/register", "/heartbeat", "/events", "/mailbox/" + node.id):
            with self.subTest(target=target):
                reply = node.client.post(target, raw=b" " * 3 * 1024 * 1024)
                self.assertProblem(reply, 413, "too_large")
                node.client.close()

    def test_body_of_a_get_harms_nobody(self):
        reply = self.client.request("GET", "/list", {"since": "x"})
        self.assertIn(reply.status, (200, 400, 413))
        self.assertEqual(self.connect().get("/healthz").status, 200)

    def test_error_by_curl_is_a_problem_too(self):
        for method, target, body, status in (
                ("POST", "/register", "nonsense", 400), ("GET", "/nodes/nobody", None, 404),
                ("POST", "/heartbeat", "{}", 401), ("DELETE", "/list", None, 405)):
            with self.subTest(method=method, target=target):
                self.assertProblem(curl(self.index, method, target, body), status)


class TestBadCredentials(IndexCase):
    REQUESTS = (("POST", "/register", {"id": "x"}), ("POST", "/heartbeat", {}),
                ("POST", "/events", {}), ("GET", "/events", None), ("GET", "/mailbox/x", None),
                ("POST", "/mailbox/x", {"id": "m", "type": "offer", "body": 1}),
                ("DELETE", "/nodes/x", None), ("GET", "/list", None), ("GET", "/nodes/x", None))

    def test_credential_unreadable_gets_401_everywhere(self):
        for method, target, body in self.REQUESTS:
            for value in ("Bearer", "Bearer ", "Bearer x", "Basic dXNlcjpwYXNz", "nonsense",
                          "Bearer " + "x" * 42, "Bearer " + "x" * 44, "Bearer " + "!" * 43,
                          "Bearer spk_short"):
                with self.subTest(method=method, target=target, value=value):
                    reply = self.client.request(method, target, body,
                                                headers={"Authorization": value})
                    self.assertProblem(reply, 401, "bad_credential", "bad_key")

    def test_key_unknown_gets_401_bad_key_everywhere(self):
        key = "spk_" + secrets.token_urlsafe(32)
        for method, target, body in self.REQUESTS:
            with self.subTest(method=method, target=target):
                self.assertProblem(self.client.request(method, target, body, token=key),
                                   401, "bad_key")

    def test_token_that_begins_like_a_key_is_a_token(self):
        """A client's own token is any 43 characters: what it begins with is chance."""
        token = "spk_" + secrets.token_urlsafe(32)[4:]
        self.assertEqual(len(token), 43)
        node = self.node(token=token)
        self.assertNotIn("token", node.reply.json())
        for reply in (node.heartbeat(), node.client.post("/events", {}),
                      node.client.get("/mailbox/" + node.id)):
            self.assertEqual(reply.status, 200, reply)
        self.assertEqual(node.delete().status, 204)
        self.assertProblem(node.heartbeat(), 404, "unknown_node")

    def test_token_unknown_gets_404_and_what_to_do(self):
        token = secrets.token_urlsafe(32)
        for method, target, body in self.REQUESTS[1:7]:
            with self.subTest(method=method, target=target):
                reply = self.client.request(method, target, body, token=token)
                self.assertProblem(reply, 404, "unknown_node")
                self.assertEqual(reply["action"], "register")

    def test_credential_missing_gets_401_where_one_is_needed(self):
        self.node("x", network="default")
        for method, target, body in self.REQUESTS[1:7]:
            with self.subTest(method=method, target=target):
                reply = self.client.request(method, target, body)
                self.assertProblem(reply, 401, "no_credential")
                self.assertIn("WWW-Authenticate", reply.headers)

    def test_word_bearer_is_read_in_any_case(self):
        node = self.node()
        for word in ("bearer", "BEARER", "Bearer"):
            with self.subTest(word=word):
                reply = node.client.post("/heartbeat", {},
                                         headers={"Authorization": f"{word} {node.token}"})
                self.assertEqual(reply.status, 200, reply)

    def test_token_of_another_gets_403(self):
        node, other = self.node(), self.node()
        for reply in (other.client.post("/heartbeat", {"id": node.id}),
                      other.client.get("/mailbox/" + node.id),
                      other.client.delete("/nodes/" + node.id)):
            self.assertProblem(reply, 403, "not_yours")
        self.assertEqual(node.heartbeat().status, 200)

    def test_token_reads_no_other_network(self):
        node = self.node()
        reply = node.client.get(url("/list", network=self.network + "x"))
        self.assertIn(reply.status, (200, 403))
        if reply.status == 200:
            self.assertEqual(reply["nodes"], [])


class TestSecrets(IndexCase):
    """A log that says everything it can still says no secret."""

    arguments = ("--log-level", "debug")

    def test_log_has_no_token_key_or_body(self):
        node, other = self.node(meta={"m": "meta-content"}), self.node()
        mine, key = secrets.token_urlsafe(32), "spk_" + secrets.token_urlsafe(32)
        self.node(token=mine)
        other.sends(node, body="body-content")
        node.read()
        self.client.get("/list", token=key)
        self.client.post("/heartbeat", {}, token=secrets.token_urlsafe(32))
        self.client.post("/register", {"id": node.id, "network": self.network, "token": mine})
        self.client.post("/register", raw=b'{"token": "' + mine.encode() + b'", nonsense')
        self.settle()
        log = self.index.log()
        for secret in (node.token, other.token, mine, key, key[4:], "meta-content",
                       "body-content"):
            self.assertNotIn(secret, log)

    def test_error_has_no_token(self):
        mine = secrets.token_urlsafe(32)
        for reply in (self.client.post("/heartbeat", {}, token=mine),
                      self.client.post("/register", raw=json.dumps({"token": mine}).encode()[:-1]),
                      self.client.post("/register", {"id": "a b", "token": mine})):
            self.assertGreaterEqual(reply.status, 400)
            self.assertNotIn(mine, reply.text)
