"""The database is removed, replaced, cut short or overwritten under the running index."""

import os
import shutil
import sqlite3
import unittest

from tests.faults.case import FaultCase, figure, wait_for
from tests.lib.case import some_id
from tests.lib.index import Index, run


def checked(path):
    """What SQLite says of a file that no index has open."""
    with sqlite3.connect(path) as db:
        return db.execute("PRAGMA integrity_check").fetchone()[0]


class FilesCase(FaultCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.one = self.node(ttl=600)
        self.two = self.node(ttl=600)
        self.one.sends(self.two, id="m1", ttl=600)

    @property
    def db(self):
        return self.index.db

    def restarts(self):
        """All that was acknowledged is there also after a kill."""
        self.index.kill()
        self.index.start()
        for node in (self.one, self.two):
            node.client = self.connect(token=node.token)
        self.client = self.connect()

    def checkpoint(self):
        """Brings all from the log into the database, as an index that was stopped leaves it."""
        self.assertEqual(self.index.stop(), 0)
        self.index.start()
        for node in (self.one, self.two):
            node.client = self.connect(token=node.token)
        self.client = self.connect()

    def assertLostAndFound(self, detail):
        """The clients are told that they are unknown, come back with their own tokens, and stay."""
        took = self.waits_until_ready()
        for node in (self.one, self.two):
            reply = node.heartbeat()
            self.assertProblem(reply, 404, "unknown_node")
            self.assertEqual(reply["action"], "register")
            self.assertEqual(self.register(node).status, 201)
        reply = self.client.get(f"/list?network={self.network}&since={self.one.cursor}")
        self.assertTrue(reply["reset"], "the epoch is the old one")
        self.one.sends(self.two, id="m2", ttl=600)
        self.restarts()
        self.assertKept([self.one, self.two], {self.two: ["m2"]})
        figure(self.id().rsplit(".", 1)[1][5:], f"{detail}; served again after {took:.1f} s")


class TestFilesThatGo(FilesCase):
    def test_database_removed_nothing_is_acknowledged_into_it(self):
        os.unlink(self.db)
        reply = self.one.write(self.two, id="lost", ttl=600)
        self.assertRefusedForNow(reply)
        detail = self.waits_for_trouble("the database file was removed")
        self.assertLostAndFound(detail)
        self.assertIn("store_reopened", self.index.log())

    def test_database_removed_is_noticed_though_nobody_writes(self):
        os.unlink(self.db)
        self.index.wait_for_log("the database file was removed")
        wait_for(lambda: os.path.exists(self.db), "the database is made anew")
        self.waits_until_ready()

    def test_all_files_removed_by_name_are_made_anew(self):
        for ending in ("", "-wal", "-shm", ".lock"):
            os.unlink(self.db + ending)
        self.assertRefusedForNow(self.one.write(self.two, id="lost", ttl=600))
        self.assertLostAndFound(self.waits_for_trouble("the database file was removed"))
        self.assertTrue(os.path.exists(self.db + ".lock"))

    def test_folder_removed_is_tried_until_it_is_there(self):
        folder = os.path.join(self.index.folder, "deep")
        index = Index(db=os.path.join(folder, "signpost.db"))
        os.mkdir(folder)
        self.addCleanup(index.close)
        index.start()
        self.index, first = index, self.index
        self.addCleanup(first.close)
        self.client = self.connect()
        self.one, self.two = self.node(ttl=600), self.node(ttl=600)
        shutil.rmtree(folder)
        self.assertRefusedForNow(self.one.write(self.two, id="lost", ttl=600))
        self.waits_for_trouble("cannot be opened again")
        self.assertNotIn(folder, self.readiness().text)
        self.assertEqual(self.client.get("/healthz").status, 200)
        os.mkdir(folder)
        self.assertLostAndFound("the folder was removed and made again")

    def test_replaced_by_another_database_serves_that_one(self):
        mine, copy = self.index, self.db + ".copy"
        with Index(db=copy) as other:
            self.index = other
            self.client = self.connect()
            theirs = self.node(ttl=600)
            self.index = mine
        os.rename(copy, self.db)
        self.client = self.connect()
        self.assertRefusedForNow(self.one.write(self.two, id="lost", ttl=600))
        self.waits_for_trouble("another file was put in the place of the database file")
        took = self.waits_until_ready()
        theirs.client = self.connect(token=theirs.token)
        self.assertEqual(theirs.heartbeat().status, 200)
        self.assertProblem(self.one.heartbeat(), 404, "unknown_node")
        self.assertEqual(self.register(self.one).status, 201)
        self.restarts()
        theirs.client = self.connect(token=theirs.token)
        self.assertKept([theirs, self.one], {})
        self.assertEqual(self.index.stop(), 0)
        self.assertEqual(checked(self.db), "ok")
        self.index.start()
        figure("database replaced by another", f"that one is served after {took:.1f} s")

    def test_log_removed_loses_nothing(self):
        os.unlink(self.db + "-wal")
        self.assertRefusedForNow(self.one.write(self.two, id="m2", ttl=600))
        self.waits_for_trouble("-wal or -shm file of the database was removed")
        took = self.waits_until_ready()
        self.one.sends(self.two, id="m3", ttl=600)
        self.restarts()
        self.assertKept([self.one, self.two], {self.two: ["m1", "m3"]})
        figure("-wal removed", f"nothing lost, served again after {took:.1f} s")

    def test_lock_removed_is_taken_again(self):
        os.unlink(self.db + ".lock")
        self.waits_for_trouble(".lock file of the database was removed")
        self.waits_until_ready()
        done = run("--db", self.db, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("in use by another signpostd", done.stderr)
        self.restarts()
        self.assertKept([self.one, self.two], {self.two: ["m1"]})

    def test_parked_polls_of_another_history_ask_again(self):
        list_poll = self.park_list(self.two.cursor)
        mail_poll = self.two.parks_read(after=self.two.read()["next"])
        os.unlink(self.db)
        for poll in (list_poll, mail_poll):
            reply = poll.reply(30)
            self.assertIn(reply.status, (404, 503), reply)
        self.waits_until_ready()


class TestFilesThatAreHurt(FilesCase):
    def assertRecoversWithCopy(self, copy, kept):
        """A good file in the place of the bad one is served."""
        os.rename(copy, self.db)
        took = self.waits_until_ready()
        self.assertKept(kept, {})
        self.restarts()
        self.assertKept(kept, {})
        return took

    def make_copy(self):
        copy = os.path.join(self.index.folder, "copy.db")
        self.checkpoint()
        shutil.copyfile(self.db, copy)
        return copy

    def test_cut_to_nothing_starts_anew(self):
        os.truncate(self.db, 0)
        self.assertRefusedForNow(self.one.write(self.two, id="lost", ttl=600))
        self.assertLostAndFound(self.waits_for_trouble("the database file was cut short"))

    def test_cut_in_half_waits_for_a_good_file(self):
        copy = self.make_copy()
        os.truncate(self.db, os.path.getsize(self.db) // 2)
        self.assertRefusedForNow(self.one.write(self.two, id="lost", ttl=600))
        self.waits_for_trouble("the database file was cut short")
        self.waits_for_trouble("cannot be opened again")
        self.assertRefusedForNow(self.register(self.one))
        took = self.assertRecoversWithCopy(copy, [self.one, self.two])
        figure("database cut in half", f"503 until a good file is there, then {took:.1f} s")

    def test_garbage_waits_for_a_good_file(self):
        copy = self.make_copy()
        size = os.path.getsize(self.db)
        with open(self.db, "r+b") as file:
            file.write(os.urandom(size))
        self.assertRefusedForNow(self.one.write(self.two, id="lost", ttl=600))
        self.waits_for_trouble("another program wrote to the database file")
        detail = self.waits_for_trouble("cannot be opened again")
        self.assertIn("not a database", detail)
        took = self.assertRecoversWithCopy(copy, [self.one, self.two])
        figure("garbage in the database", f"503 until a good file is there, then {took:.1f} s")

    def test_another_program_that_keeps_to_the_rules_loses_nothing(self):
        """A person's own tool brings the log into the database, and writes."""
        tool = sqlite3.connect(self.db, isolation_level=None)
        self.addCleanup(tool.close)
        tool.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        tool.execute("UPDATE messages SET sent_wall_ms = sent_wall_ms + 1")
        self.waits_for_trouble("another program wrote to the database file")
        took = self.waits_until_ready()
        self.one.sends(self.two, id="m2", ttl=600)
        self.restarts()
        self.assertKept([self.one, self.two], {self.two: ["m1", "m2"]})
        figure("another program writes to the database", f"nothing lost, served after {took:.1f} s")

    def test_copied_over_in_place_serves_the_copy(self):
        copy = self.make_copy()
        later = self.node(ttl=600)
        for _ in range(20):
            self.one.sends(later, ttl=600, body="x" * 1000)
            later.events(after=later.read()["next"], wait=0)
        shutil.copyfile(copy, self.db)
        self.waits_for_trouble("the database")
        self.waits_until_ready()
        self.assertEqual(self.index.stop(), 0)
        self.assertEqual(checked(self.db), "ok")
        self.index.start()

    def test_newer_version_in_its_place_is_left_alone(self):
        other = os.path.join(self.index.folder, "newer.db")
        with Index(db=other):
            pass
        with sqlite3.connect(other) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        with open(other, "rb") as file:
            content = file.read()
        os.rename(other, self.db)
        self.assertRefusedForNow(self.one.write(self.two, id="lost", ttl=600))
        self.waits_for_trouble("cannot be opened again")
        self.index.wait_for_log("newer signpostd")
        with open(self.db, "rb") as file:
            self.assertEqual(file.read(), content)
        os.unlink(self.db)
        self.assertLostAndFound("a newer version was left alone, and removed")


class TestFilesAtTheStart(unittest.TestCase):
    """A sentence, exit code 1, and not a byte of the file is changed."""

    def setUp(self):
        self.index = Index()
        self.addCleanup(self.index.close)
        self.index.start()
        self.assertEqual(self.index.stop(), 0)

    def refuses(self, word):
        with open(self.index.db, "rb") as file:
            before = file.read()
        done = run("--db", self.index.db, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done)
        complaints = [line for line in done.stderr.splitlines() if line.startswith("signpostd: ")]
        self.assertEqual(len(complaints), 1, done)
        self.assertIn(word, complaints[0])
        with open(self.index.db, "rb") as file:
            self.assertEqual(file.read(), before)
        figure(self.id().rsplit(".", 1)[1][5:], complaints[0].replace(self.index.db, "FILE"))

    def test_start_with_garbage_says_so(self):
        with open(self.index.db, "wb") as file:
            file.write(os.urandom(20000))
        self.refuses("not a Signpost database")

    def test_start_with_half_a_database_says_so(self):
        os.truncate(self.index.db, os.path.getsize(self.index.db) // 2)
        self.refuses("damaged")

    def test_start_with_a_newer_version_says_so(self):
        with sqlite3.connect(self.index.db) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        self.refuses("newer signpostd")


if __name__ == "__main__":
    unittest.main()
