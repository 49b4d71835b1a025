"""What the service manager is told (sd_notify(3)), by a real socket that stands in its place."""

import os
import signal
import socket
import tempfile
import time
import unittest
import uuid

from tests.lib.index import Index

SAID_S = 20  # generous: for what is to be said
BEAT_US = 200_000  # so the index says that it is alive ten times a second


class Manager:
    """Receives what the index says; `name` is what NOTIFY_SOCKET says."""

    def __init__(self, case, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        self.socket.settimeout(SAID_S)

    def next(self):
        lines = self.socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def next_but_beats(self):
        while True:
            said = self.next()
            if "WATCHDOG" not in said:
                return said

    def drain(self):
        """Everything that was said already."""
        self.socket.setblocking(False)
        count = 0
        try:
            while self.socket.recv(4096):
                count += 1
        except BlockingIOError:
            pass
        self.socket.settimeout(SAID_S)
        return count


class TestNotify(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def manager(self, name=None):
        return Manager(self, name or os.path.join(self.folder, "notify"))

    def start(self, name, *arguments, **environment):
        self.index = Index(*arguments, env={"NOTIFY_SOCKET": name, **environment})
        self.addCleanup(self.index.close)
        return self.index.start()

    def assertLife(self, manager):
        self.start(manager.name)
        said = manager.next()
        self.assertEqual((said["READY"], said["STATUS"]), ("1", "0 nodes"))
        self.index.stop()
        self.assertEqual(manager.next(), {"STOPPING": "1"})
        self.assertEqual(manager.drain(), 0)

    def test_life_is_told_from_ready_to_stopping(self):
        self.assertLife(self.manager())

    def test_life_is_told_to_an_abstract_socket(self):
        self.assertLife(self.manager("@signpost-test-" + uuid.uuid4().hex))

    def test_reload_is_told_when_it_begins_and_when_it_is_done(self):
        manager = self.manager()
        self.start(manager.name)
        manager.next()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.index.signal(signal.SIGHUP)
        said = manager.next()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.assertEqual(said["RELOADING"], "1")
        self.assertTrue(before <= int(said["MONOTONIC_USEC"]) <= after, said)
        self.assertEqual(manager.next()["READY"], "1")

    def test_watchdog_beats_until_the_loop_hangs(self):
        manager = self.manager()
        self.start(manager.name, WATCHDOG_USEC=str(BEAT_US))
        self.assertIn("READY", manager.next())
        for _ in range(3):
            self.assertEqual(manager.next()["WATCHDOG"], "1")
        self.index.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.index.pid, os.WSTOPPED | os.WNOWAIT)
        manager.drain()
        manager.socket.settimeout(3 * BEAT_US / 1e6)
        with self.assertRaises(TimeoutError):
            manager.next()
        self.index.signal(signal.SIGCONT)
        manager.socket.settimeout(SAID_S)
        self.assertEqual(manager.next()["WATCHDOG"], "1")
        self.index.stop()
        self.assertEqual(manager.next_but_beats(), {"STOPPING": "1"})

    def assertNoBeat(self, **environment):
        """It says ready and stopping, and nothing between: a beat of these periods would come."""
        manager = self.manager()
        self.start(manager.name, **environment)
        self.assertIn("READY", manager.next())
        for _ in range(3):
            self.index.signal(signal.SIGHUP)
            self.assertIn("RELOADING", manager.next())
            self.assertIn("READY", manager.next())
        self.index.stop()
        self.assertEqual(manager.next(), {"STOPPING": "1"})

    def test_watchdog_of_another_process_is_none(self):
        self.assertNoBeat(WATCHDOG_USEC="2000", WATCHDOG_PID="1")
        self.assertNotIn("watchdog_ignored", self.index.log())

    def test_watchdog_period_that_is_no_number_is_told_and_is_none(self):
        for wrong in ("soon", "0", "-5", "5s", " 5", "9" * 30):
            with self.subTest(value=wrong):
                self.index = None
                self.assertNoBeat(WATCHDOG_USEC=wrong)
                self.assertEqual(self.index.log().count("watchdog_ignored"), 1)
                os.unlink(os.path.join(self.folder, "notify"))

    def test_manager_that_cannot_be_told_is_told_once_and_hurts_nothing(self):
        for name in (os.path.join(self.folder, "nobody"), "vsock:2:1", "nonsense",
                     "/" + "x" * 200, "@" + "x" * 200):
            with self.subTest(name=name):
                self.start(name, WATCHDOG_USEC="2000")
                self.index.signal(signal.SIGHUP)
                self.assertEqual(self.index.stop(), 0)
                self.assertEqual(self.index.log().count("notify_failed"), 1)

    def test_manager_that_goes_away_hurts_nothing(self):
        manager = self.manager()
        self.start(manager.name, WATCHDOG_USEC="2000")
        manager.next()
        manager.socket.close()
        self.index.wait_for_log("notify_failed")
        self.assertEqual(self.index.stop(), 0)
        self.assertEqual(self.index.log().count("notify_failed"), 1)


if __name__ == "__main__":
    unittest.main()
