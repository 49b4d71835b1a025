"""The list, its deltas, and the polls that wait for them."""

import re
import secrets

from tests.lib.case import AT_ONCE_S, CURSOR, RFC3339, IndexCase, some_id
from tests.lib.http import curl, url
from tests.lib.index import Stopwatch

NEXT = re.compile(r'<(/list\?[^>]*)>; rel="next"')


def foreign(cursor):
    """The same sequence in the history of another index."""
    return secrets.token_hex(8) + "." + cursor.partition(".")[2]


def ahead(cursor):
    epoch, _, sequence = cursor.partition(".")
    return f"{epoch}.{int(sequence) + 1000}"


class TestWholeList(IndexCase):
    def test_list_shows_nodes_by_id(self):
        for id in ("b", "C", "a", "c", "B"):
            self.node(id)
        self.assertNodes(self.list(), sorted("bCacB"))

    def test_list_says_everything(self):
        node = self.node("a", endpoints=["grpc://:50051"], meta={"role": "master"}, reach={"r": 1})
        listing = self.list()
        self.assertEqual(listing["network"], self.network)
        self.assertEqual(listing["cursor"], node.cursor)
        self.assertEqual((listing["reset"], listing["more"]), (False, False))
        self.assertEqual(listing["gone"], [])
        view = listing["nodes"][0]
        self.assertRegex(view.pop("registered_at"), RFC3339)
        self.assertGreaterEqual(view.pop("age"), 0)
        self.assertTrue(25 < view.pop("expires_in") <= 30)
        self.assertEqual(view, {"id": "a", "endpoints": ["grpc://127.0.0.1:50051"],
                                "observed": ["127.0.0.1"], "meta": {"role": "master"},
                                "reach": {"r": 1}})

    def test_list_without_network_is_that_of_default(self):
        node = self.node(network="default")
        self.addCleanup(node.delete)
        listing = self.client.get("/list").json()
        self.assertEqual(listing["network"], "default")
        self.assertIn(node.id, [n["id"] for n in listing["nodes"]])

    def test_list_with_a_token_is_that_of_its_network(self):
        node = self.node("a")
        listing = node.client.get("/list").json()
        self.assertEqual(listing["network"], self.network)
        self.assertNodes(listing, ["a"])

    def test_list_by_curl_is_the_same(self):
        self.node("a")
        reply = curl(self.index, "GET", f"/list?network={self.network}")
        self.assertNodes(reply.json(), ["a"])

    def test_list_ignores_wait_without_since(self):
        watch = Stopwatch()
        self.assertNodes(self.list(wait=50), [])
        self.assertLess(watch.elapsed(), AT_ONCE_S)

    def test_list_ignores_what_it_does_not_know(self):
        self.node("a")
        self.assertNodes(self.list(colour="green"), ["a"])


