#!/usr/bin/python3
"""How long two clients take from the call of one until both say `connected`, through the C library.

That is the whole way of a session over the index: the knock, the answer to it, an offer and its
answer with a candidate and the last candidate each. What comes after, which is ICE between the two,
is left out: the last candidate of the other counts as the connection. `message` is one message from
its sender to a reader that waits, `trip` a bare round trip to libmicrohttpd in the index's own loop.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.generator import generate  # noqa: E402
from tests.bench.lib.report import Bench, in_turn, percentile, ratio, ROOT  # noqa: E402
from tests.bench.lib.rivals import Bare  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS, NO_POLL_CAPS  # noqa: E402

PROGRAM = os.path.join(ROOT, "build", "tests", "instructions", "client_session")
REST_S = 0.15  # longer than a reader of a list waits for the next news
CALLS = 8  # of one peer, before the other lets some time pass between two


class Parties:
    """Two clients in one process, each of which lists the other."""

    def __init__(self, index):
        self.process = subprocess.Popen(
            [PROGRAM, f"http://127.0.0.1:{index.port}"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=0)
        self.lines = os.fdopen(os.dup(self.process.stdout.fileno()), "r", encoding="ascii")
        self.expect("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.lines.close()
        self.process.stdin.close()
        self.process.stdout.close()

    def expect(self, word):
        line = self.lines.readline().strip()
        assert line == word, f"{line or 'the end'} instead of {word}"

    def calls(self):
        """Microseconds of each, one after the other."""
        took_us = []
        for _ in range(CALLS):
            time.sleep(REST_S)
            start = time.monotonic()
            self.process.stdin.write(b"c")
            self.expect("connected")
            took_us.append(1e6 * (time.monotonic() - start))
            self.process.stdin.write(b"x")
            self.expect("ended")
        return took_us


def sessions():
    with Index() as index, Parties(index) as parties:
        return parties.calls()


def measure(rounds, samples):
    with contextlib.ExitStack() as stack:
        index = stack.enter_context(Index(*NO_NODE_CAPS, *NO_POLL_CAPS))
        bare = stack.enter_context(Bare())
        return in_turn(rounds, **{
            "session": sessions,
            "message": lambda: generate("messages", index.port, 1, samples)["took_us"],
            "trip": lambda: generate("trips", bare.port, samples, 1)["took_us"],
        })


def main():
    bench = Bench("sessions", __doc__)
    bench.option("--samples", type=int, default=200, help="messages and trips in a turn")
    arguments = bench.parse()
    table = bench.table("sessions", "From the call to both ends connected", what="what",
                        p50_us="p50 us", p99_us="p99 us", messages="x message", trips="x trip",
                        range="of the rounds")
    turns = measure(arguments.rounds, arguments.samples)
    halves = {what: [percentile(took, 0.5) for took in turn] for what, turn in turns.items()}
    for what, turn in turns.items():
        trips, spread = ratio(halves[what], halves["trip"])
        table.row(what=what, p50_us=statistics.median(halves[what]),
                  p99_us=statistics.median(percentile(took, 0.99) for took in turn),
                  messages=ratio(halves[what], halves["message"])[0], trips=trips, range=spread)
    bench.write()


if __name__ == "__main__":
    main()
