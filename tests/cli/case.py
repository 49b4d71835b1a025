"""Running the command `signpost` against a real index, for the tests of it."""

import json
import os
import select
import signal
import socket
import subprocess
import tempfile

from tests.lib.case import IndexCase
from tests.lib.index import ROOT, SANITIZER, clean_environment

BINARY = os.environ.get("SIGNPOST_CLI") or os.path.join(ROOT, "build", "signpost")
ENDS_S = 30  # for what is to end by itself


class Running:
    """A command that goes on. Leaving the test ends it."""

    def __init__(self, case, *args, env, wrapper=()):
        self.case = case
        self.process = subprocess.Popen(
            [*wrapper, BINARY, *args], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        case.addCleanup(self._give_up)

    def _line(self, stream):
        ready, _, _ = select.select([stream], [], [], ENDS_S)
        self.case.assertTrue(ready, f"no line within {ENDS_S} s")
        # The streams are read a byte at a time, so that select() sees all that is there.
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(stream.fileno(), 1)
            if not byte:
                break
            line += byte
        return line.decode()

    def line(self):
        return self._line(self.process.stdout)

    def json(self):
        return json.loads(self.line())

    def note(self):
        return self._line(self.process.stderr)

    def wait(self):
        """The exit code, and what was not read of stdout and stderr."""
        out, err = self.process.communicate(timeout=ENDS_S)
        self.case.assertNotRegex(err, SANITIZER)
        return self.process.returncode, out, err

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def _give_up(self):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        self.process.wait()


class CliCase(IndexCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.env = self.environment()

    def environment(self, **extra):
        return {**clean_environment(
            SIGNPOST_INDEX=f"http://127.0.0.1:{self.index.port}", SIGNPOST_NETWORK=self.network,
            XDG_STATE_HOME=os.path.join(self.folder, "state"), HOME=self.folder, TERM="xterm"),
                **extra}

    def cli(self, *args, stdin="", env=None):
        done = subprocess.run(
            [BINARY, *args], env=env or self.env, input=stdin, capture_output=True, text=True,
            timeout=ENDS_S, check=False)
        self.assertNotRegex(done.stderr, SANITIZER)
        return done

    def starts(self, *args, env=None):
        return Running(self, *args, env=env or self.env)

    def registers(self, *args, env=None):
        """A `register` that the index has answered."""
        running = self.starts("register", *args, env=env)
        self.assertRegex(running.line(), "^registered ")
        return running

    def receives(self, id):
        """A `recv --follow` that is in the list, and so reads its mailbox or is about to."""
        running = self.starts("recv", "--follow", "--id", id)
        watch = self.starts("watch")
        while watch.json()["id"] != id:
            pass
        watch.end()
        return running

    def succeeds(self, *args, **options):
        done = self.cli(*args, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def assertEnds(self, code, *args, says=(), **options):
        """It ends with `code`, nothing on stdout, and one line on stderr with these words."""
        done = self.cli(*args, **options)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Asignpost: [^\n]+\n\Z")
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path


def closed_port():
    """A port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
