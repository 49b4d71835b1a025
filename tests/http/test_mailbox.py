"""Mailboxes: order, acknowledgement, retries, readers, and what is refused."""

import json
import secrets

from tests.lib.case import AT_ONCE_S, RFC3339, IndexCase, some_id
from tests.lib.http import curl, url
from tests.lib.index import Stopwatch


def foreign(cursor):
    return secrets.token_hex(8) + "." + cursor.partition(".")[2]


def ahead(cursor):
    epoch, _, sequence = cursor.partition(".")
    return f"{epoch}.{int(sequence) + 1000}"


def ids(messages):
    return [message["id"] for message in messages]


class MailCase(IndexCase):
    def setUp(self):
        super().setUp()
        self.reader, self.sender = self.node("reader"), self.node("sender")

    def send_many(self, *message_ids, **members):
        for id in message_ids:
            self.sender.sends(self.reader, id=id, **members)


class TestSend(MailCase):
    def test_message_arrives_with_its_stamps(self):
        sent = self.sender.sends(self.reader, id="m1", session="s1", type="offer",
                                 body={"type": "offer", "sdp": "v=0"})
        self.assertEqual(sent["state"], "queued")
        self.assertTrue(9 < sent["expires_in"] <= 10, sent)
        message = self.reader.messages()[0]
        self.assertRegex(message.pop("sent_at"), RFC3339)
        self.assertTrue(8 < message.pop("expires_in") <= 10)
        self.assertEqual(message, {
            "seq": sent["seq"], "id": "m1", "from": "sender", "from_address": "127.0.0.1",
            "session": "s1", "type": "offer", "body": {"type": "offer", "sdp": "v=0"}})

    def test_message_by_curl_arrives(self):
        reply = curl(self.index, "POST", "/mailbox/reader",
                     {"id": "m", "type": "knock", "body": {"kind": "webrtc"}},
                     token=self.sender.token)
        self.assertEqual(reply.status, 202, reply)
        read = curl(self.index, "GET", "/mailbox/reader", token=self.reader.token)
        self.assertEqual(ids(read["messages"]), ["m"])

    def test_message_forges_no_stamp(self):
        self.sender.sends(self.reader, id="m", seq=99999, from_address="6.6.6.6",
                          sent_at="1999-01-01T00:00:00Z", **{"from": "another"})
        message = self.reader.messages()[0]
        self.assertEqual((message["from"], message["from_address"]), ("sender", "127.0.0.1"))
        self.assertLess(message["seq"], 99999)
        self.assertGreater(message["sent_at"], "2020")

    def test_message_without_session_has_null(self):
        self.send_many("m")
        self.assertIsNone(self.reader.messages()[0]["session"])

    def test_messages_have_the_ttl_of_their_type(self):
        for type, ttl in (("knock", 5), ("ready", 5), ("offer", 10), ("answer", 10),
                          ("candidates", 30), ("bye", 30), ("my-app.x_1", 30)):
            with self.subTest(type=type):
                sent = self.sender.sends(self.reader, type=type)
                self.assertTrue(ttl - 1 < sent["expires_in"] <= ttl, sent)
        self.assertEqual(len(self.reader.messages()), 7)

    def test_ttl_of_ones_own_is_taken(self):
        for ttl in (1, 600):
            sent = self.sender.sends(self.reader, ttl=ttl)
            self.assertTrue(ttl - 1 < sent["expires_in"] <= ttl, sent)

    def test_ttl_out_of_range_gets_400(self):
        for ttl in (0, -1, 601, 10 ** 12, 1e300, "5", [], True):
            with self.subTest(ttl=ttl):
                self.assertProblem(self.sender.write(self.reader, ttl=ttl), 400)

    def test_type_out_of_rule_gets_400(self):
        for type in ("undeliverable", "Offer", "", "x" * 33, "a b", "é", "a/b", 5, [], {}):
            with self.subTest(type=type):
                self.assertProblem(self.sender.write(self.reader, type=type), 400)
        self.assertEqual(self.sender.write(self.reader, type="x" * 32).status, 202)

    def test_id_or_session_out_of_rule_gets_400(self):
        for value in ("x" * 65, "a b", "é", "a\0b", 5, [], {}):
            for member in ("id", "session"):
                with self.subTest(member=member, value=value):
                    self.assertProblem(self.sender.write(self.reader, **{member: value}), 400)

    def test_id_that_is_empty_gets_400(self):
        self.assertProblem(self.sender.write(self.reader, id=""), 400)

    def test_member_missing_gets_400(self):
        whole = {"id": "m", "type": "offer", "body": {}}
        for member in whole:
            with self.subTest(member=member):
                part = {name: value for name, value in whole.items() if name != member}
                reply = self.sender.client.post("/mailbox/reader", part)
                self.assertProblem(reply, 400)
                self.assertIn(member, reply["detail"])

    def test_refused_messages_are_not_there(self):
        self.sender.write(self.reader, ttl=0)
        self.sender.write(self.reader, type="Offer")
        self.assertEqual(self.reader.messages(), [])

    def test_recipient_unknown_gets_404(self):
        self.assertProblem(self.sender.write("nobody"), 404, "unknown_node")

    def test_recipient_out_of_rule_is_refused(self):
        for id in ("x" * 65, "a%20b", "%C3%A9"):
            self.assertIn(self.sender.write(id).status, (400, 404))

    def test_sender_without_credential_gets_401(self):
        reply = self.client.post("/mailbox/reader", {"id": "m", "type": "offer", "body": {}})
        self.assertProblem(reply, 401, "no_credential")

    def test_sender_unknown_gets_404_and_what_to_do(self):
        reply = self.client.post("/mailbox/reader", {"id": "m", "type": "offer", "body": {}},
                                 token=secrets.token_urlsafe(32))
        self.assertProblem(reply, 404, "unknown_node")
        self.assertEqual(reply["action"], "register")

    def test_sender_to_itself_is_served_as_any(self):
        self.assertEqual(self.sender.write(self.sender, id="me").status, 202)
        self.assertEqual(ids(self.sender.messages()), ["me"])


