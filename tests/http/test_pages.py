"""What is served as it is: the browser module, its types, and the demonstration page."""

import base64
import hashlib
import os
import re
import socket
import time

from tests.lib.case import HttpCase
from tests.lib.http import curl, parse_head
from tests.lib.index import ROOT
from tests.lib.problem import check_problem
from tests.lib.raw import RawSocket, request_bytes
from tests.lib.rawcase import RawCase

FILES = {"/signpost.js": ("client/js/signpost.js", "text/javascript; charset=utf-8"),
         "/signpost.d.ts": ("client/js/signpost.d.ts", "text/plain; charset=utf-8"),
         "/openapi.json": ("docs/openapi.json", "application/json"),
         "/demo": ("client/js/demo.html", "text/html; charset=utf-8")}
INLINE = re.compile(rb"<(script|style)\b([^>]*)>(.*?)</\1\s*>", re.S | re.I)
MANY = 4 * 1024 * 1024


def content_of(path):
    with open(os.path.join(ROOT, FILES[path][0]), "rb") as file:
        return file.read()


def tag_of(path):
    return f'"{hashlib.sha256(content_of(path)).hexdigest()}"'


class PageCase(RawCase):
    arguments = ("--demo",)

    def get(self, path, headers=None, method="GET"):
        return self.client.request(method, path, headers=headers, check=False)


class TestPages(PageCase):
    def test_page_is_the_file(self):
        for path, (_, kind) in FILES.items():
            for reply in (self.get(path), self.get(path + "?v=1"),
                          curl(self.index, "GET", path, check=False)):
                with self.subTest(path=path):
                    self.assertEqual(reply.status, 200, reply)
                    self.assertEqual(reply.body, content_of(path))
                    self.assertEqual(reply.headers["Content-Type"], kind)
                    self.assertEqual(reply.headers["ETag"], tag_of(path))
                    self.assertEqual(reply.headers.get_all("Cache-Control"), ["no-cache"])
                    self.assertEqual(reply.headers["X-Content-Type-Options"], "nosniff")

    def test_page_needs_no_credential_and_reads_a_wrong_one(self):
        node = self.node()
        for token, status in ((None, 200), (node.token, 200), ("x" * 43, 200), ("short", 401)):
            reply = self.client.get("/signpost.js", token=token, check=False)
            self.assertEqual(reply.status, status, reply)

    def test_head_has_the_headers_of_get_and_no_body(self):
        for path in FILES:
            with self.subTest(path=path):
                connection = self.raw()
                connection.send(request_bytes("HEAD", path) + request_bytes("GET", path))
                head = connection.read_reply(head_only=True)
                get = connection.read_reply()
                self.assertEqual((head.status, get.status), (200, 200))
                for reply in (head, get):
                    del reply.headers["Date"], reply.headers["X-Request-Id"]
                self.assertEqual(head.headers.items(), get.headers.items())
                self.assertEqual(int(get.headers["Content-Length"]), len(content_of(path)))

    def test_page_takes_get_and_head_alone(self):
        for path in FILES:
            for method in ("POST", "PUT", "DELETE"):
                with self.subTest(path=path, method=method):
                    reply = self.client.request(method, path, {})
                    self.assertProblem(reply, 405, "bad_method")
                    self.assertEqual(reply.words("Allow"), {"get", "head", "options"})

    def test_path_beside_a_page_is_404(self):
        for path in ("/signpost", "/signpost.js/", "/signpost.ts", "/demo/", "/demo.html",
                     "/signpost.js/../demo", "/Demo", "//demo"):
            with self.subTest(path=path):
                reply = self.exchange(request_bytes("GET", path))
                self.assertRefused(reply, 404, "unknown_path")
        self.assertRefused(self.exchange(request_bytes("GET", "/demo%00")), 400, "bad_request")


