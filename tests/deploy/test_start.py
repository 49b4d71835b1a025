"""docs/operating.md, "When it does not start": every message of its table is one that the index says,
with that exit code, and there is a row for all that is tried here."""

import os
import re
import socket
import sqlite3
import tempfile
import unittest

from tests.lib import index as process
from tests.lib.certificate import Certificate
from tests.lib.index import ROOT, Index, clean_environment

WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-all")  # of root, who may do everything
ROW = re.compile(r"^\| `([^`]+)` \| (\d) \| ")
# What varies, as the table writes it and as the index may.
VARIES = {"FILE": r"[^\"]+", "DB": r"\S+", "7117": r"\d+", "3478": r"\d+"}


def rows():
    """(pattern, code) of each."""
    with open(os.path.join(ROOT, "docs", "operating.md"), encoding="utf-8") as file:
        section = file.read().partition("\n## When it does not start\n")[2].partition("\n## ")[0]
    found = []
    for line in section.splitlines():
        if match := ROW.match(line):
            pattern = re.sub("|".join(VARIES), lambda m: VARIES[m[0]], re.escape(match[1]))
            found.append(("signpostd: " + pattern, int(match[2])))
    return found


class TestStart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.ends = []  # (code, what it said)

    def path(self, name, text=None, mode=0o600):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, mode)
        return path

    def tries(self, *arguments, wrapper=(), **environment):
        done = process.run(*arguments, wrapper=wrapper, env=clean_environment(**environment))
        said = [line for line in done.stderr.splitlines() if line.startswith("signpostd: ")]
        self.assertEqual(len(said), 1, done)
        self.assertEqual(done.stderr.splitlines()[-1], said[0])
        self.ends.append((done.returncode, said[0]))

    def try_options(self):
        certificate, other = Certificate(self.folder, "one"), Certificate(self.folder, "other")
        self.tries("--listen", "0.0.0.0:7117")
        self.tries("--open", "--keys", self.path("keys"))
        self.tries("--liste", "127.0.0.1:0")
        self.tries(SIGNPOST_RATE="fast")
        self.tries("--keys", self.path("none"))
        self.tries("--keys", self.path("closed", "", mode=0), wrapper=WITHOUT_PRIVILEGES)
        self.tries("--keys", self.path("empty", "# none\n"))
        self.tries("--tls-cert", certificate.key, "--tls-key", certificate.key)
        self.tries("--tls-cert", certificate.certificate, "--tls-key", other.key)
        self.tries("--tls-cert", certificate.certificate)
        self.tries("--turn-uri", "turn:turn.example.org")

    def try_addresses(self):
        db = ("--db", self.path("addresses.db"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.tries(*db, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        self.tries(*db, "--open", "--listen", "10.9.9.9:7117")
        self.tries(*db, "--listen", "127.0.0.1:80", wrapper=WITHOUT_PRIVILEGES)
        self.tries(*db, "--listen", "127.0.0.1:0", "--stun", "10.9.9.9:3478")

    def try_databases(self):
        here = ("--listen", "127.0.0.1:0", "--db")
        self.tries(*here, self.path("nowhere/signpost.db"))
        self.tries(*here, self.folder)
        os.mkdir(self.path("closed-folder"), 0)
        self.tries(*here, self.path("closed-folder/signpost.db"), wrapper=WITHOUT_PRIVILEGES)
        self.tries(*here, self.path("letter.db", "Dear diary,\n" * 1000))
        with Index(db=self.path("mine.db")):
            self.tries(*here, self.path("mine.db"))
        with sqlite3.connect(self.path("mine.db")) as database:
            database.execute("PRAGMA user_version = 999")
        database.close()
        self.tries(*here, self.path("mine.db"))
        os.mkdir(self.path("disk"))
        for option in ("ro", "size=16k"):
            mounted = ("unshare", "--mount", "sh", "-ec",
                       f'mount -t tmpfs -o {option} none "$0"; exec "$@"', self.path("disk"))
            self.tries(*here, self.path("disk/signpost.db"), wrapper=mounted)

    def test_table_has_what_it_says_and_nothing_else(self):
        self.try_options()
        self.try_addresses()
        self.try_databases()
        table = rows()
        unseen = list(table)
        for code, said in self.ends:
            with self.subTest(said=said):
                fitting = [row for row in table if row[1] == code and re.match(row[0], said)]
                self.assertEqual(len(fitting), 1, f"rows for it, with code {code}")
                unseen.remove(fitting[0])
        self.assertEqual(unseen, [], "rows of which nothing was said")


if __name__ == "__main__":
    unittest.main()
