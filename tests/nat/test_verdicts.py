"""`signpost check` in every topology: each verdict comes from a network that has that very fault,
and is told by exit code, JSON and sentence alike."""

import json
import signal
import subprocess
import time
import unittest

from tests.nat.case import NatCase
from tests.nat.natlab import PORT, URL
from tests.nat.topology import CLIENT, CLIENT6, INDEX, INDEX6, ROUTER, SECOND_WAN, WAN

WAITS_S = 60

# Topology, IPv6 of it, more arguments, exit code, what the sentence has, and what the advice has.
IPV4 = [
    ("open", "none", "", 0, (f"{WAN}:{PORT}", CLIENT), (f"{WAN}:{PORT}",)),
    ("open", "none", "--protocol udp", 0, (f"{WAN}:{PORT}", CLIENT), ()),
    ("nothing-listening", "none", "--no-listen", 10, (f"{WAN}:{PORT}", CLIENT), (str(PORT),)),
    ("rejected", "none", "", 11, (f"{WAN}:{PORT}", INDEX[1]), (ROUTER, CLIENT)),
    ("unreachable", "none", "", 11, (f"{WAN}:{PORT}",), (CLIENT,)),
    ("filtered", "none", "", 12, (f"{WAN}:{PORT}", *INDEX, CLIENT), (ROUTER, CLIENT)),
    ("dead-host", "none", "", 12, (f"{WAN}:{PORT}",), (CLIENT,)),
    ("direct-firewall", "none", "", 12, (f"{WAN}:{PORT}",), ("firewall",)),
    ("elsewhere", "none", "", 13, (f"{WAN}:{PORT}", CLIENT), (CLIENT,)),
    ("cgnat", "none", "", 15, ("100.64.0.1", WAN), ()),
    ("cgnat-gateway", "none", "", 15, ("100.64.0.", WAN), ()),
    ("cgnat", "none", "--protocol udp", 15, ("100.64.0.1",), ()),
    ("double-nat", "none", "", 16, (ROUTER, "192.168.0.1", WAN), ()),
    ("double-nat-gateway", "none", "", 16, (ROUTER, WAN), ()),
    ("mismatch", "none", "", 17, (WAN, SECOND_WAN), ()),
    ("restricted", "none", "", 18, (f"{WAN}:{PORT}", *INDEX), ()),
    ("restricted-udp", "none", "--protocol udp --stun-server stun.test", 18, INDEX, ()),
    ("punchable", "none", "--protocol udp", 20, (f"{WAN}:{PORT}",), ()),
    ("full-cone", "none", "--protocol udp", 20, (f"{WAN}:{PORT}", INDEX[1]), ()),
    ("symmetric", "none", "--protocol udp", 21, (f"{WAN}:",), ()),
    ("udp-blocked", "none", "--protocol udp", 22, ("UDP", WAN), ()),
    ("inconclusive", "none", "", 30, (f"{WAN}:{PORT}", *INDEX), ()),
]
AT6 = f"[{CLIENT6}]:{PORT}"
IPV6 = [
    ("open", "", 0, (AT6,), ()),
    ("open", "--protocol udp", 0, (AT6,), ()),
    ("nothing-listening", "--no-listen", 10, (AT6,), (str(PORT),)),
    ("rejected", "", 11, (AT6,), ("IPv6",)),
    ("filtered", "", 12, (AT6, *INDEX6), ("IPv6",)),
    ("punchable", "--protocol udp", 20, (AT6,), ()),
    ("udp-blocked", "--protocol udp", 22, ("UDP",), ()),
    ("inconclusive", "", 30, (AT6, *INDEX6), ()),
]


class CheckCase(NatCase):
    def checks(self, *words, url=URL):
        """Runs it on the client; gives the exit code, the report and how long it took."""
        began = time.monotonic()
        done = self.lab.run("client", "signpost", "check", "--index", url, "--port", str(PORT),
                            "--json", *words)
        took = time.monotonic() - began
        self.assertTrue(done.stdout, done.stderr)
        return done.returncode, json.loads(done.stdout), took

    def assertVerdict(self, code, report, family, protocol, says, advises):
        verdict = report["verdict"]
        self.assertIsNotNone(verdict, report)
        self.assertEqual((verdict["code"], verdict["family"], verdict["protocol"]),
                         (code, family, protocol), verdict)
        for word in says:
            self.assertIn(word, verdict["why"])
        for word in advises:
            self.assertIn(word, verdict["advice"])
        self.assertTrue(verdict["advice"].endswith("."), verdict)