class TestBodies(MailCase):
    def roundtrip(self, body):
        """The whole reply to the reader after `body`, JSON text, was sent."""
        raw = b'{"id": "%s", "type": "offer", "body": %s}' % (some_id().encode(), body.encode())
        sent = self.sender.client.post("/mailbox/reader", raw=raw)
        self.assertEqual(sent.status, 202, sent)
        reply = self.reader.client.get("/mailbox/reader")
        self.reader.read(after=reply["next"])
        return reply

    def test_body_is_kept_byte_for_byte(self):
        for body in ('{"b" :  1.0e2,"a":[ 1 ,2 ],"c":{ }}', '{"é":"\\u00e9\\/\\"","é2":"ü"}',
                     '"text"', '""', "null", "true", "-0", "0.10",
                     "123456789012345678901234567890", "[ ]", "[[],\t{},\n null]",
                     '"\\ud83d\\ude00 \U0001f600"', '{"body":{"body":"body"}}',
                     '"}],\\"body\\": 1"', "[" * 100 + "]" * 100):
            with self.subTest(body=body[:50]):
                reply = self.roundtrip(body)
                self.assertIn(body, reply.text)
                self.assertEqual(len(reply["messages"]), 1)

    def test_body_that_no_double_or_string_holds_gets_400(self):
        for body in ("1E400", '"a\\u0000b"', '"\\ud800"', "[" * 101 + "]" * 101):
            with self.subTest(body=body[:50]):
                raw = b'{"id": "m", "type": "offer", "body": %s}' % body.encode()
                self.assertProblem(self.sender.client.post("/mailbox/reader", raw=raw), 400,
                                   "bad_json", "bad_request")

    def test_body_in_any_place_is_found(self):
        for raw in ('{"body":{"x": 1},"id":"i1","type":"offer"}',
                    ' { "id" : "i2" , "body" :  {"x": 1}\n, "type" : "offer" } ',
                    '{"unknown":{"body":2},"id":"i3","type":"offer","body":{"x": 1}}',
                    '{"\\u0062ody":{"x": 1},"id":"i4","type":"offer"}'):
            with self.subTest(raw=raw):
                sent = self.sender.client.post("/mailbox/reader", raw=raw.encode())
                self.assertEqual(sent.status, 202, sent)
                reply = self.reader.client.get("/mailbox/reader")
                self.assertIn('{"x": 1}', reply.text)
                self.reader.read(after=reply["next"])

    def test_body_of_nearly_64_kib_arrives(self):
        body = '"' + "x" * 65000 + '"'
        self.assertIn(body, self.roundtrip(body).text)

    def test_body_beyond_64_kib_gets_413(self):
        for length in (65537, 70000, 3 * 1024 * 1024):
            with self.subTest(length=length):
                reply = self.sender.write(self.reader, body="x" * length)
                self.assertProblem(reply, 413, "too_large")
                self.sender.client.close()
        self.assertEqual(self.reader.messages(), [])


