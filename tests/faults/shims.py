"""The libraries of tests/faults/*.c, under an index, and the files by which a test drives them."""

import mmap
import os
import struct
import tempfile

from tests.lib.index import ROOT, binary


class Shim:
    """A row of unsigned 32-bit numbers, shared with the library."""

    fields = ()

    def __init__(self, case, name):
        folder = os.path.dirname(binary())
        self.library = os.path.join(ROOT, folder, "tests", "faults", name + ".so")
        assert os.path.exists(self.library), f"{self.library} is not there: make tests"
        self._file = tempfile.NamedTemporaryFile(prefix="signpost-test-")
        case.addCleanup(self._file.close)
        self._file.truncate(mmap.PAGESIZE)
        self._shared = mmap.mmap(self._file.fileno(), mmap.PAGESIZE)
        case.addCleanup(self._shared.close)
        self.environment = {"LD_PRELOAD": self.library, "FAULTS_" + name.upper(): self._file.name}

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("=I", self._shared, 4 * self.fields.index(name), value)

    def get(self, name):
        return struct.unpack_from("=I", self._shared, 4 * self.fields.index(name))[0]


class Disk(Shim):
    """`stall_ms`: the next write waits so long, once. `error`: every write fails with it.
    `kill_in`: the write of this number from now is a SIGKILL instead."""

    fields = ("stall_ms", "error", "touched", "kill_in")

    def __init__(self, case):
        super().__init__(case, "disk")


class Memory(Shim):
    """`after`: so many more allocations succeed, the next fails. `one_in`: each fails with that
    probability."""

    fields = ("after", "one_in", "random", "calls", "failed")

    def __init__(self, case):
        super().__init__(case, "alloc")
