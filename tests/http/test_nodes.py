"""Registering, heartbeats, looking one node up, and leaving."""

import json
import re
import secrets

from tests.lib.case import (
    AT_ONCE_S, CURSOR, RFC3339, TOKEN, IndexCase, concurrently, some_id)
from tests.lib.http import curl, url
from tests.lib.index import Stopwatch


def own_token():
    """One that the client made itself."""
    return secrets.token_urlsafe(32)


class TestRegister(IndexCase):
    def register(self, token=None, headers=None, **members):
        return self.client.post("/register", {"network": self.network, **members},
                                token=token, headers=headers)

    def test_register_new_gets_201_and_everything(self):
        reply = self.register(id="master-a", endpoints=["grpc://:50051"], meta={"role": "master"})
        self.assertEqual(reply.status, 201, reply)
        node = reply.json()
        self.assertEqual(node["id"], "master-a")
        self.assertEqual(node["network"], self.network)
        self.assertRegex(node["token"], TOKEN)
        self.assertEqual(node["ttl"], 30)
        self.assertEqual(node["you"], {"address": "127.0.0.1", "family": "ipv4",
                                       "port": self.client.local_port()})
        self.assertEqual(node["endpoints"], ["grpc://127.0.0.1:50051"])
        self.assertRegex(node["cursor"], CURSOR)

    def test_register_by_curl_gets_201(self):
        reply = curl(self.index, "POST", "/register", {"id": "by-curl", "network": self.network})
        self.assertEqual((reply.status, reply["id"]), (201, "by-curl"))

    def test_register_without_network_is_in_default(self):
        reply = self.client.post("/register", {"id": some_id()})
        self.assertEqual((reply.status, reply["network"]), (201, "default"), reply)

    def test_register_without_id_makes_a_uuid(self):
        reply = self.register()
        self.assertEqual(reply.status, 201, reply)
        self.assertRegex(reply["id"], r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")

    def test_heartbeat_after_is_a_third_with_jitter(self):
        seen = set()
        for ttl in [30] * 20 + [5, 7200]:
            after = self.register(ttl=ttl)["heartbeat_after"]
            self.assertGreaterEqual(after, ttl / 3 * 0.9 - 0.06)
            self.assertLessEqual(after, ttl / 3 * 1.1 + 0.06)
            seen.add(after)
        self.assertGreater(len(seen), 3)

    def test_cursor_moves_with_every_node(self):
        cursors = [self.register()["cursor"] for _ in range(3)]
        epochs = {cursor.partition(".")[0] for cursor in cursors}
        sequences = [int(cursor.partition(".")[2]) for cursor in cursors]
        self.assertEqual(len(epochs), 1)
        self.assertEqual(sequences, sorted(set(sequences)))

    # --- tokens -----------------------------------------------------------------------------

    def test_owner_with_token_in_the_body_gets_200(self):
        first = self.register(id="a")
        again = self.client.post("/register", {"id": "a", "network": self.network,
                                               "token": first["token"]})
        self.assertEqual(again.status, 200, again)
        self.assertNotIn(first["token"], again.text)

    def test_owner_with_token_in_the_header_gets_200(self):
        first = self.register(id="a")
        again = self.register(id="a", headers={"Authorization": "Bearer " + first["token"]})
        self.assertEqual(again.status, 200, again)
        self.assertNotIn(first["token"], again.text)

    def test_owner_replaces_everything(self):
        first = self.client.post("/register", {
            "id": "a", "network": self.network, "endpoints": ["tcp://10.0.0.1:1"], "ttl": 60,
            "meta": {"x": 1}, "reach": {"y": 2}})
        self.client.post("/register", {"id": "a", "network": self.network,
                                       "endpoints": ["tcp://10.0.0.2:2"]}, token=first["token"])
        view = self.view("a")
        self.assertEqual(view["endpoints"], ["tcp://10.0.0.2:2"])
        self.assertEqual((view["meta"], view["reach"]), ({}, {}))
        self.assertLessEqual(view["expires_in"], 30)
        self.client.post("/register", {"id": "a", "network": self.network}, token=first["token"])
        self.assertEqual(self.view("a")["endpoints"], [])

    def test_owner_without_listed_is_listed_again(self):
        node = self.node("a", listed=False)
        self.assertNodes(self.list(), [])
        reply = node.client.post("/register", {"id": "a", "network": self.network})
        self.assertEqual(reply.status, 200)
        self.assertNodes(self.list(), ["a"])

    def test_token_of_the_clients_own_is_adopted(self):
        for where in ("body", "header"):
            token = own_token()
            with self.subTest(where=where):
                members = {"id": where, "network": self.network}
                if where == "body":
                    reply = self.client.post("/register", {**members, "token": token})
                else:
                    reply = self.client.post("/register", members, token=token)
                self.assertEqual(reply.status, 201, reply)
                self.assertIn(reply.json().get("token"), (None, token))
                beat = self.client.post("/heartbeat", {"id": where}, token=token)
                self.assertEqual(beat.status, 200)

    def test_token_of_another_node_gets_409_token_in_use(self):
        node = self.node("a")
        reply = self.client.post("/register", {"id": "b", "network": self.network,
                                               "token": node.token})
        self.assertProblem(reply, 409, "token_in_use")
        self.assertProblem(self.look_up("b"), 404)

    def test_token_in_the_body_wins_over_the_header(self):
        one, other = self.node("one"), self.node("other")
        reply = self.client.post("/register", {"id": "one", "network": self.network,
                                               "token": one.token}, token=other.token)
        self.assertEqual((reply.status, reply["id"]), (200, "one"))

    def test_token_that_is_none_is_refused(self):
        for token in ("", "short", own_token()[:42], own_token()[:42] + "!", own_token() + "a",
                      5, [], {}):
            with self.subTest(token=token):
                reply = self.client.post("/register", {"id": "x", "network": self.network,
                                                       "token": token})
                self.assertProblem(reply, 400, "bad_token", "bad_request")

    def test_id_of_a_live_node_gets_409_id_taken(self):
        self.node("a")
        for token in (None, own_token()):
            with self.subTest(token=token):
                reply = self.client.post("/register", {"id": "a", "network": self.network},
                                         token=token)
                self.assertProblem(reply, 409, "id_taken")
                self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)

    def test_id_of_a_node_that_left_is_free(self):
        self.node("a").delete()
        self.assertEqual(self.register(id="a").status, 201)

    def test_id_in_two_networks_is_two_nodes(self):
        self.node("a", meta={"n": 1})
        other = self.node("a", network=some_id("net"), meta={"n": 2})
        self.assertEqual(self.look_up("a", other.network)["meta"], {"n": 2})
        self.assertEqual(self.view("a")["meta"], {"n": 1})

    # --- members ----------------------------------------------------------------------------

    def test_id_of_the_rule_is_taken(self):
        for id in ("a", "Z", "0", "a.b_c-D", "x" * 64, "-", "_"):
            with self.subTest(id=id):
                self.assertEqual(self.register(id=id)["id"], id)

    def test_id_out_of_rule_gets_400(self):
        for id in ("", "x" * 65, "a b", "a/b", "é", "a\n", "a\0", "a%", 5, [], {}, True):
            with self.subTest(id=id):
                self.assertProblem(self.register(id=id), 400, "bad_id", "bad_request", "bad_json")

    def test_network_out_of_rule_gets_400(self):
        for network in ("", "x" * 65, "a b", "é", 5, []):
            with self.subTest(network=network):
                reply = self.client.post("/register", {"id": "a", "network": network})
                self.assertProblem(reply, 400)

    def test_ttl_is_clamped(self):
        for asked, given in ((1, 5), (4, 5), (5, 5), (31, 31), (7200, 7200), (7201, 7200),
                             (0, 5), (-5, 5), (10 ** 12, 7200), (1e300, 7200), (-1e300, 5)):
            with self.subTest(asked=asked):
                reply = self.register(ttl=asked)
                self.assertEqual((reply.status, reply["ttl"]), (201, given))

    def test_member_of_a_wrong_type_gets_400(self):
        for members in ({"ttl": "30"}, {"ttl": []}, {"listed": "no"}, {"listed": 1}, {"meta": []},
                        {"meta": "x"}, {"meta": 1}, {"reach": []}, {"reach": "x"},
                        {"endpoints": "tcp://:1"}, {"endpoints": {}}, {"endpoints": [1]},
                        {"endpoints": [None]}):
            with self.subTest(members=members):
                self.assertProblem(self.register(id="a", **members), 400)
        self.assertNodes(self.list(), [])

    def test_member_unknown_is_ignored(self):
        self.assertEqual(self.register(id="a", colour="green", deep={"x": [1]}).status, 201)

    def test_meta_and_reach_are_given_back(self):
        meta = {"role": "master", "n": 1.5, "deep": {"list": [1, None, "é", "\U0001f600"]}}
        self.node("a", meta=meta, reach={"nat": "cone"})
        view = self.view("a")
        self.assertEqual((view["meta"], view["reach"]), (meta, {"nat": "cone"}))

    def test_meta_and_reach_have_a_size(self):
        for member, most in (("meta", 4096), ("reach", 1024)):
            frame = len(json.dumps({"x": ""}, separators=(",", ":")))
            with self.subTest(member=member):
                fits = self.register(**{member: {"x": "y" * (most - frame - 8)}})
                self.assertEqual(fits.status, 201, fits)
                self.assertIn(self.register(**{member: {"x": "y" * most}}).status, (400, 413))

    def test_listed_false_is_found_by_id_alone(self):
        before = self.node("seen").cursor
        hidden = self.node("hidden", listed=False)
        self.assertEqual(self.view("hidden")["id"], "hidden")
        self.assertNodes(self.list(), ["seen"])
        delta = self.list(since=before)
        self.assertNodes(delta, [])
        self.assertEqual(delta["cursor"], before)
        hidden.delete()
        self.assertNodes(self.list(since=before), [])

    def test_listed_false_has_a_mailbox(self):
        seen, hidden = self.node("seen"), self.node("hidden", listed=False)
        seen.sends(hidden, body="hello")
        hidden.sends(seen, body="hello yourself")
        self.assertEqual([m["body"] for m in hidden.messages()], ["hello"])
        self.assertEqual([m["body"] for m in seen.messages()], ["hello yourself"])

    def test_listed_false_after_true_is_gone(self):
        node = self.node("a")
        node.client.post("/register", {"id": "a", "network": self.network, "listed": False})
        self.assertNodes(self.list(since=node.cursor), [], gone=["a"])
        self.assertNodes(self.list(), [])


