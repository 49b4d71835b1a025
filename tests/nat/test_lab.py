"""Every topology of the lab is what its name says, as sockets see it. Needs root."""

import os
import socket
import subprocess
import unittest

from tests.lib.index import Stopwatch
from tests.nat import probes
from tests.nat.case import COMES_S, GIVES_UP_S, NatCase
from tests.nat.natlab import PORT, URL, Service
from tests.nat.topology import (
    CLIENT6, INDEX, INDEX6, IPV6, NAMES, PEER, PEER6, ROUTER, STUN, STUN6, TOPOLOGIES, WAN)

V4, V6 = socket.AF_INET, socket.AF_INET6
UDP = socket.SOCK_DGRAM
B, B6 = INDEX[1], INDEX6[1]
SERVER, OTHER_SERVER = ((address, probes.STUN_PORT) for address in STUN)
SERVER6 = (STUN6[0], probes.STUN_PORT)
DEAD_HOST_S = 3  # until Linux gives up asking for its hardware address


class TestAll(NatCase):
    def test_all_come_up_soon_and_the_index_answers(self):
        took = {}
        for name, it in TOPOLOGIES.items():
            with self.subTest(name):
                clock = Stopwatch()
                lab = self.enters(name)
                took[name] = clock.elapsed()
                self.assertEqual(self.seen_by_index(), it.seen)
                self.assertEqual(self.seen_by_index("peer"), PEER)
                self.assertEqual(self.seen_by_index("peer", V6), PEER6)
                if it.client6:
                    self.assertEqual(self.seen_by_index(family=V6), it.client6)
                else:
                    self.assertRaisesRegex(
                        OSError, "Network is unreachable", self.seen_by_index, family=V6)
                for address in filter(None, (it.client, it.client6, *INDEX, *STUN6)):
                    self.assertIn(address, str(lab))
        slowest = max(took, key=took.get)
        average = sum(took.values()) / len(took)
        print(f"figure: {len(took)} topologies, each up after {average:.2f} s"
              f", the slowest ({slowest}) after {took[slowest]:.2f} s")

    def test_addresses_are_there_at_once(self):
        """A router without a link-local address forwards nothing to hosts that it has not seen."""
        lab = self.enters("cgnat", "open")
        for name, host in lab.hosts.items():
            for device in host.devices():
                shown = lab.ip(name, "-6", "address", "show", "dev", device)
                self.assertIn("inet6 fe80:", shown)
                self.assertNotIn("tentative", shown, f"{name} {device}")

    def test_index_answers_stun_at_both_addresses(self):
        self.enters("filtered", "filtered")
        link, link6 = self.binds(), self.binds(V6)
        for address, address6 in zip(INDEX, INDEX6):
            self.assertEqual(probes.stun(link, (address, probes.STUN_PORT)).mapped, (WAN, PORT))
            self.assertEqual(
                probes.stun(link6, (address6, probes.STUN_PORT)).mapped, (CLIENT6, PORT))

    def test_names_are_known_inside_alone(self):
        lab = self.enters("filtered")
        for address, name in NAMES.items():
            self.assertIn(address, lab.run("client", "getent", "ahosts", name).stdout.split())
        with open("/etc/hosts", encoding="utf-8") as outside:
            self.assertNotIn("index.test", outside.read())

    def test_programs_inside_find_the_index(self):
        lab = self.enters("filtered")
        self.assertEqual(lab.run("client", "printenv", "SIGNPOST_INDEX").stdout.strip(), URL)
        found = lab.run("client", "sh", "-c", "command -v signpostd").stdout.strip()
        self.assertTrue(os.path.isabs(found), found)

    def test_nothing_outside_is_touched(self):
        def outside():
            return [subprocess.run(command.split(), capture_output=True, check=True).stdout
                    for command in ("nft list ruleset", "ip -brief link", "ip -brief address",
                                    "ip route", "ip -6 route", "ip rule", "cat /etc/hosts")]

        before = outside()
        self.enters("mismatch")
        self.assertEqual(outside(), before)