class TestPages(IndexCase):
    def test_pages_follow_each_other_by_id(self):
        for id in "edcba":
            self.node(id)
        first = self.list(limit=2)
        self.assertNodes(first, "ab")
        self.assertTrue(first["more"])
        second = self.list(limit=2, after="b")
        self.assertNodes(second, "cd")
        self.assertTrue(second["more"])
        third = self.list(limit=2, after="d")
        self.assertNodes(third, "e")
        self.assertFalse(third["more"])
        self.assertNodes(self.list(limit=2, after="e"), "")

    def test_page_with_more_says_where_it_goes_on(self):
        for id in "edcba":
            self.node(id, meta={"role": "ä b&c"})
        self.node("bb", meta={"role": "else"})
        for query, pages in (({}, ["ab", "bbc", "de"]),
                             ({"meta_role": "ä b&c"}, ["ab", "cd", "e"])):
            with self.subTest(query=query):
                by_link = self.client.get(url("/list", network=self.network, limit=2, **query))
                by_after = by_link.json()
                for page in pages[:-1]:
                    self.assertEqual("".join(n["id"] for n in by_link["nodes"]), page)
                    self.assertEqual("".join(n["id"] for n in by_after["nodes"]), page)
                    self.assertTrue(by_link["more"])
                    following = NEXT.fullmatch(by_link.headers["Link"])
                    self.assertIsNotNone(following, by_link)
                    by_link = self.client.get(following[1])
                    by_after = self.list(limit=2, after=by_after["after"], **query)
                for last in (by_link.json(), by_after):
                    self.assertEqual("".join(n["id"] for n in last["nodes"]), pages[-1])
                    self.assertFalse(last["more"])
                    self.assertNotIn("after", last)
                self.assertNotIn("Link", by_link.headers)

    def test_page_of_a_reset_says_where_it_goes_on(self):
        cursor = [self.node(id) for id in "abc"][2].cursor
        reply = self.client.get(url("/list", network=self.network, since=foreign(cursor),
                                    after="a", limit=2))
        self.assertTrue(reply["reset"])
        self.assertNodes(reply.json(), "ab")
        self.assertEqual(reply["after"], "b")
        following = self.client.get(NEXT.fullmatch(reply.headers["Link"])[1])
        self.assertNodes(following.json(), "c")

    def test_page_of_a_delta_goes_on_with_its_cursor(self):
        since = self.node("first").cursor
        for id in "abc":
            self.node(id)
        reply = self.client.get(url("/list", network=self.network, since=since, limit=2))
        self.assertTrue(reply["more"])
        self.assertNotIn("after", reply.json())
        self.assertNotIn("Link", reply.headers)

    def test_page_that_is_just_full_is_the_last(self):
        self.node("a")
        self.node("b")
        listing = self.list(limit=2)
        self.assertNodes(listing, "ab")
        self.assertFalse(listing["more"])

    def test_page_after_an_id_that_left_goes_on_there(self):
        for id in "abc":
            self.node(id)
        self.assertNodes(self.list(after="aa"), "bc")

    def test_first_cursor_misses_nothing_in_between(self):
        nodes = {id: self.node(id) for id in "abcd"}
        first = self.list(limit=2)
        self.node("aa")
        nodes["b"].delete()
        nodes["d"].heartbeat(meta={"x": 1})
        second = self.list(limit=2, after="b")
        self.assertNodes(second, "cd")
        delta = self.list(since=first["cursor"])
        self.assertNodes(delta, ["aa", "d"], gone=["b"])

    def test_limit_default_is_200_and_most_1000(self):
        for number in range(203):
            self.client.post("/register", {"id": f"n{number:03}", "network": self.network})
        listing = self.list()
        self.assertEqual((len(listing["nodes"]), listing["more"]), (200, True))
        listing = self.list(limit=1000)
        self.assertEqual((len(listing["nodes"]), listing["more"]), (203, False))


