"""The disk is full, read-only, broken, or does not answer for a while."""

import ctypes
import errno
import os
import subprocess
import tempfile
import threading
import time
import unittest

from tests.faults.case import FaultCase, figure, wait_for
from tests.faults.load import Ledger, Rounds, verify
from tests.faults.shims import Disk
from tests.lib.index import Index, run
from tests.lib.metrics import read_metrics

CLONE_NEWNS = 0x20000
STALL_S = 2


def setUpModule():
    """Mounts of these tests are seen by this process and its children only, and end with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


class SmallDiskCase(FaultCase):
    """The database alone on a file system of its own."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.disk = folder.name
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", self.disk],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk], check=True)
        self.db = os.path.join(self.disk, "signpost.db")

    def fill(self):
        self.filler = os.open(os.path.join(self.disk, "filler"), os.O_WRONLY | os.O_CREAT, 0o600)
        for size in (65536, 4096, 1):
            try:
                while True:
                    os.write(self.filler, b"x" * size)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
        os.close(self.filler)

    def free(self):
        os.unlink(os.path.join(self.disk, "filler"))

    def refuses_to_start(self):
        done = run("--db", self.db, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done)
        complaints = [line for line in done.stderr.splitlines() if line.startswith("signpostd: ")]
        self.assertEqual(len(complaints), 1, done)
        return complaints[0]


class TestFull(SmallDiskCase):
    def writes_until_refused(self, one, two):
        """Sends until there is no room left; gives the ids that were taken."""
        taken = []
        for number in range(20000):
            reply = one.write(two, id=f"m{number}", ttl=600, body="x" * 2000)
            if reply.status == 503:
                self.assertRefusedForNow(reply)
                return taken
            if reply.status == 429:  # the mailbox is full: it is emptied
                two.read(after=two.read()["next"])
                taken.clear()
                continue
            self.assertEqual(reply.status, 202, reply)
            taken.append(f"m{number}")
        raise AssertionError("the disk does not get full")

    def test_full_refuses_writes_serves_reads_and_recovers(self):
        self.start(db=self.db)
        one, two = self.node(ttl=600), self.node(ttl=600)
        self.fill()
        taken = self.writes_until_refused(one, two)
        detail = self.waits_for_trouble("full")
        metrics = read_metrics(self.index)
        self.assertGreater(metrics["signpost_store_failures_total"], 0)
        self.assertEqual(metrics["signpost_ready"], 0)
        for _ in range(5):
            for node in (one, two):
                self.assertEqual(node.heartbeat().status, 200)
            self.assertRefusedForNow(one.write(two, id="refused", ttl=600))
            self.assertEqual(self.readiness().status, 503)
            time.sleep(0.2)
        self.assertEqual(self.ids(), {one.id, two.id})
        self.assertEqual([message["id"] for message in two.messages()], taken)
        self.free()
        took = self.waits_until_ready()
        one.sends(two, id="after", ttl=600)
        self.index.kill()
        self.index.start()
        self.client = self.connect()
        one.client, two.client = self.connect(token=one.token), self.connect(token=two.token)
        self.assertKept([one, two], {two: taken + ["after"]})
        self.assertIn("store_recovered", self.index.log())
        self.assertLess(self.index.log().count("store_failed"), 5, "it fills the log too")
        figure("disk full", f"writes 503, reads and heartbeats go on; /readyz: {detail}; writes "
               f"again {took:.1f} s after there is room")

    def test_full_under_load_loses_nothing(self):
        self.start("--max-nodes-per-address", "0", db=self.db)
        ledger = Ledger(seed=2)
        for _ in range(3):
            rounds = Rounds(self.index, ledger)
            time.sleep(0.3)
            self.fill()
            self.waits_for_trouble("full")
            self.free()
            self.waits_until_ready()
            time.sleep(0.3)
            rounds.end()
            verify(self, self.index, ledger)
            self.index.kill()
            self.index.start()
            self.client = self.connect()
            verify(self, self.index, ledger, guests=1000)
        figure("disk full under load, 3 times", f"nothing lost of {ledger.text()}")

    def test_start_on_a_full_disk_says_so(self):
        self.fill()
        figure("start, disk full", self.refuses_to_start().replace(self.disk, "DISK"))
        self.free()
        self.start(db=self.db)
        node = self.node(ttl=600)
        self.index.kill()
        self.fill()
        self.refuses_to_start()
        self.free()
        self.index.start()
        self.client = self.connect()
        node.client = self.connect(token=node.token)
        self.assertKept([node], {})


class TestReadOnly(SmallDiskCase):
    def test_start_on_a_read_only_disk_says_so(self):
        self.start(db=self.db)
        self.assertEqual(self.index.stop(), 0)
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        sentence = self.refuses_to_start()
        self.assertIn("Read-only file system", sentence)
        subprocess.run(["mount", "-o", "remount,rw", self.disk], check=True)
        self.index.start()
        figure("start, disk read-only", sentence.replace(self.disk, "DISK"))


