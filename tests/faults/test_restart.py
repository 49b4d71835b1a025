"""The index is restarted in good order, again and again on its port, while clients wait and send."""

import http.client
import itertools
import secrets
import socket
import threading
import time
import unittest

from tests.faults.case import FaultCase, figure
from tests.faults.load import GONE, NETWORK, TTL_S
from tests.lib.http import Client, url
from tests.lib.index import Index

RESTARTS = 12
LIFE_S = 0.25  # of each
READERS, SENDERS = 6, 3
ARRIVES_S = 30


class Part(threading.Thread):
    """One node that goes on over all restarts: what gets no reply is asked again, as it was."""

    def __init__(self, index, id):
        super().__init__()
        self.id = id
        self.token = secrets.token_urlsafe(32)
        self.client = Client(index, token=self.token)
        self.stop = threading.Event()
        self.broken = []  # replies that came in half
        self.fault = None

    def ask(self, method, target, body=None):
        """The reply that is none of "later"; None where it is to stop."""
        while not self.stop.is_set():
            try:
                reply = self.client.request(method, target, body)
                if reply.status not in (429, 503):
                    return reply
            except http.client.IncompleteRead as error:
                self.broken.append(error)
            except GONE:
                self.client.close()
            time.sleep(0.005)
        return None

    def register(self):
        self.ask("POST", "/register",
                 {"id": self.id, "network": NETWORK, "ttl": TTL_S, "token": self.token})

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
        except Exception as error:  # pylint: disable=broad-except
            self.fault = error
        finally:
            self.client.close()

    def end(self):
        self.stop.set()
        self.join(60)


class Reader(Part):
    """Waits for mail, by one of the two polls, and goes on from what came."""

    def __init__(self, index, number):
        super().__init__(index, f"reader-{number}")
        self.by_events = number % 2
        self.after = None
        self.got = []
        self.empty = self.resets = 0

    def step(self):
        if self.by_events:
            body = {"wait": 20, **({"after": self.after} if self.after else {})}
            reply = self.ask("POST", "/events", body)
        else:
            reply = self.ask("GET", url("/mailbox/" + self.id, after=self.after, wait=20))
        if not reply:
            return
        assert reply.status == 200, reply
        mail = reply["mail"] if self.by_events else reply.json()
        self.after = mail["next"]
        self.resets += mail["reset"]
        self.empty += not mail["messages"]
        self.got += [message["id"] for message in mail["messages"]]


class Sender(Part):
    def __init__(self, index, number):
        super().__init__(index, f"sender-{number}")
        self.accepted = {f"reader-{number}": [] for number in range(READERS)}
        self.turns = itertools.count()

    def step(self):
        turn = next(self.turns)
        to, id = f"reader-{turn % READERS}", f"{self.id}-{turn}"
        reply = self.ask("POST", "/mailbox/" + to,
                         {"id": id, "type": "offer", "ttl": TTL_S, "body": {"turn": turn}})
        if reply:
            assert reply.status == 202, reply
            self.accepted[to].append(id)
        time.sleep(0.002)


class TestRestart(FaultCase):
    def serve(self, port):
        index = Index("--max-nodes-per-address", "0", listen=(f"127.0.0.1:{port}",),
                      db=self.db)
        self.addCleanup(index.close)
        return index.start()

    def test_restarts_under_load_lose_nothing_and_double_nothing(self):
        home = Index()
        self.addCleanup(home.close)
        self.db = home.db
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        index = self.serve(port)
        readers = [Reader(index, number) for number in range(READERS)]
        senders = [Sender(index, number) for number in range(SENDERS)]
        away = []
        for part in readers + senders:
            part.register()
        for part in readers + senders:
            part.start()
        for _ in range(RESTARTS):
            time.sleep(LIFE_S)
            start = time.monotonic()
            self.assertEqual(index.stop(), 0, index.log())
            self.assertNotIn("stop_cut", index.log())
            index = self.serve(port)
            away.append(time.monotonic() - start)
        for sender in senders:
            sender.end()
        sent = {reader.id: [id for sender in senders for id in sender.accepted[reader.id]]
                for reader in readers}
        deadline = time.monotonic() + ARRIVES_S
        while any(set(sent[reader.id]) - set(reader.got) for reader in readers) and \
                time.monotonic() < deadline and all(reader.is_alive() for reader in readers):
            time.sleep(0.02)
        for reader in readers:
            reader.stop.set()
        index.stop()  # which answers those who wait
        for part in readers + senders:
            part.end()
            self.assertIsNone(part.fault, part.id)
            self.assertEqual(part.broken, [], "a reply was cut in the middle")
        for reader in readers:
            self.assertEqual(reader.resets, 0, "a restart in good order cuts no history")
            self.assertEqual(len(reader.got), len(set(reader.got)), "a message came twice")
            self.assertEqual(set(sent[reader.id]) - set(reader.got), set(), "a message was lost")
            self.assertGreater(reader.empty, 0, "no poll was parked at a stop")
        total = sum(len(ids) for ids in sent.values())
        self.assertGreater(total, RESTARTS * READERS)
        away.sort()
        figure(f"SIGTERM and a start on the same port, {RESTARTS} times under load",
               f"each of {total} messages came once; away for {away[len(away) // 2] * 1000:.0f} ms "
               f"(median), {away[-1] * 1000:.0f} ms (worst)")


if __name__ == "__main__":
    unittest.main()