class TestDelta(IndexCase):
    def test_delta_of_nothing_is_empty(self):
        node = self.node("a")
        delta = self.list(since=node.cursor)
        self.assertNodes(delta, [])
        self.assertEqual((delta["cursor"], delta["reset"], delta["more"]),
                         (node.cursor, False, False))

    def test_delta_is_in_order_of_change(self):
        nodes = {id: self.node(id) for id in "cab"}
        since = nodes["b"].cursor
        for id in "bca":
            nodes[id].heartbeat(meta={"changed": id})
        self.assertNodes(self.list(since=since), "bca")
        nodes["b"].heartbeat(meta={"changed": "again"})
        self.assertNodes(self.list(since=since), "cab")

    def test_delta_shows_who_left(self):
        one, other = self.node("a"), self.node("b")
        one.delete()
        delta = self.list(since=other.cursor)
        self.assertNodes(delta, [], gone=["a"])
        self.assertNotEqual(delta["cursor"], other.cursor)

    def test_delta_shows_an_id_once(self):
        since = self.node("first").cursor
        self.node("came-and-went").delete()
        self.node("went-and-came").delete()
        self.node("went-and-came")
        self.assertNodes(self.list(since=since), ["went-and-came"], gone=["came-and-went"])

    def test_delta_in_pages_ends_with_the_last_change(self):
        since = self.node("first").cursor
        nodes = [self.node(id) for id in "abc"]
        nodes[1].delete()
        seen, gone, cursor, pages = [], [], since, 0
        more = True
        while more:
            delta = self.list(since=cursor, limit=1)
            seen += [node["id"] for node in delta["nodes"]]
            gone += delta["gone"]
            self.assertLessEqual(len(delta["nodes"]) + len(delta["gone"]), 1)
            cursor, more, pages = delta["cursor"], delta["more"], pages + 1
            self.assertLess(pages, 10)
        self.assertEqual((seen, gone), (["a", "c"], ["b"]))
        self.assertEqual(cursor, self.list()["cursor"])

    def test_delta_of_a_foreign_cursor_is_a_reset(self):
        node = self.node("a")
        for since in (foreign(node.cursor), ahead(node.cursor)):
            with self.subTest(since=since):
                listing = self.list(since=since)
                self.assertTrue(listing["reset"])
                self.assertNodes(listing, ["a"])
                self.assertEqual(listing["cursor"], node.cursor)

    def test_delta_of_a_foreign_cursor_does_not_wait(self):
        node = self.node("a")
        watch = Stopwatch()
        self.assertTrue(self.list(since=ahead(node.cursor), wait=50)["reset"])
        self.assertLess(watch.elapsed(), AT_ONCE_S)

    def test_delta_reset_comes_in_pages_too(self):
        cursor = [self.node(id) for id in "abc"][2].cursor
        listing = self.list(since=foreign(cursor), limit=2)
        self.assertEqual((listing["reset"], listing["more"]), (True, True))
        self.assertNodes(listing, "ab")
        self.assertNodes(self.list(after="b", limit=2), "c")

    def test_cursor_that_is_none_gets_400(self):
        for since in ("x", "1.2.3", ".", "zzzz.1", "0123456789abcdef.", ".5",
                      "0123456789abcdef.-1", "0123456789abcdef.x", "0123456789abcdef",
                      "0123456789abcdef." + "9" * 30, "%00"):
            with self.subTest(since=since):
                reply = self.client.get(url("/list", network=self.network, since=since))
                self.assertProblem(reply, 400, "bad_cursor", "bad_request")

    def test_number_out_of_range_gets_400(self):
        for query in ({"limit": 0}, {"limit": -1}, {"limit": 1001}, {"limit": "x"}, {"limit": ""},
                      {"limit": "9" * 30}, {"wait": -1}, {"wait": 56}, {"wait": "x"},
                      {"wait": ""}, {"wait": "1e9"}, {"wait": "nan"}, {"wait": "inf"},
                      {"wait": "9" * 30}, {"limit": "5x"}, {"network": "a b"},
                      {"network": "x" * 65}):
            with self.subTest(query=query):
                reply = self.client.get(url("/list", **{"network": self.network, **query}))
                self.assertProblem(reply, 400)


class TestEtag(IndexCase):
    def get(self, *tags, **query):
        headers = {"If-None-Match": ", ".join(tags)} if tags else None
        return self.client.get(url("/list", network=self.network, **query), headers=headers)

    def test_etag_is_the_weak_cursor(self):
        node = self.node("a")
        self.assertEqual(self.get().headers["ETag"], f'W/"{node.cursor}"')

    def test_etag_that_matches_gets_304(self):
        self.node("a")
        tag = self.get().headers["ETag"]
        for tags in ((tag,), ('"other"', tag), (tag.removeprefix("W/"),)):
            with self.subTest(tags=tags):
                reply = self.get(*tags)
                self.assertEqual((reply.status, reply.body), (304, b""))
                self.assertEqual(reply.headers["ETag"], tag)

    def test_etag_that_does_not_match_gets_the_list(self):
        self.node("a")
        tag = self.get().headers["ETag"]
        self.node("b")
        reply = self.get(tag)
        self.assertEqual(reply.status, 200)
        self.assertNodes(reply.json(), "ab")
        self.assertNotEqual(reply.headers["ETag"], tag)

    def test_etag_of_another_network_does_not_match(self):
        node = self.node("a")
        tag = f'W/"{foreign(node.cursor)}"'
        self.assertEqual(self.get(tag).status, 200)


