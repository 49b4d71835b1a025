"""The door as a socket sees it: framing, limits, methods, and who may knock at all."""

import json

from tests.lib.case import some_id
from tests.lib.http import curl
from tests.lib.problem import check_problem
from tests.lib.raw import request_bytes
from tests.lib.rawcase import RawCase

MANY = 3 * 1024 * 1024


class TestFraming(RawCase):
    def test_request_split_byte_by_byte_is_answered(self):
        connection = self.raw()
        for byte in self.register_bytes("split"):
            connection.send(bytes([byte]))
        reply = connection.read_reply()
        self.assertEqual((reply.status, reply["id"]), (201, "split"), reply)

    def test_pipeline_of_two_is_answered_in_order(self):
        connection = self.raw()
        connection.send(self.register_bytes("first")
                        + request_bytes("GET", f"/nodes/first?network={self.network}"))
        self.assertEqual(connection.read_reply().status, 201)
        reply = connection.read_reply()
        self.assertEqual((reply.status, reply["id"]), (200, "first"), reply)

    def test_pipeline_of_twenty_is_answered_in_order(self):
        connection = self.raw()
        connection.send(b"".join(self.register_bytes(f"p{i}") for i in range(20)))
        replies = [connection.read_reply() for _ in range(20)]
        self.assertEqual([reply["id"] for reply in replies], [f"p{i}" for i in range(20)])
        self.assertEqual({reply.status for reply in replies}, {201})

    def test_connection_used_again_serves_again(self):
        connection = self.raw()
        for _ in range(3):
            connection.send(request_bytes("GET", "/healthz"))
            self.assertEqual(connection.read_reply().status, 200)

    def test_connection_close_is_obeyed(self):
        connection = self.raw()
        connection.send(request_bytes("GET", "/healthz", headers=["Connection: close"]))
        reply = connection.read_reply()
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["Connection"].lower(), "close")
        self.assertEqual(connection.read_to_end(), b"")

    def test_http_1_0_is_answered_and_closed(self):
        connection = self.raw()
        connection.send(request_bytes("GET", "/healthz", version="1.0"))
        self.assertEqual(connection.read_reply().status, 200)
        self.assertEqual(connection.read_to_end(), b"")

    def test_http_of_another_version_is_refused(self):
        for version in ("2.0", "9.9"):
            with self.subTest(version=version):
                reply = self.exchange(request_bytes("GET", "/healthz", version=version))
                self.assertIn(reply.status, (400, 505))

    def test_no_http_at_all_harms_nobody(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
                     b"hello\r\n\r\n", b"\r\n" * 50 + b"x\r\n\r\n", b"GET\r\n\r\n"):
            with self.subTest(data=data[:20]):
                connection = self.raw()
                connection.try_send(data)
                connection.half_close()
                answer = connection.read_to_end()
                self.assertNotIn(b" 200 ", answer[:20])
                self.assertServes()


