"""A topology that runs: its hosts, with an index, a STUN server, and where it has one a gateway
that maps ports. The tool `lab` and the tests have the same one.

    with NatLab("filtered", ipv6="open") as lab:
        done = lab.run("client", "signpost", "check", "--port", str(PORT))
        link = lab.socket("peer")  # a real one, that is at home there
"""

import contextlib
import errno
import os
import queue
import selectors
import shutil
import socket
import subprocess
import threading
import time

from tests.lib.index import Index, binary, clean_environment
from tests.lib.lab import can_alone
from tests.nat import probes, topology as places
from tests.nat.network import Network
from tests.nat.rules import PORT
from tests.nat.topology import INDEX, INDEX6, NAMES, OTHER, ROUTER, STUN, STUN6, hosts, topology

HTTP_PORT = 7117
URL = f"http://index.test:{HTTP_PORT}"
READY_S, ASK_S = 20, 0.1
PROGRAMS = {"ip": "iproute2", "nft": "nftables", "setpriv": "util-linux",
            "turnserver": "coturn", "miniupnpd": "miniupnpd-nftables"}


def why_not():
    """Why there can be no lab here; None: there can."""
    if os.geteuid() != 0:
        return "it makes network namespaces, and only root may"
    for program, package in PROGRAMS.items():
        if not shutil.which(program):
            return f"{package} is not installed"
    if not can_alone("true"):
        return "this machine lets not even root make network namespaces"
    if not all(can_alone("nft", "add", "table", family, "t") for family in ("ip", "ip6", "inet")):
        return "the kernel of this machine lacks nftables"
    if not os.access(binary(), os.X_OK):
        return f"there is no {binary()}: build it first (make)"
    return None


