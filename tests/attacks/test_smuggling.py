"""Requests that two servers could frame differently, and what is no request at all: what somebody
has hidden in a body is never answered as a request of its own."""

import re

from tests.lib.case import some_id
from tests.lib.raw import RawSocket, request_bytes
from tests.lib.rawcase import RawCase

BODY = b'{"id": "smuggler", "network": "smuggled"}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
# What is behind everything else: where the connection is still framed, it is answered 404.
LAST = request_bytes("GET", "/nodes/last?network=none", headers=["Connection: close"])


def post(*headers, body=b"", line=b"POST /register HTTP/1.1"):
    fields = [b"Host: localhost", b"Content-Type: application/json", *headers]
    return line + b"\r\n" + b"\r\n".join(fields) + b"\r\n\r\n" + body


class TestSmuggling(RawCase):
    def setUp(self):
        super().setUp()
        # Answered, it would show: it makes a node that is looked for afterwards.
        self.hidden = self.register_bytes(some_id("hidden"))

    def statuses(self, data):
        """Of all replies to `data` until the index closes, and the whole answer; that to LAST is
        given as "framed". libmicrohttpd sends the head of some of its own refusals twice
        (docs/http.md)."""
        with RawSocket(self.index) as connection:
            connection.try_send(data + LAST)
            connection.half_close()
            answer = connection.read_to_end()
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
        if answer.endswith(b'"code":"unknown_node"}\n'):
            statuses[-1] = "framed"
        return statuses, answer

    def assertNothingHidden(self):
        self.assertNodes(self.list(), [])

    def assertRefused(self, data, *allowed):
        """One refusal, and nothing behind it is read."""
        statuses, answer = self.statuses(data)
        self.assertEqual(len(set(statuses)), 1, answer)
        self.assertIn(statuses[0], allowed or (400, 411, 413), answer)
        self.assertNothingHidden()

    def test_length_and_chunks_are_refused(self):
        for codings in ([b"Transfer-Encoding: chunked"], [b"Transfer-Encoding: chunked",
                                                          b"Transfer-Encoding: identity"]):
            for length in (0, 5, len(CHUNKED), len(CHUNKED + self.hidden)):
                size = b"Content-Length: %d" % length
                for headers in ([size, *codings], [*codings, size]):
                    with self.subTest(headers=headers):
                        self.assertRefused(post(*headers, body=CHUNKED + self.hidden))
                        self.assertRefused(post(*headers, body=b"0\r\n\r\n" + self.hidden))

    def test_transfer_encoding_however_it_is_written_is_refused(self):
        for value in (b"chunked", b"Chunked", b"chunked, identity", b"identity, chunked",
                      b"xchunked", b"chunked;q=1", b"\tchunked", b"chunked\t", b" chunked ",
                      b"\x0bchunked", b"gzip", b"identity", b"", b'"chunked"', b"chunked,"):
            for extra in ([], [b"Content-Length: 5"]):
                with self.subTest(value=value, extra=extra):
                    self.assertRefused(post(b"Transfer-Encoding: " + value, *extra,
                                            body=CHUNKED + self.hidden))

    def test_name_like_transfer_encoding_frames_nothing(self):
        """Another header, so the length counts: what is behind it is no part of the body."""
        for name in (b"Transfer_Encoding", b"X-Transfer-Encoding", b"Transfer-Encodin"):
            with self.subTest(name=name):
                statuses, answer = self.statuses(
                    post(name + b": chunked", b"Content-Length: 2", body=b"xx"))
                self.assertEqual(statuses, [400, "framed"], answer)

    def test_lengths_that_differ_or_agree_are_refused(self):
        for first, second in ((0, len(self.hidden)), (len(self.hidden), 0), (5, 5), (len(BODY), len(BODY))):
            with self.subTest(first=first, second=second):
                self.assertRefused(post(b"Content-Length: %d" % first,
                                        b"Content-Length: %d" % second, body=BODY + self.hidden), 400)

    def test_length_that_is_no_number_is_refused(self):
        for value in (b"+41", b"-41", b"41 ,41", b"41, 41", b"0x29", b"4 1", b"41.0", b"4_1",
                      b"41;", b"\xd9\xa4", b"18446744073709551657", b"4294967337" * 3, b"", b"NaN",
                      b"1e1", b"41  ", b"\x0041"):
            with self.subTest(value=value):
                self.assertRefused(post(b"Content-Length: " + value, body=BODY + self.hidden))

    def test_length_with_zeros_or_space_around_frames_exactly(self):
        """Everyone reads the same number. Of one with a NUL behind it everything is read that may
        be meant, and no more."""
        for value in (b"0002", b"  2", b"\t2", b"2\x00"):
            with self.subTest(value=value):
                statuses, answer = self.statuses(post(b"Content-Length: " + value, body=b"{]"))
                self.assertEqual(statuses, [400, "framed"], answer)

    def test_header_that_some_would_read_otherwise_is_refused(self):
        """A space before the colon, a name that is none, a lone CR: with a proxy in front that
        sees a length there, what it takes for a body must not be a request to us."""
        for method in (b"POST /register", b"GET /list", b"GET /healthz", b"OPTIONS /list"):
            for header in (b"Content-Length : %d", b"Content-Length\t: %d", b"X: y\rContent-Length: %d",
                           b"Content Length: %d", b"Content-Length\x0b: %d", b"X: \x01\r\nY: %d",
                           b"(Content-Length): %d", b"X: y\x7f%d"):
                with self.subTest(method=method, header=header):
                    self.assertRefused(post(header % len(self.hidden), body=self.hidden,
                                            line=method + b" HTTP/1.1"), 400)
            for header in (b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked"):
                with self.subTest(method=method, header=header):
                    self.assertRefused(post(header, b"Content-Length: 0", line=method + b" HTTP/1.1",
                                            body=b"0\r\n\r\n" + self.hidden), 400)

    def test_request_without_length_hides_nothing(self):
        """A folded line belongs to the header before it, so it gives no length; who leaves it out
        is not read any further."""
        for lines in (b"X-Fold: a\r\n Content-Length: %d" % len(self.hidden), b"X: y",
                      b" Content-Length: %d" % len(self.hidden), b": nothing",
                      b"X-Fold: a\r\n\tTransfer-Encoding: chunked"):
            with self.subTest(lines=lines):
                self.assertRefused(post(lines, body=self.hidden), 400, 411, 415)

    def test_bare_line_feeds_and_nul_frame_exactly(self):
        for data, expected in (
                (post(b"X: a\nContent-Length: 2", body=b"{]"), [400, "framed"]),
                (post(b"X: a\x00b", b"Content-Length: 2", body=b"{]"), [400, "framed"]),
                (post(b"Content-Length: 5\nTransfer-Encoding: chunked", body=CHUNKED), [411]),
                (post(b"X\x00: b", b"Content-Length: 2", body=b"{]"), [400]),
                (post(b"Content\x00-Length: 2", body=b"{]"), [400]),
                (post(b"Transfer-Encoding: \x00chunked", b"Content-Length: 2", body=b"{]"), [411])):
            with self.subTest(data=data[60:]):
                statuses, answer = self.statuses(data)
                self.assertEqual(statuses, expected, answer)

    def test_request_in_the_body_of_a_refused_one_is_not_answered(self):
        """Whatever the reason of the refusal: what the length covers is body."""
        length = b"Content-Length: %d" % len(self.hidden)
        host, json = b"Host: localhost", b"Content-Type: application/json"
        refused = {
            415: [b"POST /register HTTP/1.1", host, b"Content-Type: text/plain", length],
            404: [b"POST /nothing HTTP/1.1", host, json, length],
            405: [b"POST /list HTTP/1.1", host, json, length],
            403: [b"POST /register HTTP/1.1", b"Host: evil.example", json, length],
            401: [b"POST /heartbeat HTTP/1.1", host, json, b"Authorization: Basic eA==", length],
            400: [b"POST /register HTTP/1.1", host, host, json, length],
        }
        for status, lines in refused.items():
            with self.subTest(status=status):
                statuses, answer = self.statuses(b"\r\n".join(lines) + b"\r\n\r\n" + self.hidden)
                self.assertEqual(statuses, [status, "framed"], answer)
                self.assertNothingHidden()

    def test_request_in_the_body_of_a_get_is_not_answered(self):
        for method, target in (("GET", "/list"), ("HEAD", "/healthz"), ("DELETE", "/nodes/none"),
                               ("OPTIONS", "/register"), ("GET", "/nothing")):
            with self.subTest(method=method):
                statuses, answer = self.statuses(
                    post(b"Content-Length: %d" % len(self.hidden), body=self.hidden,
                         line=f"{method} {target} HTTP/1.1".encode()))
                self.assertEqual(len(statuses), 2, answer)
                self.assertEqual(statuses[1], "framed", answer)
                self.assertNothingHidden()

    def test_request_behind_a_close_is_not_answered(self):
        statuses, answer = self.statuses(
            request_bytes("GET", "/healthz", headers=["Connection: close"]) + self.hidden)
        self.assertEqual(statuses, [200], answer)
        self.assertNothingHidden()

    def test_target_of_another_form_names_no_other_thing(self):
        for target, expected in (
                ("http://localhost/healthz", 200), ("http://evil.example/healthz", 200),
                ("localhost:80", 404), ("*", 404), ("http://localhost", 200), ("http://", 200),
                ("//healthz", 404), ("healthz", 404), ("/./healthz", 404), ("/../healthz", 404),
                ("/list/../healthz", 404), ("/%2e%2e/healthz", 404), ("/healthz/", 404)):
            with self.subTest(target=target):
                statuses, answer = self.statuses(request_bytes("GET", target))
                self.assertEqual(statuses, [expected, "framed"], answer)

    def test_connect_opens_no_tunnel(self):
        statuses, answer = self.statuses(
            b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(statuses, [404, "framed"], answer)

    def test_bytes_of_another_protocol_register_nothing(self):
        for data in (b"GET /healthz\r\n", b"GET /healthz\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + self.hidden,
                     b"POST /register HTTP/0.9\r\n\r\n" + self.hidden,
                     b"POST /register HTTP/1.2.3\r\n\r\n" + self.hidden,
                     b"POST /register http/1.1\r\nHost: localhost\r\n\r\n" + self.hidden,
                     b"POST\t/register\tHTTP/1.1\r\nHost: localhost\r\n\r\n" + self.hidden):
            with self.subTest(data=data[:40]):
                statuses, answer = self.statuses(data)
                self.assertLessEqual(len(set(statuses)), 1, answer)
                self.assertLessEqual(set(statuses), {400, 404, 505}, answer)
                self.assertNothingHidden()

    def test_spaces_in_the_request_line_make_no_second_target(self):
        for line in (b"GET  /healthz HTTP/1.1", b"GET /healthz  HTTP/1.1",
                     b"GET /healthz HTTP/1.1 ", b"GET /healthz /list HTTP/1.1",
                     b" GET /healthz HTTP/1.1", b"GET /health z HTTP/1.1"):
            with self.subTest(line=line):
                statuses, answer = self.statuses(line + b"\r\nHost: localhost\r\n\r\n")
                self.assertLessEqual(len([each for each in statuses if each != "framed"]), 1, answer)
                self.assertNotIn(b'"nodes"', answer)
