"""The routes as a table: which methods there are, and how what is wrong with a request is refused
on each of them, on an open index and on one with keys. How a refusal has to look is checked with
every reply (tests/lib/problem.py); here is which one comes, and that it comes everywhere."""

import secrets
import tempfile

from tests.lib.case import IndexCase
from tests.lib.http import curl
from tests.lib.keys import KeysFile
from tests.lib.raw import RawSocket, request_bytes
from tests.lib.rawcase import RawCase

PATHS = {
    "/register": {"POST"},
    "/heartbeat": {"POST"},
    "/list": {"GET", "HEAD"},
    "/nodes/x": {"GET", "HEAD", "DELETE"},
    "/mailbox/x": {"GET", "POST"},
    "/events": {"GET", "POST"},
    "/ice": {"GET", "HEAD"},
    "/check": {"POST"},
    "/healthz": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
    "/signpost.js": {"GET", "HEAD"},
    "/signpost.d.ts": {"GET", "HEAD"},
}
PUBLIC = ("/healthz", "/readyz", "/signpost.js", "/signpost.d.ts")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get")
ROUTES = [(method, path) for path, methods in PATHS.items() for method in sorted(methods)]
POSTS = [path for path, methods in PATHS.items() if "POST" in methods]
TOKEN = secrets.token_urlsafe(32)
BODY_BYTES = 69632  # LIMIT_BODY_BYTES
URL_CHARS = 2048    # LIMIT_URL_CHARS

# What cannot be a credential, however it is looked at.
UNREADABLE = {
    "nothing": "",
    "no word before it": TOKEN,
    "Bearer alone": "Bearer",
    "an empty Bearer": "Bearer ",
    "a Bearer of blanks": "Bearer    ",
    "Bearer and no blank": "Bearer" + TOKEN,
    "a tab for a blank": "Bearer\t" + TOKEN,
    "Basic": "Basic dXNlcjpwYXNz",
    "Basic with a token": "Basic " + TOKEN,
    "Digest": 'Digest username="x", realm="y"',
    "a token too short": "Bearer " + TOKEN[:42],
    "a token too long": "Bearer " + TOKEN + "A",
    "base64 of another alphabet": "Bearer " + "+/" + TOKEN[2:],
    "base64 that is padded": "Bearer " + TOKEN + "=",
    "a token in quotes": f'Bearer "{TOKEN}"',
    "two tokens": f"Bearer {TOKEN}, Bearer {TOKEN}",
    "two tokens after one word": f"Bearer {TOKEN} {TOKEN}",
    "something behind it": f"Bearer {TOKEN}; x",
    "bytes that are no text": "Bearer " + "\xff" * 43,
}
# What looks like a join key, and is none that there is.
KEYS = {
    "of nobody": "spk_" + TOKEN,
    "too short": "spk_" + TOKEN[:42],
    "too long": "spk_" + TOKEN + "A",
    "without anything": "spk_",
    "of another alphabet": "spk_" + "+/" + TOKEN[2:],
    "twice": "spk_spk_" + TOKEN[4:] + "A",
}


def body_of(method):
    return {} if method == "POST" else None


class TestMethods(RawCase):
    def test_every_path_says_which_methods_it_takes(self):
        for path, methods in PATHS.items():
            allowed = {method.lower() for method in methods | {"OPTIONS"}}
            for method in METHODS:
                if method in methods:
                    continue
                with self.subTest(method=method, path=path):
                    reply = self.client.request(method, path, {} if method == "POST" else None)
                    self.assertEqual(reply.status, 405, reply)
                    self.assertEqual(reply.words("Allow"), allowed)
            preflight = self.client.request("OPTIONS", path)
            for header in ("Allow", "Access-Control-Allow-Methods"):
                self.assertEqual(preflight.words(header), allowed, preflight)

    def test_path_of_nothing_is_404_to_every_method(self):
        for method in (*METHODS, "OPTIONS"):
            with self.subTest(method=method):
                reply = self.client.request(method, "/nothing", body_of(method))
                self.assertEqual(reply.status, 404, reply)
                self.assertNotIn("Allow", reply.headers)

    def test_method_is_looked_at_before_the_body(self):
        """Who has the wrong address is told that, and not to mend a body that nobody would take."""
        for path, status in (("/nothing", 404), ("/list", 405)):
            for headers in (["Content-Length: 1"], ["Content-Length: 1", "Content-Type: text/x"]):
                with self.subTest(path=path, headers=headers):
                    data = request_bytes("POST", path, headers=headers) + b"x"
                    self.assertEqual(self.exchange(data).status, status)


