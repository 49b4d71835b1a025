"""The head of a request: how large it may be, whom it is for, and what it asks to be done."""

from tests.lib.http import url
from tests.lib.raw import request_bytes
from tests.lib.rawcase import RawCase

SIZES = range(3000, 6501, 50)  # from what is taken to what libmicrohttpd has no room for


class TestSize(RawCase):
    def assertOneReply(self, data):
        """An answer, or 431: of ours, or of libmicrohttpd where the head does not fit at all."""
        reply = self.only_reply(data)
        self.assertIn(reply.status, (200, 431), reply)
        if reply.media_type() == "application/problem+json":
            self.assertRefused(reply, 431, "headers_too_large")
        return reply.status

    def sweep(self, requests):
        """Requests of growing heads: the first is taken, the last is not, and there is one line
        between them."""
        statuses = []
        for size, data in requests:
            with self.subTest(size=size):
                statuses.append(self.assertOneReply(data))
        self.assertEqual(statuses, sorted(statuses))
        self.assertEqual((statuses[0], statuses[-1]), (200, 431))

    def padded(self, size, method, target, body=None, headers=()):
        """A request whose head has `size` bytes."""
        headers = ["Connection: close", *headers]
        empty = request_bytes(method, target, body, headers=[*headers, "X-Pad: "])
        missing = size - (empty.index(b"\r\n\r\n") + 4)
        return request_bytes(method, target, body, headers=[*headers, "X-Pad: " + "x" * missing])

    def test_head_of_every_size_gets_one_reply(self):
        self.sweep((size, self.padded(size, "GET", "/healthz")) for size in SIZES)

    def test_head_of_every_size_before_a_body_gets_one_reply(self):
        node = self.node()
        authorization = ["Authorization: Bearer " + node.token]
        self.sweep((size, self.padded(size, "POST", "/heartbeat", {}, authorization))
                   for size in SIZES)

    def test_head_of_every_size_gets_the_longest_reply_whole(self):
        """One with a link to the next page, all that a browser wants to know, and a long id."""
        value = "v" * 400
        for id in "ab":
            self.node(id, meta={"k": value})
        target = url("/list", network=self.network, limit=1, meta_k=value)
        asked = ["Origin: http://localhost:8080", "X-Request-Id: " + "i" * 64]
        reply = self.only_reply(request_bytes("GET", target,
                                              headers=["Connection: close", *asked]))
        self.assertIn(value, reply.headers["Link"])
        self.assertIn("Access-Control-Allow-Origin", reply.headers)
        self.assertEqual(reply.headers["X-Request-Id"], "i" * 64)
        self.sweep((size, self.padded(size, "GET", target, headers=asked))
                   for size in range(1500, 6501, 50))

    def test_headers_of_every_number_get_one_reply(self):
        self.sweep((count, request_bytes("GET", "/healthz", headers=[
            "Connection: close", *(f"a{number}: b" for number in range(count))]))
            for count in range(0, 400, 4))

    def test_cookies_of_every_number_get_one_reply(self):
        """Up to where libmicrohttpd refuses them, with the head of its reply twice."""
        self.sweep((count, request_bytes("GET", "/healthz", headers=[
            "Connection: close", "Cookie: " + "a=b; " * count]))
            for count in range(0, 68, 2))

    def test_cookies_of_every_size_get_one_reply(self):
        self.sweep((size, request_bytes("GET", "/healthz", headers=[
            "Connection: close", "Cookie: a=" + "b" * size]))
            for size in range(1000, 2500, 30))

    def test_arguments_of_every_number_get_one_reply(self):
        for what, argument, headers in (
                ("names", "a", []), ("values", "a=b", []), ("long ones", "a" * 25, []),
                ("with headers", "a", ["X-Pad: " + "x" * 2000])):
            with self.subTest(what):
                self.sweep((count, request_bytes("GET", "/healthz?" + "&".join(count * [argument]),
                                                 headers=["Connection: close", *headers]))
                           for count in (*range(100), 150))

    def test_arguments_too_many_are_told_their_number(self):
        reply = self.only_reply(request_bytes("GET", "/list?" + "a&" * 199))
        self.assertRefused(reply, 431, "headers_too_large")
        self.assertIn("200 arguments", reply["detail"])


