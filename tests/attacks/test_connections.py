"""Connections that only take up room: silent ones, ones that come and go, and ones that break."""

import socket
import struct

from tests.lib.attack import AttackCase, connect, readable, request, stranger

OF_ONE_ADDRESS = 512  # connections
MANY = 10_000
RUSH = 3_000
HEADERS_S = 10
STORM = 20_000
LEFT_BYTES = 2 * 1024 * 1024  # that another half of a storm may leave in memory


def read_all(plain):
    """What comes until the index closes."""
    data = b""
    try:
        while (piece := plain.recv(65536)):
            data += piece
    except ConnectionResetError:
        pass
    return data


class TestConnections(AttackCase):
    def open(self, count, address):
        return [self.comes(address(number)) for number in range(count)]

    def await_cut(self, connections):
        """Every one of them is closed by the index; nobody was told a word of success."""
        left = list(connections)
        while left:
            ready = readable(left, HEADERS_S + 20)
            self.assertTrue(ready, f"{len(left)} connections were never cut")
            for connection in ready:
                self.assertNotIn(b" 200 ", read_all(connection))
            left = [connection for connection in left if connection not in set(ready)]

    def test_silence_of_one_address_is_capped(self):
        with self.attack("silent connections of one address") as attack:
            connections = self.open(2_000, lambda _: 0)
            attack.what = f"{len(connections)} connections"
            refused = connections[OF_ONE_ADDRESS:]
            for connection in refused:
                self.assertIn(b'"too_many_connections"', read_all(connection))
            self.assertEqual(readable(connections[:OF_ONE_ADDRESS], 0), [])
            self.await_cut(connections[:OF_ONE_ADDRESS])

    def test_silence_of_many_addresses_is_cut(self):
        with self.attack("silent connections of many addresses") as attack:
            connections = self.open(MANY, lambda number: number // 500)
            attack.what = f"{MANY} connections"
            self.assertEqual(self.client.get("/healthz").status, 200)
            self.await_cut(connections)

    def test_memory_of_a_rush_goes_back_to_the_system(self):
        """Of connections below others that stay, so that it is in the midst of what is used."""
        with self.attack("a rush of connections, of which ten stay") as attack:
            attack.what = f"{RUSH} connections"
            before = self.memory("VmRSS")
            connections = self.open(RUSH, lambda number: number // 50)
            for connection in connections:
                connection.send(request("GET", "/healthz"))
            for connection in connections:
                self.assertIn(b" 200 ", connection.recv(4096))
            full = self.memory("VmRSS")
            self.assertGreater(full, before + 4 * LEFT_BYTES)
            for connection in connections[:-10]:
                connection.close()
            self.comes_back("the memory", lambda: self.memory("VmRSS"),
                            before + (full - before) // 4)
            for connection in connections[-10:]:
                connection.close()

    def test_storm_of_connections_that_break_leaves_nothing(self):
        """RST instead of an end, with nothing, half a request, or a whole one before it."""
        linger = struct.pack("ii", 1, 0)
        beginnings = (b"", b"GET /li", request("GET", "/list"),
                      request("POST", "/register", b"{}" * 500)[:-7])
        with self.attack("connections that break") as attack:
            attack.what = f"{STORM} connections"
            half = 0
            for number in range(STORM):
                half = half if number != STORM // 2 else self.memory("VmRSS")
                connection = connect(self.index, stranger(number % 1000))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.send(beginnings[number % len(beginnings)])
                connection.close()
            self.settle()
            self.assertLess(self.memory("VmRSS"), half + LEFT_BYTES, f"{half} after half of them")
