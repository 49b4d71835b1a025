"""Caps: what one address, and all together, may hold, and how a refusal reads. Each test has an
index of its own with small caps; 127.0.0.2 is another address than 127.0.0.1."""

from tests.lib.case import AT_ONCE_S, HttpCase
from tests.lib.http import Client, url
from tests.lib.index import Stopwatch
from tests.lib.problem import check_problem
from tests.lib.raw import RawSocket, request_bytes

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


class LimitCase(HttpCase):
    def register(self, id, client=None):
        return (client or self.client).post("/register", {"id": id, "network": self.network})

    def assertRetryAfter(self, reply):
        self.assertGreaterEqual(int(reply.headers["Retry-After"]), 1)


class TestWaiters(LimitCase):
    def cursor(self):
        return self.list()["cursor"]

    def poll(self, cursor, source=HERE):
        client = self.connect(source=source)
        return client.send("GET", url("/list", network=self.network, since=cursor, wait=50))

    def assertNotParked(self, pending):
        watch = Stopwatch()
        reply = pending.reply()
        self.assertLess(watch.elapsed(), AT_ONCE_S)
        self.assertEqual(reply.status, 200, reply)
        self.assertRetryAfter(reply)
        self.assertNodes(reply.json(), [])

    def test_poll_past_the_cap_of_an_address_is_answered_at_once(self):
        self.start("--max-waiters-per-address", "2")
        cursor = self.cursor()
        parked = [self.poll(cursor) for _ in range(2)]
        self.settle()
        self.assertNotParked(self.poll(cursor))
        parked.append(self.poll(cursor, source=ELSEWHERE))
        self.settle()
        self.register("a")
        for pending in parked:
            reply = pending.reply()
            self.assertNodes(reply.json(), ["a"])
            self.assertNotIn("Retry-After", reply.headers)

    def test_poll_past_the_cap_in_all_is_answered_at_once(self):
        self.start("--max-waiters", "2")
        cursor = self.cursor()
        parked = [self.poll(cursor), self.poll(cursor, source=ELSEWHERE)]
        self.settle()
        self.assertNotParked(self.poll(cursor, source="127.0.0.3"))
        self.register("a")
        for pending in parked:
            self.assertNodes(pending.reply().json(), ["a"])

    def test_polls_leave_room_for_what_does_not_wait(self):
        """Four fifths of the connections may be parked, however few there are."""
        for most in (2, 4, 5, 10):
            with self.subTest(most=most):
                self.start("--max-connections", str(most))
                cursor = self.cursor()
                for _ in range(most - 1):
                    self.poll(cursor)
                self.settle()
                self.assertNotParked(self.client.send(
                    "GET", url("/list", network=self.network, since=cursor, wait=50)))

    def test_poll_answered_makes_room(self):
        self.start("--max-waiters-per-address", "1")
        for id in ("a", "b", "c"):
            pending = self.poll(self.cursor())
            self.settle()
            self.register(id)
            reply = pending.reply()
            self.assertNodes(reply.json(), [id])
            self.assertNotIn("Retry-After", reply.headers)

    def test_poll_that_vanished_makes_room(self):
        self.start("--max-waiters-per-address", "1")
        cursor = self.cursor()
        self.poll(cursor).vanish()
        for _ in range(20):
            self.settle()
            pending = self.poll(cursor)
            self.settle()
            node = self.node()
            reply = pending.reply()
            if "Retry-After" not in reply.headers:
                self.assertNodes(reply.json(), [node.id])
                return
            node.delete()
            cursor = self.cursor()
        self.fail("the place of a reader that vanished stays taken")

    def test_poll_of_mailbox_and_events_past_the_cap_is_answered_at_once(self):
        self.start("--max-waiters-per-address", "1")
        node = self.node("a")
        parked = self.poll(self.cursor())
        self.settle()
        for reply in (node.client.get(url("/mailbox/a", wait=50)),
                      node.client.post("/events", {"since": node.cursor, "wait": 50})):
            self.assertEqual(reply.status, 200, reply)
            self.assertRetryAfter(reply)
        self.register("b")
        self.assertNodes(parked.reply().json(), ["b"])


