"""Master nodes (client/examples/master.c), each on a host of its own: what they say, and what links
there are between them."""

import dataclasses
import glob
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time

from tests.lib.index import SANITIZER, Stopwatch, binary, clean_environment
from tests.lib.lab import LabCase

MASTER = os.environ.get("SIGNPOST_MASTER") or os.path.join(
    os.path.dirname(binary()), "examples", "master")
PORT = 7117  # of the index, so that it is the same after a restart
TTL_S = 6  # of a master's lease
EVENT_S = 120  # for what is to happen
STOP_S = 20
LOOKS_S = 0.25  # so often is looked at what nobody tells of
LAST_LINES = 8

LINK = re.compile(r"link (\S+) (\S+) (\S+) in (\d+) ms, rtt (\d+) us")
END = re.compile(r"(unlink|lost) (\S+): (.*)")
COUNT = re.compile(r"count (\S+) sent (\d+) received (\d+) last (\d+)")
INDEX = re.compile(r"index (\S+): (\S+)")
ESTABLISHED = "01"


@dataclasses.dataclass(frozen=True)
class Link:
    path: str
    remote: str
    took_ms: int
    rtt_us: int


@dataclasses.dataclass(frozen=True)
class Count:
    sent: int
    received: int
    last: int


class Master:
    """One process; what it says is read in a thread, and `news` tells of it."""

    def __init__(self, id, command, news):
        self.id = id
        self.news = news
        self.lines = []
        self.links = {}  # by peer: those that there are
        self.had = []  # all that there were
        self.ends = []  # (unlink or lost, peer, reason)
        self.counts = {}
        self.rounds = 0  # of counts
        self.index = ""  # its state
        self.most = 0  # links at a time
        self.faults = []
        self.process = subprocess.Popen(
            command, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        counts = {}
        for line in self.process.stdout:
            with self.news:
                counts = self._take(line.rstrip("\n"), counts)
                self.news.notify_all()

    def _take(self, line, counts):
        """Gives the counts of a round that goes on."""
        if line == "end of counts":
            self.counts, counts = counts, {}
            self.rounds += 1
        elif match := COUNT.fullmatch(line):
            counts[match[1]] = Count(*map(int, match.groups()[1:]))
        else:
            self.lines.append(line)
            if match := LINK.fullmatch(line):
                self._take_link(match[1], Link(match[2], match[3], int(match[4]), int(match[5])))
            elif match := END.fullmatch(line):
                self.ends.append(match.groups())
                if self.links.pop(match[2], None) is None:
                    self.faults.append("the end of a link that was not there: " + line)
            elif match := INDEX.fullmatch(line):
                self.index = match[2]
        return counts

    def _take_link(self, peer, link):
        if peer in self.links:
            self.faults.append(f"a second link to {peer}")
        self.links[peer] = link
        self.had.append(link)
        self.most = max(self.most, len(self.links))

    def kill(self):
        """SIGKILL, as a power cut."""
        self.process.kill()
        self._forget()

    def end(self):
        """SIGTERM; it is to end well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        finally:
            self.kill()
        assert code == 0, f"{self.id} ended with {code}: {self.last_lines()}"

    def _forget(self):
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        assert not SANITIZER.search("\n".join(self.lines)), "\n".join(self.lines)

    def last_lines(self):
        return "".join(f"\n  {self.id}: {line}" for line in self.lines[-LAST_LINES:])

    # --- its sockets ------------------------------------------------------------------------

    def connections(self):
        """The TCP connections of its host, as ((address, port), (address, port))."""
        found = set()
        for name in ("tcp", "tcp6"):
            with open(f"/proc/{self.process.pid}/net/{name}", encoding="ascii") as table:
                rows = [line.split() for line in itertools.islice(table, 1, None)]
            found.update((end(row[1]), end(row[2])) for row in rows if row[3] == ESTABLISHED)
        return found


def end(text):
    """One end of a connection, of /proc/net/tcp or tcp6; IPv4 also where it is mapped into IPv6."""
    address, port = text.split(":")
    return (".".join(str(byte) for byte in reversed(bytes.fromhex(address[-8:]))), int(port, 16))


class MasterCase(LabCase):
    """An index, and masters on the `nodes` and behind the `homes`; each has the name of its host.
    What no test wants is looked for after each: a byte of a peer's at the index, a master that has
    two links to one peer or does not end well. Figures are printed, and a row for the scenario."""

    rules = True
    port = PORT
    neighbours = 0  # of a master: all

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = []

    @classmethod
    def tearDownClass(cls):
        figure("scenario | result | time | CPU of the index")
        for row in cls.rows:
            figure(" | ".join(row))
        super().tearDownClass()

    def run(self, result=None):
        result = result or self.defaultTestResult()
        bad = len(result.failures) + len(result.errors)
        skipped = len(result.skipped)
        self.clock = Stopwatch()
        self.cpu = "?"
        super().run(result)
        worked = len(result.failures) + len(result.errors) == bad
        if len(result.skipped) == skipped:
            self.rows.append((self._testMethodName, "ok" if worked else "FAILED",
                              f"{self.clock.elapsed():.1f} s", self.cpu))
        return result

    def setUp(self):
        super().setUp()
        self.news = threading.Condition()
        self.masters = {}  # those that live
        self.clock = Stopwatch()
        self.spent_s = 0  # CPU of the indexes that were killed
        self.lab.count("index", self.index.port)
        figure(self._testMethodName + ":")

    def tearDown(self):
        if self.index.runs():
            self.spent_s += self.index.cpu_s()
        self.cpu = f"{100 * self.spent_s / self.clock.elapsed():.2f} %"
        self.tells()
        for master in self.masters.values():
            master.end()
            self.assertEqual(master.faults, [], master.id)
        astray = self.lab.counted("index")["astray"]
        self.assertEqual(astray, (0, 0), "something but requests came to the index")

    # --- what happens to them ---------------------------------------------------------------

    def starts(self, *names, period_ms=1000):
        for name in names:
            options = map(str, (0, self.neighbours, TTL_S, period_ms))
            command = [*self.lab.within(name), MASTER, self.url, name, *options]
            master = Master(name, command, self.news)
            self.addCleanup(master.kill)
            self.masters[name] = master

    def kills(self, name):
        self.masters.pop(name).kill()

    def ends(self, *names):
        for name in names:
            self.masters.pop(name).end()

    def index_dies(self):
        """As a power cut; all masters have noticed."""
        self.spent_s += self.index.cpu_s()
        self.index.kill()
        self.waits("the index is missed", lambda: all(
            master.index != "ready" for master in self.masters.values()))

    def index_returns(self, empty=False):
        """With what it knew, or with an empty disk; all masters are there again."""
        if empty:
            for path in glob.glob(self.index.db + "*"):
                os.remove(path)
        clock = Stopwatch()
        self.index.start()
        self.waits("the index is found again", lambda: all(
            master.index == "ready" for master in self.masters.values()))
        figure(f"all {len(self.masters)} are at the index again after {clock.elapsed():.1f} s")

    # --- waiting ----------------------------------------------------------------------------

    def waits(self, what, ready, why=lambda: ""):
        """Until it is so; gives how many seconds that took. `why` tells of what is missing."""
        clock = Stopwatch()
        with self.news:
            while not ready():
                left = EVENT_S - clock.elapsed()
                if left <= 0:
                    last = "".join(m.last_lines() for m in self.masters.values())
                    self.index.show_log()
                    self.fail(f"not within {EVENT_S} s: {what}. {why()}{last}")
                self.news.wait(min(left, LOOKS_S))
        return clock.elapsed()

    def pairs(self):
        return list(itertools.combinations(sorted(self.masters), 2))

    def linked(self, pair):
        """At both ends."""
        one, other = pair
        return other in self.masters[one].links and one in self.masters[other].links

    def missing(self):
        return [pair for pair in self.pairs() if not self.linked(pair)]

    def waits_for_all_links(self):
        """Each master with each other, and none with anybody else."""
        def whole():
            return not self.missing() and all(
                master.links.keys() <= self.masters.keys() for master in self.masters.values())

        return self.waits("a link between each two", whole, lambda: f"Missing: {self.missing()}")

    def pieces(self):
        """The parts that the masters with their links fall into; one: all are connected."""
        left, found = set(self.masters), []
        while left:
            piece, edge = set(), [left.pop()]
            while edge:
                name = edge.pop()
                piece.add(name)
                reached = {other for other in left if self.linked((name, other))}
                left -= reached
                edge += reached
            found.append(piece)
        return found

    def listed(self):
        """The ids in the list of the index, as it is seen from a master's host."""
        reply = subprocess.run(
            [*self.lab.within(next(iter(self.masters))), "curl", "--silent", "--noproxy", "*",
             self.url + "/list?limit=1000"], capture_output=True, check=True)
        return {node["id"] for node in json.loads(reply.stdout)["nodes"]}

    def waits_for_list(self):
        """Until the index lists these masters and nobody else."""
        return self.waits("the list of the index is right",
                          lambda: self.listed() == set(self.masters))

    # --- looking ----------------------------------------------------------------------------

    def counts(self):
        """How far each link has counted at each end, by (master, peer)."""
        with self.news:
            rounds = {master: master.rounds for master in self.masters.values()}
            for master in rounds:
                master.process.send_signal(signal.SIGUSR1)
            self.waits("the counts of all", lambda: all(
                master.rounds > before for master, before in rounds.items()))
            return {(master.id, peer): count
                    for master in rounds for peer, count in master.counts.items()}

    def assertCounting(self, lines=2):
        """So many more come at both ends of each link that there is; gives what there was."""
        before = after = self.counts()
        clock = Stopwatch()
        while still := [link for link, count in before.items()
                        if link not in after or after[link].received < count.received + lines]:
            self.assertLess(clock.elapsed(), EVENT_S, f"nothing comes of {still}")
            self.assertLessEqual(before.keys(), after.keys(), "links have ended")
            time.sleep(LOOKS_S)
            after = self.counts()
        for link, count in after.items():
            self.assertEqual(count.last, count.received, f"{link} has a gap")
        return before

    def marks(self):
        """For assertUntouched()."""
        return {master: len(master.ends) for master in self.masters.values()}

    def assertUntouched(self, marks, but=()):
        """None of the links has ended since; `but` (master, peer) those."""
        for master, ends in marks.items():
            ended = [end for end in master.ends[ends:] if (master.id, end[1]) not in but]
            self.assertEqual(ended, [], f"at {master.id}")

    def assertOneConnectionEach(self):
        """The kernel knows one connection for each two masters, the same at both ends."""
        index = self.lab.addresses["index"]
        hosts = {self.lab.addresses[name]: name for name in self.masters}

        def wrong():
            found, there = [], {name: {ends for ends in master.connections() if ends[1][0] != index}
                                for name, master in self.masters.items()}
            for one, other in self.pairs():
                ours = {ends for ends in there[one] if hosts.get(ends[1][0]) == other}
                theirs = {ends[::-1] for ends in there[other] if hosts.get(ends[1][0]) == one}
                if len(ours) != 1 or ours != theirs:
                    found.append((one, other, ours, theirs))
            return found

        # Attempts that have lost a race may take a moment to go.
        self.waits("one connection for each pair", lambda: not wrong(), lambda: f"Wrong: {wrong()}")

    # --- telling ----------------------------------------------------------------------------

    def tells(self):
        """What of the test is of interest also where it passed."""
        times = {}
        for master in self.masters.values():
            for link in master.had:
                times.setdefault(link.path, []).append(link.took_ms)
        for path, took in sorted(times.items()):
            took.sort()
            figure(f"{len(took)} ends of {path} links took {took[0]} ms at least, "
                   f"{took[len(took) // 2]} in the middle, {took[-1]} at most")
        counted = self.lab.counted("index")
        figure(f"{counted['peers'][1]:,} bytes between the masters, {counted['served'][1]:,} of "
               f"requests to the index, {counted['astray'][1]} others there")


def figure(text):
    """What tests/run shows also of tests that pass."""
    print("figure: " + text, flush=True)
