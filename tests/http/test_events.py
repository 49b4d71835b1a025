"""One poll for everything: the list and the mailbox in one answer."""

import secrets

from tests.lib.case import AT_ONCE_S, IndexCase
from tests.lib.http import curl, url
from tests.lib.index import Stopwatch


def foreign(cursor):
    return secrets.token_hex(8) + "." + cursor.partition(".")[2]


def mail_ids(events):
    return [message["id"] for message in events["mail"]["messages"]]


class EventsCase(IndexCase):
    def setUp(self):
        super().setUp()
        self.me, self.other = self.node("me", ttl=60), self.node("other")

    def assertEmpty(self, events):
        self.assertNodes(events["list"], [])
        self.assertEqual(mail_ids(events), [])


class TestEvents(EventsCase):
    def test_events_without_since_are_the_whole_list(self):
        events = self.me.events()
        self.assertNodes(events["list"], ["me", "other"])
        self.assertEqual(events["list"]["cursor"], self.other.cursor)
        self.assertEqual(events["list"]["network"], self.network)
        self.assertEqual((events["mail"]["messages"], events["mail"]["reset"]), ([], False))
        self.assertTrue(17.9 < events["heartbeat_after"] < 22.1, events)

    def test_events_have_both_parts(self):
        self.other.sends(self.me, id="m")
        self.node("new")
        events = self.me.events(since=self.other.cursor, wait=50)
        self.assertNodes(events["list"], ["new"])
        self.assertEqual(mail_ids(events), ["m"])

    def test_events_of_get_are_the_same(self):
        self.other.sends(self.me, id="m")
        reply = self.me.client.get(url("/events", since=self.other.cursor, limit=5, wait=50))
        self.assertEqual(reply.status, 200, reply)
        self.assertNodes(reply["list"], [])
        self.assertEqual(mail_ids(reply), ["m"])
        reply = self.me.client.get(url("/events", since=self.other.cursor,
                                       after=reply["mail"]["next"]))
        self.assertEqual(mail_ids(reply), [])

    def test_events_of_get_are_of_the_own_network_unfiltered(self):
        """They are parameters of /list; here they are as unknown as in a body of POST."""
        elsewhere = self.network + "x"
        self.node("stranger", network=elsewhere)
        for query in ({"network": elsewhere}, {"meta_role": "nobody"},
                      {"network": elsewhere, "meta_role": "nobody"}):
            with self.subTest(query=query):
                reply = self.me.client.get(url("/events", **query))
                self.assertEqual(reply.status, 200, reply)
                self.assertEqual(reply["list"]["network"], self.network)
                self.assertNodes(reply["list"], ["me", "other"])
                reply = self.me.client.post("/events", query)
                self.assertNodes(reply["list"], ["me", "other"])

    def test_events_by_curl_are_the_same(self):
        reply = curl(self.index, "POST", "/events", {"since": self.other.cursor},
                     token=self.me.token)
        self.assertEqual(reply.status, 200, reply)
        self.assertEmpty(reply.json())

    def test_events_acknowledge_mail(self):
        self.other.sends(self.me, id="m")
        events = self.me.events()
        self.assertEqual(mail_ids(events), ["m"])
        self.assertEqual(mail_ids(self.me.events()), ["m"])
        self.assertEqual(mail_ids(self.me.events(after=events["mail"]["next"])), [])
        self.assertEqual(self.me.messages(), [])

    def test_events_of_a_foreign_cursor_are_a_reset(self):
        events = self.me.events(since=foreign(self.me.cursor), wait=50)
        self.assertTrue(events["list"]["reset"])
        self.assertNodes(events["list"], ["me", "other"])

    def test_events_of_a_foreign_next_are_a_reset(self):
        self.other.sends(self.me, id="m")
        following = foreign(self.me.read()["next"])
        events = self.me.events(since=self.other.cursor, after=following, wait=50)
        self.assertTrue(events["mail"]["reset"])
        self.assertEqual(mail_ids(events), ["m"])

    def test_events_reset_longer_than_limit_go_on_with_list(self):
        events = self.me.events(limit=1)
        self.assertNodes(events["list"], ["me"])
        self.assertTrue(events["list"]["more"])
        self.assertNodes(self.list(after="me"), ["other"])

    def test_events_show_nothing_of_another_network(self):
        self.node("elsewhere", network=self.network + "x")
        self.assertEmpty(self.me.events(since=self.other.cursor))

    def test_members_wrong_get_400(self):
        for members in ({"wait": 56}, {"wait": -1}, {"wait": "5"}, {"limit": 0}, {"limit": 1001},
                        {"limit": "x"}, {"since": 5}, {"since": "x"}, {"after": 5},
                        {"after": "x"}, {"since": []}, {"wait": 1e300}, {"wait": True},
                        {"limit": 1.5}):
            with self.subTest(members=members):
                self.assertProblem(self.me.client.post("/events", members), 400)

    def test_query_wrong_gets_400(self):
        for query in ({"wait": 56}, {"wait": "x"}, {"limit": 0}, {"since": "x"}, {"after": "x"}):
            with self.subTest(query=query):
                self.assertProblem(self.me.client.get(url("/events", **query)), 400)

    def test_credential_missing_gets_401(self):
        self.assertProblem(self.client.post("/events", {}), 401, "no_credential")
        self.assertProblem(self.client.get("/events"), 401, "no_credential")

    def test_credential_unknown_gets_404_and_what_to_do(self):
        reply = self.client.post("/events", {}, token=secrets.token_urlsafe(32))
        self.assertProblem(reply, 404, "unknown_node")
        self.assertEqual(reply["action"], "register")


