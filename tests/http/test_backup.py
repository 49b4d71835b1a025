"""`signpostd backup`: a copy that an index starts on, and what is refused."""

import fcntl
import os
import shutil
import sqlite3
import stat
import unittest

from tests.lib import index as process
from tests.lib import past
from tests.lib.case import HttpCase
from tests.lib.http import Client, url
from tests.lib.index import Index

NOBODY = 65534


class TestBackup(HttpCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.copy = os.path.join(self.index.folder, "copy.db")

    def backup(self, to=None, db=None):
        return process.run("backup", to or self.copy, "--db", db or self.index.db)

    def assertMade(self, done, to=None):
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertEqual(len(done.stdout.splitlines()), 1, done)
        self.assertIn(to or self.copy, done.stdout)
        self.assertFalse(os.path.exists((to or self.copy) + ".part"))

    def assertRefused(self, done, *words):
        """One line, and nothing new on the disk."""
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertEqual(len(done.stderr.splitlines()), 1, done)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists(self.copy), "it was made all the same")
        self.assertFalse(os.path.exists(self.copy + ".part"), "a part was left")

    def on(self, db):
        """An index on that file; gives a client of it."""
        other = Index(db=db)
        self.addCleanup(other.close)
        other.start()
        client = Client(other)
        self.addCleanup(client.close)
        return client

    def assertServes(self, db, node, messages):
        client = self.on(db)
        self.assertEqual(client.post("/heartbeat", {}, token=node.token).status, 200)
        page = client.get("/mailbox/" + node.id, token=node.token)
        self.assertEqual([message["id"] for message in page["messages"]], messages)

    def test_backup_of_a_running_index_has_all_that_was_acknowledged(self):
        one, two = self.node(ttl=600), self.node(ttl=600)
        one.sends(two, id="before", ttl=600)
        done = self.backup()
        self.assertMade(done)
        self.assertIn(f": 2 nodes, schema 3, {os.path.getsize(self.copy)} bytes", done.stdout)
        one.sends(two, id="after", ttl=600)
        self.assertEqual([message["id"] for message in two.messages()], ["before", "after"])
        self.assertServes(self.copy, two, ["before"])
        self.assertEqual(self.client.get("/readyz").status, 200)

    def test_backup_is_for_its_owner_and_one_file(self):
        mask = os.umask(0)
        try:
            self.assertMade(self.backup())
        finally:
            os.umask(mask)
        self.assertEqual(stat.S_IMODE(os.stat(self.copy).st_mode), 0o600)
        with sqlite3.connect(f"file:{self.copy}?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(db.execute("SELECT stamp FROM index_state").fetchall(), [("",)])
        db.close()
        self.assertEqual([name for name in os.listdir(self.index.folder) if "copy" in name],
                         ["copy.db"])

    def test_backup_leaves_the_files_of_the_index_as_they_are(self):
        node = self.node(ttl=600)
        names = [self.index.db + end for end in ("", "-wal", "-shm", ".lock")]
        before = [(os.stat(name).st_ino, os.stat(name).st_mtime_ns) for name in names]
        self.assertMade(self.backup())
        after = [(os.stat(name).st_ino, os.stat(name).st_mtime_ns) for name in names]
        for name, was, now in zip(names, before, after):
            self.assertEqual(was[0], now[0], name)
            if not name.endswith("-shm"):
                self.assertEqual(was, now, name)
        self.assertEqual(node.heartbeat(meta={"n": 1}).status, 200)
        self.assertNotIn("store_failed", self.index.log())

    def test_backup_where_no_index_runs(self):
        one = self.node(ttl=600)
        one.sends(one, id="m", ttl=600)
        self.index.stop()
        self.assertMade(self.backup())
        self.assertServes(self.copy, one, ["m"])

    def test_backup_of_what_a_killed_index_left(self):
        one = self.node(ttl=600)
        one.sends(one, id="m", ttl=600)
        self.index.kill()
        self.assertMade(self.backup())
        self.assertServes(self.copy, one, ["m"])
        self.assertServes(self.index.db, one, ["m"])

    def test_restored_copy_resets_those_who_are_ahead(self):
        one, two = self.node(ttl=600), self.node(ttl=600)
        one.sends(two, id="kept", ttl=600)
        self.assertMade(self.backup())
        one.sends(two, id="lost", ttl=600)
        ahead = two.read()["next"]
        cursor = self.node(id="later", ttl=600).cursor
        self.index.stop()
        # As docs/operating.md has it: the copy in the place of the database, and nothing else done.
        shutil.copy(self.copy, self.index.db)
        self.index.start()
        client = self.connect()
        page = client.get(url("/mailbox/" + two.id, after=ahead), token=two.token).json()
        self.assertTrue(page["reset"], page)
        self.assertEqual([message["id"] for message in page["messages"]], ["kept"])
        changes = client.get(url("/list", network=self.network, since=cursor)).json()
        self.assertTrue(changes["reset"], changes)
        self.assertEqual({node["id"] for node in changes["nodes"]}, {one.id, two.id})

    def test_restored_copy_after_a_kill_resets_too(self):
        one = self.node(ttl=600)
        self.assertMade(self.backup())
        cursor = self.node(id="later", ttl=600).cursor
        self.index.kill()
        for end in ("", "-wal", "-shm"):
            os.unlink(self.index.db + end)
        shutil.copy(self.copy, self.index.db)
        self.index.start()
        # The history has as many changes again as the cursor knows, but others.
        self.node(id="other", ttl=600)
        changes = self.connect().get(url("/list", network=self.network, since=cursor)).json()
        self.assertTrue(changes["reset"], changes)
        self.assertEqual({node["id"] for node in changes["nodes"]}, {one.id, "other"})

    def test_backup_runs_no_code_that_the_file_has(self):
        self.node(ttl=600)
        self.index.stop()
        with sqlite3.connect(self.index.db) as db:
            db.execute("CREATE TRIGGER t AFTER UPDATE ON index_state BEGIN DELETE FROM nodes; END")
        db.close()
        self.assertMade(self.backup())
        with sqlite3.connect(f"file:{self.copy}?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM nodes").fetchone(), (1,))
        db.close()

    # --- refused ----------------------------------------------------------------------------

    def test_backup_never_replaces_a_file(self):
        for make in (lambda: open(self.copy, "w", encoding="ascii").close(),
                     lambda: os.mkdir(self.copy), lambda: os.symlink("nowhere", self.copy)):
            make()
            done = self.backup()
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("there already", done.stderr)
            self.assertTrue(os.path.lexists(self.copy))
            (os.rmdir if os.path.isdir(self.copy) else os.unlink)(self.copy)

    def test_backup_of_nothing_is_refused(self):
        self.assertRefused(self.backup(db="/nowhere/signpost.db"), "/nowhere/signpost.db", "--db")
        self.assertRefused(self.backup(db=self.index.folder), "not a regular file")

    def test_backup_to_no_folder_is_refused(self):
        self.assertRefused(self.backup(to="/nowhere/copy.db"), "/nowhere/copy.db")

    def test_backup_of_something_else_is_refused(self):
        other = os.path.join(self.index.folder, "other")
        for content in (b"", b"some text" * 1000):
            with open(other, "wb") as file:
                file.write(content)
            self.assertRefused(self.backup(db=other), "not a Signpost database")
        os.unlink(other)
        with sqlite3.connect(other) as db:
            db.execute("CREATE TABLE t (a)")
        db.close()
        self.assertRefused(self.backup(db=other), "not a Signpost database")

    def test_backup_of_a_newer_database_is_refused(self):
        self.index.stop()
        with sqlite3.connect(self.index.db) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        self.assertRefused(self.backup(), "newer signpostd", "schema 99")

    def test_backup_of_an_older_database_is_of_its_version(self):
        old = os.path.join(self.index.folder, "old.db")
        shutil.copy(past.KEPT[1], old)
        done = self.backup(db=old)
        self.assertMade(done)
        self.assertIn("schema 1", done.stdout)

    def test_backup_of_a_damaged_database_is_refused(self):
        for _ in range(100):
            self.node(ttl=600, meta={"text": "x" * 2000})
        self.index.stop()
        size = os.path.getsize(self.index.db)
        with open(self.index.db, "r+b") as file:
            file.seek(size // 2)
            file.write(os.urandom(16384))
        self.assertRefused(self.backup(), self.index.db)
        os.truncate(self.index.db, size // 3)
        self.assertRefused(self.backup(), self.index.db)

    def test_two_backups_to_one_file_are_not_at_once(self):
        with open(self.copy + ".part", "wb") as part:
            fcntl.flock(part, fcntl.LOCK_EX)
            done = self.backup()
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("under way", done.stderr)
            self.assertTrue(os.path.exists(self.copy + ".part"), "that of the other was removed")
        self.assertMade(self.backup())

    def test_part_that_a_killed_backup_left_is_no_obstacle(self):
        with open(self.copy + ".part", "wb") as part:
            part.write(b"x" * 100000)
        self.assertMade(self.backup())

    def test_part_that_is_a_link_is_not_followed(self):
        victim = os.path.join(self.index.folder, "victim")
        with open(victim, "wb") as file:
            file.write(b"precious")
        os.symlink(victim, self.copy + ".part")
        self.assertEqual(self.backup().returncode, 1)
        with open(victim, "rb") as file:
            self.assertEqual(file.read(), b"precious")

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a file away")
    def test_backup_by_root_leaves_the_files_to_their_owner(self):
        self.index.stop()
        os.chown(self.index.db, NOBODY, NOBODY)
        self.assertMade(self.backup())
        for end in ("-wal", "-shm"):
            if os.path.exists(self.index.db + end):
                self.assertEqual(os.stat(self.index.db + end).st_uid, NOBODY, end)


if __name__ == "__main__":
    unittest.main()