class TestHeartbeat(IndexCase):
    def test_heartbeat_says_what_there_is(self):
        node, other = self.node("a", ttl=60), self.node("b")
        beat = node.heartbeat()
        self.assertEqual(beat.status, 200, beat)
        self.assertEqual(beat["ttl"], 60)
        self.assertGreaterEqual(beat["heartbeat_after"], 17.9)
        self.assertLessEqual(beat["heartbeat_after"], 22.1)
        self.assertEqual(beat["you"]["address"], "127.0.0.1")
        self.assertEqual(beat["you"]["family"], "ipv4")
        self.assertEqual(beat["you"]["port"], node.client.local_port())
        self.assertEqual(beat["cursor"], other.cursor)
        self.assertEqual(beat["mail"], 0)

    def test_heartbeat_counts_mail(self):
        node, other = self.node(), self.node()
        other.sends(node)
        other.sends(node)
        self.assertEqual(node.heartbeat()["mail"], 2)
        node.read(after=node.read()["next"])
        self.assertEqual(node.heartbeat()["mail"], 0)

    def test_heartbeat_without_id_or_members_is_fine(self):
        node = self.node()
        self.assertEqual(node.client.post("/heartbeat", {}).status, 200)

    def test_heartbeat_changes_what_it_names(self):
        node = self.node("a", endpoints=["tcp://10.0.0.1:1"], meta={"x": 1}, reach={"y": 1})
        for members in ({"meta": {"x": 2}}, {"reach": {"y": 2}},
                        {"endpoints": ["tcp://10.0.0.2:2", "udp://:3"]}):
            before = self.list()["cursor"]
            cursor = node.heartbeat(**members)["cursor"]
            self.assertNotEqual(cursor, before, members)
            self.assertNodes(self.list(since=before), ["a"])
        view = self.view("a")
        self.assertEqual(view["meta"], {"x": 2})
        self.assertEqual(view["reach"], {"y": 2})
        self.assertEqual(view["endpoints"], ["tcp://10.0.0.2:2", "udp://127.0.0.1:3"])

    def test_heartbeat_that_changes_nothing_moves_no_cursor(self):
        node = self.node("a", endpoints=["tcp://:1"], meta={"x": 1})
        before = self.list()["cursor"]
        for members in ({}, {"meta": {"x": 1}}, {"endpoints": ["tcp://:1"]}, {"reach": {}}):
            self.assertEqual(node.heartbeat(**members)["cursor"], before, members)
        self.assertNodes(self.list(since=before), [])

    def test_heartbeat_with_wrong_members_gets_400(self):
        node = self.node("a", meta={"x": 1})
        for members in ({"meta": []}, {"reach": 1}, {"endpoints": ["nonsense"]},
                        {"endpoints": {}}, {"meta": {"x": "y" * 5000}}):
            with self.subTest(members=members):
                self.assertIn(node.heartbeat(**members).status, (400, 413))
        self.assertEqual(self.view("a")["meta"], {"x": 1})

    def test_heartbeat_without_credential_gets_401(self):
        reply = self.client.post("/heartbeat", {"id": "a"})
        self.assertProblem(reply, 401, "no_credential")
        self.assertTrue(reply.headers["WWW-Authenticate"].lower().startswith("bearer"))

    def test_heartbeat_of_an_unknown_token_gets_404_and_what_to_do(self):
        reply = self.client.post("/heartbeat", {"id": "a"}, token=own_token())
        self.assertProblem(reply, 404, "unknown_node")
        self.assertEqual(reply["action"], "register")

    def test_heartbeat_of_anothers_id_gets_403(self):
        one, other = self.node("one"), self.node("other")
        self.assertProblem(one.client.post("/heartbeat", {"id": other.id}), 403, "not_yours")

    def test_heartbeat_of_an_id_that_does_not_match_is_refused(self):
        node = self.node("one")
        self.assertIn(node.client.post("/heartbeat", {"id": "nobody"}).status, (400, 403, 404))
        self.assertProblem(node.client.post("/heartbeat", {"id": 5}), 400)


