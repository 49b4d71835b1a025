"""A real coturn relays between two pages that do not reach each other."""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
import tempfile
import time
import unittest

from tests.lib.pages import PageCase

SECRET = "a secret of the test"
PORT = 3478


class TestRelay(PageCase):
    nodes = ("browser", "other", "relay")
    rules = True

    def why_not(self):
        if not shutil.which("turnserver"):
            return "coturn is not installed"
        return super().why_not()

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.address = self.lab.addresses["relay"]
        self.turn = subprocess.Popen(
            [*self.lab.within("relay"), "turnserver", "--no-cli", "--no-tls", "--no-dtls",
             "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=signpost.test",
             f"--listening-ip={self.address}", f"--relay-ip={self.address}",
             f"--listening-port={PORT}", "--log-file=stdout", "--simple-log",
             f"--userdb={folder.name}/turndb", f"--pidfile={folder.name}/pid"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.turn.wait)
        self.addCleanup(self.turn.kill)

    def servers(self, secret=SECRET):
        """As /ice gives them where there are join keys."""
        name = f"{int(time.time()) + 3600}:page"
        digest = hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()
        return [{"urls": [f"turn:{self.address}:{PORT}?transport=udp"], "username": name,
                 "credential": base64.b64encode(digest).decode()}]

    def pages(self, **rtc):
        """The second in another browser, which the first does not reach."""
        self.lab.cut(("browser", "other"))
        pages = (self.page(), self.page(browser=self.opens(where="other")))
        for page, id in zip(pages, "ab"):
            page.run(f"await join({id!r}, {{listed: true, rtc: {json.dumps(rtc)}}});"
                     "here.onconnect = greet; return null;")
        return pages

    def assertRelayed(self, page):
        types = page.run("""
            const stats = await call.connection.getStats();
            const all = [...stats.values()];
            const {selectedCandidatePairId} = all.find((one) => one.type === "transport");
            const pair = stats.get(selectedCandidatePairId);
            return [pair.localCandidateId, pair.remoteCandidateId]
                .map((id) => stats.get(id).candidateType);""")
        self.assertIn("relay", types)

    def meet(self, a, b):
        a.run('window.call = await here.connect("b"); return null;')
        self.assertEqual(a.run('say(call.channel, "hello")'), "b heard hello of a")
        self.assertRelayed(a)
        self.assertNothingLeft(a, b)

    def test_pages_that_may_use_the_relay_alone(self):
        self.meet(*self.pages(iceServers=self.servers(), iceTransportPolicy="relay"))

    def test_relay_is_found_where_nothing_else_leads_there(self):
        self.meet(*self.pages(iceServers=self.servers()))

    def test_wrong_credentials_relay_nothing(self):
        a, b = self.pages(iceServers=self.servers("another secret"), iceTransportPolicy="relay")
        told = a.run('reason(here.connect("b", {retries: 0}))')
        self.assertEqual(told[0], True)
        self.assertIn(told[1], ("timeout", "no-path"))
        self.assertNothingLeft(a, b)


if __name__ == "__main__":
    unittest.main()
