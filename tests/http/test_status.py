"""GET /: the state of the index, as JSON for programs and as a page for people."""

import html.parser
import json
import re
import tempfile

from tests.lib.case import RFC3339, HttpCase
from tests.lib.http import curl, url
from tests.lib.index import NO_NODE_CAPS
from tests.lib.keys import KeysFile, reload
from tests.lib.problem import check_headers
from tests.lib.raw import request_bytes
from tests.lib.rawcase import RawCase

HTML = "text/html; charset=utf-8"
LIKE_CHROMIUM = ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
                 "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7")
LIKE_FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

# Accept, and whether it gets HTML.
ACCEPTS = (
    (LIKE_CHROMIUM, True), (LIKE_FIREFOX, True), ("text/html", True), ("TEXT/HTML", True),
    ("text/*", True), ("text/html, */*", True), ("*/*, text/html;q=0.9", False),
    ("*/*;q=0.9, text/html", True), ("text/html, application/json", True),
    ("application/json, text/html", True), ("application/json, text/html;q=0.9", False),
    ("application/json;q=0.5, text/html;q=0.6", True), ("application/json", False),
    ("application/*", False), ("*/*", False), (None, False), ("", False), ("image/png", False),
    ("text/html;q=0", False), ("text/html;q=0.000, */*", False), ("text/html; q=1.0", True),
    ("text/html;level=1;q=0.3, application/json;q=0.4", False), ("text/html;q=2", False),
    ("text/html;q=x", False), ("text/html;q=", False), ("text/html;q=0.1234", False),
    ("text/html;q=0.5 , application/json ;q=0.4", True), ("text/htmlx", False),
    (",,,text/html", True), ("text/*, text/html;q=0, */*;q=0.1", False), (";;q=1,/", False),
    ("application/json;q=0, */*", True), ("text/plain", False),
)


