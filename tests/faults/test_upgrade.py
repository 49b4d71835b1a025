"""The process is killed at each write of an upgrade: the database is of one version or the other."""

import os
import shutil
import signal
import subprocess
import unittest

from tests.faults.case import FaultCase, figure
from tests.faults.shims import Disk
from tests.lib import past
from tests.lib.index import Index, binary, clean_environment

START_S = 20


class TestUpgrade(FaultCase):
    def killed(self, disk, db, write):
        """Starts an index that is killed at that write; False where it came to be ready before."""
        disk.set(kill_in=write)
        process = subprocess.Popen(
            [binary(), "--db", db, "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env=clean_environment(**disk.environment))
        with process:
            ready = any(" ready " in line for line in process.stderr)
            if ready:
                process.kill()
            process.wait(START_S)
        disk.set(kill_in=0)
        self.assertEqual(process.returncode, -signal.SIGKILL)
        return not ready

    def test_kill_at_each_write_leaves_one_version_whole(self):
        disk = Disk(self)
        with Index() as index:
            folder = index.folder
            index.stop()
            schemas = [past.schema(past.KEPT[1]), past.schema(past.KEPT[2]), past.schema(index.db)]
            index.start()
        os.makedirs(folder)
        self.addCleanup(shutil.rmtree, folder)
        kills = [0] * len(schemas)
        for write in range(1, 1000):
            db = os.path.join(folder, f"{write}.db")
            past.copy(past.KEPT[1], db)
            if not self.killed(disk, db, write):
                break
            with self.subTest(write=write):
                found = past.schema(db)
                self.assertEqual(found, schemas[found[0] - 1])
                kills[found[0] - 1] += 1
                with Index(db=db) as index:
                    past.check(self, index)
                self.assertEqual(past.schema(db), schemas[-1])
        self.assertGreater(min(kills), 0, kills)
        figure("kill -9 at each write of an upgrade", f"left version 1 {kills[0]} times, 2 "
               f"{kills[1]} times, 3 {kills[2]} times; nothing lost")


if __name__ == "__main__":
    unittest.main()
