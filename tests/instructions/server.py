"""What is counted of the index: a function a scenario, which gives the instructions of one of its
kind. Each has an index of its own, under callgrind; requests go one after the other over a kept
connection, and the next one is sent when the index has nothing left to do."""

import contextlib
import os
import select
import tempfile

from tests.instructions.still import Orders
from tests.lib.crowd import token
from tests.lib.index import Index, NO_NODE_CAPS
from tests.lib.raw import RawSocket, request_bytes

WAIT_S = 50
TTL_S = 5
WATCHERS = 50
PIECES = 1000  # after so many orders a reply is not expected any more
SDP = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + "a=x\r\n" * 100


class Link(RawSocket):
    """A connection to an index that does nothing without an order."""

    def __init__(self, index, orders):
        super().__init__(index)
        self._orders = orders

    def _fill(self):
        """A large reply comes in pieces, each when the one before was read."""
        for _ in range(PIECES):
            if select.select([self.socket], [], [], 0)[0]:
                break
            self._orders.settle()
        super()._fill()


class Counted:
    """An index, and a connection to it."""

    def __init__(self, callgrind=True, from_start=False, **options):
        self.orders = Orders()
        wrapper = self.orders.wrapper(from_start) if callgrind else ()
        self._index = Index(*NO_NODE_CAPS, env=self.orders.environment, wrapper=wrapper, **options)
        self._link = None
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.orders.close)
            stack.callback(self._index.close)
            self._index.start()
            stack.callback(self.orders.release)
            self.orders.settle()
            self._link = self.connect(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    @property
    def url(self):
        return f"http://{self._index.host}:{self._index.port}"

    def connect(self, stack=None):
        link = (stack or self._stack).enter_context(Link(self._index, self.orders))
        self.orders.settle()
        return link

    def register(self, number, **more):
        return self.ask("POST", "/register", {
            "id": f"node-{number}", "token": token(number), "ttl": 7200,
            "endpoints": ["grpc://:50051"], "meta": {"role": "master"}, **more})

    def register_all(self, count):
        for number in range(count):
            self.register(number)

    def send(self, method, target, body=None, number=None, headers=(), link=None):
        """As the node of that number, None: as nobody."""
        if number is not None:
            headers = (*headers, "Authorization: Bearer " + token(number))
        (link or self._link).send(request_bytes(method, target, body, headers=headers))
        self.orders.settle()

    def read(self, link=None):
        reply = (link or self._link).read_reply()
        self.orders.settle()
        assert reply.status < 400, reply
        return reply

    def ask(self, method, target, body=None, number=None, headers=()):
        self.send(method, target, body, number, headers)
        return self.read()


# --- nodes --------------------------------------------------------------------------------------

def count_register():
    """A new node."""
    with Counted() as index:
        return index.orders.each(index.register)


def count_heartbeat():
    """A sign of life that changes nothing."""
    with Counted() as index:
        index.register(0)
        return index.orders.each(lambda n: index.ask("POST", "/heartbeat", {}, 0))


def change(index, n):
    """Node 0 shows something new."""
    index.ask("POST", "/heartbeat", {"meta": {"step": 1000 + n}}, 0)


def count_heartbeat_meta():
    """A sign of life with a new meta."""
    with Counted() as index:
        index.register(0)
        return index.orders.each(lambda n: change(index, n))


def count_expiry():
    """The end of a lease, of 300 that end together."""
    with Counted() as index:
        count = 300
        for n in range(count):
            index.register(n, ttl=TTL_S)
        index.orders.count()
        index.orders.pass_time(TTL_S + 1)
        instructions = index.orders.counted() / count
        assert not index.ask("GET", "/list")["nodes"], "nodes are there that have expired"
        return instructions


# --- the list -----------------------------------------------------------------------------------

def count_list(limit):
    with Counted() as index:
        index.register_all(1000)

        def ask(_):
            assert len(index.ask("GET", f"/list?limit={limit}")["nodes"]) == limit

        return index.orders.each(ask, times=20)


def count_list_whole():
    """The whole list of 1,000 nodes."""
    return count_list(1000)


def count_list_page():
    """A page of 100 nodes of a list of 1,000."""
    return count_list(100)


def count_list_unchanged():
    """304, of a list of 1,000 nodes."""
    with Counted() as index:
        index.register_all(1000)
        tag = index.ask("GET", "/list").headers["ETag"]

        def ask(_):
            assert index.ask("GET", "/list", headers=("If-None-Match: " + tag,)).status == 304

        return index.orders.each(ask)


class Cursor:
    """The one of a list as it was when it was last looked at."""

    def __init__(self, index):
        self._index = index
        self.look()

    def look(self):
        self.text = self._index.ask("GET", "/list?limit=1")["cursor"]


def count_list_delta():
    """What changed since: one node of 1,000."""
    with Counted() as index:
        index.register_all(1000)
        cursor = Cursor(index)

        def before(n):
            cursor.look()
            change(index, n)

        def ask(_):
            assert len(index.ask("GET", f"/list?since={cursor.text}")["nodes"]) == 1

        return index.orders.each(ask, before)


def count_poll():
    """A long poll from its arrival to its answer, and the heartbeat that changes what it hears;
    with their lines in the log, since a second goes by in between."""
    with Counted() as index:
        index.register_all(1000)
        cursor = Cursor(index)
        reader = index.connect()

        def before(_):
            cursor.look()
            index.orders.pass_time(1)

        def poll(n):
            index.send("GET", f"/list?since={cursor.text}&wait={WAIT_S}", link=reader)
            change(index, n)
            assert len(index.read(reader)["nodes"]) == 1

        return index.orders.each(poll, before)


def count_fanout():
    """A change that many hear of who wait, for each of them."""
    with Counted() as index:
        index.register_all(1000)
        cursor = Cursor(index)
        readers = [index.connect() for _ in range(WATCHERS)]

        def before(_):
            cursor.look()
            index.orders.pass_time(1)
            for reader in readers:
                index.send("GET", f"/list?since={cursor.text}&wait={WAIT_S}", link=reader)

        def tell(n):
            change(index, n)
            for reader in readers:
                assert len(index.read(reader)["nodes"]) == 1

        return index.orders.each(tell, before, times=20) / WATCHERS


# --- messages -----------------------------------------------------------------------------------

class Mail:
    """What node 0 sends, and node 1 reads."""

    def __init__(self, index):
        self._index = index
        index.register_all(2)
        self._next = index.ask("GET", "/mailbox/node-1", None, 1)["next"]

    def post(self, n):
        self._index.ask("POST", "/mailbox/node-1", {
            "id": f"message-{1000 + n}", "session": "s", "type": "offer",
            "body": {"type": "offer", "sdp": SDP}}, 0)

    def begin_read(self, wait=0, link=None):
        """It acknowledges what was read before."""
        self._index.send("GET", f"/mailbox/node-1?after={self._next}&wait={wait}", None, 1,
                         link=link)

    def end_read(self, link=None):
        reply = self._index.read(link)
        self._next = reply["next"]
        return len(reply["messages"])

    def read(self):
        self.begin_read()
        return self.end_read()


def count_message_post():
    """A message that is queued."""
    with Counted() as index:
        mail = Mail(index)
        return index.orders.each(mail.post, before=lambda n: mail.read())


def count_message_read():
    """A message that is read, and the one before it acknowledged."""
    with Counted() as index:
        mail = Mail(index)

        def read(_):
            assert mail.read() == 1

        return index.orders.each(read, before=mail.post)


def count_message_handed():
    """A reader that waits, and a message that is handed to it."""
    with Counted() as index:
        mail = Mail(index)
        reader = index.connect()

        def hand(n):
            mail.begin_read(WAIT_S, reader)
            mail.post(n)
            assert mail.end_read(reader) == 1

        return index.orders.each(hand)


# --- the start ----------------------------------------------------------------------------------

def count_start():
    """From exec() to ready, with 10,000 nodes in the database."""
    with tempfile.TemporaryDirectory(prefix="signpost-count-") as folder:
        db = os.path.join(folder, "signpost.db")
        with Counted(callgrind=False, db=db) as before:
            before.register_all(10000)
        with Counted(from_start=True, db=db) as index:
            return index.orders.counted()


SCENARIOS = {
    "register": count_register,
    "heartbeat": count_heartbeat,
    "heartbeat-meta": count_heartbeat_meta,
    "expiry": count_expiry,
    "list-whole": count_list_whole,
    "list-page": count_list_page,
    "list-unchanged": count_list_unchanged,
    "list-delta": count_list_delta,
    "poll": count_poll,
    "fanout": count_fanout,
    "message-post": count_message_post,
    "message-read": count_message_read,
    "message-handed": count_message_handed,
    "start": count_start,
}