class TestNodeCaps(LimitCase):
    def test_node_past_the_cap_of_an_address_gets_429(self):
        self.start("--max-nodes-per-address", "2")
        nodes = [self.node("a"), self.node("b")]
        reply = self.register("c")
        self.assertProblem(reply, 429, "too_many_nodes")
        self.assertRetryAfter(reply)
        self.assertEqual(self.register("c", self.connect(source=ELSEWHERE)).status, 201)
        self.assertEqual(self.register("b", nodes[1].client).status, 200)
        nodes[0].delete()
        self.assertEqual(self.register("d").status, 201)
        self.assertProblem(self.register("e"), 429, "too_many_nodes")

    def test_node_past_the_cap_in_all_gets_503(self):
        self.start("--max-nodes", "2")
        node = self.node("a")
        self.assertEqual(self.register("b", self.connect(source=ELSEWHERE)).status, 201)
        reply = self.register("c", self.connect(source="127.0.0.3"))
        self.assertProblem(reply, 503, "index_full")
        self.assertRetryAfter(reply)
        self.assertEqual(self.register("a", node.client).status, 200)
        node.delete()
        self.assertEqual(self.register("c").status, 201)

    def test_node_cap_of_0_is_none(self):
        self.start("--max-nodes", "0", "--max-nodes-per-address", "0")
        for number in range(300):
            self.assertEqual(self.register(f"n{number}").status, 201)


class TestRate(LimitCase):
    def until_limited(self, client, most=10, **options):
        """Asks until it is refused; gives the refusal, None where there is none."""
        for _ in range(most):
            reply = client.get("/list", **options)
            if reply.status != 200:
                return reply
        return None

    def test_requests_past_the_rate_get_429(self):
        self.start("--rate", "1", rate=None)
        client = self.connect(source=ELSEWHERE)
        for _ in range(2):
            self.assertEqual(client.get("/list").status, 200)
        reply = self.until_limited(client)
        self.assertProblem(reply, 429, "rate_limited")
        self.assertRetryAfter(reply)
        self.assertIsNone(self.until_limited(self.connect(source="127.0.0.3"), most=2))

    def test_requests_count_each_once_whatever_they_ask(self):
        self.start("--rate", "1", rate=None)
        client = self.connect(source=ELSEWHERE)
        replies = [client.get("/nodes/nobody"), client.post("/register", raw=b"x"),
                   client.get("/list"), client.get("/list"), client.get("/list")]
        self.assertEqual([reply.status for reply in replies[:2]], [404, 400])
        self.assertIn(429, [reply.status for reply in replies[2:]])

    def test_requests_of_a_trusted_proxy_count_by_forwarded_address(self):
        self.start("--rate", "1", "--trust-proxy", "127.0.0.1/32", rate=None)
        for address in ("203.0.113.5", "203.0.113.6", "2001:db8::1"):
            reply = self.until_limited(self.client, headers={"X-Forwarded-For": address})
            self.assertProblem(reply, 429, "rate_limited")
        again = self.until_limited(self.client, headers={"X-Forwarded-For": "2001:db8::2"})
        self.assertProblem(again, 429, "rate_limited")

    def test_requests_of_a_trusted_proxy_itself_are_exempt(self):
        self.start("--rate", "1", "--trust-proxy", "127.0.0.1/32", rate=None)
        self.assertIsNone(self.until_limited(self.client, most=50))

    def test_requests_of_a_proxy_that_says_nothing_readable_are_not_exempt(self):
        """What cannot be read counts for the proxy that wrote it: else a client could hide."""
        for headers in ({"Forwarded": "for=unknown"}, {"Forwarded": "for=_hidden"},
                        {"Forwarded": "proto=https"}, {"X-Forwarded-For": "unknown"},
                        {"X-Forwarded-For": "203.0.113.5, nonsense"},
                        {"X-Forwarded-For": "x" * 1500}, {"X-Forwarded-For": ","},
                        {"Forwarded": "for=unknown", "X-Forwarded-For": "unknown"}):
            with self.subTest(headers=headers):
                self.start("--rate", "1", "--trust-proxy", "127.0.0.1/32", rate=None)
                reply = self.until_limited(self.client, headers=headers)
                self.assertIsNotNone(reply)
                self.assertProblem(reply, 429, "rate_limited")

    def test_rate_of_0_is_none(self):
        self.start()
        self.assertIsNone(self.until_limited(self.client, most=500))

    def test_rate_default_is_50_with_a_burst_of_100(self):
        self.start(rate=None)
        client = self.connect(source=ELSEWHERE)
        for number in range(100):
            self.assertEqual(client.get("/list").status, 200, number)
        self.assertProblem(self.until_limited(client, most=1000), 429, "rate_limited")


