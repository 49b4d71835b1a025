"""PeerJS's server, as npm has it: it relays between browsers over a WebSocket each."""

import os

from tests.bench.lib.report import ROOT
from tests.bench.lib.rivals import Rival

PROGRAM = os.path.join(ROOT, "tests", "bench", "peerjs", "node_modules", "peer", "dist", "bin",
                       "peerjs.js")
SOCKETS_MAX = 100_000


class PeerJS(Rival):
    """Keeps who is there in memory alone, and messages only for those who are not there yet."""

    def command(self):
        return ["node", PROGRAM, "--host", "127.0.0.1", "--port", str(self.port),
                "--concurrent_limit", str(SOCKETS_MAX)]

    def answers(self):
        return b" 200 " in self.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