class TestForwards(NatCase):
    """What comes unasked for the port, IPv4. The client is there, and listens, unless a test says
    that it does not."""

    def enters(self, ipv4, ipv6="none"):
        lab = super().enters(ipv4, ipv6)
        self.seen = lab.topology.seen
        return lab

    def has_no_caller(self, listener):
        listener.setblocking(False)
        self.assertRaises(BlockingIOError, listener.accept)

    def assertClosed(self, expected):
        """To TCP as `expected`, also while somebody listens; no datagram comes."""
        listener = self.listens()
        self.assertDial(expected, self.seen, B)
        self.has_no_caller(listener)
        return self.assertDeaf(self.binds(), self.seen, B)

    def test_open(self):
        for name in ("open", "direct"):
            with self.subTest(name):
                self.enters(name)
                listener, datagrams = self.listens(), self.binds()
                self.assertDial("connected", self.seen, B)
                self.assertEqual(listener.accept()[1][0], B)
                self.assertDial("connected", self.seen, PEER, name="peer")
                self.assertHears(datagrams, self.seen, B)
                self.assertHears(datagrams, self.seen, PEER, name="peer")
                self.listens(port=PORT + 1)
                self.assertDial("timeout", self.seen, B, port=PORT + 1)

    def test_nothing_listening(self):
        self.enters("nothing-listening")
        self.assertDial("refused", self.seen, B)
        _data, link = self.sends(self.seen, B)
        self.assertRaises(ConnectionRefusedError, link.recv, 100)
        self.listens()
        self.assertDial("connected", self.seen, B)

    def test_rejected(self):
        for name in ("rejected", "direct-rejected"):
            with self.subTest(name):
                self.enters(name)
                link = self.assertClosed("refused")
                self.assertRaises(ConnectionRefusedError, link.recv, 100)

    def test_unreachable(self):
        self.enters("unreachable")
        self.assertClosed("unreachable")

    def test_filtered(self):
        for name in ("filtered", "punchable", "mappable", "udp-blocked", "symmetric", "full-cone",
                     "restricted-udp", "direct-firewall"):
            with self.subTest(name):
                self.enters(name)
                self.assertClosed("timeout")

    def test_dead_host(self):
        self.enters("dead-host")
        listener = self.listens()
        self.assertDial("timeout", self.seen, B, timeout=DEAD_HOST_S + 1)
        self.has_no_caller(listener)

    def test_dead_host_told(self):
        self.enters("dead-host-told")
        self.assertClosed("unreachable")

    def test_elsewhere(self):
        lab = self.enters("elsewhere")
        listener = self.listens()
        result, link = self.dials(self.seen, B)
        self.assertEqual(result, "connected")
        self.assertEqual(link.recv(100), Service.GREETING)
        link.sendall(b"hello")
        self.assertEqual(lab.service.heard.get(timeout=COMES_S), b"hello")
        self.has_no_caller(listener)
        datagrams = self.binds()
        data, _link = self.sends(self.seen, B)
        self.assertEqual(lab.service.heard.get(timeout=COMES_S), data)
        datagrams.setblocking(False)
        self.assertRaises(BlockingIOError, datagrams.recv, 100)

    def test_restricted(self):
        self.enters("restricted")
        self.listens()
        datagrams = self.binds()
        for address in INDEX:
            self.assertDial("timeout", self.seen, address)
            self.assertDeaf(datagrams, self.seen, address)
        self.seen_by_index()  # and so A is contacted
        self.assertDial("connected", self.seen, INDEX[0])
        self.assertHears(datagrams, self.seen, INDEX[0])
        self.assertDial("timeout", self.seen, B)
        self.assertDeaf(datagrams, self.seen, B)

    def test_inconclusive(self):
        self.enters("inconclusive")
        listener = self.listens()
        for _ in range(2):
            self.assertDial("refused", self.seen, B)
            # So long that a second packet of it is sent, whose turn it were.
            self.assertDial("timeout", self.seen, B, timeout=1.5)
        self.has_no_caller(listener)


