"""Heads of requests that are bombs: headers without number, without measure, without end; URLs; and
bodies that are announced and never come."""

from tests.lib.attack import AttackCase, readable, request

MANY = 1_000


class TestHeads(AttackCase):
    def throw(self, attack, bombs, ended=True):
        """Each on a connection of its own; those of the index that answer do so with a refusal."""
        connections = []
        refused = cut = 0
        for number in range(MANY):
            connection = self.comes(number % 40)
            connection.settimeout(20)
            try:
                connection.sendall(bombs[number % len(bombs)])
            except ConnectionError:
                pass  # It is refused already: what else it would have sent nobody wants.
            connections.append(connection)
        left = connections if ended else []
        while left:
            ready = readable(left, 30)
            self.assertTrue(ready, f"{len(left)} were not answered")
            for connection in ready:
                try:
                    answer = connection.recv(65536)
                except ConnectionResetError:
                    answer = b""
                refused += bool(answer)
                cut += not answer
                self.assertIn(answer[:11], (b"", b"HTTP/1.1 40", b"HTTP/1.1 41", b"HTTP/1.1 42",
                                            b"HTTP/1.1 43"))
            left = [connection for connection in left if connection not in set(ready)]
        for connection in connections:
            connection.close()
        attack.what = f"{MANY} connections, {refused} refused, {cut} cut"

    def test_headers_without_number_are_refused(self):
        with self.attack("headers without number") as attack:
            self.throw(attack, [
                request("GET", "/list", version="1.1")[:-2]
                + b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(count)) + b"\r\n"
                for count in (100, 1_000, 5_000)])

    def test_headers_without_measure_are_refused(self):
        with self.attack("headers without measure") as attack:
            self.throw(attack, [
                request("GET", "/list")[:-2] + name + b": " + b"x" * length + b"\r\n\r\n"
                for length in (5_000, 60_000, 1_000_000)
                for name in (b"X-Long", b"Cookie", b"Authorization")])

    def test_names_without_measure_are_refused(self):
        with self.attack("names without measure") as attack:
            self.throw(attack, [
                request("GET", "/list")[:-2] + b"X" * length + b": x\r\n\r\n"
                for length in (5_000, 200_000)])

    def test_headers_without_end_take_no_room(self):
        """They stop where the request still could become one, and are left to the deadline."""
        with self.attack("headers without end") as attack:
            self.throw(attack, [
                request("GET", "/list")[:-2] + b"X: y\r\n" * 30,
                request("GET", "/list")[:-2] + b"X-Long: " + b"x" * 3_000], ended=False)

    def test_urls_without_measure_are_refused(self):
        with self.attack("URLs without measure") as attack:
            self.throw(attack, [
                request("GET", path) for length in (3_000, 100_000) for path in (
                    "/" + "a" * length, "/list?network=" + "%41" * (length // 3),
                    "/list?since=" + "b" * length, "/nodes/" + "../" * (length // 3),
                    "/list?meta." + "k" * length + "=v", "/" * length)])

    def test_arguments_without_number_are_refused(self):
        with self.attack("arguments without number") as attack:
            self.throw(attack, [
                request("GET", "/list?" + "a&" * count) for count in (50, 90, 200, 2_500, 50_000)])

    def test_cookies_without_number_are_refused(self):
        with self.attack("cookies without number") as attack:
            self.throw(attack, [
                request("GET", "/list")[:-2] + b"Cookie: " + b"a=b; " * count + b"\r\n\r\n"
                for count in (60, 70, 200, 50_000)])

    def test_bodies_that_never_come_are_refused(self):
        """Nothing is made ready for what is only announced."""
        with self.attack("lengths without a body") as attack:
            self.throw(attack, [
                b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"%sContent-Length: %s\r\n\r\n" % (expect, length)
                for expect in (b"", b"Expect: 100-continue\r\n")
                for length in (b"99999999", b"9223372036854775807", b"18446744073709551616")])