class TestFilters(IndexCase):
    def setUp(self):
        super().setUp()
        self.nodes = {id: self.node(id, meta=meta) for id, meta in (
            ("a", {"role": "master", "zone": "eu"}), ("b", {"role": "master", "zone": "us"}),
            ("c", {"role": "worker", "zone": "eu"}), ("d", {}))}

    def test_filter_takes_those_that_match(self):
        self.assertNodes(self.list(meta_role="master"), "ab")
        self.assertNodes(self.list(meta_role="master", meta_zone="eu"), "a")
        self.assertNodes(self.list(meta_role="nobody"), "")
        self.assertNodes(self.list(meta_absent="x"), "")

    def test_filter_pages_over_those_that_match(self):
        first = self.list(meta_zone="eu", limit=1)
        self.assertNodes(first, "a")
        self.assertTrue(first["more"])
        second = self.list(meta_zone="eu", limit=1, after="a")
        self.assertNodes(second, "c")
        self.assertFalse(second["more"])

    def test_filter_shows_who_no_longer_matches_as_gone(self):
        since = self.list()["cursor"]
        self.nodes["a"].heartbeat(meta={"role": "worker"})
        self.nodes["c"].heartbeat(meta={"role": "master"})
        self.assertNodes(self.list(since=since, meta_role="master"), "c", gone="a")

    def test_filter_shows_who_left(self):
        since = self.list()["cursor"]
        self.nodes["b"].delete()
        self.assertNodes(self.list(since=since, meta_role="master"), "", gone="b")

    def test_filter_of_an_encoded_value_matches(self):
        self.node("e", meta={"a key": "ä&=%+ b"})
        listing = self.client.get(url("/list", network=self.network, **{"meta_a key": "ä&=%+ b"}))
        self.assertNodes(listing.json(), "e")

    def test_filters_that_are_many_get_400(self):
        query = {f"meta_k{number}": "v" for number in range(9)}
        self.assertProblem(self.client.get(url("/list", **query)), 400)

    def test_filter_holds_for_a_poll(self):
        pending = self.park_list(self.list()["cursor"], meta_role="master")
        self.node("x", meta={"role": "worker"})
        self.node("y", meta={"role": "master"})
        delta = pending.reply().json()
        self.assertIn("y", [node["id"] for node in delta["nodes"]] or self.again(delta))

    def again(self, delta):
        """A poll may end for a change that the filter hides: then the next one has it."""
        delta = self.list(since=delta["cursor"], meta_role="master", wait=10)
        return [node["id"] for node in delta["nodes"]]


