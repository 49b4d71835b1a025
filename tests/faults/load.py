"""Clients that write all the time, and a ledger of what was acknowledged to them.

A request whose reply did not come may have been carried out or not: what it would have changed is
kept apart, and nothing is claimed of it. All else is claimed after each restart.
"""

import http.client
import json
import random
import secrets
import threading
import time

from tests.lib.http import Client, url

GONE = (OSError, http.client.HTTPException)
TTL_S = 600
NETWORK = "load"


class Worker:
    """One node for all the time, with others that come and go. One thread a round uses it."""

    def __init__(self, number, seed):
        self.id = f"worker-{number}"
        self.token = secrets.token_urlsafe(32)
        self.random = random.Random(f"{seed}/{number}")
        self.registered = False
        self.next = None  # of the last read whose reply came
        self.seen = set()  # what that read gave: its next acknowledges them
        self.guests = {}  # id: token, of those whose registration was acknowledged
        self.left = set()  # whose end was acknowledged
        self.count = 0


class Ledger:
    def __init__(self, workers=6, seed=0):
        self.lock = threading.Lock()
        self.workers = [Worker(number, seed) for number in range(workers)]
        self.sent = {worker.id: {} for worker in self.workers}  # reader: {message: body's text}
        self.acked = {worker.id: set() for worker in self.workers}
        self.open = {worker.id: set() for worker in self.workers}  # acknowledged or not
        self.counts = {"registered": 0, "sent": 0, "read": 0, "acknowledged": 0, "left": 0,
                       "heartbeats": 0, "refused": 0, "unanswered": 0}
        self.faults = []

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def text(self):
        return ", ".join(f"{number} {what}" for what, number in self.counts.items() if number)


class Round(threading.Thread):
    """What one worker does until it is told to stop or the index is gone."""

    def __init__(self, index, ledger, worker, stop, forgives=False):
        super().__init__()
        self.ledger = ledger
        self.worker = worker
        self.stop = stop
        self.forgives = forgives  # a connection that ends is opened again
        self.client = Client(index, token=worker.token)

    def run(self):
        try:
            while not self.stop.is_set():
                try:
                    self.step()
                except GONE:
                    self.ledger.count("unanswered")
                    self.client.close()
                    if not self.forgives:
                        return
        except Exception as error:  # pylint: disable=broad-except
            self.ledger.faults.append(f"{self.worker.id}: {error!r}")
            raise
        finally:
            self.client.close()

    def step(self):
        if not self.worker.registered:
            self.worker.registered = self.register(self.worker.id, self.worker.token)
            return
        self.worker.random.choice((self.send, self.send, self.send, self.read, self.read,
                                   self.guest, self.leave, self.heartbeat))()

    def good(self, reply, *statuses):
        """True for one of these; what is refused must be refused in the way of the contract."""
        if reply.status in statuses:
            return True
        if reply.status not in (429, 503):
            raise AssertionError(f"{self.worker.id} got {reply}")
        self.ledger.count("refused")
        time.sleep(0.01)
        return False

    def register(self, id, token):
        body = {"id": id, "network": NETWORK, "ttl": TTL_S, "token": token}
        if not self.good(self.client.post("/register", body), 200, 201):
            return False
        self.ledger.count("registered")
        return True

    def heartbeat(self):
        if self.good(self.client.post("/heartbeat", {"meta": {"n": self.worker.count}}), 200):
            self.ledger.count("heartbeats")

    def guest(self):
        worker = self.worker
        worker.count += 1
        id, token = f"{worker.id}-guest-{worker.count}", secrets.token_urlsafe(32)
        if self.register(id, token):
            worker.guests[id] = token

    def leave(self):
        worker = self.worker
        if not worker.guests:
            return
        id = worker.random.choice(list(worker.guests))
        token = worker.guests.pop(id)
        reply = self.client.request("DELETE", "/nodes/" + id, token=token)
        if self.good(reply, 204):
            worker.left.add(id)
            self.ledger.count("left")
        # Refused for now: it may have been carried out or not, and is claimed neither way.

    def send(self):
        worker, ledger = self.worker, self.ledger
        to = worker.random.choice([other for other in ledger.workers if other.registered])
        worker.count += 1
        id = f"{worker.id}-{worker.count}"
        body = '{"n" :  %d, "text":"%s"}' % (worker.count, worker.random.randbytes(20).hex())
        raw = '{"id":"%s","type":"offer","ttl":%d,"body":%s}' % (id, TTL_S, body)
        if self.good(self.client.post("/mailbox/" + to.id, raw=raw.encode()), 202):
            with ledger.lock:
                ledger.sent[to.id][id] = body
                ledger.counts["sent"] += 1

    def read(self):
        worker, ledger = self.worker, self.ledger
        acknowledges, worker.seen = worker.seen, set()
        ledger.open[worker.id] |= acknowledges
        reply = self.client.get(url("/mailbox/" + worker.id, after=worker.next))
        if not self.good(reply, 200):
            return
        page = reply.json()
        worker.next = page["next"]
        worker.seen = {message["id"] for message in page["messages"]}
        # While the store takes no writes a read acknowledges nothing, and gives it all again.
        done = set() if page["reset"] else acknowledges - worker.seen
        ledger.acked[worker.id] |= done
        ledger.count("acknowledged", len(done))
        ledger.open[worker.id] -= acknowledges
        ledger.count("read", len(worker.seen))


class Rounds:
    """All workers at once, until `end`."""

    def __init__(self, index, ledger, forgives=False):
        self.stop = threading.Event()
        self.threads = [Round(index, ledger, worker, self.stop, forgives)
                        for worker in ledger.workers]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"


def listed(client):
    ids, after = set(), None
    while True:
        page = client.get(url("/list", network=NETWORK, limit=1000, after=after)).json()
        ids |= {node["id"] for node in page["nodes"]}
        if not page["more"]:
            return ids
        after = page["nodes"][-1]["id"]


def verify(case, index, ledger, guests=3):
    """What was acknowledged is there, in an index that nobody else uses now."""
    case.assertEqual(ledger.faults, [])
    client = Client(index)
    try:
        ids = listed(client)
        for worker in ledger.workers:
            mine = set(worker.guests) | ({worker.id} if worker.registered else set())
            case.assertLessEqual(mine, ids, "a registration was lost")
            case.assertFalse(worker.left & ids, "one who left is there again")
            tokens = [(id, worker.guests[id]) for id in list(worker.guests)[-guests:]]
            for id, token in tokens + [(worker.id, worker.token)] * worker.registered:
                reply = client.post("/heartbeat", {"id": id}, token=token)
                case.assertEqual(reply.status, 200, reply)
            if worker.registered:
                verify_box(case, client, ledger, worker)
    finally:
        client.close()


def verify_box(case, client, ledger, worker):
    reply = client.get(url("/mailbox/" + worker.id, limit=1000), token=worker.token)
    case.assertEqual(reply.status, 200, reply)
    found = [message["id"] for message in reply["messages"]]
    sent, acked = ledger.sent[worker.id], ledger.acked[worker.id]
    case.assertEqual(len(found), len(set(found)), "a message is there twice")
    case.assertFalse(set(found) & acked, "what was acknowledged came again")
    missing = set(sent) - acked - ledger.open[worker.id] - set(found)
    case.assertFalse(missing, "a message was lost")
    for id in found:
        if id in sent:
            case.assertIn(f'"id":{json.dumps(id)}', reply.text)
            case.assertIn(f'"body":{sent[id]}', reply.text)