class TestBodies(RawCase):
    JSON = "Content-Type: application/json"

    def post(self, path, *headers, body=b""):
        return self.exchange(request_bytes("POST", path, headers=headers) + body)

    def test_body_of_no_length_gets_411(self):
        for path in POSTS:
            with self.subTest(path=path):
                self.assertRefused(self.post(path, self.JSON), 411, "length_required")
                for coding in ("chunked", "gzip, chunked", "identity"):
                    reply = self.post(path, self.JSON, "Transfer-Encoding: " + coding,
                                      body=b"2\r\n{}\r\n0\r\n\r\n")
                    self.assertRefused(reply, 411, "length_required")

    def test_body_of_a_byte_too_many_gets_413(self):
        node = self.node("x")
        for path in POSTS:
            with self.subTest(path=path):
                blanks = b" " * (BODY_BYTES - 2)
                reply = node.client.post(path, raw=b"{}" + blanks)
                self.assertNotEqual(reply.status, 413, reply)
                reply = node.client.post(path, raw=b"{} " + blanks)
                self.assertProblem(reply, 413, "too_large")
                self.assertIn(str(BODY_BYTES), reply["detail"])

    def test_body_that_is_not_declared_json_gets_415(self):
        types = ("text/plain", "application/x-www-form-urlencoded", "application/json5",
                 "application/jso", "application/problem+json", "json", "", "application/ json")
        for path in POSTS:
            with self.subTest(path=path):
                reply = self.post(path, "Content-Length: 2", body=b"{}")
                self.assertRefused(reply, 415, "not_json")
                for kind in types:
                    reply = self.client.post(path, raw=b"{}", headers={"Content-Type": kind})
                    self.assertProblem(reply, 415, "not_json")
                    self.assertIn("curl --json", reply["detail"])


class TestTargets(RawCase):
    def test_url_of_a_character_too_many_gets_414(self):
        for path in ("/list", "/healthz", "/nothing"):
            with self.subTest(path=path):
                longest = path + "?" + "x" * (URL_CHARS - len(path) - 1)
                self.assertNotEqual(self.client.get(longest).status, 414)
                reply = self.client.get(longest + "x")
                self.assertProblem(reply, 414, "url_too_long")
                self.assertIn(str(URL_CHARS), reply["detail"])

    def test_url_too_long_is_told_to_curl(self):
        reply = curl(self.index, "GET", "/list?x=" + "y" * URL_CHARS)
        self.assertProblem(reply, 414, "url_too_long")


class CredentialCase(IndexCase):
    def request(self, method, path, *values):
        """The reply to one with these for credentials."""
        lines = ["Authorization: " + value for value in values]
        with RawSocket(self.index) as connection:
            connection.send(request_bytes(method, path, body_of(method), headers=lines))
            return connection.read_reply(head_only=method == "HEAD")

    def assertEverywhere(self, value, code):
        for method, path in ROUTES:
            reply = self.request(method, path, value)
            self.assertEqual(reply.status, 401, (method, path, str(reply)))
            self.assertEqual(reply.headers["WWW-Authenticate"], "Bearer")
            if method != "HEAD":
                self.assertEqual(reply["code"], code, (method, path))

    def assertNoPreflightIsRefused(self, *values):
        for path in PATHS:
            reply = self.request("OPTIONS", path, *values)
            self.assertEqual(reply.status, 204, (path, str(reply)))
            self.assertEqual(reply.words("Access-Control-Allow-Headers"),
                             {"authorization", "content-type", "x-request-id"})

    def check_unreadable(self):
        for name, value in UNREADABLE.items():
            with self.subTest(credential=name):
                self.assertEverywhere(value, "bad_credential")

    def check_keys(self):
        for name, value in KEYS.items():
            with self.subTest(key=name):
                self.assertEverywhere("Bearer " + value, "bad_key")


