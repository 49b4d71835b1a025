"""Load for a server, and what came of it."""

import array
import dataclasses
import itertools
import json
import os
import socket
import statistics
import struct
import subprocess
import tempfile
import time

from tests.bench.lib.report import percentile, ratio

CONNECTIONS = 64
REPLY_S = 20
UDP_PROTOCOL, UDP_CONNECT, UDP_ANNOUNCE = 0x41727101980, 0, 1  # BEP 15

PIECES = """
local pieces, number = {}, 0
for piece in io.open("%s", "rb"):read("*a"):gmatch("%%Z+") do
  pieces[#pieces + 1] = piece
end
"""

CYCLE = """
function request()
  number = number % #pieces + 1
  return pieces[number]
end
"""

NUMBERED = """
function request()
  number = number + 1
  return table.concat(pieces, string.format("%012d", number))
end
"""

DONE = """
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "microseconds": %d, "bytes": %d, "closed": %d, "failed": %d, ' ..
    '"p50_us": %d, "p99_us": %d}\\n', summary.requests, summary.duration, summary.bytes,
    errors.read + errors.write, errors.connect + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclasses.dataclass
class Sample:
    """One turn. `cpu_us` is what the server took for a request, `busy` how many cores it used."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    busy: float
    bytes_per_s: float = 0


def http(method, target, body=None, token=None, headers=()):
    """A request as bytes; `body` is JSON."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Requests:
    """A script for wrk that sends these requests again and again, in their order."""

    def __init__(self, requests):
        self._folder = tempfile.TemporaryDirectory(prefix="signpost-bench-")
        self._pieces = os.path.join(self._folder.name, "requests")
        self.script = os.path.join(self._folder.name, "wrk.lua")
        with open(self._pieces, "wb") as file:
            file.writelines(request + b"\0" for request in requests)
        self._write(CYCLE)

    def _write(self, text):
        with open(self.script, "w", encoding="ascii") as file:
            file.write(PIECES % self._pieces + text + DONE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()


class Numbered(Requests):
    """One request, in which each NUL is a number of 12 digits that is greater each time."""

    def __init__(self, request):
        super().__init__([request])
        self._write(NUMBERED)


def wrk(server, requests, seconds, connections=CONNECTIONS):
    """A Sample of a server that has a `port` and `cpu_s()`. Every request must have succeeded.
    Where the server `closes` each connection unannounced, wrk notices once it has sent the next
    request, and sends that again over a new one."""
    before = server.cpu_s()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", requests.script,
         f"http://127.0.0.1:{server.port}"], capture_output=True, text=True, check=True)
    cpu_s = server.cpu_s() - before
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["requests"] and not told["failed"], done.stdout
    closing = getattr(server, "closes", False)
    assert told["closed"] <= (told["requests"] + connections if closing else 0), done.stdout
    took_s = told["microseconds"] / 1e6
    return Sample(told["requests"] / took_s, told["p50_us"] / 1000, told["p99_us"] / 1000,
                  1e6 * cpu_s / told["requests"], cpu_s / took_s, told["bytes"] / took_s)


def redis_set(redis, keys, value, seconds, connections=CONNECTIONS):
    """A Sample of `SET ... EX` by redis-benchmark."""
    before, start = redis.cpu_s(), time.monotonic()
    count, per_s, p50_ms, p99_ms = redis.set(keys, value, connections, seconds)
    cpu_s, took_s = redis.cpu_s() - before, time.monotonic() - start
    return Sample(per_s, p50_ms, p99_ms, 1e6 * cpu_s / count, cpu_s / took_s)


def announce(tracker, nodes, seconds, outstanding=CONNECTIONS):
    """A Sample of announcements over UDP (BEP 15), so many of them under way at a time."""
    datagrams = [tracker.datagram(number) for number in range(nodes)]
    took = array.array("d")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(REPLY_S)
        link.connect(("127.0.0.1", tracker.port))
        link.send(struct.pack("!QII", UDP_PROTOCOL, UDP_CONNECT, 0))
        connection = link.recv(16)[8:]
        heads = [connection + struct.pack("!II", UDP_ANNOUNCE, slot) for slot in range(outstanding)]
        before, start = tracker.cpu_s(), time.monotonic()
        sent = [start] * outstanding
        for slot, head in enumerate(heads):
            link.send(head + datagrams[slot % nodes])
        for datagram in itertools.cycle(datagrams):
            action, slot = struct.unpack_from("!II", link.recv(1024))
            assert action == UDP_ANNOUNCE, "the tracker refuses"
            now = time.monotonic()
            took.append(now - sent[slot])
            if now - start > seconds:
                break
            sent[slot] = now
            link.send(heads[slot] + datagram)
        cpu_s = tracker.cpu_s() - before
    return Sample(len(took) / (now - start), 1000 * percentile(took, 0.5),
                  1000 * percentile(took, 0.99), 1e6 * cpu_s / len(took), cpu_s / (now - start))


COLUMNS = {
    "server": "server, connections", "per_s": "a second", "p50_ms": "p50 ms", "p99_ms": "p99 ms",
    "cpu_us": "CPU us", "busy": "cores", "ratio": "index / it", "range": "of the rounds",
    "cpu_ratio": "CPU it / index",
}


def compare(table, samples, against=None, **values):
    """A row for each server of `samples`, {name: [Sample of each round]}: medians, and the index's
    share of it. `against`: which of the names is the index's, where it is not "index"."""
    for server, turns in samples.items():
        row = {field.name: statistics.median(getattr(turn, field.name) for turn in turns)
               for field in dataclasses.fields(Sample)}
        ours = samples[(against or {}).get(server, "index")]
        if ours is not turns:
            row["ratio"], row["range"] = ratio([turn.per_s for turn in ours],
                                               [turn.per_s for turn in turns])
            row["cpu_ratio"], _ = ratio([turn.cpu_us for turn in turns],
                                        [turn.cpu_us for turn in ours])
        table.row(**values, server=server, **row)