class TestRead(MailCase):
    def test_messages_come_in_order(self):
        self.send_many("a", "c", "b")
        messages = self.reader.messages()
        self.assertEqual(ids(messages), ["a", "c", "b"])
        sequence = [message["seq"] for message in messages]
        self.assertEqual(sequence, sorted(set(sequence)))

    def test_reading_deletes_nothing(self):
        self.send_many("a", "b")
        self.assertEqual(ids(self.reader.messages()), ["a", "b"])
        self.assertEqual(ids(self.reader.messages()), ["a", "b"])

    def test_after_acknowledges_and_deletes(self):
        self.send_many("a", "b")
        first = self.reader.read()
        self.send_many("c")
        second = self.reader.read(after=first["next"])
        self.assertEqual(ids(second["messages"]), ["c"])
        self.assertFalse(second["reset"])
        self.assertEqual(ids(self.reader.messages()), ["c"])
        third = self.reader.read(after=second["next"])
        self.assertEqual(third["messages"], [])

    def test_after_that_is_old_brings_nothing_back(self):
        self.send_many("a")
        first = self.reader.read()
        self.send_many("b")
        second = self.reader.read(after=first["next"])
        self.reader.read(after=second["next"])
        third = self.reader.read(after=first["next"])
        self.assertEqual((third["messages"], third["reset"]), ([], False))
        self.assertEqual(third["next"], second["next"])

    def test_next_of_an_empty_box_acknowledges_nothing(self):
        empty = self.reader.read()
        self.assertEqual((empty["messages"], empty["reset"]), ([], False))
        self.send_many("a")
        self.assertEqual(ids(self.reader.messages(after=empty["next"])), ["a"])

    def test_limit_makes_pages(self):
        self.send_many("a", "b", "c")
        first = self.reader.read(limit=2)
        self.assertEqual(ids(first["messages"]), ["a", "b"])
        second = self.reader.read(limit=2, after=first["next"])
        self.assertEqual(ids(second["messages"]), ["c"])

    def test_after_of_another_epoch_deletes_nothing_and_resets(self):
        self.send_many("a", "b")
        read = self.reader.read()
        for after in (foreign(read["next"]), ahead(read["next"])):
            with self.subTest(after=after):
                again = self.reader.read(after=after)
                self.assertTrue(again["reset"])
                self.assertEqual(ids(again["messages"]), ["a", "b"])
                self.assertEqual(again["next"], read["next"])

    def test_after_of_another_mailbox_deletes_nothing(self):
        self.send_many("a")
        self.reader.sends(self.sender)
        self.assertTrue(self.reader.read(after=self.sender.read()["next"])["reset"])
        self.assertEqual(ids(self.reader.messages()), ["a"])

    def test_query_out_of_range_gets_400(self):
        for query in ({"limit": 0}, {"limit": 1001}, {"limit": -1}, {"limit": "x"}, {"wait": 56},
                      {"wait": -1}, {"wait": "x"}, {"limit": "9" * 30}, {"wait": "nan"}):
            with self.subTest(query=query):
                self.assertProblem(self.reader.client.get(url("/mailbox/reader", **query)), 400)

    def test_after_that_is_none_gets_400(self):
        for after in ("x", "1.2.3", ".", "0123456789abcdef", "0123456789abcdef.-1",
                      "0123456789abcdef.x"):
            with self.subTest(after=after):
                reply = self.reader.client.get(url("/mailbox/reader", after=after))
                self.assertProblem(reply, 400, "bad_cursor", "bad_request")

    def test_reader_of_another_gets_403(self):
        self.send_many("a")
        self.assertProblem(self.sender.client.get("/mailbox/reader"), 403, "not_yours")

    def test_reader_without_credential_gets_401(self):
        self.assertProblem(self.client.get("/mailbox/reader"), 401, "no_credential")

    def test_reader_unknown_gets_404(self):
        reply = self.client.get("/mailbox/reader", token=secrets.token_urlsafe(32))
        self.assertProblem(reply, 404, "unknown_node")
        self.assertEqual(reply["action"], "register")

    def test_reader_of_nobodys_box_is_refused(self):
        self.assertIn(self.reader.client.get("/mailbox/nobody").status, (403, 404))

    def test_owner_coming_back_finds_the_mail(self):
        self.send_many("a")
        reply = self.reader.client.post("/register", {"id": "reader", "network": self.network})
        self.assertEqual(reply.status, 200)
        self.assertEqual(ids(self.reader.messages()), ["a"])