class TestOneNode(IndexCase):
    def test_look_up_says_everything(self):
        self.node("a", endpoints=["grpc://:50051"], meta={"role": "master"}, reach={"r": 1})
        view = self.view("a")
        self.assertEqual(view["id"], "a")
        self.assertEqual(view["endpoints"], ["grpc://127.0.0.1:50051"])
        self.assertEqual(view["observed"], ["127.0.0.1"])
        self.assertEqual((view["meta"], view["reach"]), ({"role": "master"}, {"r": 1}))
        self.assertRegex(view["registered_at"], RFC3339)
        self.assertGreaterEqual(view["age"], 0)
        self.assertLess(view["age"], 5)
        self.assertGreater(view["expires_in"], 25)
        self.assertLessEqual(view["expires_in"], 30)
        self.assertNotIn("token", view)

    def test_look_up_in_default_needs_no_network(self):
        node = self.node(network="default")
        self.addCleanup(node.delete)
        self.assertEqual(self.client.get("/nodes/" + node.id)["id"], node.id)

    def test_look_up_with_a_token_is_in_its_network(self):
        one = self.node("one")
        self.node("two")
        self.assertEqual(one.client.get("/nodes/two")["id"], "two")

    def test_look_up_of_nobody_gets_404(self):
        self.assertProblem(self.look_up("nobody"), 404, "unknown_node")

    def test_look_up_in_another_network_gets_404(self):
        self.node("a")
        self.assertProblem(self.look_up("a", some_id("net")), 404, "unknown_node")

    def test_look_up_of_an_id_out_of_rule_is_refused(self):
        for id in ("x" * 65, "a%20b", "%C3%A9"):
            with self.subTest(id=id):
                self.assertIn(self.client.get("/nodes/" + id).status, (400, 404))

    def test_delete_by_the_owner_gets_204(self):
        node = self.node("a")
        reply = node.delete()
        self.assertEqual((reply.status, reply.body), (204, b""))
        self.assertProblem(self.look_up("a"), 404, "unknown_node")
        self.assertNodes(self.list(since=node.cursor), [], gone=["a"])
        self.assertProblem(node.heartbeat(), 404, "unknown_node")
        self.assertProblem(node.delete(), 404, "unknown_node")

    def test_delete_takes_the_mailbox_along(self):
        node, other = self.node("a"), self.node("b")
        other.sends(node)
        node.delete()
        again = node.client.post("/register", {"id": "a", "network": self.network})
        self.assertEqual(again.status, 201)
        self.assertEqual(node.messages(), [])

    def test_delete_by_another_gets_403(self):
        node, other = self.node("a"), self.node("b")
        self.assertProblem(other.client.delete("/nodes/a"), 403, "not_yours")
        self.assertEqual(self.view(node.id)["id"], "a")

    def test_delete_without_credential_gets_401(self):
        self.node("a")
        reply = self.client.delete(url("/nodes/a", network=self.network))
        self.assertProblem(reply, 401, "no_credential")
        self.assertEqual(self.view("a")["id"], "a")


