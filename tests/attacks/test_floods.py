"""More requests than anyone needs: pipelined without an end, checks, STUN."""

import collections
import contextlib
import itertools
import secrets
import socket

from tests.lib.attack import AttackCase, readable, request, stranger
from tests.lib.index import Stopwatch

RATE, BURST = 50, 100  # requests of one address
STUN_RATE, STUN_BURST = 20, 40
CHECKS_A_MINUTE, CHECKS_OF_ONE_A_MINUTE = 120, 20


class TestFloods(AttackCase):
    def test_pipelines_whose_replies_nobody_reads_stop(self):
        """As much as the kernel takes: the index reads on only while its replies go out."""
        requests = request("GET", "/list") * 5_000
        with self.attack("pipelines, no reply read", "--rate", "0") as attack:
            sent = 0
            connections = [self.comes(number, 4096) for number in range(100)]
            for connection in connections:
                connection.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    for start in range(0, len(requests), 65536):
                        connection.sendall(requests[start:start + 65536])
                        sent += 1
            attack.what = f"{len(connections)} connections, {sent >> 4} MB of requests"
            self.settle()
            for connection in connections:
                connection.close()

    def test_pipelines_that_are_read_are_limited(self):
        """What is past the rate is refused, each with a time to come back, and costs little."""
        count = 100_000
        with self.attack("pipelines of one address") as attack:
            watch = Stopwatch()

            def each(status, headers, _):
                if status == 429:
                    self.assertGreaterEqual(int(headers[b"retry-after"]), 1)

            attack.flood(itertools.repeat(request("GET", "/list"), count), [stranger(0)] * 20,
                         each)
            took = watch.elapsed()
            attack.what = f"{count} requests in {took:.0f} s, {attack.seen[200]} served"
            self.assertEqual(set(attack.seen), {200, 429})
            self.assertEqual(attack.seen.total(), count)
            self.assertLessEqual(attack.seen[200], BURST + RATE * took + 1)

    def test_pipelines_of_many_addresses_are_served_beside_others(self):
        """Within the rate of each; all at once it is more than the index can do."""
        addresses, of_each = 400, BURST
        with self.attack("pipelines of many addresses") as attack:
            attack.flood(itertools.repeat(request("GET", "/list"), addresses * of_each),
                         [stranger(number) for number in range(addresses)], per_write=of_each)
            attack.what = f"{addresses} addresses, {attack.told()}"
            self.assertLessEqual(set(attack.seen), {200, 503})

    def test_checks_are_limited(self):
        """--check-private, or none would be dialled here at all."""
        addresses, of_each = 40, 50
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]  # nothing listens there when it is dialled
        with self.attack("checks", "--check-private") as attack:
            def check():
                return request("POST", "/check", {
                    "port": port, "protocol": "tcp", "nonce": secrets.token_hex(16)})

            attack.flood((check() for _ in range(addresses * of_each)),
                         [stranger(number) for number in range(addresses)])
            attack.what = f"{addresses * of_each} of {addresses} addresses, {attack.told()}"
            self.assertLessEqual(set(attack.seen), {200, 403, 429, 503})
            self.assertLessEqual(attack.seen[200], CHECKS_A_MINUTE)
            self.assertGreater(attack.seen[429] + attack.seen[503], 0)

    def test_stun_is_limited(self):
        """By address, so that nobody's spoofed address is flooded by the index."""
        binding = bytes.fromhex("000100002112a442") + b"s" * 12
        sent, addresses = 5_000, 2_000
        with self.attack("STUN", "--stun", "127.0.0.1:0") as attack:
            watch = Stopwatch()
            place = self.client.get("/ice")["iceServers"][0]["urls"]
            port = int((place if isinstance(place, str) else place[0]).rpartition(":")[2])
            answered = self.answers(port, binding, stranger(0), sent)
            self.assertGreater(answered, 0)
            self.assertLessEqual(answered, STUN_BURST + STUN_RATE * watch.elapsed() + 1)
            each = collections.Counter(self.answers(port, binding, stranger(number), 1)
                                       for number in range(1, addresses))
            attack.what = (f"{sent} of one address, {answered} answered; "
                           f"one of each of {addresses}, {each[1]} answered")
            self.assertGreater(each[1], addresses / 2)

    def answers(self, port, datagram, source, count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            plain.bind((source, 0))
            for _ in range(count):
                plain.sendto(datagram, ("127.0.0.1", port))
            came = 0
            while readable([plain], 0.5 if count > 1 or not came else 0):
                came += bool(plain.recv(2048))
                if came == count:
                    break
            return came
