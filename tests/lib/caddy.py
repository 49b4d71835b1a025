"""A real caddy in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BINARY = shutil.which("caddy")
START_S = 20


class Caddy:
    """Runs a Caddyfile; `port` is where it then listens."""

    def __init__(self, text, port):
        assert BINARY, "caddy is not installed (Debian: caddy)"
        self._folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.port = port
        path = os.path.join(self._folder.name, "Caddyfile")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [BINARY, "run", "--config", path, "--adapter", "caddyfile"], stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": self._folder.name, "XDG_DATA_HOME": self._folder.name,
                 "XDG_CONFIG_HOME": self._folder.name})
        end = time.monotonic() + START_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                self._log.seek(0)
                said = self._log.read()
                self.close()
                raise AssertionError("caddy did not start; it wrote:\n" + said)
            time.sleep(0.02)

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._log.close()
        self._folder.cleanup()
