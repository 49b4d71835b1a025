"""What tests in the NAT lab share: a lab for each, and who reaches whom in it."""

import errno
import http.client
import itertools
import json
import socket
import sys
import unittest

from tests.nat.natlab import HTTP_PORT, PORT, NatLab, why_not
from tests.nat.topology import INDEX, INDEX6

ids = itertools.count()  # of nodes
COMES_S, GIVES_UP_S = 20, 0.3  # so long something is waited for that is to come, or not


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class NatCase(unittest.TestCase):
    def setUp(self):
        reason = why_not()
        if reason:
            print(f"SKIPPED {type(self).__module__}: {reason}", file=sys.stderr)
            self.skipTest(reason)

    def enters(self, ipv4, ipv6=None):
        """A lab of that topology is `self.lab` from now on; the one before is no more."""
        self.doCleanups()
        self.lab = NatLab(ipv4, ipv6)
        self.lab.__enter__()
        self.addCleanup(self.lab.__exit__)
        return self.lab

    def link(self, name, family=socket.AF_INET, kind=socket.SOCK_STREAM, timeout=COMES_S):
        """A socket of a host; it is closed with the test."""
        link = self.lab.socket(name, family, kind)
        self.addCleanup(link.close)
        link.settimeout(timeout)
        if family == socket.AF_INET6:
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return link

    def listens(self, family=socket.AF_INET, name="client", port=PORT):
        """TCP, at all addresses of the host."""
        link = self.link(name, family)
        link.bind(("", port))
        link.listen()
        return link

    def binds(self, family=socket.AF_INET, name="client", port=PORT, timeout=COMES_S):
        """UDP, at all addresses of the host."""
        link = self.link(name, family, socket.SOCK_DGRAM, timeout)
        link.bind(("", port))
        return link

    # --- who gets where ---------------------------------------------------------------------

    def dials(self, target, source, name="index", port=PORT, timeout=GIVES_UP_S):
        """What comes of a connection from an address of a host: "connected" (with the socket),
        "refused", "unreachable" or "timeout"."""
        link = self.link(name, family_of(target), timeout=timeout)
        link.bind((source, 0))
        try:
            link.connect((target, port))
        except TimeoutError:
            return "timeout", None
        except OSError as error:
            known = {errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "unreachable"}
            if error.errno not in known:
                raise
            return known[error.errno], None
        link.settimeout(COMES_S)
        return "connected", link

    def assertDial(self, expected, target, source, **options):
        if expected != "timeout":
            options.setdefault("timeout", COMES_S)
        result, _link = self.dials(target, source, **options)
        self.assertEqual(result, expected, f"from {source} to {target}")

    def sends(self, target, source, name="index", port=PORT):
        """A datagram; gives its bytes, which are no other's, and the socket."""
        link = self.link(name, family_of(target), socket.SOCK_DGRAM)
        link.bind((source, 0))
        link.connect((target, port))
        data = f"from {source} {link.getsockname()[1]}".encode()
        link.send(data)
        return data, link

    def assertHears(self, listener, target, source, **options):
        data, _link = self.sends(target, source, **options)
        listener.settimeout(COMES_S)
        self.assertEqual(listener.recv(100), data, f"from {source} to {target}")

    def assertDeaf(self, listener, target, source, **options):
        """Gives the socket that has sent."""
        data, link = self.sends(target, source, **options)
        listener.settimeout(GIVES_UP_S)
        with self.assertRaises(TimeoutError, msg=f"{data} came to {target}"):
            listener.recv(100)
        return link

    # --- the index --------------------------------------------------------------------------

    def seen_by_index(self, name="client", family=socket.AF_INET):
        """The address that a host has for it; the index is contacted from now on."""
        index = (INDEX if family == socket.AF_INET else INDEX6)[0]
        connection = http.client.HTTPConnection(index, HTTP_PORT)
        connection.sock = self.link(name, family)
        connection.sock.connect((index, HTTP_PORT))
        body = json.dumps({"id": f"n{next(ids)}", "endpoints": []})
        connection.request("POST", "/register", body, {"Content-Type": "application/json"})
        return json.load(connection.getresponse())["you"]["address"]
