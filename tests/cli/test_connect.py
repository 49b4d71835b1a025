"""The commands `listen` and `connect`: stdin and stdout of two nodes, joined directly."""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import termios
import threading
import unittest

from tests.cli.case import BINARY, ENDS_S, CliCase, closed_port
from tests.lib.index import SANITIZER, Stopwatch

CONNECTED = (r"^signpost: connected to {0} at 127\.0\.0\.1:\d+ \((direct|lan|reversed)\) after "
             r"\d+ ms, round trip \d+\.\d+ ms\n$")


class End:
    """A `listen` or `connect` with its stdin in our hands."""

    def __init__(self, case, *args):
        self.case = case
        self.process = subprocess.Popen(
            [BINARY, *args], env=case.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.last = threading.Timer(ENDS_S, self.process.kill)  # so that no read waits for ever
        self.last.start()
        case.addCleanup(self._give_up)

    def note(self):
        return self.process.stderr.readline().decode()

    def says(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hears(self, size):
        return self.process.stdout.read(size)

    def wait(self):
        out, err = self.process.communicate(timeout=ENDS_S)
        self.case.assertNotRegex(err.decode(), SANITIZER)
        return self.process.returncode, out, err.decode()

    def _give_up(self):
        self.last.cancel()
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        self.process.wait()


class TestConnect(CliCase):
    def listens(self, *args, id="b"):
        end = End(self, "listen", "--id", id, *args)
        self.assertRegex(
            end.note(), rf"^signpost: {id} listens on port \d+, seen as 127\.0\.0\.1\n$")
        return end

    def connects(self, peer, *args):
        return End(self, "connect", peer, *args)

    def joined(self):
        listener = self.listens()
        caller = self.connects("b", "--id", "a")
        self.assertRegex(caller.note(), CONNECTED.format("b"))
        self.assertRegex(listener.note(), r"^signpost: connection from a at 127\.0\.0\.1:\d+ ")
        return listener, caller

    def assertEnd(self, *ends):
        """With the end of their input, both end."""
        for end in ends:
            end.process.stdin.close()
        for end in ends:
            self.assertEqual(end.process.stdout.read(), b"")
            self.assertEqual(end.process.wait(ENDS_S), 0)

    def test_both_ends_hear_each_other(self):
        listener, caller = self.joined()
        caller.says(b"ping\n")
        self.assertEqual(listener.hears(5), b"ping\n")
        listener.says(b"pong\n")
        self.assertEqual(caller.hears(5), b"pong\n")
        self.assertEnd(listener, caller)

    def test_end_of_input_leaves_the_other_direction(self):
        listener, caller = self.joined()
        caller.says(b"question")
        caller.process.stdin.close()
        self.assertEqual(listener.process.stdout.read(), b"question")  # and the end
        self.assertIsNone(listener.process.poll())
        listener.says(b"a late answer")
        self.assertEqual(caller.hears(13), b"a late answer")
        self.assertIsNone(caller.process.poll())
        listener.process.stdin.close()
        self.assertEqual(caller.process.stdout.read(), b"")
        self.assertEqual(caller.process.wait(ENDS_S), 0)
        self.assertEqual(listener.process.wait(ENDS_S), 0)

    def test_much_goes_both_ways_at_once(self):
        listener, caller = self.joined()
        data = os.urandom(1 << 22)
        heard = {}

        def feed(end):
            end.process.stdin.write(data)
            end.process.stdin.close()

        def hear(end):
            heard[end] = end.process.stdout.read()

        threads = [threading.Thread(target=work, args=(end,))
                   for end in (listener, caller) for work in (feed, hear)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(ENDS_S)
        self.assertEqual(heard[listener], data)
        self.assertEqual(heard[caller], data)

    def test_file_as_input_is_sent_whole(self):
        listener = self.listens()
        listener.process.stdin.close()
        path = self.write("data", "line\n" * 50000)
        with open(path, "rb") as file:
            caller = subprocess.Popen([BINARY, "connect", "b", "--quiet"], env=self.env, stdin=file)
        self.addCleanup(caller.wait)
        self.addCleanup(caller.kill)
        self.assertEqual(listener.process.stdout.read(), b"line\n" * 50000)
        self.assertEqual(caller.wait(ENDS_S), 0)

    def test_json_tells_of_the_connection(self):
        self.listens()
        told = json.loads(self.connects("b", "--json", "--id", "a").note())
        self.assertEqual({name: told[name] for name in ("event", "peer", "called")},
                         {"event": "connected", "peer": "b", "called": False})
        self.assertIn(told["path"], ("direct", "lan", "reversed"))
        self.assertGreaterEqual(told["rtt_ms"], 0)

    def test_quiet_writes_only_what_the_peer_says(self):
        listener = self.listens()
        caller = self.connects("b", "--quiet")
        listener.says(b"hello")
        listener.process.stdin.close()
        self.assertEqual(caller.process.stdout.read(), b"hello")
        self.assertEqual(caller.wait(), (0, b"", ""))

    def test_listener_takes_one_and_leaves(self):
        watch = self.starts("watch")
        self.joined()
        told = [(event["event"], event["id"]) for event in (watch.json(), watch.json())]
        self.assertEqual(told, [("up", "b"), ("down", "b")])

    def test_service_of_its_own_is_connected_to_as_it_is(self):
        with socket.create_server(("127.0.0.1", 0)) as service:
            port = service.getsockname()[1]
            self.node("s", endpoints=[f"echo://127.0.0.1:{port}"])
            caller = self.connects("s", "--scheme", "echo")
            accepted, _ = service.accept()
            with accepted:
                self.assertRegex(caller.note(), CONNECTED.format("s"))
                accepted.sendall(b"welcome")
                self.assertEqual(caller.hears(7), b"welcome")

    def test_what_a_service_said_before_it_broke_off_is_not_lost(self):
        data = os.urandom(160 << 10)  # more than the pipe and the command hold
        with socket.create_server(("127.0.0.1", 0)) as service:
            self.node("s", endpoints=[f"echo://127.0.0.1:{service.getsockname()[1]}"])
            caller = self.connects("s", "--scheme", "echo")
            accepted, _ = service.accept()
        self.assertRegex(caller.note(), CONNECTED.format("s"))
        caller.says(b"never read")
        accepted.recv(1, socket.MSG_PEEK)
        accepted.sendall(data)
        clock = Stopwatch()
        while struct.unpack("i", fcntl.ioctl(accepted, termios.TIOCOUTQ, b"1234"))[0]:
            self.assertLess(clock.elapsed(), ENDS_S)  # it is on its way
        accepted.close()
        caller.says(b"too late")
        self.assertEqual(caller.wait()[:2], (0, data))

    def test_service_that_is_not_there_exits_68(self):
        port = closed_port()
        self.node("s", endpoints=[f"echo://127.0.0.1:{port}"])
        self.assertEnds(68, "connect", "s", "--scheme", "echo",
                        says=f"cannot reach s: 127.0.0.1:{port}: connection refused\n")

    def test_peer_that_nobody_knows_exits_66(self):
        self.assertEnds(66, "connect", "nobody", says=("nobody", "offline"))

    def test_wrong_use_exits_64(self):
        self.assertEnds(64, "connect", "b b", says="b b")
        self.assertEnds(64, "connect", "b", "--scheme", "a b", says="scheme")
        self.assertEnds(64, "connect", "a", "--id", "a", says="--id")
        self.assertEnds(64, "listen", "--port", "70000", says="70000")

    def test_port_that_is_taken_exits_71(self):
        with socket.create_server(("", 0)) as taken:
            self.assertEnds(71, "listen", "--port", str(taken.getsockname()[1]), says="port")

    def test_interrupt_while_waiting_ends_it(self):
        listener = self.listens()
        listener.process.send_signal(signal.SIGINT)
        self.assertEqual(listener.wait()[0], 0)

    def test_peer_that_breaks_off_is_told(self):
        listener, caller = self.joined()
        listener.process.kill()
        self.assertEqual(caller.process.stdout.read(), b"")
        self.assertIn(caller.wait()[0], (0, 1))


if __name__ == "__main__":
    unittest.main()
