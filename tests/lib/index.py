"""Starts and ends the real index for a test, and keeps everything that it wrote."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_S = 20
STOP_S = 20
NO_NODE_CAPS = ("--max-nodes", "0", "--max-nodes-per-network", "0", "--max-nodes-per-address", "0")
NO_POLL_CAPS = ("--max-waiters-per-address", "0", "--max-connections-per-address", "0")
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:")


def binary():
    return os.environ.get("SIGNPOSTD") or os.path.join(ROOT, "build", "signpostd")


def clean_environment(**extra):
    """That of the test without any option of the index in it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SIGNPOST_")}
    environment.update(extra)
    return environment


def run(*args, env=None, wrapper=(), timeout=START_S):
    """For a start that is to end by itself: gives the CompletedProcess, texts decoded."""
    return subprocess.run(
        [*wrapper, binary(), *args], env=env or clean_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=timeout, check=False)


def cpu_s(pid):
    """User and system time that all threads of a process have used so far, in seconds."""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a pid


class Index:
    """One index with a database of its own. `rate` and `listen` None leave the option out, a
    `rate` of 0 lifts that of credentials too; the database is in a folder inside `folder`, None: the one for temporary files."""

    def __init__(self, *args, listen=("127.0.0.1:0",), db=None, rate=0, env=None, wrapper=(),
                 folder=None):
        self._folder = tempfile.TemporaryDirectory(prefix="signpost-test-", dir=folder)
        self.db = db or os.path.join(self._folder.name, "signpost.db")
        self._command = [*wrapper, binary()]
        for address in listen or ():
            self._command += ["--listen", address]
        self._command += ["--db", self.db]
        if rate is not None:
            self._command += ["--rate", str(rate)]
        if rate == 0:
            self._command += ["--rate-per-credential", "0"]
        self._command += args
        self._environment = clean_environment(**(env or {}))
        self._changed = threading.Condition()
        self._lines = []
        self._ended = False
        self._process = None
        self.listeners = []
        self.ops_listeners = []

    # --- its life ---------------------------------------------------------------------------

    def start(self):
        """Returns when the index has said `ready`; a second start takes the same database."""
        assert self._process is None, "this index runs already"
        self.listeners = []
        self.ops_listeners = []
        self._ended = False
        self._ready = False
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended, START_S)
            ready = self._ready and bool(self.listeners)
        if not ready:
            self.kill()
            raise AssertionError("the index did not get ready; it wrote:\n" + self.log())
        return self

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        process = self._process
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the index did not end within {STOP_S} s; it wrote:\n" + self.log()) from None
        self._forget()
        return code

    def kill(self):
        """SIGKILL, as a power cut of the process; no word about its exit code."""
        self._process.kill()
        self._process.wait()
        self._forget()

    def signal(self, number):
        self._process.send_signal(number)

    def _forget(self):
        self._reader.join()
        self._process.stderr.close()
        self._process = None
        if SANITIZER.search(self.log()):
            raise AssertionError("a sanitizer found something:\n" + self.log())

    def close(self):
        """The end of the test: stops it if it still runs, and removes its database."""
        try:
            if self._process is not None:
                code = self.stop()
                assert code == 0, f"the index ended with {code}; it wrote:\n" + self.log()
        finally:
            self._folder.cleanup()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.show_log()
        self.close()

    # --- what it says -----------------------------------------------------------------------

    def _read(self, stream):
        for line in stream:
            with self._changed:
                self._lines.append(line)
                self._note(line.split())
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _note(self, words):
        event = words[2] if len(words) > 2 else ""
        fields = dict(word.split("=", 1) for word in words[3:] if "=" in word)
        if event == "listening" and "port" in fields:
            self.listeners.append((fields["address"].strip('"'), int(fields["port"])))
        elif event == "ops_listening":
            self.ops_listeners.append((fields["address"].strip('"'), int(fields["port"])))
        elif event == "ready":
            self._ready = True

    def log(self, since=0):
        with self._changed:
            return "".join(self._lines[since:])

    def wait_for_log(self, text, times=1, since=0):
        """Returns when it has written `text` so many times."""
        with self._changed:
            if not self._changed.wait_for(
                    lambda: "".join(self._lines[since:]).count(text) >= times, START_S):
                raise AssertionError(f"not in the log: {text}")

    def log_length(self):
        with self._changed:
            return len(self._lines)

    def show_log(self, since=0):
        text = self.log(since)
        if text:
            print("--- the index wrote:\n" + text + "---", file=sys.stderr)

    # --- where it is ------------------------------------------------------------------------

    @property
    def host(self):
        host = self.listeners[0][0]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    @property
    def port(self):
        return self.listeners[0][1]

    @property
    def folder(self):
        return self._folder.name

    @property
    def pid(self):
        return self._process.pid

    def runs(self):
        return self._process is not None and self._process.poll() is None

    def cpu_s(self):
        return cpu_s(self.pid)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self):
        self._start = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self._start