class TestMappings(NatCase):
    """Which outer port a socket has, and who gets in there, IPv4."""

    def enters(self, ipv4, ipv6="none"):
        lab = super().enters(ipv4, ipv6)
        self.own = self.binds()
        return lab

    def ports(self):
        """That three places see the same socket with."""
        places = (SERVER, OTHER_SERVER, (STUN[1], probes.OTHER_STUN_PORT))
        seen = [probes.stun(self.own, place).mapped for place in places]
        self.assertEqual({address for address, _port in seen}, {self.lab.topology.seen})
        return [port for _address, port in seen]

    def assertFilter(self, same_address, any_address):
        """Once it has asked one server: whether that address gets in from another port, and
        another; by datagrams, and as the server tells it (RFC 5780)."""
        seen = probes.stun(self.own, SERVER)
        self.assertEqual(seen.other, (STUN[1], probes.OTHER_STUN_PORT))
        port = seen.mapped[1]
        for gets_in, name, source, change in (
                (same_address, "stun", STUN[0], probes.CHANGE_PORT),
                (any_address, "peer", PEER, probes.CHANGE_IP | probes.CHANGE_PORT)):
            tries = self.assertHears if gets_in else self.assertDeaf
            tries(self.own, self.lab.topology.seen, source, name=name, port=port)
            self.own.settimeout(GIVES_UP_S)
            self.assertEqual(probes.stun(self.own, SERVER, change) is not None, gets_in)

    def test_port_restricted(self):
        for name in ("filtered", "punchable", "cgnat", "double-nat", "mismatch", "direct-firewall"):
            with self.subTest(name):
                self.enters(name)
                self.assertFilter(same_address=False, any_address=False)
                self.assertEqual(self.ports(), [PORT] * 3)

    def test_restricted_udp(self):
        self.enters("restricted-udp")
        self.assertFilter(same_address=True, any_address=False)
        self.assertEqual(self.ports(), [PORT] * 3)

    def test_full_cone(self):
        self.enters("full-cone")
        self.assertFilter(same_address=True, any_address=True)
        self.assertEqual(self.ports(), [PORT] * 3)

    def test_symmetric(self):
        self.enters("symmetric")
        # By chance, two of three are the same once in 20,000 times, and all three never.
        self.assertGreater(len(set(self.ports())), 1)
        self.assertFilter(same_address=False, any_address=False)

    def test_symmetric_is_seen_to_vary_also_between_ports_of_one_server(self):
        self.enters("symmetric")
        places = [(STUN[0], probes.STUN_PORT), (STUN[0], probes.OTHER_STUN_PORT)]
        ports = {probes.stun(self.binds(port=0), places[0]).mapped[1] for _ in range(3)}
        ports |= {probes.stun(self.own, place).mapped[1] for place in places}
        self.assertGreater(len(ports), 2)
        self.assertNotIn(PORT, ports)

    def test_udp_blocked(self):
        self.enters("udp-blocked")
        self.own.settimeout(GIVES_UP_S)
        for place in (SERVER, OTHER_SERVER):
            self.assertIsNone(probes.stun(self.own, place))
        self.assertEqual(self.seen_by_index(), WAN)

    def test_two_clients_with_one_port_are_told_apart(self):
        self.enters("filtered")
        seen = [probes.stun(link, SERVER).mapped[1]
                for link in (self.own, self.binds(name="other"))]
        self.assertEqual(seen[0], PORT)
        self.assertNotEqual(seen[1], PORT)


class TestGateways(NatCase):
    def enters(self, ipv4, ipv6="none"):
        lab = super().enters(ipv4, ipv6)
        self.asks = self.link("client", kind=UDP)
        return lab

    def maps(self, protocol):
        return probes.natpmp_map(self.asks, ROUTER, protocol, PORT, PORT)

    def connected(self, target):
        link = self.link("client")
        link.connect(target)
        return link

    def test_gateway_tells_its_outer_address(self):
        # miniupnpd keeps one to itself where it is private: network failure, and no address.
        for name, natpmp, upnp in (
                ("mappable", WAN, WAN), ("other-port", WAN, WAN), ("mismatch", WAN, WAN),
                ("cgnat-gateway", 3, ""), ("double-nat-gateway", 3, "")):
            with self.subTest(name):
                self.enters(name)
                self.assertEqual(probes.natpmp_address(self.asks, ROUTER), natpmp)
                self.assertEqual(probes.upnp_address(self.asks, self.connected), upnp)

    def test_no_gateway_answers_where_there_is_none(self):
        self.enters("filtered")
        self.asks.settimeout(GIVES_UP_S)
        self.assertIsNone(probes.upnp_address(self.asks, self.connected))
        self.asks.connect((ROUTER, probes.NATPMP_PORT))
        self.asks.send(b"\0\0")
        self.assertRaises(ConnectionRefusedError, self.asks.recv, 100)

    def test_mappable(self):
        self.enters("mappable")
        self.listens()
        datagrams = self.binds()
        self.assertDial("timeout", WAN, B)
        self.assertEqual(self.maps(probes.NATPMP_TCP), PORT)
        self.assertDial("connected", WAN, B)
        self.assertDeaf(datagrams, WAN, B)
        self.assertEqual(self.maps(probes.NATPMP_UDP), PORT)
        self.assertHears(datagrams, WAN, B)

    def test_mapping_that_is_removed_leads_nowhere(self):
        self.enters("mappable")
        self.listens()
        self.assertEqual(self.maps(probes.NATPMP_TCP), PORT)
        self.assertDial("connected", WAN, B)
        self.assertEqual(
            probes.natpmp_map(self.asks, ROUTER, probes.NATPMP_TCP, PORT, 0, lifetime_s=0), 0)
        self.assertDial("timeout", WAN, B)

    def test_other_port(self):
        self.enters("other-port")
        listener, datagrams = self.listens(), self.binds()
        result, link = self.dials(WAN, B)
        self.assertEqual((result, link.recv(100)), ("connected", Service.GREETING))
        tcp, udp = self.maps(probes.NATPMP_TCP), self.maps(probes.NATPMP_UDP)
        self.assertGreater(min(tcp, udp), PORT)
        self.assertDial("connected", WAN, PEER, name="peer", port=tcp)
        self.assertEqual(listener.accept()[1][0], PEER)
        self.assertHears(datagrams, WAN, B, port=udp)

    def test_mismatch(self):
        """The mapping is at the address that the router tells, and at no other."""
        lab = self.enters("mismatch")
        self.listens()
        self.assertEqual(self.maps(probes.NATPMP_TCP), PORT)
        self.assertDial("connected", lab.topology.wan, B)
        self.assertDial("timeout", lab.topology.seen, B)

    def test_no_mapping_where_the_gateway_is_behind_another_router(self):
        for name in ("cgnat-gateway", "double-nat-gateway"):
            with self.subTest(name):
                self.enters(name)
                self.listens()
                self.assertEqual(self.maps(probes.NATPMP_TCP), -3)
                self.assertDial("timeout", WAN, B)