class TestRetries(MailCase):
    MESSAGE = {"id": "m", "session": "s", "type": "offer", "body": {"x": 1}}

    def setUp(self):
        super().setUp()
        self.first = self.sender.sends(self.reader, **self.MESSAGE)

    def assertFirstAnswer(self):
        again = self.sender.sends(self.reader, **self.MESSAGE)
        self.assertEqual((again["seq"], again["state"]), (self.first["seq"], self.first["state"]))

    def test_retry_gets_the_first_answer_and_adds_nothing(self):
        self.assertFirstAnswer()
        self.assertFirstAnswer()
        self.assertEqual(ids(self.reader.messages()), ["m"])

    def test_retry_after_it_was_acknowledged_adds_nothing(self):
        self.reader.read(after=self.reader.read()["next"])
        self.assertFirstAnswer()
        self.assertEqual(self.reader.messages(), [])

    def test_retry_after_the_recipient_left_gets_the_first_answer(self):
        self.reader.delete()
        self.assertFirstAnswer()
        self.assertProblem(self.sender.write(self.reader, id="another"), 404, "unknown_node")

    def test_retry_with_other_content_gets_409(self):
        for change in ({"body": {"x": 2}}, {"type": "answer"}, {"session": "t"},
                       {"session": None}):
            with self.subTest(change=change):
                reply = self.sender.write(self.reader, **{**self.MESSAGE, **change})
                self.assertProblem(reply, 409, "message_id_reused")
        self.assertEqual([m["body"] for m in self.reader.messages()], [{"x": 1}])

    def test_same_id_of_another_sender_is_another_message(self):
        other = self.node("other")
        sent = other.sends(self.reader, **self.MESSAGE)
        self.assertNotEqual(sent["seq"], self.first["seq"])
        self.assertEqual([m["from"] for m in self.reader.messages()], ["sender", "other"])

    def test_same_id_to_another_recipient_is_another_message(self):
        other = self.node("other")
        self.sender.sends(other, **{**self.MESSAGE, "body": "another"})
        self.assertEqual([m["body"] for m in other.messages()], ["another"])