class Table(html.parser.HTMLParser):
    """What a browser makes of the page: texts of the cells by row, links, elements."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.links, self.tags, self.facts, self.note = [], [], [], {}, ""
        self._cell = self._in_note = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
            self._cell = True
        elif tag == "a":
            self.links.append(attrs["href"])
        elif attrs.get("id") == "facts":
            self.facts = attrs
        self._in_note = self._in_note or attrs.get("id") == "note"

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self._cell = False
        if tag == "p":
            self._in_note = False

    def handle_data(self, data):
        if self._cell:
            self.rows[-1][-1] += data
        if self._in_note:
            self.note += data

    @property
    def ids(self):
        return [row[0] for row in self.rows[1:]]


class StatusCase(RawCase):
    def status(self, token=None, **query):
        reply = self.client.get(url("/", network=self.network, **query), token=token)
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def page(self, target=None, status=200, **options):
        reply = self.client.get(target or url("/", network=self.network), check=False,
                                headers={"Accept": LIKE_FIREFOX}, **options)
        self.assertEqual(reply.status, status, reply)
        self.assertEqual(reply.headers["Content-Type"], HTML)
        return Table(reply.text)


class TestForm(StatusCase):
    def test_accept_decides_the_form(self):
        for accept, is_html in ACCEPTS:
            with self.subTest(accept=accept):
                reply = self.client.get("/", headers={"Accept": accept}, check=False)
                self.assertEqual(reply.status, 200, reply)
                self.assertEqual(reply.headers["Content-Type"],
                                 HTML if is_html else "application/json")
                self.assertIn("Accept", reply.headers.get_all("Vary"))

    def test_accept_of_two_headers_counts_as_one(self):
        for lines, kind in (
                (("application/json;q=0.5", "text/html;q=0.6"), HTML),
                (("text/html;q=0.5", "application/json;q=0.6"), "application/json")):
            reply = self.exchange(request_bytes("GET", "/", headers=[
                "Accept: " + line for line in lines] + ["Connection: close"]))
            self.assertEqual(reply.headers["Content-Type"], kind)

    def test_curl_gets_json_and_a_browser_the_page(self):
        self.assertEqual(curl(self.index, "GET", "/")["network"], "default")
        reply = curl(self.index, "GET", "/", args=["-H", "Accept: " + LIKE_CHROMIUM], check=False)
        self.assertTrue(reply.text.startswith("<!doctype html>"))

    def test_head_has_the_headers_of_get(self):
        for accept in ("text/html", "application/json"):
            replies = [self.client.request(method, "/", headers={"Accept": accept}, check=False)
                       for method in ("GET", "HEAD")]
            for reply in replies:
                for name in ("Date", "Content-Length", "X-Request-Id"):
                    del reply.headers[name]
            self.assertEqual(replies[0].headers.items(), replies[1].headers.items())
            self.assertEqual(replies[1].body, b"")

    def test_nothing_of_it_is_kept_by_a_cache(self):
        for accept in ("text/html", "application/json"):
            reply = self.client.get("/", headers={"Accept": accept, "If-None-Match": "*"},
                                    check=False)
            self.assertEqual(reply.status, 200)
            self.assertEqual(reply.headers.get_all("Cache-Control"), ["no-store"])
            self.assertNotIn("ETag", reply.headers)

    def test_other_methods_are_refused(self):
        for method in ("POST", "PUT", "DELETE"):
            reply = self.client.request(method, "/", {})
            self.assertProblem(reply, 405, "bad_method")
            self.assertEqual(reply.words("Allow"), {"get", "head", "options"})
        self.assertEqual(self.client.request("OPTIONS", "/").status, 204)

    def test_page_has_a_strict_policy(self):
        reply = self.client.get("/", headers={"Accept": "text/html"}, check=False)
        policy = dict(part.strip().partition(" ")[::2]
                      for part in reply.headers["Content-Security-Policy"].split(";"))
        self.assertEqual(policy["default-src"], "'none'")
        self.assertEqual(policy["connect-src"], "'self'")
        for name in ("frame-ancestors", "base-uri", "form-action"):
            self.assertEqual(policy[name], "'none'")
        self.assertNotIn("unsafe", str(policy))
        self.assertEqual(reply.headers["Referrer-Policy"], "no-referrer")
        self.assertEqual(reply.headers["X-Content-Type-Options"], "nosniff")
        for tag, attrs in Table(reply.text).tags:  # nothing comes from elsewhere
            self.assertFalse({"style", "src", "action"} & set(attrs), (tag, attrs))
            self.assertFalse([name for name in attrs if name.startswith("on")], (tag, attrs))

    def test_page_is_small_and_has_no_place_left(self):
        reply = self.client.get("/", headers={"Accept": "text/html"}, check=False)
        self.assertLess(len(reply.body), 30000)
        self.assertNotIn("<!--", reply.text)


class TestJson(StatusCase):
    def test_status_tells_how_the_index_is(self):
        status = self.status()
        self.assertIs(status["ready"], True)
        self.assertRegex(status["version"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(status["time"], RFC3339)
        self.assertGreater(status["uptime"], 0)
        self.assertEqual((status["network"], status["more"], status["nodes"]),
                         (self.network, False, []))
        load = status["load"]
        self.assertEqual(set(load), {"nodes", "networks", "waiting", "max_waiting", "connections",
                                     "max_connections", "cpu", "memory"})
        self.assertGreater(load["connections"], 0)
        self.assertGreater(load["max_connections"], load["max_waiting"])
        self.assertGreater(load["memory"], 1 << 20)
        self.assertTrue(0 <= load["cpu"] < 1024)

    def test_status_counts_nodes_networks_and_polls(self):
        before = self.status()["load"]
        nodes = [self.node() for _ in range(3)]
        poll = self.park_list(self.list()["cursor"])
        load = self.status()["load"]
        self.assertEqual(load["nodes"] - before["nodes"], 3)
        self.assertEqual(load["networks"] - before["networks"], 1)
        self.assertEqual(load["waiting"] - before["waiting"], 1)
        nodes[0].delete()
        self.assertEqual(poll.reply().status, 200)
        self.assertEqual(self.status()["load"]["waiting"], before["waiting"])

    def test_status_has_signs_of_life_and_mail_of_each_node(self):
        ann, ben = self.node("ann", ttl=60), self.node("ben", ttl=90)
        for _ in range(2):
            ben.sends(ann)
        told = {node["id"]: node for node in self.status()["nodes"]}
        self.assertEqual({id: node["mail"] for id, node in told.items()}, {"ann": 2, "ben": 0})
        for id, ttl in (("ann", 60), ("ben", 90)):
            self.assertEqual(set(told[id]), {"id", "age", "expires_in", "mail"})
            self.assertAlmostEqual(told[id]["age"] + told[id]["expires_in"], ttl, 2)
        last = ann.messages()[-1]["seq"]
        cursor = ann.read()["next"]
        self.assertTrue(cursor.endswith(f".{last}"))
        ann.read(after=cursor)
        self.assertEqual({node["mail"] for node in self.status()["nodes"]}, {0})

    def test_status_shows_listed_nodes_alone(self):
        self.node("seen")
        self.node("unseen", listed=False)
        self.assertEqual([node["id"] for node in self.status()["nodes"]], ["seen"])
        self.assertEqual(self.page().ids, ["seen"])

    def test_status_has_pages_and_filters(self):
        for number in range(5):
            self.node(f"n{number}", meta={"role": "ab"[number % 2]})
        first = self.status(limit=2)
        self.assertEqual(([n["id"] for n in first["nodes"]], first["more"], first["after"]),
                         (["n0", "n1"], True, "n1"))
        last = self.status(limit=2, after="n3")
        self.assertEqual(([n["id"] for n in last["nodes"]], last["more"]), (["n4"], False))
        self.assertNotIn("after", last)
        self.assertEqual([n["id"] for n in self.status(meta_role="b")["nodes"]], ["n1", "n3"])

    def test_status_does_not_wait(self):
        cursor = self.status()["cursor"]
        self.assertEqual(self.status(since=cursor, wait=50)["cursor"], cursor)

    def test_bad_query_is_refused(self):
        for target, code in (("/?network=a+b", "bad_id"), ("/?limit=0", "bad_request"),
                             ("/?limit=many", "bad_request"), ("/?limit=1&limit=2", "bad_request"),
                             ("/?network=", "bad_id")):
            with self.subTest(target=target):
                reply = self.client.get(target)
                self.assertProblem(reply, 400, code)
                page = self.page(target, 400)
                self.assertEqual((page.note, page.ids), (reply["detail"], []))

    def test_paths_beside_it_are_unknown(self):
        for path in ("//", "/index.html", "/status", "/%3F/list"):
            self.assertProblem(self.client.get(path), 404, "unknown_path")


class TestTable(StatusCase):
    def test_page_has_a_row_for_each_node(self):
        ann = self.node("ann", endpoints=["udp://:4000", "grpc://:50051"], ttl=7200,
                        meta={"role": "master"})
        ben = self.node("ben", ttl=60)
        ben.sends(ann)
        rows = self.page().rows
        self.assertEqual(rows[0][:2], ["Node", "Where"])
        self.assertEqual([len(row) for row in rows], [7, 7, 7])
        self.assertIn("udp://127.0.0.1:4000", rows[1][1])
        self.assertIn("grpc://127.0.0.1:50051", rows[1][1])
        self.assertIn("seen at 127.0.0.1", rows[1][1])
        self.assertEqual(json.loads(rows[1][6]), {"role": "master"})
        self.assertEqual((rows[1][5], rows[2][5], rows[2][6]), ("1", "0", ""))
        self.assertRegex(rows[1][3], r"^\d+ s ago$")
        self.assertRegex(rows[1][4], r"^(1 h 59 min|2 h)$")
        self.assertRegex(rows[2][4], r"^(5\d s|1 min)$")

    def test_page_goes_on_by_its_link(self):
        for number in range(5):
            self.node(f"n{number}", meta={"a&b": '"<x>'})
        target = url("/", network=self.network, limit=2) + "&meta.a%26b=%22%3Cx%3E"
        pages = []
        while target:
            page = self.page(target)
            pages.append(page.ids)
            target = page.links[0] if page.links else None
        self.assertEqual(pages, [["n0", "n1"], ["n2", "n3"], ["n4"]])

    def test_page_with_strangers_strings_has_no_element_of_theirs(self):
        evil = '</td></table><script>alert(1)</script><img src=x onerror=alert(2)>&lt;&#39;"\'`'
        plain = [tag for tag, _ in self.page().tags]
        self.node("evil", meta={evil: evil, "deep": [evil, {"<b>": None}]})
        self.node("short", meta={"<i>": "<b>&amp;\"'"})
        for text in ("\u202e\u2028", "<!--{rows}-->", "<!--", "]]>", "\ud7ff\u00e9" * 60):
            self.node(meta={"text": text})
        page = self.page()
        own = {"tr", "th", "td", "code", "small", "details", "summary", *plain}
        self.assertEqual({tag for tag, _ in page.tags} - own, set())
        self.assertEqual(page.tags.count(("script", {"type": "module"})), 1)
        self.assertFalse([attrs for _, attrs in page.tags if "onerror" in attrs or "src" in attrs])
        by_id = {row[0]: row[6] for row in page.rows}
        self.assertEqual(json.loads(by_id["short"]), {"<i>": "<b>&amp;\"'"})
        self.assertTrue(by_id["evil"].endswith(json.dumps(
            {evil: evil, "deep": [evil, {"<b>": None}]})), by_id["evil"])

    def test_page_is_cut_within_no_character(self):
        for pad in range(8):
            self.node(meta={"x" * pad: "é€😀" * 40})
        reply = self.client.get(url("/", network=self.network), check=False,
                                headers={"Accept": "text/html"})
        self.assertEqual(len(Table(reply.body.decode("utf-8", "strict")).ids), 8)

    def test_page_of_large_nodes_ends_early(self):
        """Each byte of it becomes five: what there is room for, and a link to the rest."""
        meta = {"x": "&" * 4000}
        ids = [self.node(f"n{number:03}", meta=meta).id for number in range(100)]
        target, pages = url("/", network=self.network, limit=1000), []
        while target:
            reply = self.client.get(target, headers={"Accept": "text/html"}, check=False)
            self.assertLess(len(reply.body), 350000)
            page = Table(reply.text)
            pages.append(page.ids)
            target = page.links[0] if page.links else None
        self.assertEqual(sum(pages, []), ids)
        self.assertGreater(len(pages), 1)

    def test_page_says_which_network_it_is_of(self):
        self.assertEqual(self.page().facts["data-network"], self.network)
        self.assertEqual(self.page("/").facts["data-network"], "default")
        self.assertEqual(self.page().facts["data-access"], "open")
        node = self.node("me")
        self.assertEqual(self.page("/", token=node.token).ids, ["me"])

    def test_page_says_how_the_index_is(self):
        text = self.client.get("/", headers={"Accept": "text/html"}, check=False).text
        told = dict(re.findall(r'data-load="(\w+)">([^\n]*)</dd>', text))
        self.assertEqual(set(told), {"nodes", "networks", "waiting", "connections", "cpu",
                                     "memory", "uptime", "version"})
        self.assertTrue(all(told.values()), told)
        self.assertRegex(told["connections"], r"^\d+<small> of [\d,]+</small>$")
        self.assertRegex(told["memory"], r"^\d+ MiB$")
        self.assertIn(">Ready</p>", text)


class TestHead(StatusCase):
    def test_head_of_every_size_gets_the_page_whole(self):
        """The policy makes it a long head, and an origin a longer one."""
        origin = "Origin: http://" + "a" * 245 + ".localhost:65535"
        statuses = []
        for size in range(0, 6000, 250):
            data = request_bytes("GET", "/", headers=[
                "Connection: close", "Accept: text/html", origin, "X-Pad: " + "x" * size])
            reply = self.only_reply(data)
            self.assertIn(reply.status, (200, 431), reply)
            if reply.status == 200:
                self.assertTrue(reply.body.endswith(b"</html>\n"))
            statuses.append(reply.status)
        self.assertEqual((statuses[0], statuses[-1]), (200, 431))


class TestKeys(HttpCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.keys = KeysFile(folder.name)
        self.blue, self.red = self.keys.add("blue", "blue"), self.keys.add("red", "red")
        self.start("--keys", self.keys.path)
        self.client.post("/register", {"id": "b1", "meta": {"x": "hush"}}, token=self.blue)
        self.client.post("/register", {"id": "r1"}, token=self.red)

    def html(self, token=None, target="/"):
        return self.client.get(target, token=token, headers={"Accept": "text/html"}, check=False)

    def test_json_needs_a_credential_and_shows_its_network(self):
        self.assertProblem(self.client.get("/"), 401, "no_credential")
        self.assertProblem(self.client.get("/", token="spk_" + "x" * 43), 401, "bad_key")
        for key, network, id in ((self.blue, "blue", "b1"), (self.red, "red", "r1")):
            status = self.client.get("/", token=key).json()
            self.assertEqual((status["network"], [n["id"] for n in status["nodes"]]),
                             (network, [id]))
        self.assertProblem(self.client.get("/?network=red", token=self.blue), 403,
                           "other_network")

    def test_json_does_not_tell_a_network_of_the_others(self):
        load = self.client.get("/", token=self.blue)["load"]
        for name in ("nodes", "networks", "waiting", "connections"):
            self.assertIsNone(load[name], name)

    def test_page_without_a_key_is_empty(self):
        for target in ("/", "/?network=blue", "/?after=a&limit=1"):
            reply = self.html(target=target)
            self.assertEqual(reply.status, 200)
            self.assertEqual(Table(reply.text).ids, [])
            self.assertEqual(Table(reply.text).facts["data-access"], "keys")
            for word in ("b1", "hush", "r1", " MiB", ">Ready<"):
                self.assertNotIn(word, reply.text.partition("<script")[0])
            self.assertIn("<noscript>", reply.text)

    def test_page_with_a_key_shows_its_network(self):
        page = Table(self.html(self.blue).text)
        self.assertEqual(page.ids, ["b1"])
        self.assertEqual(page.facts["data-access"], "keys")
        reply = self.html(self.blue, "/?network=red")
        self.assertEqual(reply.status, 403)
        self.assertEqual((Table(reply.text).ids, Table(reply.text).note),
                         ([], "the credential admits to another network than red"))

    def test_wrong_key_is_told_by_the_door(self):
        reply = self.html("spk_" + "x" * 43)
        self.assertEqual(reply.status, 401)
        check_headers(reply)

    def test_key_that_is_withdrawn_shows_nothing_more(self):
        self.keys.remove("red")
        reload(self.index)
        self.assertProblem(self.client.get("/", token=self.red), 401, "bad_key")
        self.assertEqual(self.html(self.red).status, 401)
        self.assertEqual(self.client.get("/", token=self.blue)["network"], "blue")


class TestForeign(StatusCase):
    def test_index_of_this_machine_is_for_pages_of_this_machine(self):
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            for accept in ("text/html", "application/json"):
                reply = self.client.get("/", headers={"Accept": accept, **headers})
                self.assertProblem(reply, 403, "foreign_host")


class TestMany(HttpCase):
    def test_status_of_a_large_network_has_pages(self):
        self.start(*NO_NODE_CAPS)
        client = self.connect()
        for number in range(1200):
            reply = client.post("/register", {"id": f"n{number:04}", "network": self.network})
            self.assertEqual(reply.status, 201)
        status = self.client.get(url("/", network=self.network, limit=1000)).json()
        self.assertEqual((len(status["nodes"]), status["more"]), (1000, True))
        reply = self.client.get(url("/", network=self.network), headers={"Accept": "text/html"},
                                check=False)
        self.assertEqual(len(Table(reply.text).ids), 200)
        print(f"figure: a page of 200 rows has {len(reply.body)} bytes")