@concurrently
class TestLeases(IndexCase):
    """Real time goes by here; all run at once."""

    def gone(self, cursor, id):
        """Waits for the delta after `cursor` that has `id` in `gone`."""
        for _ in range(10):
            delta = self.park_list(cursor, wait=20).reply(25)
            self.assertEqual(delta.status, 200, delta)
            if id in delta["gone"]:
                return delta.json()
            cursor = delta["cursor"]
        self.fail(f"{id} does not go")

    def test_lease_that_ends_shows_at_once(self):
        watch = Stopwatch()
        node = self.node("a", ttl=5)
        delta = self.gone(node.cursor, "a")
        self.assertNodes(delta, [], gone=["a"])
        self.assertGreater(watch.elapsed(), 4.5)
        self.assertLess(watch.elapsed(), 5 + AT_ONCE_S)
        self.assertProblem(self.look_up("a"), 404, "unknown_node")
        self.assertProblem(node.heartbeat(), 404, "unknown_node")
        self.assertNodes(self.list(), [])
        self.assertEqual(self.connect().post(
            "/register", {"id": "a", "network": self.network}).status, 201)

    def test_lease_of_an_unlisted_node_ends_unseen(self):
        first = self.node("clock", ttl=9)
        self.node("hidden", ttl=5, listed=False)
        self.assertNodes(self.gone(first.cursor, "clock"), [], gone=["clock"])
        self.assertProblem(self.look_up("hidden"), 404)

    def renewed(self, renew):
        """A node of 9 s is renewed at 5 s and still there at 10 s: other leases tell the time."""
        node = self.node("renewed", ttl=9)
        first = self.node("at-5", ttl=5)
        last = self.node("at-10", ttl=10)
        self.gone(last.cursor, first.id)
        renew(node)
        self.gone(last.cursor, last.id)
        self.assertGreater(self.view("renewed")["expires_in"], 1)

    def test_lease_is_renewed_by_a_heartbeat(self):
        self.renewed(lambda node: self.assertEqual(node.heartbeat().status, 200))

    def test_lease_is_renewed_by_a_register(self):
        self.renewed(lambda node: self.assertEqual(node.client.post("/register", {
            "id": node.id, "network": self.network, "ttl": 9}).status, 200))

    def test_lease_is_renewed_by_events(self):
        self.renewed(lambda node: node.events())

    def test_lease_is_renewed_by_events_of_get(self):
        self.renewed(lambda node: self.assertEqual(node.client.get("/events").status, 200))

    def test_lease_is_renewed_by_nothing_else(self):
        node, other = self.node("a", ttl=9), self.node("b")
        first = self.node("at-5", ttl=5)
        self.gone(first.cursor, first.id)
        node.read()
        node.client.get("/list")
        node.sends(other)
        self.gone(first.cursor, "a")
        self.assertProblem(node.heartbeat(), 404, "unknown_node")


class TestNetworks(IndexCase):
    def test_networks_do_not_see_each_other(self):
        one, other = self.node("a"), self.node("b", network=some_id("net"))
        self.assertNodes(self.list(), ["a"])
        self.assertNodes(self.list(network=other.network), ["b"])
        self.assertProblem(one.write("b"), 404, "unknown_node")

    def test_network_of_nobody_is_empty(self):
        listing = self.list(network=some_id("net"))
        self.assertNodes(listing, [])
        self.assertTrue(re.match(CURSOR, listing["cursor"]), listing)
        self.assertFalse(listing["more"])