class TestTags(PageCase):
    def assertKnown(self, path, *values):
        """304, with all that a cache wants to know, nothing behind it, and whatever comes next."""
        connection = self.raw()
        lines = ["If-None-Match: " + value for value in values]
        for method in ("GET", "HEAD"):
            connection.send(request_bytes(method, path, headers=lines)
                            + request_bytes("GET", "/healthz"))
            reply = connection.read_reply()
            self.assertEqual(reply.status, 304, reply)
            self.assertEqual(reply.headers["ETag"], tag_of(path))
            self.assertEqual(reply.headers["Cache-Control"], "no-cache")
            self.assertNotIn("Content-Type", reply.headers)
            # RFC 9110, 8.6: if there is one, it is that of the page.
            self.assertEqual(reply.headers.get("Content-Length", str(len(content_of(path)))),
                             str(len(content_of(path))))
            self.assertEqual(connection.read_reply().json(), {"status": "alive"})

    def test_page_that_is_known_gets_304(self):
        for path in FILES:
            tag = tag_of(path)
            for value in (tag, "W/" + tag, f'"x", {tag}', f'{tag}, "x"', f'W/"x",W/{tag}',
                          f'"a,b" , {tag}', "*"):
                with self.subTest(path=path, value=value):
                    self.assertKnown(path, value)
        self.assertKnown("/demo", '"x"', tag_of("/demo"))

    def test_page_that_is_not_known_is_sent(self):
        for path in FILES:
            tag = tag_of(path)
            for value in ('"x"', tag.strip('"'), tag[:-1], tag.upper(), "w/" + tag, "", "nonsense",
                          f'"x" {tag}', tag_of("/demo" if path != "/demo" else "/signpost.js")):
                with self.subTest(path=path, value=value):
                    reply = self.get(path, {"If-None-Match": value})
                    self.assertEqual((reply.status, reply.body), (200, content_of(path)), reply)

    def test_page_is_known_to_the_real_curl(self):
        file = os.path.join(self.index.folder, "etag")
        first = curl(self.index, "GET", "/signpost.js", args=["--etag-save", file], check=False)
        again = curl(self.index, "GET", "/signpost.js", args=["--etag-compare", file], check=False)
        self.assertEqual((first.status, again.status), (200, 304))

    def test_list_that_is_known_gets_304_by_the_same_rules(self):
        tag = self.client.get("/list").headers["ETag"]
        for value, status in ((tag, 304), (f'"x", {tag}', 304), (tag.removeprefix("W/"), 304),
                              ("*", 304), ('"x"', 200), (tag.strip('W/"'), 200)):
            with self.subTest(value=value):
                self.assertEqual(self.client.get(
                    "/list", headers={"If-None-Match": value}).status, status)


class TestPolicy(PageCase):
    def directives(self):
        policy = self.get("/demo").headers["Content-Security-Policy"]
        pairs = [directive.strip().partition(" ") for directive in policy.split(";")]
        self.assertEqual(len(pairs), len({name for name, _, _ in pairs}), policy)
        return {name: value.split() for name, _, value in pairs}

    def test_demo_allows_nothing_but_its_own(self):
        directives = self.directives()
        self.assertEqual(directives["default-src"], ["'none'"])
        self.assertEqual(directives["connect-src"], ["'self'"])
        self.assertEqual(directives["img-src"], ["'self'", "blob:", "data:"])
        for name in ("base-uri", "frame-ancestors", "form-action"):
            self.assertEqual(directives[name], ["'none'"])
        for sources in directives.values():
            for source in sources:
                self.assertNotIn("unsafe", source)
                self.assertNotIn("*", source)

    def test_demo_allows_its_inline_scripts_and_styles_by_hash(self):
        content = content_of("/demo").replace(b"\r\n", b"\n")
        hashes = {"script": [], "style": []}
        for element, attributes, inside in INLINE.findall(content):
            if b"src" not in attributes:
                digest = base64.b64encode(hashlib.sha256(inside).digest()).decode()
                hashes[element.decode().lower()].append(f"'sha256-{digest}'")
        directives = self.directives()
        self.assertEqual(directives["script-src"], ["'self'", *hashes["script"]])
        self.assertEqual(directives["style-src"], hashes["style"] or ["'none'"])

    def test_demo_tells_nobody_where_one_came_from(self):
        self.assertEqual(self.get("/demo").headers["Referrer-Policy"], "no-referrer")

    def test_module_has_no_policy(self):
        for path in FILES.keys() - {"/demo"}:
            self.assertNotIn("Content-Security-Policy", self.get(path).headers)

    def test_head_of_every_size_gets_the_page_whole(self):
        """The policy is the longest head of all, and each origin makes it longer."""
        origin = "Origin: http://" + "a" * 245 + ".localhost:65535"
        statuses = []
        for size in range(0, 6000, 100):
            data = request_bytes("GET", "/demo", headers=["Connection: close", origin,
                                                          "X-Pad: " + "x" * size])
            reply = self.only_reply(data)
            self.assertIn(reply.status, (200, 431), reply)
            if reply.status == 200:
                self.assertEqual(reply.body, content_of("/demo"))
            statuses.append(reply.status)
        self.assertEqual(statuses, sorted(statuses))
        self.assertEqual((statuses[0], statuses[-1]), (200, 431))