class TestRefusing(FaultCase):
    """A file system with open files cannot be remounted read-only by hand: where the kernel does it
    after an error, every write fails from then on, as here."""

    def setUp(self):
        super().setUp()
        self.disk = Disk(self)
        self.start(env=self.disk.environment)
        self.one, self.two = self.node(ttl=600), self.node(ttl=600)
        self.one.sends(self.two, id="m1", ttl=600)

    def assertRecovers(self, fault, number):
        self.disk.set(error=number)
        self.assertRefusedForNow(self.one.write(self.two, id="refused", ttl=600))
        self.assertGreater(self.disk.get("touched"), 0)
        detail = self.waits_for_trouble("cannot be written")
        for node in (self.one, self.two):
            self.assertEqual(node.heartbeat().status, 200)
        self.assertEqual(self.ids(), {self.one.id, self.two.id})
        self.assertEqual([message["id"] for message in self.two.messages()], ["m1"])
        self.disk.set(error=0)
        took = self.waits_until_ready()
        self.one.sends(self.two, id="m2", ttl=600)
        self.index.kill()
        self.index.start()
        for node in (self.one, self.two):
            node.client = self.connect(token=node.token)
        self.client = self.connect()
        self.assertKept([self.one, self.two], {self.two: ["m1", "m2"]})
        figure(fault, f"writes 503, reads and heartbeats go on; /readyz: {detail}; writes again "
               f"after {took:.1f} s")

    def test_read_only_while_running_recovers(self):
        self.assertRecovers("disk read-only", errno.EROFS)

    def test_io_errors_while_running_recover(self):
        self.assertRecovers("disk with I/O errors", errno.EIO)

    def test_polls_end_in_time_while_writes_fail(self):
        cursor = self.list()["cursor"]
        before = self.park_list(cursor, wait=4)
        self.disk.set(error=errno.EIO)
        self.assertRefusedForNow(self.one.write(self.two, id="refused", ttl=600))
        self.waits_for_trouble("cannot be written")
        during = self.park_list(cursor, wait=3)
        for poll in (before, during):
            reply = poll.reply()
            self.assertEqual((reply.status, reply["nodes"]), (200, []), reply)
        self.assertEqual(self.readiness().status, 503)
        self.disk.set(error=0)
        self.waits_until_ready()

    def test_stop_on_a_disk_that_refuses_still_ends(self):
        self.disk.set(error=errno.EIO)
        self.assertEqual(self.index.stop(), 0)
        self.disk.set(error=0)
        self.index.start()
        for node in (self.one, self.two):
            node.client = self.connect(token=node.token)
        self.client = self.connect()
        self.assertKept([self.one, self.two], {self.two: ["m1"]})


class TestStalled(FaultCase):
    def setUp(self):
        super().setUp()
        self.disk = Disk(self)
        self.index = Index("--max-nodes-per-address", "0", env=self.disk.environment)
        self.addCleanup(self.index.close)
        self.index.start()
        self.client = self.connect()

    def heartbeats(self, nodes):
        """Each on a connection of its own, which has to be accepted before it is read."""
        return [self.connect(token=node.token).send("POST", "/heartbeat", {}) for node in nodes]

    def test_stall_under_load_loses_nothing(self):
        ledger = Ledger(seed=3)
        rounds = Rounds(self.index, ledger)
        time.sleep(0.5)
        client = self.connect()
        start = time.monotonic()
        self.disk.set(stall_ms=STALL_S * 1000)
        wait_for(lambda: self.disk.get("touched"), "a write waits")
        self.assertEqual(client.get("/healthz").status, 200)
        took = time.monotonic() - start
        time.sleep(0.5)
        rounds.end()
        self.assertEqual(ledger.counts["unanswered"], 0)
        self.assertGreaterEqual(took, STALL_S - 0.1)
        self.assertLess(took, STALL_S + 20)
        verify(self, self.index, ledger)
        self.index.kill()
        self.index.start()
        verify(self, self.index, ledger, guests=1000)
        figure(f"disk stalled {STALL_S} s under load", f"nothing lost of {ledger.text()}; answers "
               f"{max(0, took - STALL_S) * 1000:.0f} ms after its end")

    def test_stall_ends_no_lease_whose_heartbeat_waits(self):
        """Leases of 10 s that would end while the disk stands still, their heartbeats unread."""
        nodes = [self.node(ttl=10) for _ in range(20)]
        writer = self.node(ttl=600)
        since = self.list()["cursor"]
        time.sleep(4)
        self.disk.set(stall_ms=9000)
        thread = threading.Thread(target=writer.heartbeat, kwargs={"meta": {"stalls": True}})
        thread.start()
        wait_for(lambda: self.disk.get("touched"), "a write waits")
        pending = self.heartbeats(nodes)
        self.assertEqual([each.reply().status for each in pending], [200] * len(nodes))
        thread.join()
        delta = self.list(since=since)
        self.assertEqual(delta["gone"], [], "a lease ended during the stall")
        self.index.wait_for_log("stalled")
        wait_for(lambda: len(self.list(since=since)["gone"]) == len(nodes),
                 "the credit is no lease for ever")

    def test_stopped_process_ends_no_lease(self):
        nodes = [self.node(ttl=5) for _ in range(20)]
        since = self.list()["cursor"]
        self.index.signal(19)  # SIGSTOP
        pending = self.heartbeats(nodes)
        time.sleep(7)
        self.index.signal(18)  # SIGCONT
        self.assertEqual([each.reply().status for each in pending], [200] * len(nodes))
        self.assertEqual(self.list(since=since)["gone"], [])


if __name__ == "__main__":
    unittest.main()