class TestHops(NatCase):
    def hops(self, name):
        """The first two on the way to the index."""
        self.enters(name)
        link = self.link("client", kind=UDP, timeout=GIVES_UP_S)
        found = [probes.hop(link, (INDEX[0], 33434), ttl) for ttl in (1, 2)]
        return found

    def test_second_hop_tells_a_second_router(self):
        self.assertEqual(self.hops("cgnat"), [ROUTER, "100.64.0.1"])
        self.assertEqual(self.hops("cgnat-gateway"), [ROUTER, "100.64.0.1"])
        self.assertEqual(self.hops("double-nat"), [ROUTER, "192.168.0.1"])
        self.assertEqual(self.hops("double-nat-gateway"), [ROUTER, "192.168.0.1"])

    def test_behind_one_router_the_index_is_the_second(self):
        self.assertEqual(self.hops("filtered"), [ROUTER, INDEX[0]])
        self.assertEqual(self.hops("direct")[0], INDEX[0])


class TestIPv6(NatCase):
    """It is what it is called, whatever IPv4 is like."""

    EXPECTED = {  # what a dial comes to, whether a datagram comes, whether STUN answers
        "open": ("connected", True, True),
        "nothing-listening": ("connected", True, True),  # here somebody does listen
        "rejected": ("refused", False, True),
        "unreachable": ("unreachable", False, True),
        "filtered": ("timeout", False, True),
        "punchable": ("timeout", False, True),
        "restricted": ("timeout", False, True),
        "udp-blocked": ("timeout", False, False),
        "inconclusive": ("refused", False, True),
    }

    def assertIPv6(self, name):
        dial, datagram, stun = self.EXPECTED[name]
        client = self.lab.topology.client6
        self.listens(V6)
        link = self.binds(V6)
        self.assertDial(dial, client, B6)
        (self.assertHears if datagram else self.assertDeaf)(link, client, B6)
        if stun:
            link = self.binds(V6, port=PORT + 1)
            self.assertEqual(probes.stun(link, SERVER6).mapped, (client, PORT + 1))
            self.assertDeaf(link, client, PEER6, name="peer", port=PORT + 1)
        else:
            link.settimeout(GIVES_UP_S)
            self.assertIsNone(probes.stun(link, SERVER6))

    def test_each_while_ipv4_is_another(self):
        self.assertEqual({"none", *self.EXPECTED}, set(IPV6))
        for name in self.EXPECTED:
            ipv4, dial = ("filtered", "timeout") if name == "open" else ("open", "connected")
            with self.subTest(name):
                self.enters(ipv4, name)
                self.listens(V4)
                self.assertDial(dial, WAN, B)
                self.assertIPv6(name)

    def test_in_each_shape(self):
        for ipv4 in ("cgnat", "double-nat-gateway", "mismatch", "direct-firewall"):
            for name in ("open", "filtered", "rejected"):
                with self.subTest(ipv4, ipv6=name):
                    self.enters(ipv4, name)
                    self.assertIPv6(name)

    def test_nothing_listening_is_refused_by_the_client(self):
        self.enters("filtered", "nothing-listening")
        self.assertDial("refused", CLIENT6, B6)

    def test_restricted_lets_in_who_was_contacted(self):
        self.enters("filtered", "restricted")
        self.listens(V6)
        self.assertDial("timeout", CLIENT6, INDEX6[0])
        self.assertEqual(self.seen_by_index(family=V6), CLIENT6)
        self.assertDial("connected", CLIENT6, INDEX6[0])
        self.assertDial("timeout", CLIENT6, B6)

    def test_inconclusive_goes_by_turns(self):
        self.enters("filtered", "inconclusive")
        for expected in ("refused", "timeout", "refused"):
            self.assertDial(expected, CLIENT6, B6)


if __name__ == "__main__":
    unittest.main()