class TestCredentials(CredentialCase):
    def test_credential_unreadable_gets_401_also_where_none_is_needed(self):
        self.check_unreadable()

    def test_key_that_there_is_not_gets_401_also_where_none_is_needed(self):
        self.check_keys()

    def test_preflight_is_answered_whatever_the_credential(self):
        self.assertNoPreflightIsRefused()
        for value in (*UNREADABLE.values(), "Bearer " + KEYS["of nobody"], "Bearer " + TOKEN):
            self.assertNoPreflightIsRefused(value)

    def test_refusal_says_nothing_of_what_was_sent(self):
        for value in (*UNREADABLE.values(), *("Bearer " + key for key in KEYS.values())):
            reply = self.request("GET", "/list", value)
            self.assertNotIn(TOKEN[4:40], reply.text)
        self.assertNotIn(TOKEN[4:40], self.index.log())

    def test_of_two_credentials_the_first_counts(self):
        node, other = self.node(), self.node()
        mine, others = ("Bearer " + one.token for one in (node, other))
        for values, status in (((mine, others), 200), ((others, mine), 403), ((mine, "x"), 200),
                               (("x", mine), 401)):
            with self.subTest(values=values):
                reply = self.request("GET", "/mailbox/" + node.id, *values)
                self.assertEqual(reply.status, status, reply)

    def test_blanks_around_a_credential_are_none_of_it(self):
        node = self.node()
        for value in ("  Bearer   " + node.token, "bearer " + node.token + "  "):
            with self.subTest(value=value):
                self.assertEqual(
                    self.request("GET", "/mailbox/" + node.id, value).status, 200)


class TestKeyed(CredentialCase):
    """The same where a credential is needed."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.keys = KeysFile(folder.name)
        cls.keys.add("blue", "blue")
        cls.arguments = ("--keys", cls.keys.path)
        super().setUpClass()

    def test_credential_missing_gets_401_on_all_but_what_is_public(self):
        for method, path in ROUTES:
            with self.subTest(method=method, path=path):
                status = self.request(method, path).status
                self.assertEqual(status, 200 if path in PUBLIC else 401)

    def test_credential_unreadable_gets_401_everywhere(self):
        self.check_unreadable()

    def test_key_that_there_is_not_gets_401_everywhere(self):
        self.check_keys()

    def test_key_cut_or_changed_is_another(self):
        key = self.keys["blue"]
        self.assertEqual(self.request("GET", "/list", "Bearer " + key).status, 200)
        changed = key[:10] + ("A" if key[10] != "A" else "B") + key[11:]
        for value in (key[:-1], key + "A", changed, key.replace("spk_", "SPK_"), key[4:] + "spk_",
                      key + " " + key):
            with self.subTest(value=value):
                reply = self.request("GET", "/list", "Bearer " + value)
                self.assertProblem(reply, 401, "bad_key", "bad_credential")

    def test_preflight_needs_no_credential(self):
        self.assertNoPreflightIsRefused()
        self.assertNoPreflightIsRefused("Basic dXNlcjpwYXNz")

    def test_path_and_method_are_told_without_a_credential(self):
        self.assertProblem(self.client.get("/nothing"), 404, "unknown_path")
        self.assertProblem(self.client.delete("/list"), 405, "bad_method")


class TestCrowd(IndexCase):
    """Whoever is turned away at the same moment is not told the same moment to come again."""

    arguments = ("--max-connections-per-address", "1")
    options = {"rate": 1}

    def waits(self, reply):
        return {reply().headers["Retry-After"] for _ in range(9)}

    def test_requests_too_many_are_spread(self):
        while self.client.get("/list").status == 200:
            pass
        self.assertGreater(len(self.waits(lambda: self.client.get("/list"))), 1)

    def test_connections_too_many_are_spread(self):
        self.client.get("/healthz")

        def turned_away():
            with RawSocket(self.index) as connection:
                reply = connection.read_reply()
            self.assertProblem(reply, 429, "too_many_connections")
            return reply

        self.assertEqual(self.waits(turned_away), {"5", "6", "7"})