class TestWaiting(IndexCase):
    def test_wait_ends_with_a_register(self):
        pending = self.park_list(self.node("a").cursor)
        cursor = self.node("b").cursor
        watch = Stopwatch()
        delta = pending.reply().json()
        self.assertLess(watch.elapsed(), AT_ONCE_S)
        self.assertNodes(delta, "b")
        self.assertEqual(delta["cursor"], cursor)

    def test_wait_ends_with_a_delete(self):
        node = self.node("a")
        pending = self.park_list(node.cursor)
        node.delete()
        self.assertNodes(pending.reply().json(), "", gone="a")

    def test_wait_ends_with_a_change(self):
        node = self.node("a")
        pending = self.park_list(node.cursor)
        node.heartbeat(meta={"x": 1})
        delta = pending.reply().json()
        self.assertNodes(delta, "a")
        self.assertEqual(delta["nodes"][0]["meta"], {"x": 1})

    def test_wait_ends_for_all_at_once(self):
        cursor = self.node("a").cursor
        pending = [self.park_list(cursor) for _ in range(20)]
        self.node("b")
        for poll in pending:
            self.assertNodes(poll.reply().json(), "b")

    def test_wait_of_many_gives_each_what_it_asked_for(self):
        """What many wait for is put together once, and not for those who asked for something else."""
        me = self.node("me")
        worker = self.node("a", meta={"role": "worker"})
        elsewhere = self.node("b", network=self.network + "x")
        others = self.park_list(elsewhere.cursor, network=elsewhere.network)
        events = me.parks_events(since=worker.cursor)
        plain = [self.park_list(worker.cursor) for _ in range(3)]
        limited = [self.park_list(worker.cursor, limit=1) for _ in range(3)]
        masters = [self.park_list(worker.cursor, meta_role="master") for _ in range(2)]
        worker.heartbeat(meta={"role": "worker", "x": 1})
        for poll in (*plain, *limited):
            delta = poll.reply().json()
            self.assertNodes(delta, "a")
            self.assertEqual(delta["nodes"][0]["meta"], {"role": "worker", "x": 1})
            self.assertEqual(delta["cursor"], self.list()["cursor"])
        for poll in masters:
            self.assertNodes(poll.reply().json(), "", gone="a")
        told = events.reply().json()
        self.assertEqual(told["list"]["nodes"][0]["meta"], {"role": "worker", "x": 1})
        self.assertEqual(told["mail"]["messages"], [])
        elsewhere.delete()
        self.assertNodes(others.reply().json(), "", gone="b")

    def test_wait_does_not_end_with_what_nobody_sees(self):
        node = self.node("a")
        pending = self.park_list(node.cursor)
        node.heartbeat()
        self.node("hidden", listed=False).delete()
        self.node("elsewhere", network=some_id("net"))
        self.node("b")
        self.assertNodes(pending.reply().json(), "b")

    def test_wait_is_answered_at_once_where_there_is_something(self):
        cursor = self.node("a").cursor
        self.node("b")
        watch = Stopwatch()
        self.assertNodes(self.list(since=cursor, wait=50), "b")
        self.assertLess(watch.elapsed(), AT_ONCE_S)

    def test_wait_over_is_answered_with_nothing(self):
        cursor = self.node("a").cursor
        watch = Stopwatch()
        delta = self.list(since=cursor, wait=1)
        self.assertGreater(watch.elapsed(), 0.9)
        self.assertLess(watch.elapsed(), 1 + AT_ONCE_S)
        self.assertNodes(delta, [])
        self.assertEqual((delta["cursor"], delta["reset"]), (cursor, False))
        self.assertRegex(delta["cursor"], CURSOR)

    def test_wait_of_one_connection_ends_every_100_ms_at_most(self):
        listener = self.connect()
        cursor = self.node("a").cursor
        watch = None
        for id in ("b", "c", "d"):
            self.node(id)
            delta = listener.get(url("/list", network=self.network, since=cursor, wait=10)).json()
            self.assertNodes(delta, id)
            if watch:
                self.assertGreater(watch.elapsed(), 0.08)
            watch = Stopwatch()
            cursor = delta["cursor"]

    def test_wait_of_a_client_that_left_harms_nobody(self):
        cursor = self.node("a").cursor
        for _ in range(5):
            self.park_list(cursor).vanish()
        self.node("b")
        self.assertNodes(self.list(since=cursor), "b")

    def test_wait_at_most_55_is_taken(self):
        cursor = self.node("a").cursor
        pending = self.park_list(cursor, wait=55)
        self.node("b")
        self.assertNodes(pending.reply().json(), "b")
