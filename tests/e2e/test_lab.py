"""The network that other tests stand on is what they take it for: routers hide, cuts cut, counters
count, and nothing of it is left behind."""

import json
import os
import subprocess
import sys
import unittest

from tests.lib.index import Stopwatch, clean_environment
from tests.lib.lab import Home, Lab, LabCase, namespaces

PORT = 8080
MANY = 40
CONNECTS_S, GIVES_UP_S = 20, 0.5  # so long a connection is tried that is to come about, or not
REFUSED, TIMED_OUT = 7, 28  # exit codes of curl
MINE = rf"signpost-{os.getpid()}-.*"


class LabToolCase(LabCase):
    """With what its tests look at the network through."""

    def curl(self, name, *words):
        return subprocess.run(
            [*self.lab.within(name), "curl", "--silent", "--noproxy", "*", *words],
            env=clean_environment(), capture_output=True, text=True, check=False)

    def serves(self, name):
        """An HTTP server in that namespace, that listens."""
        server = subprocess.Popen(
            [*self.lab.within(name), sys.executable, "-u", "-m", "http.server", str(PORT)],
            cwd=self.index.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for end in (server.stdout.close, server.wait, server.kill):
            self.addCleanup(end)
        self.assertIn(b"Serving HTTP", server.stdout.readline())

    def asks(self, name, other, connects_s=GIVES_UP_S):
        """Asks the server of another; gives the exit code of curl."""
        return self.curl(name, "--connect-timeout", str(connects_s), "--output", os.devnull,
                         f"http://{self.lab.addresses[other]}:{PORT}/").returncode

    def seen_as(self, name):
        """Its address as the index sees it."""
        body = json.dumps({"id": name, "endpoints": []})
        reply = self.curl(name, "--header", "Content-Type: application/json", "--data", body,
                          self.url + "/register")
        self.assertEqual(reply.returncode, 0, reply)
        return json.loads(reply.stdout)["you"]["address"]

    def assertHears(self, name, *others):
        for other in others:
            self.assertEqual(self.asks(name, other, CONNECTS_S), 0, f"{name} to {other}")

    def assertDeaf(self, one, other, code=TIMED_OUT):
        """Neither reaches the other."""
        self.assertEqual(self.asks(one, other), code, f"{one} asks {other}")
        self.assertEqual(self.asks(other, one), code, f"{other} asks {one}")


class TestRouters(LabToolCase):
    nodes = ("out",)
    homes = (Home("quiet", ("a", "b")), Home("loud", ("c",), refusal="reject"))

    def test_host_behind_a_router_is_seen_as_the_router(self):
        self.assertEqual(self.seen_as("a"), self.lab.addresses["quiet"])
        self.assertEqual(self.seen_as("b"), self.lab.addresses["quiet"])
        self.assertEqual(self.seen_as("c"), self.lab.addresses["loud"])
        self.assertEqual(self.seen_as("out"), self.lab.addresses["out"])

    def test_what_comes_unasked_is_refused(self):
        for name in ("out", "a", "c"):
            self.serves(name)
        self.assertHears("a", "out")
        self.assertHears("b", "a", "out")
        self.assertHears("c", "out")
        self.assertEqual(self.asks("out", "quiet"), TIMED_OUT)
        self.assertEqual(self.asks("c", "quiet"), TIMED_OUT)
        self.assertEqual(self.asks("out", "loud"), REFUSED)
        self.assertEqual(self.asks("a", "loud"), REFUSED)

    def test_router_has_no_hairpin(self):
        self.serves("a")
        self.serves("c")
        self.assertEqual(self.asks("b", "quiet"), TIMED_OUT)
        self.assertEqual(self.asks("c", "loud"), REFUSED)

    def test_outside_knows_no_private_network(self):
        self.serves("a")
        self.assertNotEqual(self.asks("out", "a"), 0)
        self.assertNotEqual(self.asks("c", "a"), 0)

    def test_cut_behind_a_router_leaves_the_others(self):
        for name in ("a", "b", "out"):
            self.serves(name)
        self.lab.cut(("a", "out"))
        self.assertEqual(self.asks("a", "out"), TIMED_OUT)
        self.assertHears("b", "out", "a")
        self.assertEqual(self.seen_as("a"), self.lab.addresses["quiet"])
        self.lab.heal(("a", "out"))
        self.lab.cut(("b", "a"))
        self.assertHears("a", "out")
        self.assertHears("b", "out")
        self.assertDeaf("a", "b")
        self.lab.heal()
        self.assertHears("a", "b")
        self.assertHears("b", "a")


class TestPaths(LabToolCase):
    nodes = ("a", "b", "c")
    rules = True

    def test_cut_and_healed_path(self):
        for name in self.nodes:
            self.serves(name)
        self.lab.cut(("a", "b"), ("c", "b"))
        self.assertDeaf("a", "b")
        self.assertDeaf("b", "c")
        self.assertHears("a", "c")
        self.assertHears("c", "a")
        for name in self.nodes:
            self.assertEqual(self.seen_as(name), self.lab.addresses[name])
        self.lab.heal(("b", "c"))
        self.assertHears("b", "c")
        self.assertDeaf("a", "b")
        self.lab.heal()
        self.assertHears("a", "b")
        self.assertHears("b", "a")

    def test_address_that_changes_takes_its_cuts_along(self):
        for name in self.nodes:
            self.serves(name)
        old = self.lab.addresses["a"]
        self.lab.cut(("a", "b"))
        self.assertNotEqual(self.lab.change_address("a"), old)
        self.assertEqual(self.seen_as("a"), self.lab.addresses["a"])
        self.assertDeaf("a", "b")
        self.assertHears("c", "a")
        self.lab.heal()
        self.assertHears("b", "a")

    def test_counters_tell_the_index_from_the_peers(self):
        self.lab.count("index", self.index.port)
        self.assertEqual(self.lab.counted("index"),
                         {"peers": (0, 0), "served": (0, 0), "astray": (0, 0)})
        self.seen_as("a")
        first = self.lab.counted("index")
        self.assertGreater(first["served"][1], 0)
        self.assertEqual((first["peers"][0], first["astray"][0]), (0, 0))

        self.serves("b")
        self.assertHears("a", "b")
        second = self.lab.counted("index")
        self.assertGreater(second["peers"][1], 0)
        self.assertEqual((second["served"], second["astray"][0]), (first["served"], 0))

        before = self.lab.bytes_of("index")
        self.assertEqual(self.asks("a", "index"), REFUSED)
        third = self.lab.counted("index")
        self.assertEqual(third["astray"][0], 2)
        self.assertEqual((third["served"], third["peers"]), (second["served"], second["peers"]))
        self.assertGreaterEqual(self.lab.bytes_of("index") - before, third["astray"][1])


class TestMany(LabToolCase):
    nodes = tuple(f"n{number}" for number in range(MANY))
    homes = (Home("r", ("p", "q")),)

    def test_many_hosts_come_and_go_soon(self):
        for name in (*self.nodes, "p", "q"):
            seen = self.lab.addresses["r" if name in "pq" else name]
            self.assertEqual(self.seen_as(name), seen)
        self.index.close()
        clock = Stopwatch()
        self.lab.remove()
        removed = clock.elapsed()
        self.assertEqual(namespaces(MINE), [])
        self.lab.build()
        print(f"{len(self.lab.addresses)} hosts were there after "
              f"{clock.elapsed() - removed:.2f} s, and gone after {removed:.2f} s")


class TestLife(LabCase):
    def test_nothing_is_left_of_a_test_that_fails(self):
        class Failing(LabCase):
            homes = (Home("r", ("p",)),)

            def runTest(self):
                self.lab.cut(("p", "index"))
                self.fail("as it is to")

        before = set(namespaces(MINE))
        result = unittest.TestResult()
        Failing().run(result)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), result.errors)
        self.assertIn("as it is to", result.failures[0][1])
        self.assertEqual(set(namespaces(MINE)), before)

    def test_what_a_killed_test_left_is_removed(self):
        dead = subprocess.Popen(["true"])
        dead.wait()
        left = f"signpost-{dead.pid}-x"
        subprocess.run(["ip", "netns", "add", left], check=True)
        lab = Lab("a")
        self.addCleanup(lab.remove)
        lab.build()
        self.assertEqual(namespaces(left), [])


if __name__ == "__main__":
    unittest.main()
