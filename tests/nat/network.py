"""Namespaces that are hosts, joined by bridges that are hosts too: made in few processes, entered
by sockets and by programs, and removed again with all that was started and written for them."""

import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import shutil
import socket
import subprocess

from tests.lib.lab import (
    ETC, FOLDERS, NAMESPACES, SETTINGS, enter, ip, lines, remove_left_behind, remove_namespaces,
    run)

ENDS_S = 5  # so long a program has to end that was asked to
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # also where nothing can be removed any more


@dataclasses.dataclass
class Host:
    """A namespace. Its bridge, if it has one, is what the legs of others are plugged into."""

    name: str
    legs: dict = dataclasses.field(default_factory=dict)  # device: the host of the bridge
    bridge: str = ""  # device
    batch: list = dataclasses.field(default_factory=list)  # lines of `ip -batch`
    forwards: bool = False
    rules: str = ""  # for `nft -f`

    def address(self, device, *addresses):
        self.batch += [f"address add {address} dev {device}" for address in addresses]

    def route(self, *routes):
        self.batch += [f"route add {route}" for route in routes]

    def configuration(self):
        """No route can be added before its device is up."""
        return [f"link set {device} up" for device in ("lo", *self.devices())] + self.batch

    def devices(self):
        return [*self.legs, *([self.bridge] if self.bridge else [])]


class Network:
    """The hosts, while it is entered; where that fails nothing is left either. `names` are looked
    up inside: a name for each address."""

    _networks = itertools.count(1)  # of this process

    def __init__(self, hosts, names):
        self._prefix = f"signpost-{os.getpid()}-n{next(self._networks)}"
        self.hosts = {host.name: host for host in hosts}
        self._names = names
        self.folder = os.path.join(FOLDERS, self._prefix)
        self._exit = contextlib.ExitStack()

    def namespace(self, name):
        return f"{self._prefix}-{name}"

    def within(self, name):
        """What runs a command there, as that very process, which ends where this one is killed."""
        return ["ip", "netns", "exec", self.namespace(name), *DIES_WITH_US]

    # --- its life ---------------------------------------------------------------------------

    def __enter__(self):
        remove_left_behind()
        self._exit.callback(self._remove)
        try:
            self._build()
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        """What is to run in it from the beginning."""

    def __exit__(self, *_failure):
        """Also once more, or where it was never entered."""
        self._exit.close()

    def finally_do(self, function, *arguments):
        """When it is removed, before its namespaces are; the last first."""
        self._exit.callback(function, *arguments)

    def finally_leave(self, context):
        """Enters a context that is left before the namespaces go."""
        return self._exit.enter_context(context)

    def _build(self):
        os.mkdir(self.folder, 0o700)
        self._write_names()
        hosts = self.hosts.values()
        bridges = [f"link add {host.bridge} netns {self.namespace(host.name)} type bridge"
                   for host in hosts if host.bridge]
        legs = [f"link add {device} netns {self.namespace(host.name)} type veth "
                f"peer name {host.name}-{device} netns {self.namespace(segment)}"
                for host in hosts for device, segment in host.legs.items()]
        made = [f"netns add {self.namespace(host.name)}" for host in hosts]
        ip("-batch", "-", input=lines(made, bridges, legs))
        run("sh", "-e", input="".join(map(self._script, hosts)))

    def _script(self, host):
        """The part of a shell script that makes the namespace what the host is to be."""
        plugged = [f"link set {other.name}-{device} master {host.bridge} up"
                   for other in self.hosts.values()
                   for device, segment in other.legs.items() if segment == host.name]
        settings = dict(SETTINGS)
        settings["net/ipv4/conf/all/arp_ignore"] = 1  # of two legs in one segment only one answers
        # Without a link-local address a router asks for nobody inside, and there is none while it
        # is still asked whether another has it.
        settings.update((f"net/ipv6/conf/{device}/accept_dad", 0)
                        for device in host.devices())
        if host.forwards:
            settings["net/ipv4/ip_forward"] = settings["net/ipv6/conf/all/forwarding"] = 1
        return lines(
            [f"nsenter --net={NAMESPACES}/{self.namespace(host.name)} sh -e <<'END'"],
            (f"[ ! -e /proc/sys/{path} ] || echo {value} >/proc/sys/{path}"
             for path, value in settings.items()),
            ["ip -batch - <<'BATCH'", *plugged, *host.configuration(), "BATCH"],
            ["nft -f - <<'RULES'", host.rules, "RULES"] if host.rules else [], ["END"])

    def _write_names(self):
        """`ip netns exec` shows these files to what it runs as those of /etc."""
        files = {"hosts": lines(["127.0.0.1 localhost", "::1 localhost"],
                                (f"{address} {name}" for address, name in self._names.items())),
                 # Who asks for another name is refused at once: there is no resolver inside.
                 "resolv.conf": "nameserver 127.0.0.1\n"}
        for name in self.hosts:
            folder = os.path.join(ETC, self.namespace(name))
            make_folder(folder)
            for file, text in files.items():
                if os.path.exists(os.path.join("/etc", file)):
                    with open(os.path.join(folder, file), "w", encoding="ascii") as written:
                        written.write(text)

    def _remove(self):
        remove_namespaces(map(self.namespace, self.hosts))
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what goes on inside ----------------------------------------------------------------

    def starts(self, name, *command, **options):
        """A program that runs until the network is removed, out of reach of a terminal's signals.
        Call it from the main thread: it ends with the thread that started it."""
        process = subprocess.Popen(
            [*self.within(name), *command], start_new_session=True, **options)
        self.finally_do(end, process)
        return process

    def calls(self, name, function, *arguments):
        """What it gives when called on a thread that is inside. A socket stays where it was made,
        and is used from anywhere."""
        def inside():
            enter(os.path.join(NAMESPACES, self.namespace(name)))
            return function(*arguments)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(inside).result()

    def socket(self, name, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        return self.calls(name, socket.socket, family, kind)

    def ip(self, name, *words):
        return ip("-n", self.namespace(name), *words)


def make_folder(path):
    """Also where the last other lab removes the folder above it at this moment."""
    while True:
        try:
            os.makedirs(path)
            return
        except FileNotFoundError:
            continue


def end(process):
    """Asks it to, and insists."""
    process.terminate()
    try:
        process.wait(ENDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
