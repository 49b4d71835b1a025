"""Tiny clients of what a checker asks: STUN (RFC 8489, RFC 5780), NAT-PMP (RFC 6886), UPnP-IGD, and
the hops on the way. Over a socket of the caller's that has a timeout."""

import dataclasses
import ipaddress
import os
import re
import select
import socket
import struct

STUN_PORT, OTHER_STUN_PORT = 3478, 3479
COOKIE = 0x2112A442
CHANGE_IP, CHANGE_PORT = 4, 2
MAPPED, XOR_MAPPED, CHANGE_REQUEST, OTHER_ADDRESS = 0x0001, 0x0020, 0x0003, 0x802C
NATPMP_PORT = 5351
NATPMP_UDP, NATPMP_TCP = 1, 2
SSDP = ("239.255.255.250", 1900)
WAN_SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
IP_RECVERR = 11


@dataclasses.dataclass
class Seen:
    """What a STUN server says: the (address, port) that it sees, its other one (None: it tells
    none), and where the answer came from."""

    mapped: tuple
    other: tuple | None
    source: tuple


def stun(link, server, change=0):
    """Asks `server`, an (address, port). None: there was no answer."""
    id = os.urandom(12)
    attributes = struct.pack("!HHI", CHANGE_REQUEST, 4, change) if change else b""
    link.sendto(struct.pack("!HHI", 0x0001, len(attributes), COOKIE) + id + attributes, server)
    answer, source = _answer(link, lambda answer: answer[:2] == b"\1\1" and answer[8:20] == id)
    if answer is None:
        return None
    found = _attributes(answer)
    mapped = found.get(XOR_MAPPED)
    if mapped:
        mask = struct.pack("!HI", COOKIE >> 16, COOKIE) + id
        mapped = mapped[:2] + bytes(a ^ b for a, b in zip(mapped[2:], mask))
    else:
        mapped = found[MAPPED]
    other = found.get(OTHER_ADDRESS)
    return Seen(_endpoint(mapped), other and _endpoint(other), source[:2])


def _answer(link, fits):
    """The first that fits, and where it came from: one to an earlier question may be before it."""
    try:
        while True:
            answer, source = link.recvfrom(2048)
            if fits(answer):
                return answer, source
    except TimeoutError:
        return None, None


def _attributes(answer):
    found, at = {}, 20
    while at + 4 <= len(answer):
        kind, size = struct.unpack_from("!HH", answer, at)
        found.setdefault(kind, answer[at + 4:at + 4 + size])
        at += 4 + (size + 3) // 4 * 4
    return found


def _endpoint(value):
    (port,) = struct.unpack_from("!H", value, 2)
    return str(ipaddress.ip_address(value[4:])), port


def natpmp_address(link, router):
    """The outer address as the router tells it, or the code with which it does not; None: there
    was no answer."""
    answer = _natpmp(link, router, b"\0\0")
    if answer is None:
        return None
    _version, _op, code = struct.unpack_from("!BBH", answer)
    return code or socket.inet_ntoa(answer[8:12])


def natpmp_map(link, router, protocol, inner, outer, lifetime_s=3600):
    """The outer port that it gave, or minus the code with which it gave none; None: there was no
    answer."""
    answer = _natpmp(link, router, struct.pack("!BBHHHI", 0, protocol, 0, inner, outer, lifetime_s))
    if answer is None:
        return None
    code, given = struct.unpack_from("!H6xH", answer, 2)
    return -code or given


def _natpmp(link, router, request):
    link.sendto(request, (router, NATPMP_PORT))
    answer, _source = _answer(
        link, lambda answer: answer[:2] == bytes((0, request[1] | 0x80)))
    return answer


def upnp_address(link, connect):
    """The outer address as the router tells it, as text; None: nobody answered. `connect` gives
    a socket that is connected to an (address, port), as the client's."""
    link.sendto(
        f"M-SEARCH * HTTP/1.1\r\nHOST: {SSDP[0]}:{SSDP[1]}\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"
        f"ST: {WAN_SERVICE}\r\n\r\n".encode(), SSDP)
    answer, _source = _answer(link, lambda answer: answer.startswith(b"HTTP/1.1 200"))
    if answer is None:
        return None
    host, port, path = re.search(
        r"(?im)^location: *http://([^:/]+):(\d+)(/\S*)", answer.decode()).groups()
    router = (host, int(port))
    description = _http(connect(router), f"GET {path}", host)
    # Of a router that has a later version of it, this one may be asked for too.
    control = re.search(r"WANIPConnection:\d+</serviceType>.*?<controlURL>([^<]+)",
                        description, re.S).group(1)
    reply = _http(
        connect(router), f"POST {control}", host,
        f"Content-Type: text/xml\r\nSOAPAction: \"{WAN_SERVICE}#GetExternalIPAddress\"\r\n",
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f'<s:Body><u:GetExternalIPAddress xmlns:u="{WAN_SERVICE}"/></s:Body></s:Envelope>')
    return re.search(r"<NewExternalIPAddress>([^<]*)<", reply).group(1)


def _http(link, line, host, fields="", body=""):
    """The whole answer, head and body."""
    with link:
        link.sendall(f"{line} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {len(body)}\r\n"
                     f"Connection: close\r\n\r\n{body}".encode())
        return b"".join(iter(lambda: link.recv(65536), b"")).decode()


def hop(link, target, ttl):
    """The address of the router that says that a datagram to `target` was used up; None: none
    says so within the socket's timeout."""
    link.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    link.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    link.sendto(b"", target)
    poll = select.poll()
    poll.register(link, 0)  # errors are told in any case
    if not poll.poll(link.gettimeout() * 1000):
        return None
    _data, ancillary, _flags, _address = link.recvmsg(64, 512, socket.MSG_ERRQUEUE)
    [(_level, _kind, error)] = [entry for entry in ancillary if entry[1] == IP_RECVERR]
    # A struct sock_extended_err, and who complains as a struct sockaddr_in behind it.
    return socket.inet_ntoa(error[16 + 4:16 + 8])
