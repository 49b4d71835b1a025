"""A database of an earlier version is brought to the current one, and all in it is there."""

import os
import sqlite3
import tempfile
import unittest

from tests.lib import index as process
from tests.lib import past
from tests.lib.case import HttpCase
from tests.lib.http import url
from tests.lib.index import Index


class TestUpgrade(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.db = os.path.join(folder.name, "signpost.db")
        self.assertEqual(set(past.KEPT), {1, 2})

    def copies(self):
        """Each that is kept, one after the other, at self.db."""
        for version, path in sorted(past.KEPT.items()):
            with self.subTest(version=version):
                past.copy(path, self.db)
                self.assertEqual(past.schema(self.db)[0], version)
                yield version

    def test_earlier_version_becomes_what_a_new_database_is(self):
        with Index() as index:
            index.stop()
            fresh = past.schema(index.db)
        for _ in self.copies():
            with Index(db=self.db) as index:
                index.stop()
            self.assertEqual(past.schema(self.db), fresh)

    def test_earlier_version_has_all_that_was_in_it(self):
        for _ in self.copies():
            with Index(db=self.db) as index:
                self.assertIn("database_upgraded", index.log())
                past.check(self, index)
                upgrades = index.log().count("database_upgraded")
                index.stop()
                index.start()
                self.assertEqual(index.log().count("database_upgraded"), upgrades)
                past.check(self, index)

    def test_example_has_all_that_was_put_into_it(self):
        """The one that is kept was made so: it is no other."""
        with Index() as index:
            past.make(self.db + ".now")
        with Index(db=self.db + ".now") as index:
            past.check(self, index)


class TestCursors(HttpCase):
    def test_upgrade_keeps_the_epoch(self):
        self.start()
        one = self.node(ttl=600)
        two = self.node(ttl=600)
        self.index.stop()
        with sqlite3.connect(self.index.db) as db:
            db.execute("ALTER TABLE index_state DROP COLUMN program")
            db.execute("PRAGMA user_version = 1")
        db.close()
        self.index.start()
        self.assertIn("database_upgraded", self.index.log())
        changes = self.connect().get(url("/list", network=self.network, since=one.cursor)).json()
        self.assertFalse(changes["reset"], changes)
        self.assertNodes(changes, [two.id])

    def test_newer_database_is_refused_with_the_version_of_its_program(self):
        self.start()
        self.index.stop()
        version = process.run("--version").stdout.split()[1]
        with sqlite3.connect(self.index.db) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        done = process.run("--db", self.index.db, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(f'(version "{version}", schema 99, this one knows 3)', done.stderr)


if __name__ == "__main__":
    unittest.main()