class TestBodies(RawCase):
    def head(self, *headers, target="/register"):
        return request_bytes("POST", target, headers=["Content-Type: application/json", *headers])

    def test_oversized_body_gets_413_after_all_was_sent(self):
        connection = self.raw()
        connection.send(self.head(f"Content-Length: {MANY}"))
        connection.send(b" " * MANY)
        self.assertRefused(connection.read_reply(), 413, "too_large")

    def test_oversized_body_gets_413_before_it_is_sent(self):
        connection = self.raw()
        connection.send(self.head(f"Content-Length: {MANY}", "Expect: 100-continue"))
        self.assertRefused(connection.read_reply(), 413, "too_large")

    def test_oversized_body_of_curl_gets_413(self):
        for expect in ("Expect:", "Expect: 100-continue"):
            with self.subTest(expect=expect):
                file = f"{self.index.folder}/oversized"
                with open(file, "wb") as body:
                    body.write(b" " * MANY)
                reply = curl(self.index, "POST", "/register", args=[
                    "--header", "Content-Type: application/json", "--header", expect,
                    "--data-binary", "@" + file])
                self.assertProblem(reply, 413, "too_large")

    def test_body_without_end_harms_nobody(self):
        connection = self.raw()
        connection.send(self.head("Content-Length: 999999999"))
        for _ in range(16):
            if not connection.try_send(b" " * 1024 * 1024):
                break
        connection.close()
        self.assertServes()

    def test_body_awaiting_100_continue_is_taken(self):
        connection = self.raw()
        body = json.dumps({"id": "patient", "network": self.network}).encode()
        connection.send(self.head(f"Content-Length: {len(body)}", "Expect: 100-continue"))
        self.assertEqual(connection.read_reply().status, 100)
        connection.send(body)
        self.assertEqual(connection.read_reply().status, 201)

    def test_chunked_body_gets_411(self):
        reply = self.exchange(self.head("Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n")
        self.assertRefused(reply, 411, "length_required")

    def test_chunked_body_of_curl_gets_411(self):
        reply = curl(self.index, "POST", "/register", "{}",
                     args=["--header", "Transfer-Encoding: chunked"])
        self.assertProblem(reply, 411, "length_required")

    def test_chunked_body_with_a_length_is_refused(self):
        connection = self.raw()
        connection.try_send(self.head("Transfer-Encoding: chunked", "Content-Length: 2")
                            + b"2\r\n{}\r\n0\r\n\r\n")
        self.assertIn(connection.read_reply().status, (400, 411))

    def test_body_without_length_is_refused(self):
        self.assertIn(self.exchange(self.head()).status, (400, 411))

    def test_content_length_twice_gets_400(self):
        for second in (b"3", b"2"):
            with self.subTest(second=second):
                reply = self.exchange(
                    self.head("Content-Length: 2", f"Content-Length: {second.decode()}") + b"{} ")
                self.assertEqual(reply.status, 400, reply)

    def test_content_length_that_is_none_is_refused(self):
        for value in ("abc", "-1", "1e3", "0x10", "2,2", "+2", "99999999999999999999999999"):
            with self.subTest(value=value):
                reply = self.exchange(self.head("Content-Length: " + value) + b"{}")
                self.assertIn(reply.status, (400, 413))
        self.assertServes()

    def test_client_leaving_in_the_head_harms_nobody(self):
        for length in (1, 5, 20, 40):
            connection = self.raw()
            connection.send(self.register_bytes("leaver")[:length])
            connection.close()
        self.assertServes()

    def test_client_leaving_in_the_body_registers_nothing(self):
        connection = self.raw()
        connection.send(self.register_bytes("leaver")[:-1])
        connection.close()
        self.settle()
        self.assertProblem(self.look_up("leaver"), 404)

    def test_content_type_missing_gets_415_that_names_curl_json(self):
        reply = self.exchange(
            b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        self.assertRefused(reply, 415, "not_json")
        self.assertIn("curl --json", reply["detail"])

    def test_content_type_of_another_kind_gets_415(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"):
            with self.subTest(kind=kind):
                reply = self.client.post("/register", {}, headers={"Content-Type": kind})
                self.assertProblem(reply, 415, "not_json")
                self.assertIn("curl --json", reply["detail"])

    def test_content_type_with_a_parameter_is_json(self):
        for kind in ("application/json; charset=utf-8", "application/json;charset=UTF-8",
                     "Application/JSON"):
            with self.subTest(kind=kind):
                body = {"id": some_id(), "network": self.network}
                reply = self.client.post("/register", body, headers={"Content-Type": kind})
                self.assertEqual(reply.status, 201, reply)

    def test_curl_data_without_json_is_told_of_curl_json(self):
        reply = curl(self.index, "POST", "/register", args=["--data", '{"id": "x"}'])
        self.assertProblem(reply, 415, "not_json")
        self.assertIn("curl --json", reply["detail"])


class TestHeads(RawCase):
    def test_header_that_is_huge_is_refused_with_a_reply(self):
        reply = self.exchange(request_bytes("GET", "/healthz", headers=["X-Long: " + "x" * 20000]))
        self.assertIn(reply.status, (400, 413, 431))
        self.assertServes()

    def test_headers_that_are_many_are_refused_with_a_reply(self):
        headers = [f"X-Header-{i}: value" for i in range(1000)]
        reply = self.exchange(request_bytes("GET", "/healthz", headers=headers))
        self.assertIn(reply.status, (400, 413, 431))
        self.assertServes()

    def test_url_that_is_huge_gets_414(self):
        for length in (3000, 20000):
            with self.subTest(length=length):
                self.assertEqual(
                    self.exchange(request_bytes("GET", "/list?x=" + "y" * length)).status, 414)
        self.assertServes()

    def test_nul_in_a_path_ends_no_string(self):
        node = self.node("nul", network="default")
        self.addCleanup(node.delete)
        for method, target, body in (
                ("GET", "/nodes/nul%00", None), ("GET", "/nodes/nul%00x", None),
                ("GET", "/healthz%00", None), ("GET", "/nodes/nul?network=default%00x", None),
                ("POST", "/mailbox/nul%00", {"id": "m", "type": "offer", "body": {}})):
            with self.subTest(target=target):
                authorization = ["Authorization: Bearer " + node.token]
                reply = self.exchange(request_bytes(method, target, body, headers=authorization))
                self.assertIn(reply.status, (400, 404))
                check_problem(reply)
        self.assertEqual(node.messages(), [])

    def test_path_of_invalid_utf_8_is_refused(self):
        for target in ("/nodes/%ff", "/nodes/%c3%28", "/nodes/\xff", "/list?network=%ff",
                       "/nodes/%", "/nodes/%zz"):
            with self.subTest(target=target):
                reply = self.exchange(request_bytes("GET", target))
                self.assertIn(reply.status, (400, 404))
        self.assertServes()

    def test_path_unknown_gets_404(self):
        for target in ("/nothing", "/nodes", "/nodes/", "/nodes/a/b", "/mailbox/", "/listx",
                       "/register/", "//list"):
            with self.subTest(target=target):
                reply = self.client.get(target)
                self.assertIn(reply.status, (400, 404, 405))
        self.assertProblem(self.client.get("/nothing"), 404, "unknown_path")

    def test_method_wrong_gets_405_with_allow(self):
        for method, target, right in (
                ("DELETE", "/list", "get"), ("PUT", "/register", "post"),
                ("GET", "/register", "post"), ("GET", "/heartbeat", "post"),
                ("POST", "/list", "get"), ("PUT", "/nodes/a", "delete"),
                ("PUT", "/mailbox/a", "post"), ("PUT", "/events", "get")):
            with self.subTest(method=method, target=target):
                reply = self.client.request(method, target)
                self.assertProblem(reply, 405, "bad_method")
                self.assertIn(right, reply.words("Allow"))
                self.assertNotIn(method.lower(), reply.words("Allow"))

    def test_method_unheard_of_is_refused(self):
        for method in ("BREW", "CONNECT", "TRACE"):
            with self.subTest(method=method):
                reply = self.exchange(request_bytes(method, "/list"))
                self.assertIn(reply.status, (400, 405, 501))

    def test_head_has_the_headers_of_get_and_no_body(self):
        self.node("h")
        for target in ("/healthz", f"/list?network={self.network}"):
            with self.subTest(target=target):
                connection = self.raw()
                connection.send(request_bytes("HEAD", target) + request_bytes("GET", target))
                head = connection.read_reply(head_only=True)
                get = connection.read_reply()
                self.assertEqual((head.status, get.status), (200, 200))
                self.assertEqual({k.lower() for k in head.headers},
                                 {k.lower() for k in get.headers})
                self.assertEqual(head.headers["ETag"], get.headers["ETag"])
                self.assertEqual(head.headers["Content-Type"], get.headers["Content-Type"])
                self.assertGreater(len(get.body), 0)

    def test_head_of_curl_is_answered(self):
        self.assertEqual(curl(self.index, "HEAD", "/healthz").status, 200)

    def test_options_gets_204_and_what_is_allowed(self):
        for target, method in (("/register", "post"), ("/list", "get"), ("/events", "post"),
                               ("/mailbox/a", "post"), ("/mailbox/a", "get"),
                               ("/nodes/a", "delete")):
            with self.subTest(target=target, method=method):
                reply = self.client.request("OPTIONS", target, headers={
                    "Origin": "http://localhost:8080",
                    "Access-Control-Request-Method": method.upper(),
                    "Access-Control-Request-Headers": "authorization,content-type"})
                self.assertEqual(reply.status, 204, reply)
                self.assertGreater(int(reply.headers["Access-Control-Max-Age"]), 0)
                self.assertEqual(reply.words("Access-Control-Allow-Headers"),
                                 {"authorization", "content-type", "x-request-id"})
                self.assertIn(method, reply.words("Access-Control-Allow-Methods"))
                self.assertEqual(reply.headers["Access-Control-Allow-Origin"],
                                 "http://localhost:8080")


class TestLoopbackOnly(RawCase):
    """An open index on loopback: no page that somebody visits may use it."""

    def status_of(self, host, *headers, method="GET"):
        reply = self.exchange(request_bytes(method, "/list", host=host, headers=headers))
        if reply.status >= 400:
            self.assertRefused(reply, 403, "foreign_host")
        return reply.status

    def test_host_of_this_machine_is_answered(self):
        port = self.index.port
        for host in ("localhost", f"localhost:{port}", "127.0.0.1", f"127.0.0.1:{port}",
                     "[::1]", f"[::1]:{port}", "LocalHost"):
            with self.subTest(host=host):
                self.assertEqual(self.status_of(host), 200)

    def test_host_of_another_gets_403(self):
        for host in ("signpost.example", "127.0.0.1.evil.example", "localhost.evil.example",
                     "evil.example:7117", "203.0.113.7", "[2001:db8::1]", "evil@localhost.example",
                     "localhost/x", "localhost:80x", "[::1", "[::1]x", "a b.localhost"):
            with self.subTest(host=host):
                self.assertEqual(self.status_of(host), 403)
                self.assertEqual(self.status_of(host, method="OPTIONS"), 403)

    def test_origin_of_another_gets_403_preflight_included(self):
        for origin in ("https://evil.example", "http://localhost.evil.example", "null",
                       "http://203.0.113.7:8080", "http://localhost:80\tx", "a b://localhost",
                       "http://localhost/", "http://[::1", "http://a\tb.localhost"):
            for method in ("GET", "OPTIONS"):
                with self.subTest(origin=origin, method=method):
                    header = "Origin: " + origin
                    self.assertEqual(self.status_of("localhost", header, method=method), 403)

    def test_origin_of_another_registers_nothing(self):
        reply = self.client.post("/register", {"id": "victim", "network": self.network},
                                 headers={"Origin": "https://evil.example"})
        self.assertProblem(reply, 403, "foreign_host")
        self.assertProblem(self.look_up("victim"), 404)

    def test_origin_of_this_machine_is_echoed(self):
        for origin in ("http://localhost:8080", "http://127.0.0.1:3000", "http://[::1]:9",
                       "https://localhost"):
            with self.subTest(origin=origin):
                reply = self.client.get("/list", headers={"Origin": origin})
                self.assertEqual(reply.status, 200)
                self.assertEqual(reply.headers["Access-Control-Allow-Origin"], origin)
                self.assertIn("origin", reply.words("Vary"))
                self.assertLessEqual({"etag", "link", "location", "retry-after", "x-request-id"},
                                     reply.words("Access-Control-Expose-Headers"))

    def test_error_bears_the_origin_too(self):
        reply = self.client.get("/nodes/nobody", headers={"Origin": "http://localhost:8080"})
        self.assertProblem(reply, 404, "unknown_node")
        self.assertEqual(reply.headers["Access-Control-Allow-Origin"], "http://localhost:8080")


class TestLoopbackOriginList(RawCase):
    """One on loopback whose operator names a page: that one may use it too, and no other."""

    ORIGIN = "https://app.example"
    arguments = ("--cors-origin", ORIGIN)

    def status_of(self, origin, method):
        reply = self.exchange(request_bytes(method, "/list", headers=["Origin: " + origin]))
        if reply.status >= 400:
            self.assertRefused(reply, 403, "foreign_host")
            self.assertNotIn("Access-Control-Allow-Origin", reply.headers)
        else:
            self.assertEqual(reply.headers["Access-Control-Allow-Origin"], origin)
            self.assertIn("origin", reply.words("Vary"))
        return reply.status

    def test_origin_of_the_list_is_let_in(self):
        for method, status in (("GET", 200), ("OPTIONS", 204)):
            with self.subTest(method=method):
                self.assertEqual(self.status_of(self.ORIGIN, method), status)
        reply = self.client.post("/register", {"id": "a", "network": self.network},
                                 headers={"Origin": self.ORIGIN})
        self.assertEqual(reply.status, 201, reply)

    def test_origin_of_this_machine_is_let_in_still(self):
        for method, status in (("GET", 200), ("OPTIONS", 204)):
            with self.subTest(method=method):
                self.assertEqual(self.status_of("http://localhost:8080", method), status)

    def test_origin_of_another_gets_403(self):
        for origin in ("https://evil.example", "http://app.example", "https://app.example:444",
                       "https://app.example.evil.example", "null"):
            for method in ("GET", "OPTIONS"):
                with self.subTest(origin=origin, method=method):
                    self.assertEqual(self.status_of(origin, method), 403)

    def test_host_of_another_gets_403_all_the_same(self):
        reply = self.exchange(request_bytes("GET", "/list", host="app.example",
                                            headers=["Origin: " + self.ORIGIN]))
        self.assertRefused(reply, 403, "foreign_host")


class TestPublicOpen(RawCase):
    """An index that was told to be open to all."""

    options = {"listen": ("0.0.0.0:0",)}
    arguments = ("--open",)

    def test_host_and_origin_are_anybodys(self):
        for origin in ("https://app.example", "http://localhost:8080"):
            reply = self.client.get("/list", headers={"Host": "signpost.example",
                                                      "Origin": origin})
            self.assertEqual(reply.status, 200)
            self.assertIn(reply.headers["Access-Control-Allow-Origin"], ("*", origin))

    def test_preflight_of_any_origin_gets_204(self):
        reply = self.client.request("OPTIONS", "/register", headers={
            "Host": "signpost.example", "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST"})
        self.assertEqual(reply.status, 204, reply)
        self.assertIn(reply.headers["Access-Control-Allow-Origin"], ("*", "https://app.example"))


class TestOriginList(RawCase):
    """An index whose operator names the pages that may use it."""

    options = {"listen": ("0.0.0.0:0",)}
    arguments = ("--open", "--cors-origin", "https://a.example",
                 "--cors-origin", "https://b.example")

    def allowed(self, origin, method="GET"):
        reply = self.client.request(method, "/list", headers={"Origin": origin}, check=False)
        return reply.headers.get("Access-Control-Allow-Origin")

    def test_origin_of_the_list_is_allowed(self):
        for origin in ("https://a.example", "https://b.example"):
            self.assertEqual(self.allowed(origin), origin)
            self.assertEqual(self.allowed(origin, "OPTIONS"), origin)

    def test_origin_of_no_list_is_not_allowed(self):
        for origin in ("https://c.example", "http://a.example", "https://a.example:444", "null"):
            self.assertIsNone(self.allowed(origin))
            self.assertIsNone(self.allowed(origin, "OPTIONS"))
