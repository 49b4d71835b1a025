"""Backups while clients write: each copy is of one moment, and none is left half made."""

import os
import random
import signal
import subprocess
import time
import unittest

from tests.faults.case import FaultCase, figure
from tests.faults.load import Ledger, Rounds, listed
from tests.faults.test_disk import SmallDiskCase, setUpModule  # pylint: disable=unused-import
from tests.lib.http import Client, url
from tests.lib.index import Index, binary, clean_environment, run

BACKUPS = 10
KILLS = 30


class Moment:
    """What the ledger says at one time."""

    def __init__(self, ledger):
        self.guests = {worker.id: dict(worker.guests) for worker in ledger.workers}
        self.left = {worker.id: set(worker.left) for worker in ledger.workers}
        with ledger.lock:
            self.sent = {reader: dict(sent) for reader, sent in ledger.sent.items()}
        self.acked = {reader: set(acked) for reader, acked in ledger.acked.items()}
        self.open = {reader: set(open) for reader, open in ledger.open.items()}


class TestUnderLoad(FaultCase):
    def assertOf(self, copy, ledger, before, after):
        """All that was acknowledged before is there, unless it was undone by `after`."""
        with Index("--max-nodes-per-address", "0", db=copy) as index:
            client = Client(index)
            ids = listed(client)
            for worker in ledger.workers:
                stayed = set(before.guests[worker.id]) & set(after.guests[worker.id])
                self.assertLessEqual(stayed | {worker.id}, ids, "a registration is not there")
                self.assertFalse(before.left[worker.id] & ids, "one who left is there")
                for id in list(stayed)[:2]:
                    token = before.guests[worker.id][id]
                    self.assertEqual(client.post("/heartbeat", {}, token=token).status, 200)
                reply = client.get(url("/mailbox/" + worker.id, limit=1000), token=worker.token)
                found = {message["id"] for message in reply["messages"]}
                done = after.acked[worker.id] | after.open[worker.id]
                self.assertLessEqual(set(before.sent[worker.id]) - done, found, "a message is not")
                self.assertFalse(found & before.acked[worker.id], "an acknowledged one is")
            client.close()

    def test_backups_under_load_are_each_of_one_moment(self):
        self.start("--max-nodes-per-address", "0")
        ledger, took = Ledger(seed=3), []
        rounds = Rounds(self.index, ledger)
        while not all(worker.guests for worker in ledger.workers):
            time.sleep(0.01)
        for number in range(BACKUPS):
            copy = os.path.join(self.index.folder, f"copy-{number}.db")
            before, start = Moment(ledger), time.monotonic()
            done = run("backup", copy, "--db", self.index.db)
            took.append(time.monotonic() - start)
            after = Moment(ledger)
            self.assertEqual(done.returncode, 0, done)
            with self.subTest(backup=number):
                self.assertOf(copy, ledger, before, after)
        rounds.end()
        self.assertEqual(ledger.faults, [])
        self.assertNotIn("store_failed", self.index.log())
        figure(f"backup, {BACKUPS} times under load", f"each whole and of one moment; "
               f"{max(took) * 1000:.0f} ms at most")

    def test_kills_of_a_backup_leave_no_file_of_that_name(self):
        self.start("--max-nodes-per-address", "0")
        for _ in range(60):
            self.node(ttl=600, meta={"text": "x" * 3000})
        start = time.monotonic()
        whole = os.path.join(self.index.folder, "whole.db")
        self.assertEqual(run("backup", whole, "--db", self.index.db).returncode, 0)
        long, moments, made = time.monotonic() - start, random.Random(4), 0
        for number in range(KILLS):
            copy = os.path.join(self.index.folder, f"copy-{number}.db")
            with subprocess.Popen([binary(), "backup", copy, "--db", self.index.db],
                                  stdout=subprocess.DEVNULL, env=clean_environment()) as backup:
                time.sleep(moments.uniform(0, long))
                backup.kill()
            if backup.returncode == -signal.SIGKILL and not os.path.exists(copy):
                # The next one makes it, whatever was left.
                self.assertEqual(run("backup", copy, "--db", self.index.db).returncode, 0)
            else:
                made += 1
            self.assertEqual(os.path.getsize(copy), os.path.getsize(whole))
            self.assertFalse(os.path.exists(copy + ".part"))
        self.assertLess(made, KILLS, "none was killed before its end")
        self.assertEqual(self.client.get("/readyz").status, 200)
        self.node(ttl=600)
        figure(f"kill -9 of a backup, {KILLS} times", f"{KILLS - made} left no file, {made} a "
               "whole one; the index did not notice")


class TestFullDisk(SmallDiskCase):
    def test_backup_to_a_full_disk_says_so_and_leaves_no_file(self):
        self.start()
        node = self.node(ttl=600, meta={"text": "x" * 3000})
        copy = os.path.join(self.disk, "copy.db")
        for leave in (0, 4096, 40960):
            self.fill()
            filler = os.path.join(self.disk, "filler")
            os.truncate(filler, os.path.getsize(filler) - leave)
            done = run("backup", copy, "--db", self.index.db)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertEqual(len(done.stderr.splitlines()), 1, done)
            self.assertIn("cannot write " + copy, done.stderr)
            self.assertEqual(os.listdir(self.disk), ["filler"])
            self.free()
        self.assertEqual(run("backup", copy, "--db", self.index.db).returncode, 0)
        self.assertEqual(node.heartbeat(meta={"n": 1}).status, 200)
        figure("backup, disk full", done.stderr.strip().replace(self.disk, "DISK"))


if __name__ == "__main__":
    unittest.main()