class TestHost(RawCase):
    def refused(self, *headers):
        lines = ["GET /healthz HTTP/1.1", "Connection: close", *headers, "", ""]
        reply = self.only_reply("\r\n".join(lines).encode())
        self.assertRefused(reply, 400, "bad_request")
        return reply

    def test_host_missing_gets_400_and_nothing_else(self):
        self.assertIn("Host", self.refused()["detail"])

    def test_host_twice_gets_400(self):
        for other in ("localhost", "signpost.example"):
            with self.subTest(other=other):
                self.assertIn("Host", self.refused("Host: localhost", "Host: " + other)["detail"])

    def test_host_missing_of_http_1_0_is_fine(self):
        self.assertEqual(self.only_reply(b"GET /healthz HTTP/1.0\r\n\r\n").status, 200)


class TestTarget(RawCase):
    def get(self, target):
        return self.only_reply(request_bytes("GET", target, headers=["Connection: close"]))

    def test_target_of_every_length_gets_one_reply(self):
        for start in ("/", "/?", "/?a&", "/?a="):
            seen = []
            for length in range(1000, 8000, 50):
                with self.subTest(start=start, length=length):
                    reply = self.get(start + "x" * length)
                    self.assertIn(reply.status, (200, 404, 414, 431))
                    if reply.status not in seen:
                        seen.append(reply.status)
            self.assertEqual(seen[1:3], [414, 431])

    def test_target_that_is_a_whole_url_is_understood(self):
        self.node("a")
        for target in ("http://localhost/nodes/a", f"http://localhost:{self.index.port}/nodes/a",
                       "HTTP://LOCALHOST/nodes/a", "https://localhost/nodes/a"):
            with self.subTest(target=target):
                reply = self.get(f"{target}?network={self.network}")
                self.assertEqual((reply.status, reply["id"]), (200, "a"), reply)

    def test_target_that_is_a_whole_url_takes_a_body(self):
        reply = self.exchange(request_bytes("POST", "http://localhost/register",
                                            {"id": "whole", "network": self.network}))
        self.assertEqual((reply.status, reply["id"]), (201, "whole"), reply)

    def test_target_that_is_a_url_without_path_is_the_root(self):
        root = self.get("/")
        reply = self.get("http://localhost")
        self.assertEqual((reply.status, reply.json().keys()), (200, root.json().keys()))

    def test_target_with_a_url_in_its_path_is_a_path(self):
        reply = self.get("/nodes/http://localhost/healthz")
        self.assertRefused(reply, 404, "unknown_path")


class TestPreflight(RawCase):
    def test_preflight_with_a_chunked_body_gets_411(self):
        for target in ("/register", "/list", "*"):
            with self.subTest(target=target):
                reply = self.only_reply(request_bytes("OPTIONS", target, headers=[
                    "Connection: close", "Transfer-Encoding: chunked"]) + b"2\r\n{}\r\n0\r\n\r\n")
                self.assertRefused(reply, 411, "length_required")

    def test_preflight_without_body_gets_204(self):
        reply = self.exchange(request_bytes("OPTIONS", "/register"))
        self.assertEqual(reply.status, 204, reply)


class TestHeadMethod(RawCase):
    """HEAD is for what changes nothing, and reading a mailbox does."""

    def setUp(self):
        super().setUp()
        self.reader, self.sender = self.node("reader"), self.node("sender")

    def heads(self):
        """Each HEAD that somebody might try; they are refused."""
        for target in ("/mailbox/reader", "/mailbox/reader?wait=50", "/events", "/events?wait=50"):
            reply = self.reader.client.request("HEAD", target)
            self.assertEqual((reply.status, reply.body), (405, b""), reply)
            self.assertNotIn("head", reply.words("Allow"))
            self.assertIn("get", reply.words("Allow"))

    def test_head_of_a_mailbox_gives_nothing_out(self):
        """What was never given out comes back to its sender."""
        self.sender.sends(self.reader, id="m", ttl=1)
        self.heads()
        returned = self.sender.messages(wait=10)
        self.assertEqual([message["type"] for message in returned], ["undeliverable"])
        self.assertEqual(returned[0]["body"]["id"], "m")

    def test_head_of_a_mailbox_acknowledges_nothing(self):
        self.sender.sends(self.reader, id="m")
        following = self.reader.read()["next"]
        for target in ("/mailbox/reader", "/events"):
            reply = self.reader.client.request("HEAD", url(target, after=following))
            self.assertEqual(reply.status, 405, reply)
        self.assertEqual([message["id"] for message in self.reader.messages()], ["m"])

    def test_head_of_a_mailbox_supersedes_nobody(self):
        pending = self.reader.parks_read()
        self.heads()
        self.assertEqual(self.sender.sends(self.reader, id="m")["state"], "handed")
        self.assertEqual([message["id"] for message in pending.reply()["messages"]], ["m"])
