"""A herd: an index that was away, and all its clients that come back to it.

Client and server go by the rules of `client/link*.c` and `server/http/loop.c`, event by event, with
random numbers that repeat. Where there are more nodes than MEMBERS each member stands for `weight`
nodes that do the same at the same moment, and costs as much as they do. Times are in seconds; 0 is
when the index goes away.
"""

import collections
import dataclasses
import heapq
import math
import random

from tests.bench.lib.report import percentile

MEMBERS, MEMBERS_OF_ONE = 4000, 1000  # the latter where all are in one network
WATCH_S = 65      # after the end of the outage: three rounds of polls
GIVE_UP_S = 300   # after the end; who is not back then counts as lost
LATER_S = (35, 65)  # after the end: what is left of the herd in its second and third round
BIN_S = 0.1
SYN_S = (0, 1, 3, 7)  # when a kernel asks for a connection again (Linux: 1 s, doubled)
FIRST_REPEAT_S = 0.2  # of what was sent and is not acknowledged (Linux)
RESTED_S = 0.05       # http/load.c, RESTED_MS
PASS_COUNTS_S, NEWEST_SHARE = 0.5, 8  # http/load.c


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is left to chance. `TODAY` is what the code does."""

    jitter: bool = True         # False: every delay is the longest that it may be
    poll_spread: bool = True    # each poll draws its wait; False: all wait the longest
    retry_spread: float = 0     # seconds at most past Retry-After, besides the share of the backoff
    beats_back_off: bool = True  # heartbeats that fail come ever later, as polls do
    register_soon: bool = True   # who hears `unknown_node` backs off anew, from the first delay on


TODAY, NO_JITTER = Rules(), Rules(jitter=False)


@dataclasses.dataclass(frozen=True)
class Case:
    """`kind`: "restart" keeps the database, "empty" lost it, "cut" is the network between, whose
    index runs on. `nodes_of_network` 0: all are in one. `client` "polls" reads its mailbox and the
    list in one long poll; "beats" sends heartbeats and nothing else."""

    nodes: int
    outage_s: float
    kind: str = "restart"
    nodes_of_network: int = 10
    client: str = "polls"
    tls: bool = False
    capped: bool = False  # with the default --max-connections and --max-waiters
    rules: Rules = TODAY


class Member:
    """One client, or `weight` of them."""

    __slots__ = ("failures", "losses", "registered", "ready", "back_s", "lease_s", "request",
                 "connected", "network", "wait_s", "seen", "heard_s", "parked", "expired", "known")

    def __init__(self, network):
        self.network = network
        self.failures = self.losses = self.request = self.seen = 0
        self.registered = self.known = True
        self.ready = self.connected = self.parked = self.expired = False
        self.back_s, self.wait_s = None, 0
        self.lease_s, self.heard_s = math.inf, -math.inf


class Herd:
    def __init__(self, case, numbers, seed=1):
        self.case, self.rules = case, case.rules
        self.n = numbers
        self.random = random.Random(f"{seed} {case}").random
        count = min(case.nodes, MEMBERS if case.nodes_of_network else MEMBERS_OF_ONE)
        self.weight = case.nodes / count
        size = case.nodes_of_network or count
        # In one network of all, what one member does so many nodes have done.
        self.step = 1 if case.nodes_of_network else self.weight
        self.networks = [Network() for _ in range(math.ceil(count / size))]
        self.members = [Member(self.networks[number // size]) for number in range(count)]
        self.end_s = case.outage_s
        self.most_s = numbers["ttl_s"] / numbers["backoff_share"]
        self.wait_s = min(numbers["wait_most_s"], int(numbers["ttl_s"] * numbers["wait_share"]))
        self.events, self.order = [], 0
        self.backlog, self.waiting, self.woken = (collections.deque() for _ in range(3))
        self.queued = self.connections = self.parked = self.handshakes = 0
        self.busy, self.pass_s, self.ended_s, self.spread = False, 0, -math.inf, 0
        self.left, self.now = count, 0
        self.arrivals = collections.Counter()
        self.refused = self.dropped = self.expired = self.requests = 0
        self.work_s = self.work_back_s = 0

    # --- time -----------------------------------------------------------------------------------

    def at(self, when_s, what, *words):
        self.order += 1
        heapq.heappush(self.events, (when_s, self.order, what, words))

    def run(self):
        for member in self.members:
            self.lose(member)
        while self.events:
            self.now, _, what, words = heapq.heappop(self.events)
            since_s = self.now - self.end_s
            if since_s > GIVE_UP_S or (since_s > WATCH_S and not self.left):
                break
            what(*words)
        return self.result()

    # --- the client -----------------------------------------------------------------------------

    def chance(self, most):
        return most * self.random() if self.rules.jitter else most

    def backoff_s(self, failures, retry_after_s=0):
        """client_backoff_ms()"""
        window_s = min(self.n["backoff_first_s"] * 2 ** min(failures, 20), self.most_s)
        if not retry_after_s:
            return self.chance(window_s)
        # Without chance all that were told the same come at once.
        past_s = self.chance(window_s) / self.n["retry_share"] if self.rules.jitter else 0
        return retry_after_s + past_s + self.chance(self.rules.retry_spread)

    def draw_wait_s(self):
        """poll_wait_s(): whole seconds, up to a share of them less"""
        if not (self.rules.jitter and self.rules.poll_spread):
            return self.wait_s
        return self.wait_s - int(self.random() * (1 + self.wait_s // self.n["wait_spread"]))

    def lose(self, member):
        """The index goes away. Each was somewhere between two signs of life."""
        every_s = self.draw_wait_s() if self.case.client == "polls" else self.most_s
        asked_s = -every_s * self.random()
        member.lease_s = asked_s + self.n["ttl_s"]
        if self.case.kind == "cut":
            self.cut(member, asked_s, every_s)
            return
        member.lease_s = self.end_s + self.n["ttl_s"]  # a start gives every lease its full ttl
        member.known = self.case.kind == "restart"
        when_s = 0 if self.case.client == "polls" else asked_s + every_s
        self.fail_until(member, when_s, lambda when_s: when_s)

    def cut(self, member, asked_s, every_s):
        """Nothing arrives, and nobody says so. The kernels repeat what was under way, twice as late
        each time; what is not there when it is overdue is given up."""
        due_s = asked_s + every_s
        repeated_s = FIRST_REPEAT_S
        answered_s = due_s
        while answered_s < self.end_s:
            answered_s = due_s + repeated_s
            repeated_s *= 2
        overdue_s = due_s + self.n["slack_s"]
        if answered_s > overdue_s:
            self.fail_until(member, overdue_s, lambda when_s: when_s + self.n["short_timeout_s"])
            return
        member.connected, self.now = True, self.end_s
        self.connections += self.weight
        self.get_ready(member)
        self.at(answered_s, self.ask, member)

    def fail_until(self, member, when_s, fails_at):
        """Tries until one finds the index there; `fails_at` tells when one ends that does not."""
        while not self.finds(when_s):
            when_s = fails_at(when_s) + self.pause_s(member, 0)
        self.at(when_s, self.ask, member)

    def finds(self, when_s):
        again_s = SYN_S if self.case.kind == "cut" else SYN_S[:1]
        return any(when_s + wait_s >= self.end_s for wait_s in again_s)

    def pause_s(self, member, retry_after_s):
        """After one more failure: link_try_later(), or on_beat()."""
        member.failures += 1
        if self.case.client == "polls" or self.rules.beats_back_off:
            return self.backoff_s(member.failures - 1, retry_after_s)
        return self.backoff_s(1, retry_after_s or self.n["backoff_first_s"])

    def ask(self, member):
        """Sends what is next; over a new connection where there is none."""
        if self.now < self.end_s:  # a cut: the connection request is repeated until it gets through
            asked_s = self.now
            self.at(min(asked_s + wait_s for wait_s in SYN_S if asked_s + wait_s >= self.end_s),
                    self.ask, member)
            return
        member.request += 1
        member.wait_s = self.draw_wait_s() if member.ready else 0
        patient_s = self.n["slack_s" if member.ready else "short_timeout_s"]
        self.at(self.now + member.wait_s + patient_s, self.give_up, member, member.request)
        self.arrive(member, member.request, self.now, 0)

    def give_up(self, member, request):
        if request != member.request or member.parked:
            return
        self.disconnect(member)
        member.ready = False
        member.request += 1
        self.at(self.now + self.pause_s(member, 0), self.ask, member)

    def refuse(self, member, retry_after_s):
        """503, with what Retry-After says."""
        self.refused += self.weight
        retry_after_s += self.spread % self.n["retry_spread_s"] if self.rules.jitter else 0
        self.spread += 1
        self.at(self.now + self.pause_s(member, retry_after_s), self.ask, member)

    def forget(self, member):
        """404: link_lost_lease()"""
        member.registered = member.ready = False
        if self.case.kind != "empty" and not member.expired:
            member.expired = True
            self.expired += self.weight
        if self.rules.register_soon:
            member.failures = member.losses
        member.losses += 1
        self.at(self.now + self.backoff_s(member.failures), self.ask, member)
        member.failures += 1

    def get_ready(self, member):
        member.failures, member.losses, member.ready = 0, 0, True
        if member.back_s is None:
            member.back_s = max(0, self.now - self.end_s)
            self.left -= 1
            self.work_back_s = self.work_s

    # --- the server -----------------------------------------------------------------------------

    def arrive(self, member, request, asked_s, tries):
        """In the kernel: on its connection, or in the queue of those who want one."""
        if not tries:
            self.requests += self.weight
            self.arrivals[int((self.now - self.end_s) / BIN_S)] += self.weight
        if member.connected:
            self.waiting.append((member, request))
        elif self.queued + self.weight <= max(self.n["backlog"], self.weight):
            self.queued += self.weight
            self.backlog.append((member, request))
        else:
            self.dropped += self.weight
            if tries + 1 < len(SYN_S):
                tries += 1
                self.at(asked_s + SYN_S[tries], self.arrive, member, request, asked_s, tries)
            return
        self.wake()

    def wake(self):
        if not self.busy:
            self.busy = True
            self.at(self.now, self.turn)

    def accept(self, replies):
        """Takes up to a batch of connections; gives what that costs."""
        cost_s = taken = 0
        while self.backlog and taken < self.n["accept_batch"]:
            member, request = self.backlog.popleft()
            self.queued -= self.weight
            taken += self.weight
            cost_s += self.weight * self.n["connect_us"] / 1e6
            if self.case.capped and self.connections >= self.n["max_connections"]:
                replies.append((self.turn_away, member, request))
                continue
            if request == member.request:
                member.connected = True
                self.connections += self.weight
            if self.case.tls:
                self.handshakes += self.weight
            self.waiting.append((member, request))
        return cost_s

    def turn(self):
        """Accepts, then one pass over all that is ready; the replies leave at its end."""
        replies, self.handshakes = [], 0
        accept_s = self.accept(replies)
        if self.now - self.ended_s >= RESTED_S:
            self.pass_s = 0
        sheds = self.pass_s * 1000 >= self.n["shed_life_ms"]
        work_us = self.handshakes * self.n["tls_us"]
        for _ in range(len(self.waiting)):
            member, request = self.waiting.popleft()
            cost_us, reply = (self.n["refuse_us"], self.shed) if sheds else self.serve(member)
            work_us += self.weight * cost_us
            replies.append((reply, member, request))
        room = self.n["pass_pages_bytes"]
        while self.woken and room > 0:
            member = self.woken.popleft()
            if member.parked:
                changes = member.network.seq - member.seen
                work_us += self.weight * (self.n["poll_us"] + changes * self.n["node_us"])
                room -= self.weight * changes * self.n["node_bytes"]
                self.unpark(member)
                replies.append((self.tell, member, member.request))
        pass_s = (self.n["pass_us"] + work_us) / 1e6
        self.work_s += accept_s + pass_s
        self.at(self.now + accept_s + pass_s, self.finish, pass_s, replies)

    def finish(self, pass_s, replies):
        self.pass_s += (min(pass_s, PASS_COUNTS_S) - self.pass_s) / NEWEST_SHARE
        self.ended_s = self.now
        for reply, member, request in replies:
            if request == member.request:
                reply(member)
        self.busy = False
        if self.backlog or self.waiting or self.woken:
            self.wake()

    def serve(self, member):
        """One request: what it costs, and its reply."""
        network = member.network
        if not member.registered:
            member.known, member.lease_s = True, self.now + self.n["ttl_s"]
            return self.n["register_us"], self.registered
        if not member.known or member.lease_s < self.now:
            member.known = False
            return self.n["refuse_us"], self.forget
        member.lease_s = self.now + self.n["ttl_s"]
        if self.case.client == "beats":
            return self.n["beat_us"], self.beaten
        if member.ready:
            if self.case.capped and self.parked >= self.n["max_waiters"]:
                return self.n["poll_us"], self.not_parked
            return self.n["poll_us"] / 2, self.park
        # One that does not wait: all that it has missed, or all there are where it knows none.
        missed = min(network.seq - member.seen, len(network.members) * self.step)
        return self.n["poll_us"] + missed * self.n["node_us"], self.tell

    # --- replies --------------------------------------------------------------------------------

    def shed(self, member):
        self.refuse(member, self.n["shed_retry_s"])

    def turn_away(self, member):
        member.request += 1
        self.refuse(member, self.n["full_retry_s"])

    def not_parked(self, member):
        member.request += 1
        self.spread += 1
        self.at(self.now + self.n["wait_retry_s"] + self.spread % self.n["retry_spread_s"],
                self.ask, member)

    def registered(self, member):
        member.registered = True
        network = member.network
        network.seq += self.step
        if self.case.client == "beats":
            self.beaten(member)
            return
        for other in network.members:
            if other.parked:
                self.news(other)
        network.members.append(member)
        self.ask(member)

    def beaten(self, member):
        member.request += 1
        self.get_ready(member)
        share = 2 * self.chance(self.n["beat_jitter"]) - self.n["beat_jitter"]
        self.at(self.now + self.most_s * (1 + share), self.ask, member)

    def tell(self, member):
        member.seen, member.heard_s = member.network.seq, self.now
        self.get_ready(member)
        self.ask(member)

    def park(self, member):
        member.parked = True
        self.parked += self.weight
        self.at(self.now + member.wait_s, self.over, member, member.request)
        if member.seen < member.network.seq:
            self.news(member)

    def news(self, member):
        """It hears of the list, but not more often than it may."""
        when_s = max(self.now, member.heard_s + self.n["hear_every_s"])
        self.at(when_s, self.bring, member, member.request)

    def bring(self, member, request):
        if member.parked and request == member.request and member.seen < member.network.seq:
            self.woken.append(member)
            self.wake()

    def unpark(self, member):
        member.parked = False
        self.parked -= self.weight

    def over(self, member, request):
        """A poll that ends with nothing to say; the next one follows."""
        if member.parked and request == member.request:
            self.unpark(member)
            self.work_s += self.weight * self.n["poll_us"] / 2e6
            self.ask(member)

    def disconnect(self, member):
        if member.connected:
            member.connected = False
            self.connections -= self.weight

    # --- what came of it ------------------------------------------------------------------------

    def rates(self):
        """Requests in the second that begins so long after the end of the outage."""
        bins = range(max(self.arrivals) + 1)
        return [(start * BIN_S, sum(self.arrivals[start + at] for at in range(round(1 / BIN_S))))
                for start in bins]

    def result(self):
        back = sorted(math.inf if member.back_s is None else member.back_s
                      for member in self.members)
        rates = self.rates()
        later = [rate for start_s, rate in rates if LATER_S[0] <= start_s < LATER_S[1] - 1]
        return {
            "median_s": percentile(back, 0.5),
            "p99_s": percentile(back, 0.99),
            "all_s": back[-1],
            "lost": round(self.left * self.weight),
            "peak_per_s": round(max(rate for _, rate in rates)),
            "later_per_s": round(max(later, default=0)),
            "refused": round(self.refused), "dropped": round(self.dropped),
            "expired": round(self.expired),
            "requests_a_node": self.requests / self.case.nodes,
            "work_back_s": self.work_back_s,
        }


class Network:
    """`seq` is how many changes there were since the index is back."""

    def __init__(self):
        self.seq = 0
        self.members = []  # who registered again
