"""The test case that all suites over HTTP share: one index a class, a network of its own a test."""

import concurrent.futures
import functools
import re
import unittest
import uuid

from tests.lib.http import Client, url
from tests.lib.index import Index

TOKEN = re.compile(r"^[A-Za-z0-9_-]{43}$")
CURSOR = re.compile(r"^[^.]+\.\d+$")
RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
AT_ONCE_S = 10  # of a loaded machine; much less than the `wait` of a test that must not have waited


def some_id(prefix="n"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Node:
    """A registered node with a connection of its own."""

    def __init__(self, case, client, reply, token):
        self.case = case
        self.client = client
        self.reply = reply
        self.id = reply["id"]
        self.network = reply["network"]
        self.token = token or reply["token"]
        self.cursor = reply["cursor"]
        client.token = self.token

    def heartbeat(self, **members):
        return self.client.post("/heartbeat", {"id": self.id, **members})

    def delete(self):
        return self.client.delete("/nodes/" + self.id)

    def write(self, to, **members):
        """Posts a message, and gives the reply whatever it is."""
        message = {"id": some_id("m"), "type": "offer", "body": {}, **members}
        recipient = to if isinstance(to, str) else to.id
        return self.client.post("/mailbox/" + recipient,
                                {k: v for k, v in message.items() if v is not None})

    def sends(self, to, **members):
        reply = self.write(to, **members)
        self.case.assertEqual(reply.status, 202, reply)
        return reply.json()

    def read(self, **query):
        reply = self.client.get(url("/mailbox/" + self.id, **query))
        self.case.assertEqual(reply.status, 200, reply)
        return reply.json()

    def messages(self, **query):
        return self.read(**query)["messages"]

    def events(self, **members):
        reply = self.client.post("/events", members)
        self.case.assertEqual(reply.status, 200, reply)
        return reply.json()

    def parks_read(self, wait=50, **query):
        """A reader of its mailbox on a connection of its own."""
        return self.case.park("GET", url("/mailbox/" + self.id, wait=wait, **query), self.token)

    def parks_events(self, wait=50, **members):
        return self.case.park("POST", "/events", self.token, {"wait": wait, **members})


class HttpCase(unittest.TestCase):
    """For tests that `start` an index of their own."""

    index = None
    maxDiff = None

    def setUp(self):
        self.network = some_id("net")

    def start(self, *arguments, **options):
        self.index = Index(*arguments, **options)
        self.addCleanup(self.index.close)
        self.index.start()
        self.client = self.connect()

    def run(self, result=None):
        if result is None:
            result = self.defaultTestResult()
        faults = len(result.failures) + len(result.errors)
        written = self.index.log_length() if self.index else 0
        super().run(result)
        if self.index and len(result.failures) + len(result.errors) > faults:
            self.index.show_log(written)
        return result

    # --- doing ------------------------------------------------------------------------------

    def connect(self, **options):
        client = Client(self.index, **options)
        self.addCleanup(client.close)
        return client

    def node(self, id=None, connection=None, **members):
        """Registers a new node in the test's network."""
        client = connection or self.connect()
        members = {"id": id or some_id(), "network": self.network, **members}
        reply = client.post("/register", members)
        self.assertEqual(reply.status, 201, reply)
        return Node(self, client, reply, members.get("token"))

    def park(self, method, target, token=None, body=None):
        """Sends a poll on a connection of its own and returns when the index has it."""
        pending = self.connect(token=token).send(method, target, body)
        self.settle()
        return pending

    def park_list(self, since, wait=50, **query):
        query = {"network": self.network, **query}
        return self.park("GET", url("/list", since=since, wait=wait, **query))

    def settle(self):
        """After some round trips the one loop of the index has seen all that was sent before."""
        for _ in range(5):
            self.assertEqual(self.client.get("/healthz").status, 200)

    def list(self, **query):
        reply = self.client.get(url("/list", **{"network": self.network, **query}))
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def look_up(self, id, network=None):
        """What `/nodes/{id}` says, as the whole reply."""
        return self.client.get(url("/nodes/" + id, network=network or self.network))

    def view(self, id):
        reply = self.look_up(id)
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    # --- asserting --------------------------------------------------------------------------

    def assertProblem(self, reply, status, *codes):
        """The form of the problem was looked at when the reply came."""
        self.assertEqual(reply.status, status, reply)
        if codes:
            self.assertIn(reply["code"], codes, reply)

    def assertNodes(self, listing, nodes, gone=()):
        """Ids of a list or delta, in their order; those of `gone` in any."""
        self.assertEqual([node["id"] for node in listing["nodes"]], list(nodes), listing)
        self.assertEqual(sorted(listing["gone"]), sorted(gone), listing)


class IndexCase(HttpCase):
    """Set `arguments` and `options` (of Index) where a class needs an index of its own kind."""

    arguments = ()
    options = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.index = Index(*cls.arguments, **cls.options)
        cls.addClassCleanup(cls.index.close)
        cls.index.start()

    def setUp(self):
        super().setUp()
        self.client = self.connect()


def concurrently(case):
    """A class decorator: its tests take real time, so all of them run at once, in threads."""
    stories = {name: story for name, story in vars(case).items() if name.startswith("test_")}

    def run(name):
        instance = case(name)
        instance.setUp()
        try:
            stories[name](instance)
        finally:
            instance.doCleanups()

    def started(cls):
        if "_running" not in vars(cls):
            pool = concurrent.futures.ThreadPoolExecutor(len(stories))
            cls._running = {name: pool.submit(run, name) for name in stories}
            cls.addClassCleanup(pool.shutdown)
        return cls._running

    for name, story in stories.items():
        @functools.wraps(story)
        def test(self, name=name):
            started(type(self))[name].result()
        setattr(case, name, test)
    return case
