"""What the index is measured against: each is a real program on a free port of loopback, with a
folder of its own that is removed with it. `Redis` and `Opentracker` are those of Debian."""

import contextlib
import csv
import hashlib
import io
import os
import socket
import struct
import subprocess
import tempfile
import time
import urllib.parse

from tests.bench.lib.report import program
from tests.lib.index import cpu_s
from tests.lib.nginx import free_port

START_S = 20
WHOLE_SWARM = 50_000  # peers that announce one torrent: each has a port of the one address


class Rival:
    """Runs from `with` to its end. A subclass says which command, and when it is ready."""

    output = subprocess.DEVNULL  # a pipe that nobody reads would stop it some day

    def __enter__(self):
        with contextlib.ExitStack() as ending:
            self.folder = ending.enter_context(
                tempfile.TemporaryDirectory(prefix="signpost-bench-"))
            self.port = free_port()
            self.prepare()
            self.process = ending.enter_context(subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=self.output, stderr=subprocess.DEVNULL, text=True))
            ending.callback(self.process.terminate)
            self.await_ready()
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *_):
        self._ending.close()

    def prepare(self):
        """What the folder has to have in it before the start."""

    def command(self):
        raise NotImplementedError

    def await_ready(self):
        """It is ready once `answers` says so, and lost once it has ended."""
        end = time.monotonic() + START_S
        while not self.answers():
            assert self.process.poll() is None, \
                f"{self.command()[0]} ended at its start; `make bench` installs what is missing"
            assert time.monotonic() < end, f"{self.command()[0]} did not get ready"
            time.sleep(0.002)

    def answers(self):
        raise NotImplementedError

    def ask(self, request):
        """The first piece of the reply to some bytes; none where nobody listens yet."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), START_S) as link:
                link.sendall(request)
                return link.recv(65536)
        except ConnectionError:
            return b""

    @property
    def pid(self):
        return self.process.pid

    def cpu_s(self):
        return cpu_s(self.pid)


class Bare(Rival):
    """libmicrohttpd in the index's own loop, with a reply of `body_bytes` (None: a heartbeat's)."""

    output = subprocess.PIPE

    def __init__(self, body_bytes=None):
        self.body_bytes = body_bytes

    def command(self):
        size = [] if self.body_bytes is None else [str(self.body_bytes)]
        return [program("bare"), *size]

    def await_ready(self):
        self.port = int(self.process.stdout.readline())


class Redis(Rival):
    """`appending`: each write goes to a file that is synced once a second. So it promises what the
    index does by default: what was answered outlives a kill, and nearly all of it a power cut. Else
    it keeps everything in memory alone."""

    def __init__(self, appending=False):
        self.appending = appending
        self.rate = 50_000  # a second, as in the turn before; a guess for the first

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--logfile", "log",
                "--save", "", "--appendonly", "yes" if self.appending else "no",
                "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"]

    def answers(self):
        return self.ask(b"PING\r\n") == b"+PONG\r\n"

    def send_all(self, commands):
        """Inline commands in one piece; each must succeed."""
        with socket.create_connection(("127.0.0.1", self.port), START_S) as link:
            link.sendall(b"".join(commands))
            replies = link.makefile("rb")
            for command in commands:
                assert replies.readline() == b"+OK\r\n", command

    def clear(self):
        assert self.ask(b"FLUSHALL\r\n") == b"+OK\r\n"

    def fill(self, keys, value):
        """So many random sets that nearly all of the keys are there afterwards."""
        self.benchmark(4 * keys, "-P", "50", *self._set(keys, value))

    def set(self, keys, value, connections, seconds):
        """`SET key value EX 7200` for about so long, of random ones of so many keys. Gives how
        many, how many a second, and the latencies of half and of 99 % in ms."""
        count = int(self.rate * seconds)
        row = self.benchmark(count, "-c", str(connections), *self._set(keys, value))
        self.rate = float(row["rps"])
        return count, self.rate, float(row["p50_latency_ms"]), float(row["p99_latency_ms"])

    @staticmethod
    def _set(keys, value):
        return ["-r", str(keys), "SET", "node-__rand_int__", value, "EX", "7200"]

    def benchmark(self, count, *words):
        done = subprocess.run(
            ["redis-benchmark", "-p", str(self.port), "-n", str(count), "--csv", *words],
            capture_output=True, text=True, check=True)
        return next(csv.DictReader(io.StringIO(done.stdout)))


class Opentracker(Rival):
    """It takes announcements of the torrents that stand in a file, by HTTP and by UDP at the same
    port. By HTTP it closes the connection after each reply, without having said so."""

    closes = True

    def __init__(self, nodes):
        self.torrents = [hashlib.sha1(b"torrent %d" % number).digest()
                         for number in range(-(-nodes // WHOLE_SWARM))]

    def prepare(self):
        os.chmod(self.folder, 0o755)  # where it is started by root it becomes `nobody` first
        with open(os.path.join(self.folder, "whitelist"), "w", encoding="ascii") as file:
            file.writelines(torrent.hex() + "\n" for torrent in self.torrents)

    def command(self):
        return ["opentracker", "-i", "127.0.0.1", "-p", str(self.port), "-P", str(self.port),
                "-d", self.folder, "-w", "whitelist"]

    def answers(self):
        """A refusal is a success of HTTP; it has a word for it in its body."""
        reply = self.ask(self.announcement(0))
        return b"8:interval" in reply and b"5:peers" in reply and b"failure reason" not in reply

    def peer(self, number):
        """The torrent, the id and the port that a node announces."""
        return (self.torrents[number // WHOLE_SWARM], f"-SP0001-{number:012d}",
                1 + number % WHOLE_SWARM)

    def announcement(self, number):
        """That of a node which wants to hear of no peers: the least that a tracker can answer."""
        torrent, peer, port = self.peer(number)
        return (f"GET /announce?info_hash={urllib.parse.quote(torrent)}&peer_id={peer}&port={port}"
                "&uploaded=0&downloaded=0&left=0&compact=1&numwant=0 HTTP/1.1\r\n"
                "Host: localhost\r\n\r\n").encode()

    def datagram(self, number):
        """The same over UDP (BEP 15), without its first 16 bytes."""
        torrent, peer, port = self.peer(number)
        return struct.pack("!20s20sQQQIIIiH", torrent, peer.encode(), 0, 0, 0, 0, 0, 0, 0, port)