def at(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def index_options():
    """All beside where it listens and where its database is."""
    options = ["--open"]
    for address in (*INDEX, *INDEX6):
        options += ["--stun", at(address, probes.STUN_PORT)]
    for address in (INDEX[1], INDEX6[1]):
        options += ["--check-from", address]
    return options


class NatLab(Network):
    """Entered, everything in it answers."""

    def __init__(self, ipv4, ipv6=None):
        self.topology = topology(ipv4, ipv6)
        super().__init__(hosts(self.topology), NAMES)
        self.service = None  # on `other`, where something is forwarded to it

    def begin(self):
        stun = self._starts_stun()
        gateway = self._starts_gateway() if self.topology.gateway else None
        self.index = Index(
            *index_options(), listen=(at(INDEX[0], HTTP_PORT), at(INDEX6[0], HTTP_PORT)),
            wrapper=("setsid", *self.within("index")), folder=self.folder)
        self.finally_do(self.index.close)
        self.index.start()
        if "other" in (self.topology.ipv4.tcp, self.topology.ipv4.udp) or self.topology.taken:
            self.service = self.finally_leave(Service(self, "other", OTHER))
        self._waits_for_stun(stun)
        if gateway:
            self._waits_for_gateway(gateway)

    def __str__(self):
        return places.picture(self.topology)

    # --- what it runs -----------------------------------------------------------------------

    def _starts_stun(self):
        log = self._log("coturn")
        return self.starts(
            "stun", "turnserver", "-n", "--stun-only", "--no-auth", "--no-cli", "--no-tls",
            "--no-dtls", *(word for address in (*STUN, *STUN6) for word in ("-L", address)),
            f"--listening-port={probes.STUN_PORT}",
            f"--alt-listening-port={probes.OTHER_STUN_PORT}", "--log-file=stdout", "--simple-log",
            f"--userdb={self.folder}/turndb", f"--pidfile={self.folder}/turn.pid",
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _starts_gateway(self):
        path = os.path.join(self.folder, "miniupnpd.conf")
        with open(path, "w", encoding="ascii") as written:
            written.write(MINIUPNPD_CONF)
        log = self._log("miniupnpd")
        return self.starts(
            "router", "miniupnpd", "-d", "-f", path, "-P", f"{self.folder}/miniupnpd.pid",
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _log(self, name):
        """A file for what it says, closed here when the network is."""
        return self.finally_leave(open(os.path.join(self.folder, name + ".log"), "wb"))

    def _waits_for_stun(self, process):
        for family, address in ((socket.AF_INET, STUN[0]), (socket.AF_INET6, STUN6[0])):
            server = (address, probes.STUN_PORT)
            self._waits("coturn", process, "peer", family, lambda link: probes.stun(link, server))

    def _waits_for_gateway(self, process):
        def asks(link):
            return probes.natpmp_address(link, ROUTER)

        self._waits("miniupnpd", process, "client", socket.AF_INET, asks)
        if self.topology.taken:
            with self.socket("other", kind=socket.SOCK_DGRAM) as link:
                link.settimeout(READY_S)
                for protocol in (probes.NATPMP_UDP, probes.NATPMP_TCP):
                    given = probes.natpmp_map(link, ROUTER, protocol, PORT, PORT)
                    assert given == PORT, f"the port is not mapped for `other`: {given}"

    def _waits(self, what, process, name, family, asks):
        """Until it answers a question that a host asks."""
        until = time.monotonic() + READY_S
        with self.socket(name, family, socket.SOCK_DGRAM) as link:
            link.settimeout(ASK_S)
            while process.poll() is None and time.monotonic() < until:
                try:
                    if asks(link) is not None:
                        return
                except OSError as error:
                    if error.errno not in (errno.ECONNREFUSED, errno.EHOSTUNREACH):
                        raise
        with open(os.path.join(self.folder, what + ".log"), errors="replace",
                  encoding="utf-8") as log:
            raise AssertionError(f"{what} does not answer; it wrote:\n{log.read()}")

    # --- what the tests and the tool run in it ----------------------------------------------

    def environment(self):
        """With the built programs first, which find the index by themselves."""
        environment = clean_environment(SIGNPOST_INDEX=URL)
        build = os.path.dirname(os.path.abspath(binary()))
        environment["PATH"] = os.pathsep.join([build, environment.get("PATH", os.defpath)])
        return environment

    def run(self, name, *command, timeout=60, **options):
        """To its end: gives the CompletedProcess, texts decoded."""
        return subprocess.run(
            [*self.within(name), *command], env=self.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False, **options)


MINIUPNPD_CONF = f"""
ext_ifname=eth0
listening_ip=lan
ipv6_disable=yes
http_port=0
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
system_uptime=yes
notify_interval=60
clean_ruleset_interval=600
friendly_name=Router of the lab
model_name=Lab
uuid=5349474e-504f-5354-0000-000000000000
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=forward_upnp
upnp_nat_chain=prerouting_upnp
upnp_nat_postrouting_chain=postrouting_upnp
allow 1024-65535 {ROUTER}/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


class Service:
    """Something else at PORT of a host, TCP and UDP: it greets who connects, answers no datagram,
    and keeps what it is sent, in `heard`."""

    GREETING = b"220 another service\r\n"

    def __init__(self, lab, name, address):
        self.heard = queue.SimpleQueue()  # of bytes: what was there to be read, or a datagram
        self._listener = lab.socket(name)
        self._datagrams = lab.socket(name, kind=socket.SOCK_DGRAM)
        self._wake, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for link in (self._listener, self._datagrams, self._wake):
            self._selector.register(link, selectors.EVENT_READ)
        for link in (self._listener, self._datagrams):
            link.bind((address, PORT))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serves)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_failure):
        self._waker.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _serves(self):
        while True:
            for key, _events in self._selector.select():
                if key.fileobj is self._wake:
                    return
                with contextlib.suppress(ConnectionError):
                    self._reads(key.fileobj)

    def _reads(self, link):
        if link is self._listener:
            caller, _address = link.accept()
            self._selector.register(caller, selectors.EVENT_READ)
            caller.sendall(self.GREETING)
            return
        data = link.recv(2048)
        if data or link is self._datagrams:
            self.heard.put(data)
        else:
            self._selector.unregister(link)
            link.close()
