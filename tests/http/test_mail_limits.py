"""What a mailbox holds, and how a message that nobody got returns to its sender."""

from tests.lib.case import IndexCase, concurrently, some_id

HERE, THERE = "198.51.100.1", "203.0.113.1"


class TestQuotas(IndexCase):
    """Senders from several addresses, by grace of a trusted proxy on loopback."""

    arguments = ("--trust-proxy", "127.0.0.1/32")

    def from_address(self, address):
        return self.node(connection=self.connect(headers={"X-Forwarded-For": address}))

    def fill(self, sender, to, count, **members):
        for _ in range(count):
            sender.sends(to, ttl=600, **members)

    def assertFull(self, sender, to, **members):
        self.assertProblem(sender.write(to, **members), 429, "mailbox_full")

    def test_sender_has_16_messages(self):
        reader, sender = self.node(), self.from_address(HERE)
        self.fill(sender, reader, 16)
        self.assertFull(sender, reader)
        self.assertEqual(len(reader.messages()), 16)

    def test_sender_has_64_kib(self):
        reader, sender = self.node(), self.from_address(HERE)
        self.fill(sender, reader, 3, body="x" * 20000)
        self.assertFull(sender, reader, body="x" * 20000)
        self.fill(sender, reader, 1, body="x" * 1000)

    def test_acknowledging_makes_room(self):
        reader, sender = self.node(), self.from_address(HERE)
        self.fill(sender, reader, 16)
        reader.read(after=reader.read(limit=1)["next"])
        self.fill(sender, reader, 1)
        self.assertFull(sender, reader)

    def test_retry_needs_no_room(self):
        reader, sender = self.node(), self.from_address(HERE)
        self.fill(sender, reader, 15)
        first = sender.sends(reader, id="last", ttl=600)
        self.assertFull(sender, reader)
        self.assertEqual(sender.sends(reader, id="last", ttl=600)["seq"], first["seq"])

    def test_quota_of_one_box_is_not_that_of_another(self):
        reader, other, sender = self.node(), self.node(), self.from_address(HERE)
        self.fill(sender, reader, 16)
        self.fill(sender, other, 16)

    def test_address_has_half_of_the_messages(self):
        reader = self.node()
        for _ in range(2):
            self.fill(self.from_address(HERE), reader, 16)
        self.assertFull(self.from_address(HERE), reader)
        self.fill(self.from_address(THERE), reader, 1)

    def test_address_has_half_of_the_bytes(self):
        reader = self.node()
        for _ in range(2):
            self.fill(self.from_address(HERE), reader, 3, body="x" * 20000)
        self.assertFull(self.from_address(HERE), reader, body="x" * 20000)
        self.fill(self.from_address(THERE), reader, 1, body="x" * 20000)

    def test_address_of_ipv6_counts_by_prefix(self):
        reader = self.node()
        for host in ("2001:db8:1:2::1", "2001:db8:1:2::ffff"):
            self.fill(self.from_address(host), reader, 16)
        self.assertFull(self.from_address("2001:db8:1:2:3::1"), reader)
        self.fill(self.from_address("2001:db8:ffff::1"), reader, 1)

    def test_box_has_64_messages(self):
        reader = self.node()
        for address in (HERE, HERE, THERE, THERE):
            self.fill(self.from_address(address), reader, 16)
        self.assertFull(self.from_address("192.0.2.1"), reader)
        self.assertEqual(len(reader.messages()), 64)

    def test_box_has_256_kib(self):
        reader = self.node()
        for number in range(8):
            sender = self.from_address(HERE if number < 4 else THERE)
            self.fill(sender, reader, 2, body="x" * 16000)
        stranger = self.from_address("192.0.2.1")
        self.assertFull(stranger, reader, body="x" * 16000)

    def test_undeliverable_needs_no_room(self):
        caller, leaver = self.node(), self.node()
        caller.sends(leaver, id="lost", ttl=600)
        for address in (HERE, HERE, THERE, THERE):
            self.fill(self.from_address(address), caller, 16)
        leaver.delete()
        messages = caller.messages()
        self.assertEqual(len(messages), 65)
        self.assertEqual(messages[-1]["body"]["id"], "lost")


class UndeliverableCase(IndexCase):
    def returned(self, sender, **query):
        """The undeliverables that wait, or come, for `sender`."""
        messages = sender.messages(**query)
        for message in messages:
            self.assertEqual((message["type"], message["from"]), ("undeliverable", None), message)
            self.assertTrue(message["id"])
            self.assertTrue(55 < message["expires_in"] <= 60, message)
        return [message["body"] for message in messages]


