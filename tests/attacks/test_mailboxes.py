"""Mailboxes that are flooded: one that belongs to a victim, and all of them."""

import collections
import http.client
import itertools
import json
import threading

from tests.lib.attack import SMALL_WINDOW, AttackCase, Pipe, readable, request, stranger
from tests.lib.index import Stopwatch

OF_ONE_SENDER, OF_ONE_ADDRESS, OF_ALL = 16, 32, 64  # messages in a mailbox
MESSAGES_OF_ONE_ADDRESS, MESSAGES = 6_250, 100_000  # kept or remembered, in the whole index
MESSAGES_OF_ONE_NETWORK = MESSAGES // 2
PATIENCE_S = 60
UNLIMITED = ("--rate", "0", "--rate-per-credential", "0")


def token(number):
    return f"s{number:042}"


def message(to, sender, number, size=100, ttl=600):
    return request("POST", f"/mailbox/{to}", {
        "id": f"m{number}", "type": "offer", "ttl": ttl, "body": "x" * size}, token(sender))


class TestMailboxes(AttackCase):
    def senders(self, count, each=50, network=None, first=0):
        """Nodes, `each` of one address; their numbers make their tokens."""
        for start in range(first, first + count, each):
            numbers = range(start, start + each)
            with Pipe(self.index, stranger(start // each)) as pipe:
                pipe.send(request("POST", "/register", {
                    "id": f"s{number}", "network": network or self.network,
                    "token": token(number), "ttl": 7200}) for number in numbers)
                for _ in numbers:
                    self.assertEqual(pipe.reply()[0], 201)

    def assertGetsIn(self, sender, victim, **members):
        """Perhaps after a retry or two, as it is told to make them."""
        watch = Stopwatch()
        while watch.elapsed() < PATIENCE_S:
            reply = sender.write(victim, **members)
            if reply.status == 202:
                return watch.elapsed()
            self.assertProblem(reply, 429, "mailbox_full")
            self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)
        return self.fail("the honest message does not get in")

    def test_flood_of_one_sender_leaves_room(self):
        count = 50_000
        with self.attack("one sender floods a mailbox", *UNLIMITED) as attack:
            victim, honest = self.node("victim"), self.node("friend", self.connect(
                source="127.0.0.8"))
            self.senders(1, each=1)
            attack.flood((message("victim", 0, number) for number in range(count)),
                         [stranger(0)] * 10)
            attack.what = f"{count} messages, {attack.told()}"
            self.assertEqual(attack.seen, {202: OF_ONE_SENDER, 429: count - OF_ONE_SENDER})
            honest.sends(victim, id="honest")
            self.assertIn("honest", [each["id"] for each in victim.messages()])

    def test_flood_of_one_address_leaves_room(self):
        """However many nodes that address has."""
        count, senders = 20_000, 200
        with self.attack("one address floods a mailbox", *UNLIMITED) as attack:
            victim, honest = self.node("victim"), self.node("friend", self.connect(
                source="127.0.0.8"))
            self.senders(senders, each=senders)
            attack.flood((message("victim", number % senders, number, 4_000)
                          for number in range(count)), [stranger(0)] * 10)
            attack.what = f"{count} messages of {senders} nodes, {attack.told()}"
            self.assertLessEqual(attack.seen[202], OF_ONE_ADDRESS)
            self.assertEqual(set(attack.seen), {202, 429})
            honest.sends(victim, id="honest")
            self.assertIn("honest", [each["id"] for each in victim.messages()])

    def test_flood_of_many_addresses_is_outlived_by_reading(self):
        """The mailbox is full again and again; its owner reads and acknowledges, and a friend who
        tries again gets in."""
        with self.attack("many addresses flood a mailbox", *UNLIMITED) as attack:
            victim, honest = self.node("victim"), self.node("friend", self.connect(
                source="127.0.0.8"))
            senders = 1_000
            self.senders(senders)
            over = threading.Event()

            def messages():
                for number in itertools.count():
                    if over.is_set():
                        return
                    yield message("victim", number % senders, number)

            flood = threading.Thread(target=attack.flood, args=(
                messages(), [stranger(number) for number in range(20)]))
            flood.start()
            try:
                slowest = self.reads_all(victim, honest, 100)
            finally:
                over.set()
                flood.join()
            attack.what = (f"{attack.seen.total()} messages, {attack.told()}; honest ones took "
                           f"{slowest:.2f} s at most")
            self.assertGreater(attack.seen[429], 0)

    def reads_all(self, victim, honest, count):
        """Messages of an honest sender, one after the other, each found by the victim, who goes on
        reading. Gives how long the slowest took."""
        slowest, after = 0, None
        for number in range(count):
            wanted, watch, read = f"honest-{number}", Stopwatch(), []
            sending = threading.Thread(
                target=self.assertGetsIn, args=(honest, victim), kwargs={"id": wanted, "ttl": 60})
            sending.start()
            while wanted not in read:
                self.assertLess(watch.elapsed(), PATIENCE_S, "the message is not found")
                page = victim.read(after=after)
                after = page["next"]
                read = [each["id"] for each in page["messages"]]
            sending.join()
            slowest = max(slowest, watch.elapsed())
        return slowest

    def test_mailboxes_of_all_are_bounded(self):
        """As many messages as one network may have, of as many addresses as that takes: memory
        for each that is kept or remembered, bodies on disk."""
        addresses, nodes = 9, 200
        count = addresses * 6_500
        with self.attack("all mailboxes flooded", *UNLIMITED) as attack:
            self.senders(addresses * nodes, each=nodes)
            everyone = addresses * nodes

            def messages():
                # 32 in each mailbox of one address, whose senders take turns.
                for number in range(count):
                    sender = number % everyone
                    yield message(f"s{(sender + number // everyone * 211) % everyone}", sender,
                                  number, 200)

            attack.flood(messages(), [stranger(number) for number in range(addresses)])
            attack.what = f"{count} messages, {attack.told()}"
            self.assertLessEqual(attack.seen[202], MESSAGES_OF_ONE_NETWORK)
            self.assertGreater(attack.seen[202], MESSAGES_OF_ONE_NETWORK / 2)
            victim, honest = self.node("victim", network="elsewhere"), self.node(
                "friend", network="elsewhere")
            honest.sends(victim, id="honest")
            self.assertEqual([each["id"] for each in victim.messages()], ["honest"])

    def test_large_messages_are_bounded(self):
        """64 KiB each: what waits is in the database, not in memory."""
        senders, of_each = 200, 15
        with self.attack("large messages", *UNLIMITED) as attack:
            self.senders(senders, each=10)
            body = json.dumps("x" * 60_000)
            attack.flood((message(f"s{number // of_each}", number % senders, number, len(body))
                          for number in range(senders * of_each)),
                         [stranger(number) for number in range(20)], per_write=2)
            attack.what = f"{senders * of_each} messages of 60 KB, {attack.told()}"
            self.assertLessEqual(set(attack.seen), {202, 429, 503})
            # A whole mailbox of that size is read by many at once.
            attack.seen.clear()
            attack.flood((request("GET", f"/mailbox/s{number % senders}",
                                  token=token(number % senders)) for number in range(1_000)),
                         [stranger(number) for number in range(100)], per_write=2)
            self.assertEqual(attack.seen, {200: 1_000})

    def test_slow_readers_of_large_messages_are_not_cut(self):
        """Hundreds ask at once, and nobody reads before all have been answered: what the kernel
        does not take of so many replies would be more than the index keeps."""
        readers, messages = 300, 4
        with self.attack("large messages, read slowly", *UNLIMITED) as attack:
            victim = self.node("victim")
            self.senders(messages, each=1)
            attack.flood((message("victim", number, number, 60_000) for number in range(messages)),
                         [stranger(number) for number in range(messages)], per_write=1)
            self.assertEqual(attack.seen, {202: messages})
            connections = [self.comes(number, SMALL_WINDOW) for number in range(readers)]
            for connection in connections:
                connection.sendall(request("GET", "/mailbox/victim", token=victim.token))
            for connection in connections:
                self.assertTrue(readable([connection], PATIENCE_S), "no answer")
            pages = collections.Counter(self.page_size(connection) for connection in connections)
            attack.what = f"{readers} readers of {messages} messages of 60 KB, pages: {dict(pages)}"
            self.assertEqual(set(pages), {1, messages}, "smaller pages where much waits")

    def page_size(self, connection):
        """How many messages are in the reply, which has to be whole."""
        reply = http.client.HTTPResponse(connection)
        with connection:
            reply.begin()
            self.assertEqual(reply.status, 200)
            return len(json.loads(reply.read())["messages"])
