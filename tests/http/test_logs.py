"""The log of a real index: a line a request, request ids, addresses, repetition, and the table of
events in docs/operating.md."""

import contextlib
import glob
import http.client
import json
import os
import re
import subprocess
import tempfile
import unittest
from types import SimpleNamespace

from tests.lib.case import HttpCase
from tests.lib.certificate import Certificate
from tests.lib.index import ROOT, binary, clean_environment, run
from tests.lib.raw import RawSocket, request_bytes

SOURCE = "127.0.0.77"
MADE = re.compile(r"[0-9a-f]{16}-[0-9a-f]+\Z")
PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


def read_text(line):
    """A line of the text form as the JSON form has it."""
    ts, level, event, *rest = line.split(" ", 3)
    pairs = {key: value.strip('"') for key, value in PAIR.findall(rest[0] if rest else "")}
    return {"ts": ts, "level": level, "event": event, **pairs}


def events_of(index, event, since=0):
    """What it has logged of one event; in either form."""
    lines = index.log(since).splitlines()
    said = [json.loads(line) if line.startswith("{") else read_text(line) for line in lines]
    return [line for line in said if line["event"] == event]


def documented():
    """event: (level, fields), of the table in docs/operating.md."""
    with open(os.path.join(ROOT, "docs", "operating.md"), encoding="utf-8") as file:
        section = file.read().partition("\n## Logs\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", section, re.M)
    return {event: (level, set(re.findall(r"`(\w+)`", fields))) for event, level, fields in rows}


def stop(index):
    """All that it has to say: sums come at the latest when it ends."""
    code = index.stop()
    assert code == 0, index.log()


