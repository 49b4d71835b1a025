"""The process ends at any moment, under load: by SIGKILL, and by SIGTERM."""

import os
import random
import signal
import socket
import threading
import time
import unittest

from tests.faults.case import FaultCase, figure
from tests.faults.load import Ledger, Rounds, verify
from tests.lib.index import Index

KILLS = int(os.environ.get("FAULTS_KILLS", "200"))
LONGEST_S = 0.12  # of a life under load
STOP_DEADLINE_S = 15  # LIMIT_STOP_MS and a slow machine


class TestKill(FaultCase):
    def test_kills_under_load_lose_nothing_acknowledged(self):
        seed = int(os.environ.get("FAULTS_SEED", "0")) or random.SystemRandom().getrandbits(32)
        print(f"figure: seed {seed} (FAULTS_SEED)")
        moments, ledger, starts = random.Random(seed), Ledger(seed=seed), []
        self.index = Index("--max-nodes-per-address", "0", "--durability", "normal")
        self.addCleanup(self.index.close)
        for kill in range(KILLS):
            start = time.monotonic()
            self.index.start()
            starts.append(time.monotonic() - start)
            with self.subTest(kill=kill, seed=seed):
                verify(self, self.index, ledger)
            rounds = Rounds(self.index, ledger)
            time.sleep(moments.uniform(0, LONGEST_S))
            self.index.kill()
            rounds.end()
        self.index.start()
        verify(self, self.index, ledger, guests=1000)
        self.assertGreater(ledger.counts["sent"], KILLS)
        self.assertGreater(ledger.counts["acknowledged"], KILLS / 4)
        starts.sort()
        figure(f"kill -9, {KILLS} times under load", f"nothing lost of {ledger.text()}; ready "
               f"again after {starts[len(starts) // 2] * 1000:.0f} ms (median), "
               f"{starts[-1] * 1000:.0f} ms (worst)")


class TestTerm(FaultCase):
    def half_replies(self, stop, faults):
        """A client that sends request after request on raw sockets: each gets a whole reply, or
        not a byte of one."""
        request = (b"POST /register HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/"
                   b"json\r\nContent-Length: %d\r\n\r\n%s")
        body = b'{"ttl":600,"network":"half"}'
        answered = 0
        while not stop.is_set():
            got = b""
            try:
                with socket.create_connection(("127.0.0.1", self.index.port), 10) as connection:
                    connection.sendall(request % (self.index.port, len(body), body))
                    while not self.is_whole(got):
                        part = connection.recv(65536)
                        if not part:
                            break
                        got += part
            except OSError:
                pass
            if self.is_whole(got):
                answered += 1
            elif got:
                faults.append(got)
        return answered

    @staticmethod
    def is_whole(reply):
        head, end, body = reply.partition(b"\r\n\r\n")
        length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        return bool(end and length) and len(body) >= int(length[0].split(b":")[1])

    def test_term_under_load_answers_whole_and_keeps_what_it_said(self):
        ledger, slowest, halves = Ledger(seed=1), 0, []
        self.index = Index("--max-nodes-per-address", "0")
        self.addCleanup(self.index.close)
        for turn in range(10):
            self.index.start()
            verify(self, self.index, ledger)
            rounds, stop = Rounds(self.index, ledger), threading.Event()
            raw = [threading.Thread(target=self.half_replies, args=(stop, halves))
                   for _ in range(3)]
            for thread in raw:
                thread.start()
            time.sleep(0.1 + 0.02 * turn)
            start = time.monotonic()
            self.index.signal(signal.SIGTERM)
            self.assertEqual(self.index.wait(), 0, self.index.log())
            slowest = max(slowest, time.monotonic() - start)
            stop.set()
            rounds.end()
            for thread in raw:
                thread.join()
        self.assertEqual(halves, [], "a reply was cut in the middle")
        self.assertLess(slowest, STOP_DEADLINE_S)
        self.assertNotIn("stop_cut", self.index.log())
        self.index.start()
        verify(self, self.index, ledger, guests=1000)
        figure("SIGTERM, 10 times under load", f"exit code 0, no half reply, nothing lost of "
               f"{ledger.text()}; slowest stop {slowest * 1000:.0f} ms")


if __name__ == "__main__":
    unittest.main()