class TestDemoOff(HttpCase):
    def test_demo_is_there_only_with_its_option(self):
        self.start()
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            reply = self.client.request(method, "/demo", {} if method == "POST" else None)
            self.assertEqual(reply.status, 404, reply)
        self.assertProblem(self.client.get("/demo"), 404, "unknown_path")
        self.assertEqual(self.client.get("/signpost.js", check=False).status, 200)


class TestLoopback(PageCase):
    def test_page_is_for_this_machine_alone(self):
        for path in FILES:
            for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"},
                            {"Origin": "null"}):
                for method in ("GET", "OPTIONS"):
                    with self.subTest(path=path, headers=headers, method=method):
                        reply = self.get(path, headers, method)
                        self.assertProblem(reply, 403, "foreign_host")
                        check_problem(reply)

    def test_origin_of_this_machine_is_echoed(self):
        origin = "http://localhost:8080"
        for headers in ({}, {"If-None-Match": "*"}):
            reply = self.get("/signpost.js", {"Origin": origin, **headers})
            self.assertEqual(reply.headers["Access-Control-Allow-Origin"], origin)
            self.assertIn("origin", reply.words("Vary"))


class TestOpen(PageCase):
    arguments = ("--demo", "--open")
    options = {"listen": ("0.0.0.0:0",)}

    def test_module_is_for_every_page(self):
        headers = {"Host": "signpost.example", "Origin": "https://app.example"}
        for path in FILES:
            self.assertEqual(
                self.get(path, headers).headers["Access-Control-Allow-Origin"], "*")
        preflight = self.get("/signpost.js", headers, "OPTIONS")
        self.assertEqual(preflight.status, 204, preflight)
        self.assertEqual(preflight.words("Access-Control-Allow-Methods"),
                         {"get", "head", "options"})


class TestReaders(PageCase):
    def test_connection_used_again_serves_again(self):
        connection = self.raw()
        for _ in range(5):
            for path in FILES:
                connection.send(request_bytes("GET", path))
                self.assertEqual(connection.read_reply().body, content_of(path))

    def narrow(self):
        """A connection whose window is small."""
        connection = RawSocket.__new__(RawSocket)
        connection.socket = socket.socket()
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.socket.settimeout(10)
        connection.socket.connect((self.index.host, self.index.port))
        connection._buffer = b""
        self.addCleanup(connection.close)
        return connection

    def test_reader_that_is_slow_gets_every_byte(self):
        """More than the socket's buffers hold waits for one who reads a little at a time, while
        others are served."""
        connection = self.narrow()
        content = content_of("/signpost.js")
        count = MANY // (len(content) + 300)
        connection.socket.setblocking(False)
        wanted = request_bytes("GET", "/signpost.js") * count
        taken, deadline = b"", time.monotonic() + 60
        heads = set()
        got = 0
        while got < count:
            self.assertLess(time.monotonic(), deadline, f"{got} of {count} pages came")
            if wanted:
                try:
                    wanted = wanted[connection.socket.send(wanted):]
                except BlockingIOError:
                    pass
            try:
                piece = connection.socket.recv(65536)
                self.assertTrue(piece, f"closed after {got} of {count} pages")
                taken += piece
            except BlockingIOError:
                self.assertServes()
            while b"\r\n\r\n" in taken:
                head, _, rest = taken.partition(b"\r\n\r\n")
                if len(rest) < len(content):
                    break
                reply = parse_head(head)
                heads.add((reply.status, reply.headers["ETag"]))
                self.assertEqual(rest[:len(content)], content)
                taken = rest[len(content):]
                got += 1
        self.assertEqual(heads, {(200, tag_of("/signpost.js"))})

    def test_reader_that_leaves_in_the_middle_harms_nobody(self):
        for _ in range(20):
            connection = self.narrow()
            connection.send(request_bytes("GET", "/signpost.js") * 50)
            connection.wait_for(1)
            connection.close()
        self.assertServes()
