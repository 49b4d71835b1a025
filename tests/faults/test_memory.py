"""Memory is out: now and then while the index serves, and at every single moment of its start."""

import os
import subprocess
import time
import unittest

from tests.faults.case import FaultCase, figure
from tests.faults.load import GONE, Ledger, Rounds, verify
from tests.faults.shims import Memory
from tests.lib.index import Index, binary, clean_environment

SEEDS = int(os.environ.get("FAULTS_SEEDS", "24"))
ONE_IN = (7, 30, 100, 400, 2000)
START_S = 20
STARTS = int(os.environ.get("FAULTS_STARTS", "150"))


class TestServing(FaultCase):
    def test_allocations_that_fail_lose_nothing_and_end_nothing(self):
        memory = Memory(self)
        ledger, failed = Ledger(seed=4), 0
        self.index = Index("--max-nodes-per-address", "0", env=memory.environment)
        self.addCleanup(self.index.close)
        for seed in range(1, SEEDS + 1):
            if not self.index.runs():
                self.index.start()
            self.client = self.connect()
            with self.subTest(seed=seed, one_in=ONE_IN[seed % len(ONE_IN)]):
                rounds = Rounds(self.index, ledger, forgives=True)
                memory.set(random=seed * 2654435761 % 2**32, failed=0,
                           one_in=ONE_IN[seed % len(ONE_IN)])
                time.sleep(0.4)
                memory.set(one_in=0)
                failed += memory.get("failed")
                self.assertTrue(self.index.runs(), "it crashed:\n" + self.index.log())
                self.client.close()
                self.waits_until_ready()
                rounds.end()
                verify(self, self.index, ledger)
            if seed % 4 == 0:
                self.index.kill()
        if self.index.runs():
            self.index.kill()
        self.index.start()
        verify(self, self.index, ledger, guests=1000)
        self.assertGreater(failed, SEEDS * 5)
        figure(f"memory out, {SEEDS} seeds", f"no crash in {failed} failed allocations, serves "
               f"again, nothing lost of {ledger.text()}")

    def test_each_allocation_of_one_request_may_fail(self):
        memory = Memory(self)
        self.start("--max-nodes-per-address", "0", env=memory.environment)
        one, two = self.node(ttl=600), self.node(ttl=600)
        acknowledged, refused, closed = [], 0, 0
        for after in range(1, 120):
            memory.set(after=after)
            id = f"m{after}"
            try:
                reply = one.write(two, id=id, ttl=600)
                if reply.status == 202:
                    acknowledged.append(id)
                else:
                    self.assertIn(reply.status, (429, 503), reply)
                    refused += 1
            except GONE:
                closed += 1
                one.client.close()
            memory.set(after=0)
            self.assertTrue(self.index.runs(), f"it crashed at allocation {after}")
            self.waits_until_ready()
            found = [message["id"] for message in two.messages()]
            self.assertLessEqual(set(acknowledged), set(found))
            two.read(after=two.read()["next"])
            acknowledged.clear()
        figure("memory out in one request, at each allocation",
               f"{refused} refused, {closed} connections closed, the others carried out")


class TestStarting(unittest.TestCase):
    def test_each_allocation_of_the_start_may_fail(self):
        memory = Memory(self)
        index = Index("--max-nodes-per-address", "0")
        self.addCleanup(index.close)
        with_content = Ledger(seed=5)
        index.start()
        rounds = Rounds(index, with_content)
        time.sleep(0.5)
        rounds.end()
        self.assertEqual(index.stop(), 0)
        total = self.allocations_of_a_start(memory, index)
        said = survived = 0
        step = max(1, total // STARTS)
        for after in range(1, total + step, step):
            with self.subTest(after=after):
                code, text = self.try_to_start(memory, index, after)
                self.assertIn(code, (0, 1, 2), f"it crashed: {text}")
                if code:
                    complaints = [line for line in text.splitlines()
                                  if line.startswith("signpostd: ")]
                    self.assertEqual(len(complaints), 1, text)
                    said += 1
                else:
                    survived += 1
        memory.set(after=0)
        index.start()
        verify(self, index, with_content, guests=1000)
        figure(f"memory out at the start, at {said + survived} of {total} allocations",
               f"{said} ended with a sentence, {survived} came to serve; nothing lost")

    def launch(self, memory, index):
        return subprocess.Popen(
            [binary(), "--db", index.db, "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=clean_environment(**memory.environment))

    def allocations_of_a_start(self, memory, index):
        memory.set(calls=0, after=0)
        self.wait_and_end(self.launch(memory, index))
        return memory.get("calls")

    def try_to_start(self, memory, index, after):
        memory.set(after=after)
        return self.wait_and_end(self.launch(memory, index))

    def wait_and_end(self, process):
        """Until it has ended by itself, or says that it is ready and is ended then."""
        lines = []
        try:
            for line in process.stderr:
                lines.append(line)
                if " info ready " in line:
                    process.terminate()
            code = process.wait(START_S)
        finally:
            process.kill()
            process.stderr.close()
        return code, "".join(lines)


if __name__ == "__main__":
    unittest.main()
