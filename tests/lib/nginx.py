"""A real nginx in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BINARY = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
START_S = 20
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def free_port():
    """nginx cannot choose one by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """Runs what is given as the inside of its `http` block; `port` is where it then listens."""

    def __init__(self, http, port):
        assert BINARY, "nginx is not installed (Debian: nginx-light)"
        self._folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.listeners = [("127.0.0.1", port)]  # as an Index has, so that a Client finds it
        path = os.path.join(self._folder.name, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"daemon off;\nmaster_process off;\npid {self._folder.name}/pid;\n"
                       "events { worker_connections 1024; }\nhttp {\naccess_log off;\n")
            for name in TEMPORARY:
                file.write(f"{name}_temp_path {self._folder.name}/{name};\n")
            file.write(http + "\n}\n")
        log = os.path.join(self._folder.name, "error.log")
        self._process = subprocess.Popen(
            [BINARY, "-p", self._folder.name, "-c", path, "-e", log], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while not self._listens(port):
            if self._process.poll() is not None or time.monotonic() > end:
                with open(log, encoding="utf-8") as file:
                    said = file.read()
                self.close()
                raise AssertionError("nginx did not start; it wrote:\n" + said)
            time.sleep(0.02)

    @staticmethod
    def _listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    @property
    def port(self):
        return self.listeners[0][1]

    def close(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._folder.cleanup()