class TestReaders(MailCase):
    def parked_and_sent(self, park, **message):
        """Parks a reader and sends to it, until the message was handed to it: (sent, reply)."""
        for _ in range(5):
            pending = park(after=self.reader.read()["next"])
            sent = self.sender.sends(self.reader, **message)
            reply = pending.reply()
            self.assertEqual(reply.status, 200, reply)
            if sent["state"] == "handed":
                return sent, reply
        self.fail("no message was handed to a parked reader")

    def test_message_to_a_parked_reader_is_handed(self):
        watch = Stopwatch()
        sent, reply = self.parked_and_sent(self.reader.parks_read, body={"sdp": "v=0"})
        self.assertLess(watch.elapsed(), AT_ONCE_S)
        self.assertEqual([m["seq"] for m in reply["messages"]], [sent["seq"]])
        self.assertEqual(reply["messages"][0]["body"], {"sdp": "v=0"})

    def test_message_handed_is_there_until_acknowledged(self):
        sent, reply = self.parked_and_sent(self.reader.parks_read)
        self.assertEqual([m["seq"] for m in self.reader.messages()], [sent["seq"]])
        self.assertEqual(self.reader.messages(after=reply["next"]), [])

    def test_wait_is_over_at_once_where_mail_is(self):
        self.send_many("a")
        watch = Stopwatch()
        self.assertEqual(ids(self.reader.messages(wait=50)), ["a"])
        self.assertLess(watch.elapsed(), AT_ONCE_S)

    def test_wait_over_is_answered_with_nothing(self):
        watch = Stopwatch()
        read = self.reader.read(wait=1)
        self.assertGreater(watch.elapsed(), 0.9)
        self.assertLess(watch.elapsed(), 1 + AT_ONCE_S)
        self.assertEqual((read["messages"], read["reset"]), ([], False))

    def test_reader_that_is_older_gets_409_superseded(self):
        older = self.reader.parks_read()
        newer = self.reader.parks_read()
        self.assertProblem(older.reply(), 409, "superseded")
        self.send_many("a")
        self.assertEqual(ids(newer.reply()["messages"]), ["a"])

    def test_reader_without_wait_supersedes_nobody(self):
        parked = self.reader.parks_read()
        self.assertEqual(self.reader.messages(), [])
        self.send_many("a")
        self.assertEqual(ids(parked.reply()["messages"]), ["a"])

    def test_reader_that_vanished_is_noticed(self):
        self.reader.parks_read().vanish()
        states = []
        while len(states) < 10 and states[-1:] != ["queued"]:
            states.append(self.sender.sends(self.reader)["state"])
        self.assertEqual(states[-1], "queued", states)
        self.assertEqual(len(self.reader.messages()), len(states))

    def test_reader_whose_node_leaves_is_answered(self):
        parked = self.reader.parks_read()
        watch = Stopwatch()
        self.reader.delete()
        self.assertIn(parked.reply().status, (200, 404))
        self.assertLess(watch.elapsed(), AT_ONCE_S)

    def test_reader_waiting_keeps_its_connection_to_itself(self):
        parked = [self.node().parks_read() for _ in range(20)]
        watch = Stopwatch()
        self.send_many("a")
        self.assertEqual(ids(self.reader.messages()), ["a"])
        self.assertLess(watch.elapsed(), AT_ONCE_S)
        for poll in parked:
            poll.vanish()


class TestUnknownMembers(MailCase):
    def test_members_unknown_are_ignored_and_twice_refused(self):
        self.sender.sends(self.reader, colour="green")
        raw = json.dumps({"id": "m", "type": "offer", "body": 1})[:-1] + ', "type": "answer"}'
        reply = self.sender.client.post("/mailbox/reader", raw=raw.encode())
        self.assertProblem(reply, 400, "bad_json", "bad_request")
        self.assertEqual(len(self.reader.messages()), 1)
