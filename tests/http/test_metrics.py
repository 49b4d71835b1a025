"""What the index counts, and the listener that it is told at."""

import json
import os
import re
import signal
import socket
import tempfile
import urllib.error
import urllib.request

from tests.lib.case import HttpCase, some_id
from tests.lib.http import url
from tests.lib.index import ROOT, Index, Stopwatch, run
from tests.lib.keys import KeysFile
from tests.lib.metrics import COUNTED_S, MetricsCase, read_metrics, wait_for_metrics


def queries():
    """Every expression of the dashboard and of the alerts."""
    with open(os.path.join(ROOT, "docs", "grafana", "signpost.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    with open(os.path.join(ROOT, "docs", "alerts.yml"), encoding="utf-8") as file:
        alerts = re.findall(r"^ +expr: (.*)$", file.read(), re.M)
    return alerts + [target["expr"] for panel in dashboard["panels"]
                     for target in panel.get("targets", ())]


class TestCounts(MetricsCase):
    def setUp(self):
        super().setUp()
        self.start("--check-private", "--ops-listen", "127.0.0.1:0", rate=None)

    def test_registration_heartbeat_and_leaving_are_counted(self):
        node = None

        def register():
            nonlocal node
            node = self.node()
        self.moves(register, registrations_total__created=1, nodes=1, registrations_total__renewed=0)
        self.moves(lambda: self.client.post("/register", {"id": node.id, "token": node.token, "network": node.network}),
                   registrations_total__renewed=1, nodes=0)
        self.moves(node.heartbeat, heartbeats_total=1)
        self.moves(lambda: node.heartbeat(meta={"a": 1}), heartbeats_total=1)
        self.moves(lambda: node.heartbeat(endpoints=["udp://224.0.0.1:1"]), heartbeats_total=0,
                   problems_total__bad_endpoint=1)
        self.moves(node.events, heartbeats_total=0)
        self.moves(node.delete, nodes_gone_total__left=1, nodes=-1)

    def test_lease_that_ends_is_counted_with_its_lag(self):
        self.node(ttl=1)
        before = read_metrics(self.index)
        reply = self.client.get(url("/list", network=self.network, since=self.list()["cursor"], wait=20))
        self.assertEqual(len(reply["gone"]), 1)
        after = read_metrics(self.index)
        lag = "signpost_expiry_lag_seconds_count"
        self.assertEqual(after["signpost_nodes_gone_total", "expired"], 1)
        self.assertEqual(after[lag] - before[lag], 1)
        self.assertEqual(after["signpost_http_parked_seconds_count"], 1)
        self.assertGreater(after["signpost_http_parked_seconds_sum"], 0)

    def test_parked_poll_is_seen_and_is_no_request_time(self):
        node = self.node()
        waiting = node.parks_read()
        self.assertEqual(read_metrics(self.index)["signpost_parked_polls"], 1)
        other = self.node()
        self.moves(lambda: other.sends(node), messages_total__handed=1, messages_total__queued=0)
        waiting.reply()
        metrics = read_metrics(self.index)
        self.assertEqual(metrics["signpost_parked_polls"], 0)
        name = "signpost_http_request_duration_seconds"
        self.assertEqual(metrics[name + "_count", "/mailbox/{id}", "GET", "2xx"], 1)
        self.assertLess(metrics[name + "_sum", "/mailbox/{id}", "GET"],
                        metrics["signpost_http_parked_seconds_sum"] + 1)

    def test_messages_are_counted_by_their_fate(self):
        node, other = self.node(), self.node()
        self.moves(lambda: other.sends(node), messages_total__queued=1, mailbox_messages=1)
        self.moves(lambda: node.messages(after=node.read()["next"]), messages_total__acknowledged=1)
        self.moves(lambda: [other.sends(node) for _ in range(2)], messages_total__queued=2)
        self.moves(node.delete, messages_total__gone=2, messages_undeliverable_total=2)

    def test_message_that_expires_is_counted(self):
        node, other = self.node(), self.node()
        other.sends(node, ttl=1)
        told = other.read(wait=20)["messages"]
        self.assertEqual([message["type"] for message in told], ["undeliverable"])
        metrics = read_metrics(self.index)
        self.assertEqual(metrics["signpost_messages_total", "expired"], 1)
        self.assertEqual(metrics["signpost_messages_undeliverable_total"], 1)
        # What the index itself says is none of the messages.
        self.moves(lambda: other.read(after=other.read()["next"]), messages_total__acknowledged=0)

    def test_problems_that_no_route_answers_are_counted(self):
        self.moves(lambda: self.connect().get("/list", headers={"X-A": "a" * 4000}, check=False),
                   problems_total__headers_too_large=1)
        self.moves(lambda: self.client.get("/?network=@", headers={"Accept": "text/html"},
                                           check=False), problems_total__bad_id=1)

    def test_reply_without_a_body_has_no_bytes(self):
        tag = self.client.get("/openapi.json").headers["ETag"]
        before = read_metrics(self.index)["signpost_http_response_body_bytes_total"]
        reply = self.client.get("/openapi.json", headers={"If-None-Match": tag})
        self.assertEqual(reply.status, 304)
        after = read_metrics(self.index)["signpost_http_response_body_bytes_total"]
        self.assertLess(after - before, 100000)

    def test_limits_and_problems_are_counted(self):
        node, other = self.node(), self.node()
        self.moves(lambda: [other.write(node) for _ in range(20)],
                   limit_hits_total__mailbox=4, problems_total__mailbox_full=4)
        self.moves(lambda: self.client.get("/nowhere"), problems_total__unknown_path=1)
        before = read_metrics(self.index)
        watch, refused = Stopwatch(), 0
        while not refused:
            refused = sum(self.client.get("/list").status == 429 for _ in range(300))
            self.assertLess(watch.elapsed(), COUNTED_S)
        after = read_metrics(self.index)
        self.assertEqual(after["signpost_limit_hits_total", "rate"]
                         - before["signpost_limit_hits_total", "rate"], refused)

    def test_dial_back_is_counted_by_its_result(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            body = {"port": port, "protocol": "tcp", "nonce": "0" * 32}
            self.moves(lambda: self.client.post("/check", body), dialbacks_total__connected=1)
        body["nonce"] = "1" * 32
        self.moves(lambda: self.client.post("/check", body), dialbacks_total__refused=1)

    def test_commits_and_the_size_of_the_database_are_told(self):
        before = read_metrics(self.index)
        self.node()
        after = read_metrics(self.index)
        for name in ("signpost_store_commit_seconds_count", "signpost_store_commit_writes_count"):
            self.assertGreater(after[name], before[name])
        self.assertGreaterEqual(after["signpost_store_size_bytes"], os.path.getsize(self.index.db))

    def test_process_is_told_by_its_usual_names(self):
        metrics = read_metrics(self.index)
        self.assertGreater(metrics["process_resident_memory_bytes"], 1e6)
        self.assertGreater(metrics["process_max_fds"], metrics["process_open_fds"])
        descriptors = len(os.listdir(f"/proc/{self.index.pid}/fd"))
        self.assertLess(abs(metrics["process_open_fds"] - descriptors), 3)
        self.assertGreater(metrics["process_start_time_seconds"], 1.6e9)
        # What moves is taken for a restart.
        self.assertEqual({read_metrics(self.index)["process_start_time_seconds"]
                          for _ in range(100)}, {metrics["process_start_time_seconds"]})

    def test_connections_and_bytes_are_counted_without_those_for_operations(self):
        open_now = "signpost_http_open_connections"
        before = read_metrics(self.index)[open_now]
        client = self.connect()
        size = 0

        def asks():
            nonlocal size
            size = len(client.get("/nowhere").body)
        self.moves(asks, http_connections_total=1, http_open_connections=1)
        self.assertEqual(read_metrics(self.index)[open_now], before + 1)
        # The reply with the metrics themselves is counted once it is sent.
        first = read_metrics(self.index)
        asks()
        second = read_metrics(self.index)
        bodies = "signpost_http_response_body_bytes_total"
        self.assertEqual(second[bodies] - first[bodies], size + len(first.text))


class TestForm(HttpCase):
    def test_strangers_make_no_series(self):
        self.start()
        for path in ("/", "/list", "/nowhere", "/nodes/a"):
            self.client.get(path, check=False)
        self.client.delete("/list")
        self.client.request("OPTIONS", "/list", check=False)
        read_metrics(self.index)
        before = read_metrics(self.index).series()
        for number in range(50):
            self.client.get(f"/{some_id()}", check=False)
            self.client.get(f"/nodes/{some_id()}", check=False)
            self.client.get(f"/list?network={some_id()}&meta.{some_id()}=%22%0A", check=False)
            self.client.request(f"M{number}", "/list", check=False)
            self.client.get("/list", headers={"User-Agent": some_id(), "X-A": some_id()})
        self.assertEqual(read_metrics(self.index).series() - before, set())

    def test_reply_is_the_format_of_prometheus(self):
        self.start()
        reply = self.client.get("/metrics", check=False)
        self.assertEqual(reply.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(reply.headers["Cache-Control"], "no-store")
        self.assertTrue(reply.text.endswith("\n"))
        head = self.client.request("HEAD", "/metrics", check=False)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertProblem(self.client.post("/metrics", {}), 405, "bad_method")

    def test_histograms_grow_to_their_count(self):
        self.start()
        self.node()
        metrics = read_metrics(self.index)
        for name, kind in metrics.types.items():
            if kind != "histogram":
                continue
            rows = {}
            for (at, labels), value in metrics.samples.items():
                if at == name + "_bucket":
                    rows.setdefault(tuple(l for l in labels if l[0] != "le"), []).append(value)
            for labels, values in rows.items():
                self.assertEqual(values, sorted(values), (name, labels))
                self.assertEqual(values[-1], metrics.samples[name + "_count", labels])

    def test_every_metric_is_documented_and_no_other(self):
        self.start()
        metrics = read_metrics(self.index)
        with open(os.path.join(ROOT, "docs", "operating.md"), encoding="utf-8") as file:
            section = file.read().partition("\n## Metrics\n")[2].partition("\n## ")[0]
        documented = dict(re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", section, re.M))
        self.assertEqual(documented, metrics.types)
        # To OpenMetrics, `_total` is no part of a counter's name.
        names = [name.removesuffix("_total") for name in metrics.types]
        self.assertEqual(len(names), len(set(names)), sorted(names))

    def test_dashboard_has_no_metric_that_is_not_there(self):
        self.start()
        families = read_metrics(self.index).families()
        named = {name for query in queries()
                 for name in re.findall(r"\b(?:signpost|process)_[a-z_]+", query)}
        self.assertGreater(len(named), 20)
        self.assertEqual(named - families, set())

    def test_dashboard_and_alerts_ask_for_labels_that_are_there(self):
        self.start()
        self.node()
        there = {}
        for _, labels in read_metrics(self.index).samples:
            for name, value in labels:
                there.setdefault(name, set()).add(value)
        scraped = {"job", "instance"}  # Prometheus adds them
        asked = 0
        for query in queries():
            for names in re.findall(r"\bby \(([^)]*)\)", query):
                self.assertLessEqual(set(re.split(r", *", names)), scraped | set(there), query)
            for name, values in re.findall(r'(\w+)=~?"([^"]*)"', query):
                if name not in scraped:
                    self.assertLessEqual(set(values.split("|")), there.get(name, set()), query)
                    asked += 1
        self.assertGreater(asked, 0)


class TestListener(HttpCase):
    def temporary_folder(self):
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        return folder.name

    def fetch(self, place, path, method="GET", **headers):
        host, port = place
        request = urllib.request.Request(
            f"http://{host}:{port}{path}", headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.read().decode(), reply.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def test_listener_has_operations_and_nothing_else(self):
        self.start("--ops-listen", "127.0.0.1:0")
        place, = self.index.ops_listeners
        for path in ("/metrics", "/healthz", "/readyz"):
            self.assertEqual(self.fetch(place, path)[0], 200, path)
        for path in ("/", "/list", "/nodes/a", "/signpost.js", "/nowhere"):
            for method in ("GET", "OPTIONS"):
                status, body, _ = self.fetch(place, path, method)
                self.assertEqual(status, 404, (method, path))
                self.assertIn("--listen", body)

    def test_metrics_of_an_index_that_others_reach_are_there_only(self):
        keys = KeysFile(self.temporary_folder())
        keys.add("one", "default")
        for options in (("--open",), ("--keys", keys.path), ("--trust-proxy", "127.0.0.1/32")):
            with self.subTest(options=options), \
                    Index("--ops-listen", "127.0.0.1:0", *options) as index:
                status, body, _ = self.fetch(index.listeners[0], "/metrics")
                self.assertEqual(status, 404)
                self.assertIn("--ops-listen", body)
                self.assertEqual(self.fetch(index.ops_listeners[0], "/metrics")[0], 200)

    def test_web_page_does_not_read_it(self):
        self.start("--ops-listen", "127.0.0.1:0")
        place, = self.index.ops_listeners
        for headers in ({"Host": "rebound.example"}, {"Origin": "https://page.example"}):
            with self.subTest(headers=headers):
                self.assertEqual(self.fetch(place, "/metrics", **headers)[0], 403)
        _, _, headers = self.fetch(place, "/metrics")
        self.assertIsNone(headers["Access-Control-Allow-Origin"])

    def test_web_page_does_not_read_what_is_on_loopback_beside_another(self):
        self.start("--ops-listen", "127.0.0.1:0", "--ops-listen", "[::1]:0", "--ops-listen", "0.0.0.0:0")
        for host, port in self.index.ops_listeners:
            place = ({"0.0.0.0": "127.0.0.1", "::1": "[::1]"}.get(host, host), port)
            self.assertEqual(self.fetch(place, "/metrics", Host="rebound.example")[0], 403, host)
            self.assertEqual(self.fetch(place, "/metrics")[0], 200, host)

    def test_it_answers_when_the_index_is_full(self):
        self.start("--ops-listen", "127.0.0.1:0", "--max-connections", "2")
        for _ in range(3):
            self.addCleanup(socket.create_connection(self.index.listeners[0]).close)
        self.index.wait_for_log("ops_listening")
        metrics = wait_for_metrics(self.index, "signpost_limit_hits_total", "connections")
        self.assertEqual(metrics["signpost_http_open_connections"], 2)

    def test_it_takes_no_places_of_the_index(self):
        self.start("--ops-listen", "127.0.0.1:0", "--max-connections", "2")
        for _ in range(4):
            held = socket.create_connection(self.index.ops_listeners[0])
            self.addCleanup(held.close)
            held.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b" 200 ", held.recv(2000))
        self.assertEqual(self.client.get("/list").status, 200)

    def test_stop_finishes_what_is_asked_there(self):
        self.start("--ops-listen", "127.0.0.1:0")
        idle, busy = (socket.create_connection(self.index.ops_listeners[0]) for _ in range(2))
        self.addCleanup(idle.close)
        self.addCleanup(busy.close)
        busy.sendall(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
        self.client.close()
        watch = Stopwatch()
        while read_metrics(self.index)["signpost_http_open_connections"]:
            self.assertLess(watch.elapsed(), COUNTED_S)  # the others are not waited for
        self.index.signal(signal.SIGTERM)
        self.assertEqual(idle.recv(100), b"")
        busy.sendall(b"}")
        self.assertIn(b" 404 ", busy.recv(4000))
        self.assertEqual(self.index.wait(), 0)

    def test_idle_connections_make_room_for_one_that_asks(self):
        self.start("--ops-listen", "127.0.0.1:0")
        place, = self.index.ops_listeners
        held = [socket.create_connection(place) for _ in range(16)]
        for connection in held:
            self.addCleanup(connection.close)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b" 200 ", connection.recv(2000))
        self.assertEqual(self.fetch(place, "/metrics")[0], 200)
        self.assertEqual(held[0].recv(100), b"")
        held[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b" 200 ", held[-1].recv(2000))
        for _ in range(100):
            self.addCleanup(socket.create_connection(place).close)
        self.assertEqual(self.fetch(place, "/healthz")[0], 200)

    def test_its_own_connections_are_few(self):
        self.start("--ops-listen", "127.0.0.1:0")
        place, = self.index.ops_listeners
        held = []
        for _ in range(32):
            held.append(socket.create_connection(place))
            held[-1].sendall(
                b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n")
            self.settle()  # one that is known to be busy is not cut
        self.assertEqual(self.fetch(place, "/metrics")[0], 429)
        for connection in held:
            connection.close()
        watch = Stopwatch()
        while self.fetch(place, "/metrics")[0] != 200:
            self.assertLess(watch.elapsed(), COUNTED_S)
        self.assertEqual(self.fetch(self.index.listeners[0], "/list")[0], 200)

    def test_taken_port_ends_what_asked_for_it(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = run("--listen", "127.0.0.1:0", "--db", os.path.join(self.temporary_folder(), "x"),
                       "--ops-listen", f"127.0.0.1:{port}")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"127.0.0.1:{port}", done.stderr.splitlines()[-1])
        self.assertIn("give another with --ops-listen", done.stderr)

    def test_credential_is_of_no_account_there(self):
        self.start("--ops-listen", "127.0.0.1:0")
        place, = self.index.ops_listeners
        self.assertEqual(self.fetch(place, "/metrics", Authorization="Bearer x")[0], 200)

    def test_default_is_where_an_index_is_open_and_may_be_taken(self):
        with Index("--open") as first:
            if first.ops_listeners:  # else another program of this machine has the port
                self.assertEqual(first.ops_listeners, [("127.0.0.1", 7118)])
            with Index("--open") as second:
                self.assertEqual(second.ops_listeners, [])
                self.assertIn("ops_not_listening", second.log())
        with Index() as own:
            self.assertEqual(own.ops_listeners, [])
            self.assertNotIn("ops_not_listening", own.log())
