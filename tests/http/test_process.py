"""The process: its options, its start and its end, and what it has kept when it comes back."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

from tests.lib import index as process
from tests.lib.case import AT_ONCE_S, HttpCase
from tests.lib.http import url
from tests.lib.index import Index, Stopwatch, clean_environment


REMARK = re.compile(r"^\d{4}-\S+ (info|warn) ")  # a log line that is no reason to end


def complaints(done):
    return [line for line in done.stderr.splitlines() if not REMARK.match(line)]


class TestOptions(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.db = os.path.join(folder.name, "signpost.db")

    def assertEnds(self, code, *args, names=None, env=None):
        """It ends with `code` and one line on stderr, which names what was wrong."""
        done = process.run("--db", self.db, *args, env=env)
        self.assertEqual(done.returncode, code, done)
        lines = complaints(done)
        self.assertEqual(len(lines), 1, done)
        if names:
            self.assertIn(names, lines[0])
        self.assertEqual(done.stdout, "")

    def test_option_unknown_exits_2(self):
        for args in (("--nonsense",), ("-x",), ("word",), ("--listen-x", "1")):
            with self.subTest(args=args):
                self.assertEnds(2, *args, names=args[0])

    def test_option_without_value_exits_2(self):
        for option in ("--listen", "--db", "--rate", "--max-nodes"):
            with self.subTest(option=option):
                self.assertEnds(2, option, names=option)

    def test_value_that_is_wrong_exits_2(self):
        for option, value in (
                ("--listen", "nonsense"), ("--listen", "127.0.0.1"), ("--listen", "127.0.0.1:x"),
                ("--listen", "127.0.0.1:65536"), ("--listen", ""), ("--rate", "fast"),
                ("--rate", "-1"), ("--rate", "nan"), ("--max-nodes", "-1"), ("--max-nodes", "1x"),
                ("--max-waiters", ""), ("--max-nodes", "9" * 30), ("--trust-proxy", "10.0.0.0/33"),
                ("--trust-proxy", "nonsense"), ("--log-level", "loud"), ("--log-format", "xml"),
                ("--durability", "some"), ("--db", "")):
            with self.subTest(option=option, value=value):
                self.assertEnds(2, option, value, names=option)

    def test_value_that_is_wrong_in_the_environment_exits_2(self):
        self.assertEnds(2, names="SIGNPOST_RATE", env=clean_environment(SIGNPOST_RATE="fast"))

    def test_listening_beyond_loopback_needs_open(self):
        for address in ("0.0.0.0:0", "[::]:0"):
            with self.subTest(address=address):
                self.assertEnds(2, "--listen", address, names="--open")

    def test_help_and_version_exit_0(self):
        for option, says in (("--help", "--listen"), ("--version", "signpostd")):
            with self.subTest(option=option):
                done = process.run(option)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(says, done.stdout)
        self.assertIn("--max-waiters-per-address", process.run("--help").stdout)

    def test_check_config_exits_0_and_starts_nothing(self):
        done = process.run("--check-config", "--db", self.db, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 0, done)
        self.assertFalse(os.path.exists(self.db))
        self.assertEnds(2, "--check-config", "--rate", "fast", names="--rate")

    def test_check_config_looks_at_the_database_and_leaves_it(self):
        def write(content):
            with open(self.db, "wb") as file:
                file.write(content)

        with Index(db=self.db) as index:
            self.assertEqual(process.run("--check-config", "--db", self.db).returncode, 0)
            self.assertNotIn("store_failed", index.log())
        self.assertEqual(process.run("--check-config", "--db", self.db).returncode, 0)
        with open(self.db, "rb") as file:
            good = file.read()
        for content, says in (
                (b"some text", "not a Signpost database"), (good[:30], "not a Signpost database"),
                (good[:68] + b"none" + good[72:], "not a Signpost database"),
                (good[:60] + bytes((0, 0, 0, 99)) + good[64:], "schema 99, this one knows 3")):
            write(content)
            self.assertEnds(2, "--check-config", names=says)
            with open(self.db, "rb") as file:
                self.assertEqual(file.read(), content)
        write(b"")
        self.assertEqual(process.run("--check-config", "--db", self.db).returncode, 0)
        os.unlink(self.db)
        os.mkdir(self.db)
        self.assertEnds(2, "--check-config", names="is a directory")
        self.db = os.path.join(self.db, "nowhere", "signpost.db")
        self.assertEnds(2, "--check-config", names="does not exist")

    def test_check_config_says_all_that_is_wrong(self):
        done = process.run(
            "--check-config", "--db", "/nowhere/signpost.db", "--keys", "/nowhere/keys",
            "--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem",
            "--turn-uri", "turn:example.org", "--turn-secret-file", "/nowhere/secret")
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        lines = complaints(done)
        self.assertEqual(len(lines), 4, done)
        for name in ("keys", "cert.pem", "secret", "signpost.db"):
            self.assertEqual(sum(f"/nowhere/{name}" in line for line in lines), 1, (name, lines))

    def test_port_taken_exits_1(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertEnds(1, "--listen", f"127.0.0.1:{port}", names=str(port))


class TestDatabases(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name):
        return os.path.join(self.folder, name)

    def content(self, db):
        if not os.path.isfile(db):
            return None
        with open(db, "rb") as file:
            return file.read()

    def assertRefused(self, db, **options):
        before = self.content(db)
        done = process.run("--db", db, "--listen", "127.0.0.1:0", **options)
        self.assertEqual(done.returncode, 1, done)
        lines = complaints(done)
        self.assertEqual(len(lines), 1, done)
        self.assertIn(os.path.basename(db), lines[0])
        self.assertEqual(self.content(db), before)

    def test_database_that_cannot_be_made_exits_1(self):
        os.mkdir(self.file("folder.db"))
        self.assertRefused(self.file("folder.db"))
        self.assertRefused(self.file("nowhere/signpost.db"))

    def test_database_that_cannot_be_written_exits_1(self):
        with Index(db=self.file("locked.db")):
            pass
        os.chmod(self.file("locked.db"), 0o444)
        # Root may write everything, unless it gives that up.
        as_others = ("setpriv", "--bounding-set", "-dac_override") if os.geteuid() == 0 else ()
        self.assertRefused(self.file("locked.db"), wrapper=as_others)

    def test_file_of_something_else_exits_1(self):
        with open(self.file("letter.db"), "w", encoding="ascii") as file:
            file.write("Dear diary,\n" * 1000)
        self.assertRefused(self.file("letter.db"))

    def test_database_of_something_else_exits_1(self):
        with sqlite3.connect(self.file("other.db")) as database:
            database.execute("PRAGMA application_id = 4711")
            database.execute("CREATE TABLE photos (name TEXT)")
        database.close()
        self.assertRefused(self.file("other.db"))

    def test_database_of_a_newer_index_exits_1(self):
        with Index(db=self.file("mine.db")):
            pass
        shutil.copy(self.file("mine.db"), self.file("newer.db"))
        with sqlite3.connect(self.file("newer.db")) as database:
            database.execute("PRAGMA user_version = 999")
        database.close()
        self.assertRefused(self.file("newer.db"))

    def test_database_in_use_exits_1(self):
        with Index(db=self.file("used.db")) as first:
            done = process.run("--db", self.file("used.db"), "--listen", "127.0.0.1:0")
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("used.db", done.stderr)
            self.assertTrue(first.runs())


class TestStart(HttpCase):
    def test_environment_is_read(self):
        self.start(listen=None, env={"SIGNPOST_LISTEN": "127.0.0.1:0,[::1]:0",
                                     "SIGNPOST_MAX_NODES": "1"})
        self.assertEqual([address for address, _ in self.index.listeners], ["127.0.0.1", "::1"])
        self.node("a")
        reply = self.client.post("/register", {"id": "b", "network": self.network})
        self.assertProblem(reply, 503, "index_full")

    def test_command_line_wins_over_the_environment(self):
        self.start("--max-nodes", "2", env={
            "SIGNPOST_LISTEN": "[::1]:0", "SIGNPOST_MAX_NODES": "1"})
        self.assertEqual([address for address, _ in self.index.listeners], ["127.0.0.1"])
        self.node("a")
        self.node("b")

    def test_listeners_that_are_several_all_serve(self):
        self.start(listen=("127.0.0.1:0", "[::1]:0", "127.0.0.2:0"))
        self.assertEqual(len(self.index.listeners), 3)
        self.node("a")
        for listener in range(3):
            listing = self.connect(listener=listener).get(url("/list", network=self.network))
            self.assertNodes(listing.json(), ["a"])

    def test_log_of_json_is_json(self):
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder:
            running = subprocess.Popen(
                [process.binary(), "--listen", "127.0.0.1:0", "--log-format", "json",
                 "--db", os.path.join(folder, "signpost.db")],
                env=clean_environment(), stderr=subprocess.PIPE, text=True)
            try:
                for line in running.stderr:
                    record = json.loads(line)
                    if record.get("event") == "ready":
                        break
                else:
                    self.fail("no record says ready")
            finally:
                running.terminate()
                running.stderr.read()
                running.stderr.close()
                self.assertEqual(running.wait(process.STOP_S), 0)


class TestEnd(HttpCase):
    def test_sigterm_answers_every_poll_and_exits_0(self):
        self.start()
        nodes = [self.node() for _ in range(4)]
        cursor = nodes[-1].cursor
        lists = [self.park_list(cursor) for _ in range(10)]
        readers = [node.parks_read() for node in nodes[:2]]
        events = [node.parks_events(since=cursor) for node in nodes[2:]]
        watch = Stopwatch()
        self.index.signal(signal.SIGTERM)
        for kind, polls in (("list", lists), ("mail", readers), ("events", events)):
            for poll in polls:
                reply = poll.reply()
                self.assertEqual(reply.status, 200, reply)
                self.assertEqual(reply.headers["Connection"].lower(), "close", reply)
                answer = reply.json()
                if kind != "mail":
                    self.assertNodes(answer["list"] if kind == "events" else answer, [])
                if kind != "list":
                    mail = answer["mail"] if kind == "events" else answer
                    self.assertEqual(mail["messages"], [])
        self.assertEqual(self.index.wait(), 0)
        self.assertLess(watch.elapsed(), AT_ONCE_S)

    def test_sigterm_and_sigint_exit_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                self.start()
                self.index.signal(number)
                self.assertEqual(self.index.wait(), 0)

    def test_sigterm_with_idle_connections_exits_0(self):
        self.start()
        clients = [self.connect() for _ in range(20)]
        for client in clients:
            client.get("/healthz")
        half = socket.create_connection((self.index.host, self.index.port))
        self.addCleanup(half.close)
        half.sendall(b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        watch = Stopwatch()
        self.assertEqual(self.index.stop(), 0)
        self.assertLess(watch.elapsed(), 8)


class TestComingBack(HttpCase):
    def again(self, kill=False):
        """Ends the index and starts it with the same database."""
        if kill:
            self.index.kill()
        else:
            self.assertEqual(self.index.stop(), 0)
        self.index.start()
        self.client = self.connect()

    def returned(self, node):
        """The same node over a connection to the index that came back."""
        node.client = self.connect(token=node.token)
        return node

    def everything_is_kept(self, kill):
        self.start()
        one = self.node("one", endpoints=["tcp://:1"], meta={"x": 1}, reach={"y": 1}, ttl=60)
        other, hidden = self.node("other"), self.node("hidden", listed=False)
        left = self.node("left")
        sent = one.sends(other, id="m", session="s", body={"sdp": "v=0"}, ttl=60)
        one.sends(other, id="acknowledged", ttl=60)
        reader = other.read(limit=1)
        gone = one.sends(hidden, id="read", ttl=60)
        hidden.read(after=hidden.read()["next"])
        left.delete()
        before = self.list()
        self.again(kill)

        after = self.list()
        for listing in (before, after):
            for node in listing["nodes"]:
                del node["age"], node["expires_in"]
        self.assertEqual(after["nodes"], before["nodes"])
        delta = self.list(since=left.cursor)
        self.assertFalse(delta["reset"])
        self.assertNodes(delta, [], gone=["left"])
        for node in (one, other, hidden):
            self.assertEqual(self.returned(node).heartbeat().status, 200)
        self.assertEqual(one.sends(other, id="m", session="s", body={"sdp": "v=0"}, ttl=60)["seq"],
                         sent["seq"])
        self.assertEqual(one.sends(hidden, id="read", ttl=60)["seq"], gone["seq"])
        self.assertEqual(hidden.messages(), [])
        read = other.read(after=reader["next"])
        self.assertFalse(read["reset"])
        self.assertEqual([m["id"] for m in read["messages"]], ["acknowledged"])

    def test_restart_keeps_everything(self):
        self.everything_is_kept(kill=False)

    def test_kill_keeps_everything(self):
        self.everything_is_kept(kill=True)

    def test_kill_loses_no_registration_or_message_that_was_acknowledged(self):
        self.start()
        reader = self.node("reader")
        for round in range(5):
            nodes = [self.node() for _ in range(15)]
            sent = [node.sends(reader, id=f"r{round}", ttl=60) for node in nodes[:6]]
            self.again(kill=True)
            self.returned(reader)
            for node in nodes:
                self.assertEqual(self.returned(node).heartbeat().status, 200)
            self.assertEqual([m["seq"] for m in reader.messages()], [s["seq"] for s in sent])
            reader.read(after=reader.read()["next"])

    def test_another_database_has_another_epoch(self):
        self.start()
        cursor = self.node("a").cursor
        self.assertEqual(self.index.stop(), 0)
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(self.index.db + suffix):
                os.remove(self.index.db + suffix)
        self.index.start()
        self.client = self.connect()
        listing = self.list(since=cursor)
        self.assertTrue(listing["reset"])
        self.assertNodes(listing, [])

    def test_token_of_the_clients_own_survives_a_lost_database(self):
        self.start()
        node = self.node("a")
        self.index.kill()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(self.index.db + suffix):
                os.remove(self.index.db + suffix)
        self.index.start()
        self.client = self.connect()
        self.returned(node)
        self.assertProblem(node.heartbeat(), 404, "unknown_node")
        reply = node.client.post("/register", {"id": "a", "network": self.network})
        self.assertEqual(reply.status, 201, reply)
        self.assertEqual(node.heartbeat().status, 200)

    def test_leases_run_a_full_ttl_again(self):
        """At 5 s, when another lease tells the time, one of 12 s has 7 s left; then it has 12."""
        self.start()
        node, clock = self.node("a", ttl=12), self.node("clock", ttl=5)
        delta = self.park_list(clock.cursor).reply()
        self.assertNodes(delta.json(), [], gone=["clock"])
        self.assertLess(self.view("a")["expires_in"], 8)
        self.again()
        self.assertGreater(self.view("a")["expires_in"], 8)
        self.assertEqual(self.returned(node).heartbeat().status, 200)


class TestIdle(HttpCase):
    def test_polls_that_are_parked_use_no_processor(self):
        """The only place where a span is waited for: it is what is measured."""
        self.start()
        cursor = self.node("a", ttl=60).cursor
        polls = [self.park_list(cursor) for _ in range(100)]
        used = self.index.cpu_s()
        time.sleep(2)
        self.assertLess(self.index.cpu_s() - used, 0.1)
        watch = Stopwatch()
        self.node("b")
        for poll in polls:
            self.assertNodes(poll.reply().json(), ["b"])
        self.assertLess(watch.elapsed(), AT_ONCE_S)