class TestWaiting(EventsCase):
    def wake(self, act):
        """What a parked /events answers, at once, when `act` was done."""
        pending = self.me.parks_events(since=self.other.cursor)
        act()
        watch = Stopwatch()
        reply = pending.reply()
        self.assertLess(watch.elapsed(), AT_ONCE_S)
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def test_wait_ends_with_a_node(self):
        events = self.wake(lambda: self.node("new"))
        self.assertNodes(events["list"], ["new"])
        self.assertEqual(mail_ids(events), [])

    def test_wait_ends_with_a_node_that_left(self):
        events = self.wake(self.other.delete)
        self.assertNodes(events["list"], [], gone=["other"])

    def test_wait_ends_with_a_message(self):
        events = self.wake(lambda: self.assertEqual(
            self.other.sends(self.me, id="m")["state"], "handed"))
        self.assertEqual(mail_ids(events), ["m"])
        self.assertNodes(events["list"], [])
        self.assertEqual(events["list"]["cursor"], self.other.cursor)

    def test_wait_of_get_ends_with_a_message(self):
        pending = self.park("GET", url("/events", since=self.other.cursor, wait=50),
                            self.me.token)
        self.other.sends(self.me, id="m")
        self.assertEqual(mail_ids(pending.reply()), ["m"])

    def test_wait_over_is_answered_with_nothing(self):
        watch = Stopwatch()
        events = self.me.events(since=self.other.cursor, wait=1)
        self.assertGreater(watch.elapsed(), 0.9)
        self.assertLess(watch.elapsed(), 1 + AT_ONCE_S)
        self.assertEmpty(events)
        self.assertEqual(events["list"]["cursor"], self.other.cursor)

    def test_poll_again_misses_nothing(self):
        """A reader that goes on with what it was given sees every change and message once."""
        nodes, mail = [], []
        since, after = self.other.cursor, None
        for number in range(20):
            self.node(f"n{number:02}")
            if number < 16:
                self.other.sends(self.me, id=f"m{number:02}", ttl=60)
            events = self.me.events(since=since, after=after, wait=50)
            nodes += [node["id"] for node in events["list"]["nodes"]]
            mail += mail_ids(events)
            since, after = events["list"]["cursor"], events["mail"]["next"]
        events = self.me.events(since=since, after=after)
        nodes += [node["id"] for node in events["list"]["nodes"]]
        mail += mail_ids(events)
        self.assertEqual(nodes, [f"n{number:02}" for number in range(20)])
        self.assertEqual(mail, [f"m{number:02}" for number in range(16)])

    def test_events_supersede_the_reader_of_the_mailbox(self):
        older = self.me.parks_read()
        newer = self.me.parks_events(since=self.other.cursor)
        self.assertProblem(older.reply(), 409, "superseded")
        self.other.sends(self.me, id="m")
        self.assertEqual(mail_ids(newer.reply()), ["m"])

    def test_reader_of_the_mailbox_supersedes_events(self):
        older = self.me.parks_events(since=self.other.cursor)
        newer = self.me.parks_read()
        self.assertProblem(older.reply(), 409, "superseded")
        self.other.sends(self.me, id="m")
        self.assertEqual([m["id"] for m in newer.reply()["messages"]], ["m"])

    def test_events_supersede_events_of_the_query(self):
        older = self.park("GET", url("/events", since=self.other.cursor, wait=50), self.me.token)
        self.me.parks_events(since=self.other.cursor)
        self.assertProblem(older.reply(), 409, "superseded")

    def test_events_supersede_events(self):
        older = self.me.parks_events(since=self.other.cursor)
        newer = self.me.parks_events(since=self.other.cursor)
        self.assertProblem(older.reply(), 409, "superseded")
        self.node("new")
        self.assertNodes(newer.reply()["list"], ["new"])

    def test_list_supersedes_no_events(self):
        events = self.me.parks_events(since=self.other.cursor)
        listing = self.park_list(self.other.cursor)
        self.node("new")
        self.assertNodes(events.reply()["list"], ["new"])
        self.assertNodes(listing.reply().json(), ["new"])

    def test_reader_that_vanished_is_noticed(self):
        self.me.parks_events(since=self.other.cursor).vanish()
        states = []
        while len(states) < 10 and states[-1:] != ["queued"]:
            states.append(self.other.sends(self.me)["state"])
        self.assertEqual(states[-1], "queued", states)
