"""docs/Caddyfile: the index behind caddy sees who calls, polls wait, and errors come through."""

import os
import unittest

from tests.lib import proxycase
from tests.lib.caddy import Caddy
from tests.lib.index import ROOT


def documented(index_port, port, certificate):
    """docs/Caddyfile with the ports of a test, and no certificate authority."""
    with open(os.path.join(ROOT, "docs", "Caddyfile"), encoding="utf-8") as file:
        text = file.read()
    site = (f"https://localhost:{port} {{\n\tbind 127.0.0.1\n"
            f"\ttls {certificate.certificate} {certificate.key}\n")
    for old, new in (("\nindex.example {\n", "\n" + site),
                     ("reverse_proxy 127.0.0.1:7117 {", f"reverse_proxy 127.0.0.1:{index_port} {{")):
        assert old in text, old
        text = text.replace(old, new)
    return "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text


class TestCaddy(proxycase.DocumentedCase):
    def setUp(self):
        super().setUp()
        self.begin(Caddy, documented)


if __name__ == "__main__":
    unittest.main()
