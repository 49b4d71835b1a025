"""What is counted of the client library: as in server.py, but what runs under callgrind are
programs that are clients, and their index stands still without it."""

import contextlib
import select
import subprocess

from tests.instructions.server import Counted, change
from tests.instructions.still import Orders, built
from tests.lib.index import clean_environment

TURNS = 12  # of index and client, more than there are requests one after the other in a session
GATHER_S = 0.1  # how long candidates are gathered, and news of the list at the index
KNOCK_S = 1  # a peer that knocks more often is passed over in the end
UNTIL = 50  # so often it goes on until something is said


class Peers:
    """An index, and one program that is its clients."""

    def __init__(self, *program):
        self.index = Counted(callgrind=False)
        self.orders = Orders()
        self._program = program
        self._process = None
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.orders.close)
            stack.enter_context(self.index)
            path, *words = self._program
            self._process = stack.enter_context(subprocess.Popen(
                [*self.orders.wrapper(), path, self.index.url, *words],
                env=clean_environment(**self.orders.environment),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
            stack.callback(self._process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def go_on(self):
        """Until neither has anything left to do; then news has time to be gathered."""
        for _ in range(TURNS):
            self.orders.settle()
            self.index.orders.settle()
        self.pass_time(GATHER_S)

    def pass_time(self, seconds):
        self.index.orders.pass_time(seconds)
        self.orders.pass_time(seconds)

    def command(self, letter):
        self._process.stdin.write(letter)

    def go_on_until(self, line):
        for _ in range(UNTIL):
            self.go_on()
            while select.select([self._process.stdout], [], [], 0)[0]:
                if self._process.stdout.readline().strip() == line:
                    return
        raise AssertionError(f"the client does not say {line}")


def count_client_delta():
    """A client's poll from its answer, which has one changed peer, to the next."""
    with Peers(built("examples", "peers")) as peers:
        peers.index.register(0)
        peers.go_on_until(b"up node-0")

        def hear(n):
            change(peers.index, n)
            peers.go_on_until(b"changed node-0")

        return peers.orders.each(hear, times=20)


def count_client_session():
    """Both ends of a session from the call to connected."""
    with Peers(built("tests", "instructions", "client_session")) as peers:
        peers.go_on_until(b"ready")

        def before(n):
            if n:
                peers.command(b"x")
                peers.go_on_until(b"ended")
                peers.pass_time(KNOCK_S)

        def connect(_):
            peers.command(b"c")
            peers.go_on_until(b"connected")

        return peers.orders.each(connect, before, times=20)


SCENARIOS = {
    "client-delta": count_client_delta,
    "client-session": count_client_session,
}
