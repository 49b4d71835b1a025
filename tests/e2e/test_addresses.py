"""An address that changes under a running client: the index and the peers hear of it at once.

The lease of a `register` lasts two hours here, so that no heartbeat is due. What the tests wait for
comes while a poll still waits that was begun before, and that is shorter than those of the client:
so it was the kernel's news that did it."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

from tests.cli.case import Running
from tests.lib.index import Stopwatch, clean_environment
from tests.lib.lab import LabCase

REGISTER = ("register", "--id", "a", "--endpoint", "grpc://:50051", "--ttl", "7200", "--verbose")
WAIT_S = 15  # of the poll that is begun before; those of the client wait for 20 and 25 s
BURST = 1000  # addresses that come and go: more news than a netlink socket holds


class TestAddresses(LabCase):
    nodes = ("a", "w")

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.env = clean_environment(SIGNPOST_INDEX=self.url, HOME=folder.name,
                                     XDG_STATE_HOME=os.path.join(folder.name, "state"))
        self.watch = self.starts("w", "watch")
        self.poll = self.clock = None

    def starts(self, where, *args):
        return Running(self, *args, env=self.env, wrapper=self.lab.within(where))

    def registers(self):
        node = self.starts("a", *REGISTER)
        self.assertRegex(node.line(), rf"^registered a at .* {self.lab.addresses['a']}$")
        self.assertPeer("up", "a")
        return node

    def parks(self):
        """Begins a poll where nothing happens: it ends after WAIT_S, and not before."""
        listing = self.url + "/list?network=elsewhere"
        curl = [*self.lab.within("index"), "curl", "--silent", "--noproxy", "*"]
        cursor = json.loads(subprocess.check_output([*curl, listing]))["cursor"]
        self.poll = subprocess.Popen([*curl, f"{listing}&since={cursor}&wait={WAIT_S}"],
                                     stdout=subprocess.DEVNULL)
        self.addCleanup(self.poll.wait)
        self.addCleanup(self.poll.kill)
        self.clock = Stopwatch()

    def moves(self, name):
        """To another address, which is told."""
        new, old = self.lab.new_address(), self.lab.addresses[name]
        self.parks()
        self.lab.add_address(name, new)
        self.lab.delete_address(name, old)
        self.lab.addresses[name] = new
        return new

    def assertAtOnce(self, what):
        self.assertIsNone(self.poll.poll(), f"{what} took longer than {WAIT_S} s")
        print(f"{what} after {self.clock.elapsed():.2f} s")

    def assertNotes(self, running, words):
        """It says that at last."""
        note = running.note()
        while words not in note:
            self.assertNotEqual(note, "", f"it ended without '{words}'")
            note = running.note()

    def assertPeer(self, event, id):
        """The next event of the watch; gives the peer."""
        peer = self.watch.json()
        self.assertEqual((peer["event"], peer["id"], peer["stale"]), (event, id, False))
        return peer

    def assertMoved(self, address):
        peer = self.assertPeer("changed", "a")
        self.assertAtOnce("the new address came")
        self.assertEqual(peer["observed"], [address])
        return peer

    def assertHears(self, node):
        """Of another node that comes and goes."""
        other = self.starts("w", "register", "--id", "b")
        self.assertEqual(node.line(), "up      b\n")
        self.assertAtOnce("another node was heard of")
        self.assertEqual(other.end()[0], 0)
        self.assertEqual(node.line(), "down    b\n")
        self.assertPeer("up", "b")
        self.assertPeer("down", "b")

    def assertLeaves(self, node):
        self.assertEqual(node.end()[0], 0)
        self.assertPeer("down", "a")

    def test_address_that_changes_is_told(self):
        node = self.registers()
        # The second time there is an idle connection too, from the address that is gone.
        for _ in range(2):
            address = self.moves("a")
            self.assertEqual(self.assertMoved(address)["endpoints"], [f"grpc://{address}:50051"])
            self.assertHears(node)
        self.assertLeaves(node)

    def test_address_of_a_reader_that_changes_is_told(self):
        reader = self.starts("a", "recv", "--follow", "--id", "a")
        self.assertPeer("up", "a")
        for _ in range(2):
            self.assertMoved(self.moves("a"))
            self.starts("w", "send", "--id", "b", "a", "1")
            self.assertEqual(reader.json()["from"], "b")
            self.assertAtOnce("the message came")
        self.assertLeaves(reader)

    def test_address_of_a_watch_that_changes_costs_no_news(self):
        node = self.registers()
        self.moves("w")
        other = self.starts("a", "register", "--id", "b")
        self.assertPeer("up", "b")
        self.assertAtOnce("another node was heard of")
        self.assertEqual(other.end()[0], 0)
        self.assertPeer("down", "b")
        self.assertLeaves(node)

    def test_address_that_comes_late_is_registered(self):
        self.lab.down("a")
        self.lab.delete_address("a", self.lab.addresses["a"])
        node = self.starts("a", *REGISTER)
        self.assertIn("cannot reach", node.note())
        self.lab.up("a")
        self.lab.add_address("a", self.lab.addresses["a"])
        self.assertNotes(node, "our addresses changed")
        self.assertRegex(node.line(), f"^registered a at .* {self.lab.addresses['a']}$")
        self.assertPeer("up", "a")
        self.assertLeaves(node)

    def test_address_that_changes_after_a_flood_is_told(self):
        node = self.registers()
        node.process.send_signal(signal.SIGSTOP)
        self.lab.ip("a", "-batch", "-", input="".join(
            f"address {what} 10.99.{at // 250}.{at % 250}/32 dev lo\n"
            for at in range(BURST) for what in ("add", "delete")))
        node.process.send_signal(signal.SIGCONT)
        self.assertNotes(node, "our addresses changed")
        self.assertMoved(self.moves("a"))
        self.assertHears(node)
        self.assertLeaves(node)


if __name__ == "__main__":
    unittest.main()
