"""The command `signpost`: its options, and what it shows of peers."""

import http.server
import json
import os
import pty
import select
import signal
import socket
import subprocess
import threading
import unittest

from tests.cli.case import BINARY, ENDS_S, CliCase, closed_port
from tests.lib.case import AT_ONCE_S, some_id
from tests.lib.index import Index, Stopwatch


# --- the command line ---------------------------------------------------------------------------

class TestUsage(CliCase):
    def test_command_unknown_names_the_nearest(self):
        for word, meant in (("lits", "list"), ("regster", "register"), ("wat", "watch")):
            with self.subTest(word=word):
                self.assertEnds(64, word, says=(word, f"did you mean {meant}?"))
                self.assertEnds(64, "help", word, says=(word, f"did you mean {meant}?"))
        self.assertEnds(64, "xylophone", says="signpost help")

    def test_option_unknown_names_the_nearest(self):
        for args, meant in ((("list", "--wach"), "--watch"), (("--idex=x", "list"), "--index"),
                            (("send", "--sesion", "x"), "--session")):
            with self.subTest(args=args):
                self.assertEnds(64, *args, says=f"did you mean {meant}?")
        self.assertEnds(64, "list", "-x", says="signpost help list")

    def test_arguments_too_few_or_many_exit_64(self):
        for args in (("send",), ("key",), ("key", "new"), ("list", "x"), ("send", "a", "1", "2"),
                     ("key", "new", "x", "y")):
            with self.subTest(args=args):
                self.assertEnds(64, *args, says=args[0])

    def test_value_that_is_wrong_exits_64(self):
        for option, value, command in (
                ("--index", "pod.example", "list"), ("--index", "ftp://x", "list"),
                ("--network", "a b", "list"), ("--id", "x" * 65, "list"), ("--id", "", "list"),
                ("--timeout", "0", "list"), ("--timeout", "nan", "list"),
                ("--timeout", "1x", "list"), ("--json", "maybe", "list"),
                ("--filter", "role", "list"), ("--filter", "=x", "watch"),
                ("--ttl", "4", "register"), ("--ttl", "7201", "register"),
                ("--endpoint", "host:1", "register"), ("--endpoint", "grpc://x", "register"),
                ("--ttl", "601", "send"), ("--ttl", "-1", "send"), ("--type", "A", "send"),
                ("--type", "undeliverable", "send"), ("--session", "a b", "send")):
            with self.subTest(option=option, value=value):
                self.assertEnds(64, command, f"{option}={value}", says=option)

    def test_option_without_value_exits_64(self):
        self.assertEnds(64, "list", "--index", says="--index needs a value")
        self.assertEnds(64, "register", "--ttl", "--unlisted", says="--ttl needs a value")

    def test_value_that_is_wrong_in_the_environment_exits_64(self):
        self.assertEnds(64, "list", env=self.environment(SIGNPOST_TIMEOUT="soon"),
                        says="SIGNPOST_TIMEOUT")

    def test_command_line_goes_before_the_environment(self):
        away = self.environment(SIGNPOST_INDEX=f"http://127.0.0.1:{closed_port()}")
        here = self.env["SIGNPOST_INDEX"]
        self.assertEqual(self.succeeds("--index", here, "list", "--json", env=away), "[]\n")
        self.assertEqual(self.succeeds("list", f"--index={here}", env={
            **away, "SIGNPOST_JSON": "yes"}), "[]\n")

    def test_help_and_version_exit_0(self):
        for args in (("help",), ("--help",), ("-h",)):
            self.assertIn("register", self.succeeds(*args))
        for args in (("help", "send"), ("send", "--help"), ("--help", "send")):
            self.assertIn("--session", self.succeeds(*args))
        for args in (("version",), ("--version",)):
            self.assertRegex(self.succeeds(*args), r"^signpost \d+\.\d+\.\d+\n$")
        self.assertEqual(json.loads(self.succeeds("version", "--json"))["name"], "signpost")

    def test_no_command_prints_the_help_and_exits_64(self):
        done = self.cli()
        self.assertEqual((done.returncode, done.stdout), (64, ""))
        self.assertIn("Commands", done.stderr)

    def test_help_of_each_command_fits_80_columns(self):
        texts = [self.succeeds("help")]
        for command in json.loads(self.succeeds("help", "--json"))["commands"]:
            texts.append(self.succeeds("help", command["name"]))
        for line in "\n".join(texts).splitlines():
            self.assertLessEqual(len(line), 90 if "usage:" in line else 88, line)


