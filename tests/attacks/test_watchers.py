"""Parked polls, as many as there may be, and changes that wake all of them."""

import collections
import resource
import signal

from tests.lib.attack import (
    MIB, PEAK_BYTES, AttackCase, Pipe, big_node, big_nodes, request, stranger)

OF_ONE_ADDRESS = 256  # parked polls
ADDRESSES = 20
SMALL_WINDOW = 4096


class TestWatchers(AttackCase):
    def change(self, number):
        """A visible change of the list; gives the new cursor."""
        reply = self.client.post("/register", {
            "id": "waker", "network": "watched", "token": "w" * 43, "meta": {"number": number}})
        self.assertIn(reply.status, (200, 201))
        return reply["cursor"]

    def test_polls_past_the_caps_do_not_wait(self):
        """Twice, because a connection that is used again takes more memory."""
        count = OF_ONE_ADDRESS * ADDRESSES
        with self.attack("parked polls and beyond", "--rate", "0") as attack:
            pipes = [Pipe(self.index, stranger(number % ADDRESSES)) for number in range(count)]
            attack.what = f"{count} parked polls, woken twice, and {ADDRESSES * 10} too many"
            attack.polls = count
            cursor = self.change(0)
            poll = request("GET", f"/list?network=watched&since={cursor}&wait=55")
            for turn in (1, 2):
                for pipe in pipes:
                    pipe.send([poll])
                self.settle()
                self.refused_more(poll, ADDRESSES * 10)
                cursor = self.change(turn)
                statuses = collections.Counter(pipe.reply()[0] for pipe in pipes)
                self.assertEqual(statuses, {200: count})
                poll = request("GET", f"/list?network=watched&since={cursor}&wait=55")
            for pipe in pipes:
                pipe.close()

    def refused_more(self, poll, count):
        """One poll too many is answered at once, and told when to ask again."""
        for number in range(count):
            with Pipe(self.index, stranger(number % ADDRESSES)) as pipe:
                pipe.send([poll])
                status, headers, _ = pipe.reply()
                self.assertEqual(status, 200)
                self.assertIn(b"retry-after", headers)

    def stopped(self, act):
        """What `act` sends is all there when the index goes on: it comes in one pass."""
        self.index.signal(signal.SIGSTOP)
        try:
            act()
        finally:
            self.index.signal(signal.SIGCONT)

    def writers(self, count):
        """Connections that can each change a big node in the same pass."""
        return [self.comes(60_000 + number // 50) for number in range(count)]

    def test_large_change_does_not_wake_all_at_once(self):
        """Each of many polls would be told of 200 nodes that changed at the same moment: 800 KB."""
        polls, changes = 1_000, 200
        with self.attack("a large change wakes many") as attack:
            big_nodes(self, "big", changes)
            cursor = self.list(network="big", limit=1)["cursor"]
            connections = [self.comes(number % 10, SMALL_WINDOW)
                           for number in range(polls)]
            for connection in connections:
                connection.send(request("GET", f"/list?network=big&since={cursor}&wait=50"))
            attack.what = f"{polls} polls, each to hear of {changes} nodes of 4 KB"
            attack.polls = polls
            writers = self.writers(changes)
            self.settle()
            self.stopped(lambda: [writer.send(big_node("big", number))
                                  for number, writer in enumerate(writers)])
            heads = collections.Counter()
            for connection in connections[::10]:
                heads[connection.recv(15)] += 1
            self.assertEqual(heads, {b"HTTP/1.1 200 OK": polls // 10})
            for connection in connections + writers:
                connection.close()

    def test_lists_that_wait_for_a_commit_do_not_pile_up(self):
        """Lists that are asked for in a pass with a write in it are answered after the commit."""
        asked, changes = 1_000, 200
        with self.attack("lists asked for all at once") as attack:
            big_nodes(self, "big", 250)
            connections = [self.comes(number % 20, SMALL_WINDOW)
                           for number in range(asked)]
            attack.what = f"{asked} lists of 1 MB, in one pass with {changes} writes"
            writers = self.writers(changes)
            self.settle()

            def send():
                for number, connection in enumerate(connections):
                    if number < changes:
                        writers[number].send(big_node("big", number))
                    connection.send(request("GET", "/list?network=big&limit=1000"))

            self.stopped(send)
            for writer in writers:
                self.assertEqual(writer.recv(15), b"HTTP/1.1 200 OK")
            for connection in connections + writers:
                connection.close()

    def test_stop_answers_what_waits_for_room(self):
        """A thousand lists of 1 MB are asked for when the index is told to stop: those for which
        there is no room any more are told to come again."""
        asked = 1_000
        self.start(rate=None)
        big_nodes(self, "big", 250)
        connections = [self.comes(number % 20, SMALL_WINDOW) for number in range(asked)]
        self.settle()
        self.client.close()

        def send():
            for connection in connections:
                connection.send(request("GET", "/list?network=big&limit=1000"))
            self.index.signal(signal.SIGTERM)

        self.stopped(send)
        heads = collections.Counter(connection.recv(12) for connection in connections)
        self.assertLessEqual(set(heads), {b"HTTP/1.1 200", b"HTTP/1.1 503", b""})
        self.assertEqual(self.index.wait(), 0)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(f"figure: stopped meanwhile | {asked} lists of 1 MB: {heads[b'HTTP/1.1 200']} sent, "
              f"{heads[b'HTTP/1.1 503']} put off | peak {peak / MIB:.1f} MB", flush=True)
        self.assertLess(peak, PEAK_BYTES)
