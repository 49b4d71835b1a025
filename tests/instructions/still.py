"""Programs that run under callgrind, or without it, and in which time and chance stand still."""

import os
import re
import socket
import struct
import tempfile

from tests.lib.index import binary

ORDER = struct.Struct("=Qq")
PASS, DUMP = range(2)
ANSWER_S = 60
# Acts before the first that counts: buffers have their size then, and the index has written all
# lines of that kind that it writes in a second (LIMIT_LOG_LINES_A_SECOND).
WARM_UP = 30
TOTALS = re.compile(r"^totals: (\d+)$", re.M)


def built(*names):
    """The path of what make has put beside the index."""
    return os.path.join(os.path.dirname(os.path.abspath(binary())), *names)


class Orders:
    """Tells one program how much time goes by, and what of its work is counted."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="signpost-count-")
        path = os.path.join(self._folder.name, "orders")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.settimeout(ANSWER_S)
        self._listener.bind(path)
        self._listener.listen(1)
        self._link = None
        self._out = os.path.join(self._folder.name, "callgrind.out")
        self._dumps = 0
        libraries = [built("tests", "instructions", name) for name in ("still.so", "heap.so")]
        self.environment = {"LD_PRELOAD": ":".join(libraries), "STILL": path}

    def wrapper(self, from_start=False):
        """What the program is started with to be counted, on order or `from_start`."""
        return ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={self._out}",
                f"--instr-atstart={'yes' if from_start else 'no'}"]

    def _give(self, kind, pass_ns=0):
        if not self._link:
            self._link, _ = self._listener.accept()
            self._link.settimeout(ANSWER_S)
        self._link.send(ORDER.pack(kind, pass_ns))
        if not self._link.recv(1):
            raise EOFError("the program that is measured has ended")

    def settle(self):
        """Returns when it has nothing left to do."""
        self._give(PASS)

    def pass_time(self, seconds):
        """Returns when it has slept for so long, with all that it woke up for in between."""
        self._give(PASS, round(seconds * 1e9))

    def _dump(self):
        self._give(DUMP)
        self._dumps += 1
        return f"{self._out}.{self._dumps}"

    def count(self):
        os.remove(self._dump())

    def counted(self):
        """Instructions since count(), or since the start of a program counted `from_start`."""
        with open(self._dump(), encoding="ascii") as file:
            return int(TOTALS.search(file.read())[1])

    def each(self, act, before=lambda n: None, times=100):
        """Instructions of one `act(n)`, without those of the `before(n)` that comes before it."""
        total = 0
        for n in range(WARM_UP + times):
            before(n)
            self.count()
            act(n)
            if n >= WARM_UP:
                total += self.counted()
        return total / times

    def release(self):
        """The program goes on by itself, so that it can be ended."""
        self._listener.close()
        if self._link:
            self._link.close()

    def close(self):
        self.release()
        self._folder.cleanup()
