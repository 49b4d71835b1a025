"""The command `signpost` while the clock of its machine jumps: libfaketime gives it one of its own.
The index and the test keep the real one."""

import glob
import os
import signal
import unittest

from tests.cli.case import CliCase
from tests.lib.case import concurrently

LIBRARY = "/usr/$LIB/faketime/libfaketime.so.1"  # the loader knows what $LIB is
FORWARD, BACK = "+3600", "-3600"
LEASE_S = 5
LONG_S = 60  # a lease that does not end before the test


@concurrently
class TestClock(CliCase):
    def setUp(self):
        super().setUp()
        self.started = []
        self.addCleanup(self.sweep)
        self.clock = os.path.join(self.folder, "clock")
        self.set_clock("@2001-02-03 04:05:06")
        made = self.cli("key", "new", "prod", env=self.faked())
        self.assertTrue(made.stdout.endswith("# made 2001-02-03\n"), f"no other clock: {made}")
        self.set_clock("+0")

    def starts(self, *args, env=None):
        running = super().starts(*args, env=env)
        self.started.append(running)
        return running

    def sweep(self):
        """What libfaketime leaves of a process that was killed: the next of that number would not
        start."""
        for running in self.started:
            for path in glob.glob(f"/dev/shm/*faketime_*_{running.process.pid}"):
                os.remove(path)

    def faked(self, monotonic=False):
        """The environment of a command with a clock of its own. A step of the wall clock leaves the
        monotonic one as it is."""
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        return self.environment(
            LD_PRELOAD=LIBRARY, FAKETIME_TIMESTAMP_FILE=self.clock, FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="0" if monotonic else "1",
            # AddressSanitizer wants to be the first library, and does with being the second.
            ASAN_OPTIONS=sanitizer + ":verify_asan_link_order=0")

    def set_clock(self, time):
        """What the command reads whenever it asks for the time."""
        os.replace(self.write("clock.new", time), self.clock)

    def begins(self, monotonic=False, ttl=LEASE_S):
        """The node `a`, with a clock of its own, and its peer `b`."""
        node = self.registers("--id", "a", "--endpoint", "grpc://:1", "--ttl", str(ttl),
                              "--verbose", env=self.faked(monotonic))
        peer = self.node("b", ttl=600)
        self.assertEqual(node.line(), "up      b\n")
        return node, peer

    def assertReads(self, reader, id, peer, text):
        peer.sends(id, body=text)
        self.assertEqual(reader.json()["body"], text)

    def assertIsThere(self, node, reader, id, peer):
        """For one lease more, and with the same peers."""
        self.assertReads(reader, id, peer, "after")
        # When a node has come and gone that gives no sign of life, a lease is over.
        self.node("silent", ttl=LEASE_S)
        for event in ("up", "down"):
            self.assertEqual(node.line(), f"{event:<7} silent\n")
        self.assertEqual(self.view("a")["endpoints"], ["grpc://127.0.0.1:1"])
        self.assertReads(reader, id, peer, "at last")

    def assertLeaves(self, running):
        """And has not said anything more."""
        self.assertEqual(running.end()[:2], (0, ""))

    def jumps(self, time, monotonic=False):
        node, peer = self.begins(monotonic)
        before = self.view("a")["registered_at"]
        # A node of its own: a reader of `a` would renew that lease too.
        reader = self.starts("recv", "--follow", "--id", "r", env=self.faked(monotonic))
        self.assertEqual(node.line(), "up      r\n")
        self.assertReads(reader, "r", peer, "before")
        self.set_clock(time)
        self.assertIsThere(node, reader, "r", peer)
        self.assertEqual(self.view("a")["registered_at"], before)
        self.assertLeaves(node)
        self.assertLeaves(reader)
        self.assertEqual([node["id"] for node in self.list()["nodes"]], ["b"])

    def test_clock_that_jumps_forward_costs_nothing(self):
        self.jumps(FORWARD)

    def test_clock_that_jumps_back_costs_nothing(self):
        self.jumps(BACK)

    def test_monotonic_clock_that_jumps_forward_costs_nothing(self):
        self.jumps(FORWARD, monotonic=True)

    def sleeps(self, monotonic):
        """Until the lease has ended."""
        node, peer = self.begins(monotonic)
        reader = self.starts("recv", "--follow", "--id", "a", env=self.faked(monotonic))
        self.assertReads(reader, "a", peer, "before")
        watch = self.starts("watch")
        self.assertEqual([watch.json()["id"] for _ in range(2)], ["a", "b"])
        for running in (node, reader):
            running.process.send_signal(signal.SIGSTOP)
        self.assertEqual(watch.json()["event"], "down")
        self.set_clock(FORWARD)
        node.process.send_signal(signal.SIGCONT)
        self.assertEqual(watch.json()["event"], "up")
        self.assertRegex(node.line(), "^registered a ")
        reader.process.send_signal(signal.SIGCONT)
        self.assertIsThere(node, reader, "a", peer)
        self.assertLeaves(reader)
        self.assertLeaves(node)
        self.assertEqual(self.look_up("a").status, 404)

    def test_machine_that_slept_comes_back(self):
        self.sleeps(monotonic=False)  # as Linux has it: that clock sleeps too

    def test_machine_whose_monotonic_clock_did_not_sleep_comes_back(self):
        self.sleeps(monotonic=True)

    def forgets(self, ttl):
        """The index comes back with an empty disk, where `b` is not yet."""
        self.start()
        node, _ = self.begins(ttl=ttl)
        listen = f"127.0.0.1:{self.index.port}"
        self.index.kill()
        self.assertEqual(node.line(), "changed b (stale)\n")
        self.start(listen=(listen,))
        self.assertRegex(node.line(), "^registered a ")
        return node

    def test_clock_that_jumps_forward_takes_no_peer_down(self):
        node = self.forgets(LONG_S)
        self.set_clock(FORWARD)
        self.node("c")
        self.assertEqual(node.line(), "up      c\n")
        self.node("b")
        self.assertEqual(node.line(), "changed b\n")
        self.assertLeaves(node)

    def test_clock_that_jumps_back_keeps_no_peer(self):
        node = self.forgets(2 * LEASE_S)
        self.set_clock(BACK)
        self.node("c")
        self.assertEqual(node.line(), "up      c\n")
        self.assertEqual(node.line(), "down    b (stale)\n")
        self.assertLeaves(node)


if __name__ == "__main__":
    unittest.main()