class TestLeaving(UndeliverableCase):
    def test_message_whose_recipient_leaves_returns(self):
        sender, leaver = self.node(), self.node("leaver")
        parked = sender.parks_read()
        sender.sends(leaver, id="m", session="s", type="knock")
        leaver.delete()
        self.assertEqual([m["body"] for m in parked.reply()["messages"]], [
            {"id": "m", "to": "leaver", "session": "s", "type": "knock", "reason": "gone"}])

    def test_message_without_session_returns_with_null(self):
        sender, leaver = self.node(), self.node("leaver")
        sender.sends(leaver, id="m", type="offer")
        leaver.delete()
        self.assertEqual(self.returned(sender), [
            {"id": "m", "to": "leaver", "session": None, "type": "offer", "reason": "gone"}])

    def test_message_read_but_not_acknowledged_returns_too(self):
        sender, leaver = self.node(), self.node()
        sender.sends(leaver, id="m")
        self.assertEqual(len(leaver.messages()), 1)
        leaver.delete()
        self.assertEqual([body["id"] for body in self.returned(sender)], ["m"])

    def test_message_acknowledged_does_not_return(self):
        sender, leaver = self.node(), self.node()
        sender.sends(leaver, id="got")
        leaver.read(after=leaver.read()["next"])
        sender.sends(leaver, id="lost")
        leaver.delete()
        self.assertEqual([body["id"] for body in self.returned(sender)], ["lost"])

    def test_undeliverable_itself_never_returns(self):
        sender, leaver, late = self.node(), self.node(), self.node("late")
        sender.sends(leaver, id="m")
        late.sends(sender, id="to-sender")
        leaver.delete()
        self.assertEqual(len(sender.messages()), 2)
        sender.delete()
        self.assertEqual([body["id"] for body in self.returned(late)], ["to-sender"])

    def test_undeliverable_is_read_and_acknowledged_as_any(self):
        sender, leaver = self.node(), self.node()
        sender.sends(leaver)
        leaver.delete()
        read = sender.read()
        self.assertEqual(len(read["messages"]), 1)
        self.assertEqual(sender.messages(after=read["next"]), [])


@concurrently
class TestExpiry(UndeliverableCase):
    """Real time goes by here; all run at once."""

    def test_message_never_given_out_returns(self):
        sender, reader = self.node(), self.node("reader")
        sender.sends(reader, id="m", session="s", type="offer", ttl=1)
        self.assertEqual(self.returned(sender, wait=10), [
            {"id": "m", "to": "reader", "session": "s", "type": "offer", "reason": "expired"}])
        self.assertEqual(reader.messages(), [])

    def test_message_given_out_does_not_return(self):
        sender, reader = self.node(), self.node()
        sender.sends(reader, id="given", ttl=1)
        self.assertEqual(len(reader.messages()), 1)
        sender.sends(reader, id="not-given", ttl=2)
        self.assertEqual([body["id"] for body in self.returned(sender, wait=10)], ["not-given"])
        self.assertEqual(reader.messages(), [])

    def test_message_expired_makes_room(self):
        sender, reader = self.node(), self.node()
        for _ in range(16):
            sender.sends(reader, ttl=5)
        self.assertProblem(sender.write(reader), 429, "mailbox_full")
        gone = 0
        after = None
        while gone < 16:
            read = sender.read(wait=10, after=after)
            self.assertTrue(read["messages"])
            gone += len(read["messages"])
            after = read["next"]
        sender.sends(reader, id="fits")
        self.assertEqual([m["id"] for m in reader.messages()], ["fits"])

    def test_message_expired_is_remembered_for_a_retry(self):
        sender, reader = self.node(), self.node()
        first = sender.sends(reader, id="m", ttl=1)
        self.assertEqual(len(self.returned(sender, wait=10)), 1)
        self.assertEqual(sender.sends(reader, id="m", ttl=1)["seq"], first["seq"])
        self.assertEqual(reader.messages(), [])

    def test_message_whose_recipient_expires_returns(self):
        sender, reader = self.node(), self.node("reader", ttl=5)
        sender.sends(reader, id="m", session="s", type="bye")
        self.assertEqual(self.returned(sender, wait=15), [
            {"id": "m", "to": "reader", "session": "s", "type": "bye", "reason": "gone"}])

    def test_message_of_a_sender_that_left_returns_to_nobody(self):
        id = some_id()
        sender, reader = self.node(id), self.node("reader")
        other = self.node()
        sender.sends(reader, ttl=1)
        other.sends(reader, ttl=2)
        sender.delete()
        again = self.node(id)
        self.assertEqual(len(self.returned(other, wait=10)), 1)
        self.assertEqual(again.messages(), [])