class TestConnections(LimitCase):
    def answered(self, connection):
        """Whether a request over `connection` is served."""
        connection.try_send(request_bytes("GET", "/healthz"))
        try:
            return connection.read_reply().status == 200
        except EOFError:
            return False

    def fill(self, count, source):
        connections = [RawSocket(self.index, source=source) for _ in range(count)]
        for connection in connections:
            self.addCleanup(connection.close)
            self.assertTrue(self.answered(connection))
        return connections

    def assertNoRoom(self, source):
        with RawSocket(self.index, source=source) as connection:
            self.assertFalse(self.answered(connection))

    def assertRoom(self, source):
        """A place that was left is free as soon as the index has seen it."""
        for _ in range(100):
            with RawSocket(self.index, source=source) as connection:
                if self.answered(connection):
                    return
        self.fail("no room for another connection")

    def test_connection_past_the_cap_of_an_address_is_refused(self):
        self.start("--max-connections-per-address", "3")
        connections = self.fill(3, ELSEWHERE)
        self.assertNoRoom(ELSEWHERE)
        self.fill(2, "127.0.0.3")
        self.assertTrue(self.answered(connections[0]))
        connections[1].close()
        self.assertRoom(ELSEWHERE)

    def assertTurnedAway(self, source, status, code):
        """It is told why, before it has said a word, and also if it goes ahead."""
        with RawSocket(self.index, source=source) as connection:
            reply = connection.read_reply()
            check_problem(reply)
            self.assertProblem(reply, status, code)
            self.assertEqual(connection.read_to_end(), b"")
        for _ in range(50):
            client = Client(self.index, source=source)
            self.assertProblem(client.get("/list"), status, code)
            client.close()

    def test_connection_past_the_cap_of_an_address_is_told_why(self):
        self.start("--max-connections-per-address", "2")
        connections = self.fill(2, ELSEWHERE)
        self.assertTurnedAway(ELSEWHERE, 429, "too_many_connections")
        self.assertTrue(self.answered(connections[0]))
        self.fill(2, "127.0.0.3")

    def test_connection_past_the_cap_in_all_is_told_why(self):
        self.start("--max-connections", "2")
        connections = self.fill(1, ELSEWHERE) + self.fill(1, "127.0.0.3")
        self.assertTurnedAway("127.0.0.4", 503, "index_full")
        self.assertTrue(self.answered(connections[0]))

    def test_connection_past_the_cap_in_all_is_refused(self):
        self.start("--max-connections", "5", "--max-waiters", "2")
        self.client.close()
        connections = self.fill(2, ELSEWHERE) + self.fill(3, "127.0.0.3")
        with RawSocket(self.index, source="127.0.0.4") as connection:
            connection.socket.settimeout(1)
            try:
                self.assertFalse(self.answered(connection))
            except TimeoutError:
                pass  # It waits in the kernel's queue, which is as good.
        for connection in connections:
            connection.close()
        self.assertRoom("127.0.0.4")


class TestManyClients(LimitCase):
    def test_clients_at_once_are_all_served(self):
        self.start("--max-nodes-per-address", "0")
        clients = [Client(self.index) for _ in range(300)]
        pending = [client.send("POST", "/register", {"id": f"n{number}",
                                                     "network": self.network})
                   for number, client in enumerate(clients)]
        self.assertEqual({poll.reply().status for poll in pending}, {201})
        self.assertEqual(len(self.list(limit=1000)["nodes"]), 300)
        for client in clients:
            client.close()