def protocol_of(words):
    return "udp" if "udp" in words else "tcp"


class TestIpv4(CheckCase):
    def test_each_fault_is_told(self):
        for topology, ipv6, words, code, says, advises in IPV4:
            with self.subTest(topology=topology, words=words):
                self.enters(topology, ipv6)
                exited, report, took = self.checks(*words.split())
                print(f"figure: verdict {code} of {topology} {words}: {took:.1f} s")
                self.assertEqual(exited, code, report["verdict"])
                self.assertVerdict(code, report, "ipv4", protocol_of(words), says, advises)
                self.assertIsNone(report["ipv6"]["public_address"])

    def test_restricted_by_the_word_of_an_rfc5780_server(self):
        self.enters("restricted-udp", "none")
        _, report, _ = self.checks("--protocol", "udp", "--stun-server", "stun.test")
        self.assertEqual(report["ipv4"]["filtering"], "address-dependent")
        self.assertEqual(report["ipv4"]["mapping"], "endpoint-independent")

    def test_full_cone_by_the_word_of_an_rfc5780_server(self):
        self.enters("full-cone", "none")
        _, report, _ = self.checks("--protocol", "udp", "--stun-server", "stun.test")
        self.assertEqual(report["ipv4"]["filtering"], "endpoint-independent")

    def test_symmetric_is_told_apart(self):
        self.enters("symmetric", "none")
        _, report, _ = self.checks("--protocol", "udp")
        self.assertIn(report["ipv4"]["mapping"],
                      ("address-dependent", "address-and-port-dependent", "varying"))


class TestIpv6(CheckCase):
    def test_each_fault_is_told(self):
        """IPv4 is filtered meanwhile; what is open or ready by IPv6 comes first all the same."""
        for rules6, words, code, says, advises in IPV6:
            with self.subTest(ipv6=rules6, words=words):
                self.enters("filtered", rules6)
                exited, report, took = self.checks(*words.split(), url=f"http://[{INDEX6[0]}]:7117")
                print(f"figure: verdict {code} by IPv6, {rules6} {words}: {took:.1f} s")
                self.assertEqual(exited, code, report["verdict"])
                self.assertVerdict(code, report, "ipv6", protocol_of(words), says, advises)

    def test_open_by_ipv6_alone_is_open(self):
        self.enters("filtered", "open")
        exited, report, _ = self.checks()
        self.assertEqual((exited, report["verdict"]["family"]), (0, "ipv6"))


class TestMapping(CheckCase):
    """`--map`: made, told, kept until the signal, and removed."""

    def keeps(self, *words):
        process = subprocess.Popen(
            [*self.lab.within("client"), "signpost", "check", "--port", str(PORT), "--map",
             "--json", *words],
            env=self.lab.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, json.loads(process.stdout.readline())

    def mappings(self):
        """The forwards that miniupnpd has in its chains."""
        rules = self.lab.run("router", "nft", "list", "ruleset").stdout
        return [line.strip() for line in rules.splitlines() if f"{CLIENT}:{PORT}" in line]

    def assertRemoved(self):
        until = time.monotonic() + WAITS_S
        while self.mappings():
            self.assertLess(time.monotonic(), until, "the mapping stays")
            time.sleep(0.05)

    def test_mapping_is_made_proved_kept_and_removed(self):
        self.enters("mappable", "none")
        process, report = self.keeps()
        self.assertEqual(report["verdict"]["code"], 0, report["verdict"])
        self.assertEqual(report["port_mapping"]["tcp"]["port"], PORT, report["port_mapping"])
        self.assertTrue(self.mappings())
        self.assertIsNone(process.poll(), "it does not keep the mapping")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(WAITS_S), 0)
        self.assertRemoved()

    def test_another_port_is_told(self):
        self.enters("other-port", "none")
        process, report = self.keeps()
        self.assertVerdict(14, report, "ipv4", "tcp", (str(PORT), CLIENT), (ROUTER,))
        self.assertNotEqual(report["port_mapping"]["tcp"]["port"], PORT)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(WAITS_S), 14)

    def test_udp_is_mapped(self):
        self.enters("mappable", "none")
        process, report = self.keeps("--protocol", "udp")
        self.assertEqual(report["verdict"]["code"], 0, report["verdict"])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(WAITS_S), 0)
        self.assertRemoved()


if __name__ == "__main__":
    unittest.main()