class TestRequests(HttpCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.client = self.connect(source=SOURCE)

    def line_of(self, id):
        self.index.wait_for_log(f"id={id} ")
        return next(line for line in events_of(self.index, "request") if line["id"] == id)

    def test_request_is_a_line_with_its_facts(self):
        reply = self.client.get("/list?network=a", headers={"X-Request-Id": "Abc_1.2-3"})
        line = self.line_of("Abc_1.2-3")
        self.assertEqual(reply.headers["X-Request-Id"], "Abc_1.2-3")
        self.assertEqual(line["level"], "info")
        self.assertEqual(
            {name: line[name] for name in ("address", "method", "path", "status", "bytes", "end")},
            {"address": SOURCE, "method": "GET", "path": "/list", "status": "200",
             "bytes": str(len(reply.body)), "end": "sent"})
        self.assertRegex(line["ms"], r"\A\d+\.\d{3}\Z")
        self.assertEqual(float(line["waited_ms"]), 0)

    def test_id_that_is_none_is_replaced(self):
        replies = [self.client.get("/healthz", headers={"X-Request-Id": id})
                   for id in ("", "a b", "a" * 65, "a/b", "\xe4", None)]
        ids = [reply.headers["X-Request-Id"] for reply in replies]
        self.assertEqual(len(set(ids)), len(ids))
        for id in ids:
            self.assertRegex(id, MADE)
            self.line_of(id)
        longest = "Z" * 64
        self.assertEqual(self.client.get("/healthz", headers={"X-Request-Id": longest})
                         .headers["X-Request-Id"], longest)

    def test_id_made_after_a_restart_is_new(self):
        before = self.client.get("/healthz").headers["X-Request-Id"]
        stop(self.index)
        self.index.start()
        after = self.connect().get("/healthz").headers["X-Request-Id"]
        self.assertNotEqual(before.split("-")[0], after.split("-")[0])

    def test_every_kind_of_reply_has_the_id(self):
        cases = [("OPTIONS", "/list", [], 204), ("GET", "/nowhere", [], 404),
                 ("HEAD", "/list", [], 200), ("GET", "/list", ["If-None-Match: *"], 304),
                 ("GET", "/list", ["X-Pad: " + "x" * 4096], 431)]
        for number, (method, target, headers, status) in enumerate(cases):
            with self.subTest(status=status), RawSocket(self.index) as connection:
                id = f"kind-{number}"
                connection.send(request_bytes(method, target,
                                              headers=[f"X-Request-Id: {id}", *headers]))
                reply = connection.read_reply(head_only=method == "HEAD")
                self.assertEqual(reply.status, status)
                self.assertEqual(reply.headers["X-Request-Id"], id)
                line = self.line_of(id)
                self.assertEqual((line["status"], line["end"]), (str(status), "sent"))
                self.assertEqual(line["bytes"], str(len(reply.body)))

    def test_parked_poll_tells_how_long_it_waited(self):
        node = self.node()
        reply = node.client.get(f"/mailbox/{node.id}?wait=1", headers={"X-Request-Id": "poll"})
        self.assertEqual(reply.status, 200)
        line = self.line_of("poll")
        self.assertGreater(float(line["waited_ms"]), 500)
        self.assertGreaterEqual(float(line["ms"]), float(line["waited_ms"]))

    def test_request_that_breaks_off_says_so(self):
        with RawSocket(self.index) as connection:
            connection.send(b"POST /register HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: torn\r\n"
                            b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
            # The door has seen the head of it before it answers another connection's request.
            self.connect().get("/healthz")
        line = self.line_of("torn")
        self.assertEqual((line["status"], line["end"]), ("-", "aborted"))

    def test_path_of_a_stranger_is_cut_and_cannot_begin_a_line(self):
        for id, path in (("evil", "/%0a2026%20error%20x%20id=y%22"), ("long", "/" + "a" * 1000)):
            self.client.get(path, headers={"X-Request-Id": id})
        self.assertIn('path="/\\n2026 error x id=y\\""', self.line_in_log("evil"))
        self.assertIn("path=/" + "a" * 124 + "... ", self.line_in_log("long"))

    def line_in_log(self, id):
        self.index.wait_for_log(f"id={id} ")
        return next(line for line in self.index.log().splitlines() if f"id={id} " in line)

    def test_query_tokens_and_bodies_are_nowhere(self):
        node = self.node()
        other = self.node()
        node.sends(other, body={"secret": "body-of-it"}, type="offer")
        self.client.get("/list?meta.role=in-the-query")
        stop(self.index)
        for text in (node.token, other.token, "body-of-it", "in-the-query"):
            self.assertNotIn(text, self.index.log())

    def test_flood_is_summed_up_and_hides_nothing_else(self):
        for _ in range(300):
            self.client.get("/healthz")
        self.client.get("/nowhere", headers={"X-Request-Id": "rare"})
        self.line_of("rare")
        stop(self.index)
        written = [line for line in events_of(self.index, "request") if line["path"] == "/healthz"]
        sums = [line for line in events_of(self.index, "suppressed")
                if line["route"] == "/healthz"]
        self.assertTrue(sums, self.index.log())
        self.assertEqual({(line["of"], line["status"]) for line in sums}, {("request", "2xx")})
        self.assertEqual(len(written) + sum(int(line["count"]) for line in sums), 300)


class Session(HttpCase):
    """A bit of everything that strangers do, from an address of theirs."""

    def act(self, *arguments):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.start(
            "--check-private", "--stun", "127.0.0.1:0", "--max-connections-per-address", "4",
            "--log-level", "debug", *Certificate(folder.name).options, *arguments,
            listen=("http://127.0.0.1:0", "https://127.0.0.1:0"))
        node = self.node(connection=self.connect(source=SOURCE))
        node.heartbeat()
        node.client.get("/nowhere")
        node.client.post("/check", {"port": 50051, "protocol": "tcp",
                                    "nonce": "9f86d081884c7d659a2feaa0c55ad015"})
        node.client.post("/check", {"port": 22, "protocol": "tcp",
                                    "nonce": "9f86d081884c7d659a2feaa0c55ad016"})
        for data in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"no TLS at all"):
            with self.to_tls() as connection:
                connection.try_send(data)
                connection.read_to_end()
        with contextlib.ExitStack() as crowd:
            for _ in range(5):
                last = crowd.enter_context(RawSocket(self.index, source=SOURCE))
            last.read_to_end()
        for _ in range(100):
            self.client.get("/healthz")
        stop(self.index)

    def to_tls(self):
        listening = SimpleNamespace(host="127.0.0.1", port=self.index.listeners[1][1])
        return RawSocket(listening, source=SOURCE)

    EVENTS = {"listening", "ready", "certificate", "stun_listening", "request", "check",
              "check_refused", "connection_refused", "handshake_failed", "suppressed", "stopping",
              "stopped"}

    def assertAsDocumented(self, lines):
        table = documented()
        for line in lines:
            level, fields = table[line["event"]]
            said = set(line) - {"ts", "level", "event"}
            self.assertLessEqual(said, fields, line)
            self.assertIn(line["level"], ("info", "debug") if level == "both" else (level,), line)
        self.assertLessEqual(self.EVENTS, {line["event"] for line in lines})


class TestSession(Session):
    def test_text_lines_are_as_documented(self):
        self.act()
        self.assertAsDocumented([read_text(line) for line in self.index.log().splitlines()])
        self.assertIn(f"address={SOURCE} ", self.index.log())

    def test_none_writes_no_address_of_a_client(self):
        self.act("--log-addresses", "none")
        self.assertNotIn(SOURCE, self.index.log())
        with_address = [line for line in map(read_text, self.index.log().splitlines())
                        if "address" in line and "listening" not in line["event"]]
        self.assertEqual({line["address"] for line in with_address}, {"-"})

    def test_prefix_writes_networks_alone(self):
        self.act("--log-addresses", "prefix")
        self.assertNotIn(SOURCE, self.index.log())
        self.assertIn("address=127.0.0.0/24 ", self.index.log())


class TestJson(unittest.TestCase):
    """tests.lib.index waits for the text form, so this index is started by hand."""

    def test_every_line_is_json_as_documented(self):
        table = documented()
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder, subprocess.Popen(
                [binary(), "--listen", "127.0.0.1:0", "--db", os.path.join(folder, "a.db"),
                 "--log-format", "json"], env=clean_environment(SIGNPOST_WRONG="1", SIGNPOST_DBB="1"),
                stderr=subprocess.PIPE, text=True) as process:
            lines = []
            for line in process.stderr:
                lines.append(json.loads(line))
                if lines[-1]["event"] == "listening":
                    port = int(lines[-1]["port"])
                if lines[-1]["event"] == "ready":
                    break
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            for _ in range(100):
                connection.request("GET", "/n%22%C3%B6%FF%00")
                connection.getresponse().read()
            connection.close()
            process.terminate()
            lines += map(json.loads, process.stderr)
            self.assertEqual(process.wait(), 0)
        for line in lines:
            self.assertLessEqual(set(line) - {"ts", "level", "event"}, table[line["event"]][1])
        self.assertLessEqual({"unknown_environment", "request", "suppressed", "stopped"},
                             {line["event"] for line in lines})


class TestTable(unittest.TestCase):
    def test_table_has_the_events_of_the_code_and_no_other(self):
        logged = re.compile(
            r'log_event\((?:\([^)]*\))?[^,"]*,\s*"(\w+)"|line_put_start\([^"]*"(\w+)"|'
            r'(?:log_check\(check|sqlite_recovered\(sqlite), "(\w+)"')
        events = set()
        for path in glob.glob(os.path.join(ROOT, "server", "**", "*.c"), recursive=True):
            with open(path, encoding="utf-8") as file:
                events |= {next(filter(None, match)) for match in logged.findall(file.read())}
        self.assertEqual(events, set(documented()))


class TestEnvironment(unittest.TestCase):
    def said(self, **variables):
        done = run("--check-config", env=clean_environment(**variables))
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [read_text(line) for line in done.stderr.splitlines()]
        return [(line["name"], line["nearest"]) for line in lines
                if line["event"] == "unknown_environment"], done.stderr

    def test_unknown_variable_is_told_with_the_nearest_and_without_its_value(self):
        told, log = self.said(SIGNPOST_MAX_NODE="12345", SIGNPOST_="x", SIGNPOST_QQQQ="12345",
                              SIGNPOST_HELP="1")
        self.assertEqual(sorted(told), [
            ("SIGNPOST_", "-"), ("SIGNPOST_HELP", "-"), ("SIGNPOST_MAX_NODE", "SIGNPOST_MAX_NODES"),
            ("SIGNPOST_QQQQ", "-")])
        self.assertNotIn("12345", log)

    def test_name_without_an_end_is_cut_and_cannot_begin_a_line(self):
        told, log = self.said(**{"SIGNPOST_A\nB": "1", "SIGNPOST_" + "L" * 5000: "1"})
        self.assertEqual(len(told), 2, log)
        self.assertLess(len(log), 1000)

    def test_known_variables_are_not(self):
        told, _ = self.said(SIGNPOST_MAX_NODES="10", SIGNPOST_LOG_ADDRESSES="none", SIGNPOSTD="x",
                            SIGNPOSTER="x")
        self.assertEqual(told, [])

    def test_variables_of_the_client_are_not(self):
        with open(os.path.join(ROOT, "client", "cli", "args.c"), encoding="utf-8") as file:
            common = file.read().partition("args_common[] = {")[2].partition("{0}")[0]
        options = re.findall(r'^    \{"([a-z-]+)"', common, re.M)
        self.assertIn("index", options)
        told, _ = self.said(**{"SIGNPOST_" + name.upper().replace("-", "_"): "x"
                               for name in [*options, "key"]})
        self.assertEqual(told, [])

    def test_links_of_a_kubernetes_service_are_not(self):
        url = "tcp://10.0.0.1:7117"
        told, _ = self.said(**{"SIGNPOST_" + name: value for name, value in {
            "SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "7117", "SERVICE_PORT_HTTP": "7117",
            "PORT": url, "PORT_7117_TCP": url, "PORT_7117_TCP_PROTO": "tcp",
            "PORT_7117_TCP_PORT": "7117", "PORT_7117_TCP_ADDR": "10.0.0.1",
            "PORT_3478_UDP": "udp://10.0.0.1:3478", "OPS_SERVICE_HOST": "10.0.0.1",
            "OPS_PORT": url, "OPS_PORT_7118_TCP": url}.items()})
        self.assertEqual(told, [])

    def test_what_only_looks_like_such_a_link_is(self):
        told, _ = self.said(SIGNPOST_LISTEN_PORT="7117", SIGNPOST_PORT_X_TCP="x")
        self.assertEqual(len(told), 2)


if __name__ == "__main__":
    unittest.main()
