"""The system: no descriptors are left, and the clock is set by an hour."""

import email.utils
import glob
import os
import socket
import tempfile
import time
import unittest

from tests.faults.case import FaultCase, figure, wait_for

DESCRIPTORS = 60
STRANGERS = 100
HOUR_S = 3600


class TestDescriptors(FaultCase):
    def test_none_left_established_go_on_and_it_recovers(self):
        self.start("--max-connections-per-address", "0",
                   wrapper=("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"))
        one, two = self.node(ttl=600), self.node(ttl=600)
        strangers = []
        self.addCleanup(lambda: [each.close() for each in strangers])
        for _ in range(STRANGERS):
            strangers.append(socket.create_connection((self.index.host, self.index.port), 10))
        wait_for(lambda: len(os.listdir(f"/proc/{self.index.pid}/fd")) >= DESCRIPTORS - 1,
                 "every descriptor is in use")
        used = self.index.cpu_s()
        start = time.monotonic()
        for number in range(20):
            self.assertEqual(one.heartbeat().status, 200)
            one.sends(two, ttl=600)
            two.read(after=two.read()["next"])
            time.sleep(0.05)
        busy = (self.index.cpu_s() - used) / (time.monotonic() - start)
        self.assertLess(busy, 0.6, "it turns in circles")
        newcomer = self.connect().send("GET", "/healthz")
        while strangers:
            strangers.pop().close()
        self.assertIn(newcomer.reply().status, (200, 503))
        self.assertEqual(self.connect().get("/healthz").status, 200)
        self.assertKept([one, two, self.node(ttl=600)], {})
        figure(f"{DESCRIPTORS} descriptors, {STRANGERS} strangers",
               f"established clients go on ({busy * 100:.0f} % of a processor), a new one waits, "
               "and is served when some leave")


class TestClock(FaultCase):
    def setUp(self):
        super().setUp()
        libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        self.assertTrue(libraries, "the package faketime is not there")
        self.time = tempfile.NamedTemporaryFile("w", prefix="signpost-test-")
        self.addCleanup(self.time.close)
        self.shift(0)
        self.start(env={
            "LD_PRELOAD": libraries[0], "FAKETIME_TIMESTAMP_FILE": self.time.name,
            "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1"})

    def shift(self, seconds):
        """The clock of the index is ahead of ours by that."""
        self.time.seek(0)
        self.time.truncate()
        self.time.write(f"{seconds:+d}\n")
        self.time.flush()

    def shown(self):
        """How far the clock of the index is ahead."""
        date = self.client.get("/healthz").headers["Date"]
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()

    def test_clock_set_by_an_hour_changes_no_lease_and_no_message(self):
        stays, idle = self.node(ttl=5), self.node(ttl=600)
        stays.sends(idle, id="long", ttl=600)
        parked = idle.parks_events(since=self.list()["cursor"], after=idle.read()["next"])
        for hours in (1, 0, -1, 0, 24, 0):
            self.shift(hours * HOUR_S)
            wait_for(lambda hours=hours: abs(self.shown() - hours * HOUR_S) < 60, "the clock is set")
            for _ in range(4):
                self.assertEqual(stays.heartbeat().status, 200)
                time.sleep(0.25)
            listed = {node["id"]: node for node in self.list()["nodes"]}
            self.assertEqual(set(listed), {stays.id, idle.id})
            self.assertLessEqual(listed[idle.id]["expires_in"], 600)
            self.assertGreater(listed[idle.id]["expires_in"], 500)
        self.assertEqual(self.readiness().status, 200)
        stays.sends(idle, id="more", ttl=600)
        reply = parked.reply()
        self.assertEqual([m["id"] for m in reply["mail"]["messages"]], ["more"], reply)
        left = [message["expires_in"] for message in idle.messages()]
        self.assertTrue(all(500 < each <= 600 for each in left), left)
        self.ends_on_time(stays, idle)
        figure("clock set by an hour, both ways, and by a day",
               "leases, messages and polls go by their own time")

    def test_clock_set_before_a_restart_loses_no_message(self):
        one, two = self.node(ttl=600), self.node(ttl=600)
        one.sends(two, id="m1", ttl=300)
        for hours in (1, -1):
            self.shift(hours * HOUR_S)
            self.index.kill()
            self.index.start()
            self.client = self.connect()
            one.client, two.client = self.connect(token=one.token), self.connect(token=two.token)
            self.assertGreater(abs(self.shown()), HOUR_S / 2)
            self.assertKept([one, two], {two: ["m1"]})
            left = two.messages()[0]["expires_in"]
            self.assertTrue(200 < left <= 300, left)

    def ends_on_time(self, stays, idle):
        """In the wrong time, too, what is over ends."""
        self.shift(-HOUR_S)
        start = time.monotonic()
        idle.sends(stays, id="short", ttl=1)
        self.assertEqual(stays.heartbeat().status, 200)
        wait_for(lambda: [m for m in idle.messages() if m["type"] == "undeliverable"],
                 "the message expires")
        wait_for(lambda: stays.id not in self.ids(), "the lease ends")
        self.assertGreater(time.monotonic() - start, 4)


if __name__ == "__main__":
    unittest.main()
