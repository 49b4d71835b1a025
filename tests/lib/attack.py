"""The test case of the attacks: an index with the limits that it has by default, strangers who do
their worst from other addresses of 127.0.0.0/8, and an honest client that must not notice."""

import collections
import contextlib
import itertools
import json
import os
import re
import resource
import select
import socket
import subprocess
import sys
import time

from tests.lib.case import HttpCase
from tests.lib.index import ROOT
from tests.lib.raw import request_bytes

MIB = 1024 * 1024
PEAK_BYTES = 64 * MIB  # what an index may need, whatever strangers do,
POLL_BYTES = 9 * 1024  # and for each poll that is parked
HONEST_MS = 5000  # that no heartbeat may take; generous, for loaded machines. The promise is 1 s
BACK_S = 100  # more than an idle connection may have (LIMIT_IDLE_MS), until the index has given back what it held for the attackers
KEPT = 2  # descriptors that libraries open at their first need and keep
HONEST = "127.0.0.9"
SMALL_WINDOW = 4096  # bytes, of who takes little at a time: the rest stays with the index

IP_BIND_ADDRESS_NO_PORT = 24  # <linux/in.h>: the port is chosen by connect(), for each peer anew


def stranger(number):
    """An address for each number."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def raise_descriptor_limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def connect(index, source, receive_bytes=None, timeout=20):
    """A plain socket from `source`; `receive_bytes` makes its window small."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_bytes:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    plain.settimeout(timeout)
    plain.bind((source, 0))
    try:
        plain.connect((index.host, index.port))
    except OSError:
        plain.close()
        raise
    return plain


class Pipe:
    """A connection that many requests are written to before their replies are read."""

    def __init__(self, index, source):
        self.socket = connect(index, source)
        self._file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, requests):
        """All of it goes out, while what comes waits in the kernel: not too much at a time."""
        self.socket.sendall(b"".join(requests))

    def reply(self):
        """Status, headers (names in lower case), body; None where the index closed."""
        first = self._file.readline()
        if not first:
            return None
        headers = {}
        while (line := self._file.readline().strip()):
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers.get(b"content-length", 0)))
        return int(first.split()[1]), headers, body

    def close(self):
        self._file.close()
        self.socket.close()


class Attack:
    """One attack that is under way."""

    def __init__(self, case, name):
        self.case = case
        self.index = case.index
        self.name = name
        self.what = ""  # what was thrown at the index, for the figure
        self.polls = 0  # parked at the most
        self.seen = collections.Counter()  # of statuses

    def flood(self, batches, sources, each=None, per_write=50):
        """Writes requests, `per_write` to each connection (one a source) in turn, then reads the
        replies; over and over. `each` is called with status, headers, body."""
        pipes = [Pipe(self.index, source) for source in sources]
        requests = iter(batches)
        try:
            more = True
            while more:
                sent = []
                for pipe in pipes:
                    batch = list(itertools.islice(requests, per_write))
                    more = len(batch) == per_write
                    if batch:
                        pipe.send(batch)
                        sent.append((pipe, len(batch)))
                    if not more:
                        break
                for pipe, count in sent:
                    for _ in range(count):
                        reply = pipe.reply()
                        self.case.assertIsNotNone(reply, f"closed after {self.seen}")
                        self.seen[reply[0]] += 1
                        if each:
                            each(*reply)
        finally:
            for pipe in pipes:
                pipe.close()

    def told(self):
        """The statuses, in words for the figure."""
        return ", ".join(f"{count} times {status}" for status, count in sorted(self.seen.items()))


class AttackCase(HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        raise_descriptor_limit()

    def setUp(self):
        super().setUp()
        self.clients = []

    def connect(self, **options):
        client = super().connect(**options)
        self.clients.append(client)
        return client

    # --- what the index holds -------------------------------------------------------------------

    def memory(self, field):
        """VmRSS: now, VmHWM: at the most, in bytes."""
        with open(f"/proc/{self.index.pid}/status", encoding="ascii") as status:
            return int(re.search(rf"{field}:\s+(\d+) kB", status.read()).group(1)) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.index.pid}/fd"))

    def comes_back(self, what, measure, most):
        """Waits until `measure` is at most `most` again."""
        end = time.monotonic() + BACK_S
        while (now := measure()) > most:
            self.assertLess(time.monotonic(), end, f"{what}: still {now}, {most} before")
            time.sleep(0.05)

    def comes(self, number, receive_bytes=None):
        """A connection of a stranger."""
        connection = connect(self.index, stranger(number), receive_bytes)
        self.addCleanup(connection.close)
        return connection

    # --- an attack ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def attack(self, name, *arguments, rate=None, **options):
        """Starts an index, lets the honest client in, and looks after the attack at what it did."""
        self.start(*arguments, rate=rate, **options)
        self.assertEqual(self.client.get("/healthz").status, 200)
        self.client.close()
        before = self.descriptors()
        honest = subprocess.Popen(
            [sys.executable, "-m", "tests.lib.honest", self.index.host, str(self.index.port),
             HONEST], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(honest.stdout.readline(), "ready\n")
            attack = Attack(self, name)
            yield attack
            said = json.loads(honest.communicate(timeout=60)[0])
        finally:
            honest.kill()
            honest.communicate()
        self.assertTrue(self.index.runs(), "the index has ended")
        self.judge(attack, said)
        for client in self.clients:
            client.close()
        self.comes_back("descriptors", self.descriptors, before + KEPT)
        self.assertEqual(self.connect().get("/healthz").status, 200)

    def judge(self, attack, said):
        took = sorted(said["took_ms"])
        peak = self.memory("VmHWM")
        share = {part: took[min(len(took) - 1, int(len(took) * part))] for part in (0.5, 0.99)}
        print(f"figure: {attack.name} | {attack.what} | peak {peak / MIB:.1f} MB | "
              f"{len(took)} honest heartbeats: p50 {share[0.5]:.0f}, p99 {share[0.99]:.0f}, "
              f"max {took[-1]:.0f} ms", flush=True)
        self.assertEqual(said["wrong"], [], "an honest client was refused")
        self.assertLess(took[-1], HONEST_MS)
        allowed = PEAK_BYTES + attack.polls * POLL_BYTES
        self.assertLess(peak, allowed, f"{peak / MIB:.1f} MB")


def big_node(network, number):
    """Its registration, and again later: 4 KiB of meta."""
    return request("POST", "/register", {
        "id": f"big-{number}", "network": network, "ttl": 7200, "token": f"b{number:042}",
        "meta": {"filling": "x" * 4000, "at": time.monotonic()}})


def big_nodes(case, network, count, each=50):
    """A list of some size: as many nodes as that, `each` of one address."""
    for start in range(0, count, each):
        with Pipe(case.index, stranger(60_000 + start // each)) as pipe:
            numbers = range(start, min(start + each, count))
            pipe.send(big_node(network, number) for number in numbers)
            for _ in numbers:
                case.assertIn(pipe.reply()[0], (200, 201))


def request(method, target, body=None, token=None, **options):
    headers = ["Authorization: Bearer " + token] if token else []
    return request_bytes(method, target, body, headers=headers, **options)


def readable(sockets, timeout):
    """Those of many sockets at which something has come, or the end."""
    poll = select.poll()
    by_fd = {plain.fileno(): plain for plain in sockets}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poll.poll(timeout * 1000)]
