"""The command `signpost` against a real index: what it prints, how it ends, what it keeps."""

import concurrent.futures
import hashlib
import http.server
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import unittest

from tests.lib.case import AT_ONCE_S, IndexCase, some_id
from tests.lib.index import ROOT, SANITIZER, Index, Stopwatch, clean_environment

BINARY = os.environ.get("SIGNPOST_CLI") or os.path.join(ROOT, "build", "signpost")
BASH_COMPLETION = os.path.join(ROOT, "client", "cli", "completion.bash")
ZSH_COMPLETION = os.path.join(ROOT, "client", "cli", "_signpost")
MANUAL = os.path.join(ROOT, "docs", "man", "signpost.1")
KEY = "spk_" + "k" * 43
ENDS_S = 30  # for what is to end by itself


class Running:
    """A command that goes on. Leaving the test ends it."""

    def __init__(self, case, *args, env):
        self.case = case
        self.process = subprocess.Popen(
            [BINARY, *args], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        case.addCleanup(self._give_up)

    def _line(self, stream):
        ready, _, _ = select.select([stream], [], [], ENDS_S)
        self.case.assertTrue(ready, f"no line within {ENDS_S} s")
        # The streams are read a byte at a time, so that select() sees all that is there.
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(stream.fileno(), 1)
            if not byte:
                break
            line += byte
        return line.decode()

    def line(self):
        return self._line(self.process.stdout)

    def json(self):
        return json.loads(self.line())

    def note(self):
        return self._line(self.process.stderr)

    def wait(self):
        """The exit code, and what was not read of stdout and stderr."""
        out, err = self.process.communicate(timeout=ENDS_S)
        self.case.assertNotRegex(err, SANITIZER)
        return self.process.returncode, out, err

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def _give_up(self):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        self.process.wait()


class CliCase(IndexCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.env = self.environment()

    def environment(self, **extra):
        return {**clean_environment(
            SIGNPOST_INDEX=f"http://127.0.0.1:{self.index.port}", SIGNPOST_NETWORK=self.network,
            XDG_STATE_HOME=os.path.join(self.folder, "state"), HOME=self.folder, TERM="xterm"),
                **extra}

    def cli(self, *args, stdin="", env=None):
        done = subprocess.run(
            [BINARY, *args], env=env or self.env, input=stdin, capture_output=True, text=True,
            timeout=ENDS_S, check=False)
        self.assertNotRegex(done.stderr, SANITIZER)
        return done

    def starts(self, *args, env=None):
        return Running(self, *args, env=env or self.env)

    def registers(self, *args, env=None):
        """A `register` that the index has answered."""
        running = self.starts("register", *args, env=env)
        self.assertRegex(running.line(), "^registered ")
        return running

    def receives(self, id):
        """A `recv --follow` that is in the list, and so reads its mailbox or is about to."""
        running = self.starts("recv", "--follow", "--id", id)
        watch = self.starts("watch")
        while watch.json()["id"] != id:
            pass
        watch.end()
        return running

    def succeeds(self, *args, **options):
        done = self.cli(*args, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def assertEnds(self, code, *args, says=(), **options):
        """It ends with `code`, nothing on stdout, and one line on stderr with these words."""
        done = self.cli(*args, **options)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Asignpost: [^\n]+\n\Z")
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path


def closed_port():
    """A port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


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
        self.assertEqual(json.loads(self.succeeds("list", "--json")), [
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
        self.assertRegex(lines[0], r"^ID      ENDPOINTS           OBSERVED   META")
        self.assertRegex(lines[1], r'^a       grpc://127.0.0.1:1  127.0.0.1  \{"role": "master"\}')
        self.assertRegex(lines[2], r"^ +udp://127.0.0.1:2 +$")
        self.assertRegex(lines[3], r"^longer +127.0.0.1 +$")
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


# --- one's own node -----------------------------------------------------------------------------

class TestRegister(CliCase):
    def test_node_is_listed_until_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number=number):
                running = self.registers("--id", "a", "--endpoint", "grpc://:1", "--endpoint",
                                         "udp://:2", "--meta", '{"role": "master"}')
                node = self.view("a")
                self.assertEqual(node["endpoints"], ["grpc://127.0.0.1:1", "udp://127.0.0.1:2"])
                self.assertEqual(node["meta"], {"role": "master"})
                self.assertEqual(running.end(number), (0, "", ""))
                self.assertEqual(self.look_up("a").status, 404)

    def test_line_names_id_index_and_address(self):
        running = self.starts("register", "--id", "a")
        self.assertEqual(running.line(), f"registered a at {self.env['SIGNPOST_INDEX']}, "
                                         "seen as 127.0.0.1\n")
        running.end()

    def test_json_line_names_id_index_and_address(self):
        running = self.starts("register", "--id", "a", "--json", "--quiet")
        self.assertEqual(running.json(), {
            "event": "registered", "id": "a", "index": self.env["SIGNPOST_INDEX"],
            "observed": "127.0.0.1"})
        running.end()

    def test_id_without_option_is_the_same_each_time(self):
        lines = []
        for _ in range(2):
            running = self.starts("register")
            lines.append(running.line())
            running.end()
        self.assertEqual(lines[0], lines[1])

    def test_ids_share_a_secret_file(self):
        first, second = self.registers("--id", "a"), self.registers("--id", "b")
        self.assertRegex(self.succeeds("list"), r"\Aa\t.*\nb\t.*\n\Z")
        self.assertEqual((first.end()[0], second.end()[0]), (0, 0))

    def test_ttl_and_unlisted_are_told(self):
        running = self.registers("--id", "a", "--ttl", "600", "--unlisted")
        self.assertGreater(self.view("a")["expires_in"], 590)
        self.assertEqual(self.succeeds("list"), "")
        running.end()

    def test_verbose_prints_peers_that_come_and_go(self):
        running = self.registers("--id", "a", "--verbose")
        node = self.node("b", endpoints=["grpc://:1"])
        self.assertEqual(running.line(), "up      b grpc://127.0.0.1:1\n")
        node.delete()
        self.assertEqual(running.line(), "down    b grpc://127.0.0.1:1\n")
        self.assertEqual(running.end()[0], 0)

    def test_id_of_someone_else_exits_77(self):
        self.node("a")
        self.assertEnds(77, "register", "--id", "a", "--quiet", says="refused")

    def test_key_that_the_index_does_not_know_exits_77(self):
        env = self.environment(SIGNPOST_KEY=KEY)
        done = self.cli("register", "--quiet", env=env)
        self.assertEqual((done.returncode, done.stdout), (77, ""))
        self.assertNotIn(KEY, done.stderr)

    def test_meta_that_is_no_object_exits_64(self):
        for meta in ("[]", "{", "role=master", '{"a": 1, "a": 2}', '{"a": "' + "x" * 4096 + '"}'):
            self.assertEnds(64, "register", "--meta", meta, says="--meta")

    def test_index_that_comes_back_is_told_once(self):
        with Index() as index:
            port = index.port
            running = self.registers("--id", "a", "--ttl", "5", "--index",
                                     f"http://127.0.0.1:{port}")
            index.kill()
            self.assertIn("trying again", running.note())
            with Index(listen=(f"127.0.0.1:{port}",)):
                self.assertRegex(running.line(), "^registered a ")
                self.assertIn("it is back", running.note())
                self.assertEqual(running.end(), (0, "", ""))
            index.start()


class TestIdentity(CliCase):
    def secret(self):
        return os.path.join(self.folder, "state", "signpost", "secret")

    def test_secret_is_made_for_its_owner_alone(self):
        self.registers().end()
        with open(self.secret(), encoding="ascii") as file:
            self.assertRegex(file.read(), r"\A[0-9a-f]{64}\n\Z")
        self.assertEqual(stat.S_IMODE(os.stat(self.secret()).st_mode), 0o600)
        for folder in ("state", "state/signpost"):
            mode = os.stat(os.path.join(self.folder, folder)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o700)
        self.assertEqual(os.listdir(os.path.dirname(self.secret())), ["secret"])

    def test_secret_is_in_the_home_without_a_state_directory(self):
        for extra in ({"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
            home = tempfile.mkdtemp(dir=self.folder)
            self.registers(env=self.environment(HOME=home, **extra)).end()
            self.assertTrue(os.path.isfile(os.path.join(home, ".local/state/signpost/secret")))

    def test_secrets_made_at_once_are_one(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda _: self.cli("recv", "--timeout", "0.1"), range(8)))
        self.assertNotIn(78, [one.returncode for one in done])
        self.assertEqual(os.listdir(os.path.dirname(self.secret())), ["secret"])

    def test_secret_that_is_none_exits_78(self):
        for text in ("", "x" * 64, "0" * 63, "0" * 65, "0" * 1000, "A" * 64):
            path = self.write("secret", text)
            self.assertEnds(78, "register", "--secret-file", path, says=path)
        self.assertEnds(78, "register", "--secret-file", self.folder, says=self.folder)

    def test_secret_that_others_can_read_is_told(self):
        path = self.write("secret", "0" * 64, mode=0o644)
        running = self.registers("--secret-file", path)
        self.assertIn("chmod 600", running.note())
        running.end()

    def test_reading_needs_no_secret(self):
        self.succeeds("list")
        self.assertFalse(os.path.exists(self.secret()))

    def test_key_file_that_holds_none_exits_78(self):
        for text in ("", "hunter2", KEY + "k", KEY[:-1], "spk_" + "!" * 43):
            path = self.write("key", text)
            done = self.cli("list", "--key-file", path)
            self.assertEqual(done.returncode, 78)
            self.assertNotIn(text or "?", done.stderr)
        self.assertEnds(78, "list", "--key-file", path + "-not", says=path + "-not")
        self.assertEnds(78, "list", env=self.environment(SIGNPOST_KEY="hunter2"),
                        says="SIGNPOST_KEY")

    def test_key_file_of_the_command_line_goes_before_the_key(self):
        path = self.write("key", "hunter2")
        self.assertEnds(78, "list", "--key-file", path, env=self.environment(SIGNPOST_KEY=KEY),
                        says=path)
        env = self.environment(SIGNPOST_KEY="hunter2", SIGNPOST_KEY_FILE=path)
        self.assertEnds(78, "list", env=env, says="SIGNPOST_KEY ")

    def test_ca_file_that_is_not_there_exits_78(self):
        self.assertEnds(78, "list", "--ca-file", self.folder + "/none", says="/none")


class TestKey(CliCase):
    def test_key_new_prints_key_and_line(self):
        for option, role in (((), "member"), (("--operator",), "operator")):
            key, line = self.succeeds("key", "new", "prod", *option).splitlines()
            self.assertRegex(key, r"\Aspk_[A-Za-z0-9_-]{43}\Z")
            digest = hashlib.sha256(key.encode()).hexdigest()
            self.assertRegex(line, rf"\Aprod {role} {digest}  # made \d{{4}}-\d\d-\d\d\Z")

    def test_key_new_as_json_says_the_same(self):
        made = json.loads(self.succeeds("key", "new", "prod", "--json"))
        self.assertEqual(made["sha256"], hashlib.sha256(made["key"].encode()).hexdigest())
        self.assertEqual(made["line"].split()[:3], ["prod", "member", made["sha256"]])

    def test_keys_differ(self):
        self.assertNotEqual(self.succeeds("key", "new", "a"), self.succeeds("key", "new", "a"))

    def test_key_with_other_words_exits_64(self):
        self.assertEnds(64, "key", "old", "prod", says="new")
        self.assertEnds(64, "key", "new", "a b", says="a b")

    def test_output_that_cannot_be_written_exits_74(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([BINARY, "key", "new", "prod"], env=self.env, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=ENDS_S, check=False)
        self.assertEqual(done.returncode, 74)
        self.assertRegex(done.stderr, r"\Asignpost: stdout: [^\n]+\n\Z")


# --- messages -----------------------------------------------------------------------------------

class TestMessages(CliCase):
    def test_message_waits_for_its_reader(self):
        node = self.node("b")
        self.assertEqual(self.succeeds("send", "--id", "a", "b", '{"n": 1}'), "queued\n")
        message = node.messages()[0]
        self.assertEqual((message["from"], message["type"], message["session"], message["body"]),
                         ("a", "message", None, {"n": 1}))

    def test_message_is_handed_to_a_reader(self):
        reader = self.receives("b")
        parts = ("--type", "offer", "--session", "s1", "--ttl", "60")
        sent = json.loads(self.succeeds("send", "--id", "a", "--json", *parts, "b", '"hello"'))
        self.assertIn(sent["state"], ("handed", "queued"))
        message = reader.json()
        self.assertEqual(message, {
            "id": sent["id"], "from": "a", "from_address": "127.0.0.1", "session": "s1",
            "type": "offer", "body": "hello"})
        self.assertEqual(reader.end(), (0, "", ""))

    def test_waiting_reader_makes_it_handed(self):
        node = self.node("b")
        node.parks_read()
        self.assertEqual(self.succeeds("send", "--id", "a", "b", "1"), "handed\n")

    def test_body_comes_from_stdin_and_is_kept(self):
        node = self.node("b")
        body = '{"big": 123456789012345678901234567890, "text": "line\\nend",\n "f": 1.0}'
        for args in ((), ("-",)):
            self.succeeds("send", "--id", "a", "b", *args, stdin=f"\n {body}\n")
        self.succeeds("send", "--id", "a", "b", "-5")
        self.assertEqual([message["body"] for message in node.messages()],
                         [json.loads(body), json.loads(body), -5])

    def test_body_that_is_not_json_exits_64(self):
        for body in ("hello", "", "{", "'x'", '{"a": 1, "a": 2}', "1 2"):
            self.assertEnds(64, "send", "b", stdin=body, says="quotes")
        self.assertEnds(64, "send", "b", stdin='"' + "x" * 65536 + '"', says="65536 bytes")
        self.assertEnds(64, "send", "b b", "1", says="b b")

    def test_peer_that_nobody_knows_exits_66(self):
        self.assertEnds(66, "send", "nobody", "1", says="nobody")

    def test_unlisted_peer_gets_its_messages(self):
        node = self.node("b", listed=False)
        self.succeeds("send", "b", "1")
        self.assertEqual(node.messages()[0]["body"], 1)

    def test_mailbox_that_is_full_exits_75(self):
        node = self.node("b")
        sender = self.node()
        for _ in range(32):
            if sender.write("b").status != 202:
                sender = self.node()
                sender.write("b")
        self.assertGreater(len(node.messages()), 0)
        self.assertEnds(75, "send", "b", "1", "--ttl", "1", "--timeout", "20", says="b: ")

    def test_index_that_is_down_exits_69(self):
        url = f"http://127.0.0.1:{closed_port()}"
        self.assertEnds(69, "send", "b", "1", "--index", url, says=url)
        self.assertEnds(69, "recv", "--index", url, says=url)

    def test_recv_ends_after_what_waits(self):
        registered = self.registers("--id", "b")
        for body in ('{"a":\n 1}', "2"):
            self.assertEqual(self.succeeds("send", "--id", "a", "b", body), "queued\n")
        lines = self.succeeds("recv", "--id", "b").splitlines()
        self.assertEqual([json.loads(line)["body"] for line in lines], [{"a": 1}, 2])
        self.assertEnds(75, "recv", "--id", "b", "--timeout", "0.5", says="0.5 s")
        self.assertEqual(registered.end(), (0, "", ""))

    def test_recv_without_messages_exits_75(self):
        self.assertEnds(75, "recv", "--timeout", "0.3", says="no message came within 0.3 s")
        done = self.cli("recv", "--timeout", "0.3", "--quiet")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (75, "", ""))

    def test_message_that_nobody_took_comes_back(self):
        sender, node = self.receives("a"), self.node("b")
        self.assertEqual(self.succeeds("send", "--id", "a", "b", "1", "--session", "s"), "queued\n")
        node.delete()
        message = sender.json()
        self.assertEqual((message["from"], message["type"]), (None, "undeliverable"))
        self.assertEqual({k: message["body"][k] for k in ("to", "session", "type", "reason")},
                         {"to": "b", "session": "s", "type": "message", "reason": "gone"})
        sender.end()

    def test_second_reader_replaces_the_first(self):
        first = self.receives("a")
        second = self.starts("recv", "--follow", "--id", "a")
        code, _, err = first.wait()
        self.assertEqual(code, 70, err)
        self.assertEqual(second.end()[0], 0)

    def test_send_and_recv_leave_the_node_of_register_as_it_is(self):
        running = self.registers("--id", "a", "--endpoint", "grpc://:1", "--meta", '{"n": 1}')
        before = self.view("a")
        watch = self.starts("watch")
        self.assertEqual(watch.json()["event"], "up")
        self.succeeds("send", "--id", "a", "a", "1")
        self.assertEqual(json.loads(self.succeeds("recv", "--id", "a"))["from"], "a")
        after = self.view("a")
        for member in ("endpoints", "meta", "registered_at"):
            self.assertEqual(after[member], before[member])
        self.assertEqual(running.end(), (0, "", ""))
        self.assertEqual(watch.json()["event"], "down")
        watch.end()


# --- completion and the manual ------------------------------------------------------------------

class TestCompletion(CliCase):
    def setUp(self):
        super().setUp()
        self.all = json.loads(self.succeeds("help", "--json"))
        os.symlink(os.path.abspath(BINARY), os.path.join(self.folder, "signpost"))
        self.env["PATH"] = self.folder + os.pathsep + self.env.get("PATH", "")

    def completed(self, *words):
        """What bash offers for the last of the words."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _signpost; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "--norc", "-c", script, "bash", BASH_COMPLETION, "signpost", *words],
            env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=ENDS_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout.split()

    def test_bash_offers_commands(self):
        self.assertEqual(self.completed("l"), ["list"])
        self.assertEqual(self.completed("re"), ["register", "recv"])
        self.assertEqual(self.completed(""), [one["name"] for one in self.all["commands"]])
        self.assertEqual(self.completed("help", "w"), ["watch"])
        self.assertEqual(self.completed("key", ""), ["new"])
        self.assertEqual(self.completed("--json", "--index", "http", ":", "//x", ":", "1", "l"),
                         ["list"])
        self.assertEqual(self.completed("--id", "=", "x", "l"), ["list"])

    def test_bash_offers_every_option_of_each_command(self):
        common = [one["name"] for one in self.all["options"]]
        for command in self.all["commands"]:
            names = common + [one["name"] for one in command["options"]] + ["help"]
            self.assertEqual(sorted(self.completed(command["name"], "--")),
                             sorted("--" + name for name in names))

    def test_bash_offers_peers(self):
        self.node("master-a")
        self.node("master-b")
        self.assertEqual(self.completed("send", "m"), ["master-a", "master-b"])
        self.assertEqual(self.completed("send", "master-a", "m"), [])
        self.assertEqual(self.completed("send", "--type", "of"), ["offer"])

    def test_bash_offers_files(self):
        path = self.write("a-key", "")
        self.assertEqual(self.completed("--key-file", path[:-2]), [path])
        self.assertEqual(self.completed("--key-file", "=", path[:-2]), [path])

    def in_zsh(self, keys):
        """What a line has become in an interactive zsh when these keys were typed."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        env = {**self.env, "TERM": "dumb", "PS1": "", "PS2": ""}
        process = subprocess.Popen(["zsh", "-f", "-i"], env=env, stdin=theirs, stdout=theirs,
                                   stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        folder = os.path.dirname(ZSH_COMPLETION)
        os.write(ours, f"fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; "
                       "PS1='at your '; PS1+='service'\r".encode())
        self.until(ours, "at your service")
        os.write(ours, keys.encode() + b"\x01print -r line: \r")
        written = self.until(ours, "\nline: ")
        return written + self.until(ours, "\n")

    def until(self, terminal, text):
        written = ""
        while text not in written:
            self.assertTrue(select.select([terminal], [], [], ENDS_S)[0], written)
            written += os.read(terminal, 1).decode(errors="replace")
        return written

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_offers_commands_options_and_peers(self):
        self.node("master-a")
        for keys, line in (("signpost l\t", "signpost list"),
                           ("signpost list --wa\t", "signpost list --watch"),
                           ("signpost recv --fo\t", "signpost recv --follow"),
                           ("signpost --js\tsend mas\t", "signpost --json send master-a")):
            with self.subTest(keys=keys):
                self.assertRegex(self.in_zsh(keys), rf"\nline: {line} ?\r?\n")

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_reads_its_completion(self):
        done = subprocess.run(["zsh", "-n", ZSH_COMPLETION], capture_output=True, text=True,
                              timeout=ENDS_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_zsh_file_and_manual_name_every_command_and_option(self):
        with open(ZSH_COMPLETION, encoding="utf-8") as file:
            zsh = file.read()
        with open(MANUAL, encoding="utf-8") as file:
            manual = file.read().replace("\\-", "-")
        for command in self.all["commands"]:
            self.assertIn(f"'{command['name']}:", zsh)
            self.assertRegex(manual, rf'(?m)^\.BR? "?{command["name"]}\b')
            for option in command["options"]:
                self.assertIn(f"--{option['name']}", zsh)
                self.assertIn(f"--{option['name']}", manual)
        for option in self.all["options"]:
            self.assertIn(f"--{option['name']}", zsh)
            self.assertIn(f"--{option['name']}", manual)
            self.assertIn(option["environment"], manual)

    def test_manual_has_every_exit_status(self):
        with open(MANUAL, encoding="utf-8") as file:
            status = file.read().split(".SH EXIT STATUS")[1]
        self.assertEqual(re.findall(r"(?m)^\.B (\d+)$", status),
                         [str(one["code"]) for one in self.all["exits"]])

    @unittest.skipUnless(shutil.which("groff"), "needs groff")
    def test_manual_has_no_faults(self):
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", MANUAL],
                              capture_output=True, text=True, timeout=ENDS_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