# --- peers --------------------------------------------------------------------------------------

class TestList(CliCase):
    def test_peers_are_lines_of_fields(self):
        self.node("b")
        self.node("a", endpoints=["grpc://:1", "udp://:2"], meta={"role": "master"})
        self.assertEqual(self.succeeds("list"),
                         "a\tgrpc://127.0.0.1:1,udp://127.0.0.1:2\t127.0.0.1\t"
                         '{"role": "master"}\nb\t\t127.0.0.1\t{}\n')

    def test_json_is_one_array(self):
        self.assertEqual(self.succeeds("list", "--json"), "[]\n")
        self.node("a", meta={"n": [1.0, "é"]}, endpoints=["grpc://:1"])
        peers = json.loads(self.succeeds("list", "--json"))
        self.assertRegex(peers[0].pop("registered_at"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(peers, [
            {"id": "a", "endpoints": ["grpc://127.0.0.1:1"], "observed": ["127.0.0.1"],
             "meta": {"n": [1.0, "é"]}, "reach": {}, "stale": False}])

    def test_filter_shows_only_what_fits(self):
        self.node("a", meta={"role": "master", "zone": "x"})
        self.node("b", meta={"role": "master"})
        self.node("c")
        ids = [peer["id"] for peer in json.loads(
            self.succeeds("list", "--json", "--filter", "role=master"))]
        self.assertEqual(ids, ["a", "b"])
        self.assertEqual(self.succeeds("list", "--filter", "role=master", "--filter", "zone=x"),
                         'a\t\t127.0.0.1\t{"role": "master", "zone": "x"}\n')

    def test_network_of_the_command_line_counts(self):
        self.node("a")
        self.assertEqual(self.succeeds("list", "--network", some_id("net")), "")

    def test_index_that_is_down_exits_69(self):
        port = closed_port()
        watch = Stopwatch()
        self.assertEnds(69, "list", "--index", f"http://127.0.0.1:{port}", says=str(port))
        self.assertLess(watch.elapsed(), AT_ONCE_S)

    def test_each_index_that_is_down_has_its_line(self):
        urls = [f"http://127.0.0.1:{closed_port()}" for _ in range(2)]
        done = self.cli("list", "--index", urls[0], "--index", urls[1])
        self.assertEqual(done.returncode, 69)
        self.assertEqual(sorted(line.split(": ")[1] for line in done.stderr.splitlines()),
                         sorted(urls))

    def test_index_that_is_down_beside_one_that_is_up_is_no_fault(self):
        self.node("a")
        env = self.environment(
            SIGNPOST_INDEX=f"http://127.0.0.1:{closed_port()}, {self.env['SIGNPOST_INDEX']}")
        self.assertRegex(self.succeeds("list", env=env), r"\Aa\t.*\n\Z")

    def test_index_that_does_not_answer_exits_69_in_time(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            self.assertEnds(69, "list", "--timeout", "0.3", "--index", url, says="0.3 s")

    def test_server_that_is_no_index_exits_76(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

            def log_message(self, format, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.assertEnds(76, "list", "--index", f"http://127.0.0.1:{server.server_port}",
                        says="not a Signpost index")

    def test_signal_ends_it_with_128_and_its_number(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            running = self.starts("list", "--index",
                                  f"http://127.0.0.1:{silent.getsockname()[1]}")
            connection, _ = silent.accept()
            with connection:
                self.assertEqual(running.end(signal.SIGINT), (130, "", ""))

    def test_watch_prints_the_list_anew_when_it_changes(self):
        self.node("a")
        running = self.starts("list", "--watch", "--json")
        self.assertEqual([peer["id"] for peer in running.json()], ["a"])
        self.node("b")
        self.assertEqual([peer["id"] for peer in running.json()], ["a", "b"])
        self.assertEqual(running.end(signal.SIGINT), (0, "", ""))


class TestTerminal(CliCase):
    def on_terminal(self, *args, env=None, until=None):
        """What the command writes to a terminal, stdout and stderr together."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen([BINARY, *args], env=env or self.env, stdin=theirs,
                                   stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        written = b""
        while select.select([ours], [], [], ENDS_S)[0]:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: the other end is closed
                break
            written += piece
            if until and until in written:
                process.send_signal(signal.SIGINT)
                until = None
        self.assertEqual(process.wait(ENDS_S), 0, written)
        return written.decode()

    def test_list_is_a_table_in_colours(self):
        self.node("a", endpoints=["grpc://:1", "udp://:2"], meta={"role": "master"})
        self.node("longer")
        lines = self.on_terminal("list").replace("\x1b[1m", "").split("\r\n")
        self.assertRegex(lines[0], r"^ID      AGE  ENDPOINTS           OBSERVED   META")
        self.assertRegex(lines[1], r'^a       \d+s +grpc://127.0.0.1:1  127.0.0.1  \{"role": "master"\}')
        self.assertRegex(lines[2], r"^ +udp://127.0.0.1:2 +$")
        self.assertRegex(lines[3], r"^longer  \d+s +127.0.0.1 +$")
        self.assertIn("\x1b[1m", self.on_terminal("list"))

    def test_no_color_has_none(self):
        self.node("a")
        for extra in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b", self.on_terminal("list", env=self.environment(**extra)))

    def test_empty_list_says_so(self):
        self.assertEqual(self.on_terminal("list"), "signpost: no peers\r\n")
        self.assertEqual(self.on_terminal("list", "--quiet"), "")

    def test_peer_cannot_steer_the_terminal(self):
        self.node("a", meta={"x": "\x7f\x9b2J"})
        plain = self.environment(NO_COLOR="1")
        for args in (("list",), ("list", "--json"), ("list", "--json", "--network", self.network)):
            written = self.on_terminal(*args, env=plain)
            self.assertIn("2J", written)
            self.assertNotRegex(written, "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")

    def test_watch_redraws_in_place(self):
        self.node("a")
        written = self.on_terminal("list", "--watch", until=b"META")
        self.assertIn("\x1b[H\x1b[J", written)


class TestWatch(CliCase):
    def test_events_are_lines_of_json(self):
        node = self.node("a", meta={"n": 1})
        running = self.starts("watch")
        event = running.json()
        self.assertEqual((event["event"], event["id"], event["meta"]), ("up", "a", {"n": 1}))
        node.heartbeat(meta={"n": 2})
        event = running.json()
        self.assertEqual((event["event"], event["meta"]), ("changed", {"n": 2}))
        node.delete()
        event = running.json()
        self.assertEqual((event["event"], event["id"]), ("down", "a"))
        self.assertEqual(running.end(), (0, "", ""))

    def test_reader_that_goes_away_ends_it(self):
        running = self.starts("watch")
        self.node("a")
        self.assertEqual(running.json()["id"], "a")
        running.process.stdout.close()
        self.node("b")
        self.assertEqual(running.process.wait(ENDS_S), 74)
        self.assertEqual(running.process.stderr.read(), "")

    def test_index_that_goes_away_makes_peers_stale(self):
        with Index() as index:
            running = self.starts("watch", "--index", f"http://127.0.0.1:{index.port}")
            register = self.starts("register", "--index", f"http://127.0.0.1:{index.port}")
            register.line()
            self.assertEqual(running.json()["event"], "up")
            index.stop()
            event = running.json()
            self.assertEqual((event["event"], event["stale"]), ("changed", True))
            self.assertIn("trying again", running.note())
            self.assertEqual(running.end()[0], 0)
            self.assertEqual(register.end()[0], 0)


if __name__ == "__main__":
    unittest.main()
