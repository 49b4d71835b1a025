"""Join keys and the file of them, as the real `signpost key new` makes them."""

import json
import os
import signal
import subprocess

from tests.lib.index import ROOT, clean_environment


def new_key(network, operator=False):
    """The key, and its line for the file."""
    binary = os.environ.get("SIGNPOST_CLI") or os.path.join(ROOT, "build", "signpost")
    command = [binary, "key", "new", network, "--json"] + (["--operator"] if operator else [])
    done = subprocess.run(command, env=clean_environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=True)
    made = json.loads(done.stdout)
    return made["key"], made["line"]


class KeysFile:
    """A file of keys by name: `file["blue"]` is the key that was added as `blue`."""

    def __init__(self, folder, mode=0o600):
        self.path = os.path.join(folder, "signpost.keys")
        self._made = {}
        self._mode = mode
        self.write()

    def add(self, name, network, operator=False):
        self._made[name] = new_key(network, operator)
        self.write()
        return self[name]

    def remove(self, name):
        """The key, which admits nobody from the next reading on."""
        key, _ = self._made.pop(name)
        self.write()
        return key

    def __getitem__(self, name):
        return self._made[name][0]

    def lines(self):
        return [line for _, line in self._made.values()]

    def write(self, text=None):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text if text is not None else "".join(l + "\n" for l in self.lines()))
        os.chmod(self.path, self._mode)


def reload(index, event="reloaded what=keys"):
    """SIGHUP; returns when the index has said what came of it."""
    since = index.log_length()
    index.signal(signal.SIGHUP)
    index.wait_for_log(event, since=since)
