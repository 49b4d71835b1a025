"""The test case of those that speak HTTPS."""

import http.client
import json
import ssl
import subprocess
import tempfile

from tests.lib.case import HttpCase
from tests.lib.certificate import Certificate, openssl

DEADLINE_S = 30  # far more than the 10 s that a handshake may take


class TlsCase(HttpCase):
    """An index with a listener of HTTPS first, one of HTTP second."""

    kind = "ec"
    arguments = ()
    rate = 0

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.certificate = Certificate(folder.name, kind=self.kind)
        self.start(*self.certificate.options, *self.arguments, rate=self.rate,
                   listen=("127.0.0.1:0", "http://127.0.0.1:0", "https://[::1]:0"))
        self.client = self.connect(listener=1)

    def context(self, certificate=None, **versions):
        context = ssl.create_default_context(cafile=(certificate or self.certificate).certificate)
        for name, value in versions.items():
            setattr(context, name, value)
        return context

    def secure(self, context=None):
        connection = http.client.HTTPSConnection(
            "localhost", self.index.port, timeout=DEADLINE_S, context=context or self.context())
        self.addCleanup(connection.close)
        return connection

    def ask(self, connection, method, target, body=None, token=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = "Bearer " + token
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        return connection

    def answer(self, connection):
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, json.loads(content) if content else None

    def shown(self, certificate=None):
        """The certificate of a new connection."""
        connection = self.secure(self.context(certificate))
        connection.connect()
        return dict(pair for part in connection.sock.getpeercert()["subject"] for pair in part)

    def curl(self, *args):
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert",
             self.certificate.certificate, *args], capture_output=True, text=True, check=False)
        return done

    def s_client(self, *args, input=b"Q\n"):
        return openssl("s_client", "-connect", f"localhost:{self.index.port}", "-CAfile",
                       self.certificate.certificate, "-verify_return_error", *args, input=input,
                       check=False)
