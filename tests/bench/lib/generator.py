"""Runs tests/bench/load.c, the load generator for replies that come when something happens."""

import contextlib
import json
import subprocess

from tests.bench.lib.load import CONNECTIONS, Sample
from tests.bench.lib.report import percentile, program


@contextlib.contextmanager
def staying(*words):
    """What it measured; inside the `with` its connections stay as they are."""
    with subprocess.Popen([program("load"), *map(str, words)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line, f"load {words} failed"
        yield json.loads(line)
        process.stdin.close()
    assert process.returncode == 0, f"load {words} ended with {process.returncode}"


def generate(*words):
    with staying(*words) as told:
        return told


def peerjs_beats(server, each, seconds, sockets=CONNECTIONS):
    """A Sample of HEARTBEATs, which have no reply: after `each` of them a socket sends an offer to
    itself and waits for it. The latencies are those of all that together."""
    told = generate("beats", server.port, server.pid, sockets, each, seconds)
    took_s, cpu_s = told["took_us"] / 1e6, told["cpu_us"] / 1e6
    return Sample(told["beats"] / took_s, percentile(told["batch_us"], 0.5) / 1000,
                  percentile(told["batch_us"], 0.99) / 1000, 1e6 * cpu_s / told["beats"],
                  cpu_s / took_s)
