"""Requests to the index: by the real curl, and by http.client for speed. Both go through one
recorder: where $SIGNPOST_RECORD names a file, each exchange is appended to it as a line of JSON."""

import http.client
import json
import os
import subprocess
import threading
import urllib.parse

from tests.lib.problem import check_headers, check_problem

REPLY_S = 20


class Reply:
    """Status, headers (names in any case) and body of one answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.text)

    def __getitem__(self, member):
        return self.json()[member]

    def media_type(self):
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def words(self, header):
        """The comma-separated words of a header, in lower case."""
        return {word.strip().lower() for word in self.headers.get(header, "").split(",")} - {""}

    def __str__(self):
        return f"{self.status} {list(self.headers.items())} {self.body[:2000]!r}"


def headers_of(pairs):
    headers = http.client.HTTPMessage()
    for name, value in pairs:
        headers.add_header(name, value)
    return headers


def url(path, **query):
    """`path` with a query; members that are None are left out. `meta_role` stands for meta.role."""
    pairs = [(name.replace("meta_", "meta.", 1) if name.startswith("meta_") else name, value)
             for name, value in query.items() if value is not None]
    return path + ("?" + urllib.parse.urlencode(pairs) if pairs else "")


# --- the recorder -------------------------------------------------------------------------------

_record_lock = threading.Lock()


def record(method, target, headers, body, reply):
    name = os.environ.get("SIGNPOST_RECORD")
    if not name:
        return
    path, _, query = target.partition("?")
    masked = {k: "Bearer ***" if k.lower() == "authorization" else v for k, v in headers.items()}
    line = json.dumps({
        "method": method, "path": path, "query": query, "request_headers": masked,
        "request_body": None if body is None else body.decode("utf-8", "replace"),
        "status": reply.status,
        "response_headers": {name: ", ".join(reply.headers.get_all(name))
                             for name in reply.headers},
        "response_body": reply.body.decode("utf-8", "replace")})
    # In one write each, since other programs append too.
    with _record_lock, open(name, "ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


def _finish(method, target, headers, body, reply, check):
    """What follows every exchange: it is recorded, and its form is looked at."""
    record(method, target, headers, body, reply)
    if not check:
        return reply
    if reply.status >= 400:
        (check_headers if method == "HEAD" else check_problem)(reply)
    elif reply.status in (200, 201, 202) and method != "HEAD":
        assert reply.media_type() == "application/json", f"the media type is wrong in {reply}"
    elif reply.status in (204, 304):
        assert not reply.body, f"a body in {reply}"
    return reply


# --- http.client --------------------------------------------------------------------------------

class Pending:
    """A request that was sent; its reply is read when it is asked for."""

    def __init__(self, connection, method, target, headers, body, check):
        self._connection = connection
        self._request = (method, target, headers, body)
        self._check = check

    def reply(self, timeout=REPLY_S):
        self._connection.sock.settimeout(timeout)
        response = self._connection.getresponse()
        content = response.read()
        reply = Reply(response.status, headers_of(response.getheaders()), content)
        return _finish(*self._request, reply, self._check)

    def vanish(self):
        """The client goes away without a word."""
        self._connection.close()


class Client:
    """One connection, kept alive. `source` is the local address that it comes from."""

    def __init__(self, index, token=None, headers=None, source=None, listener=0):
        address, port = index.listeners[listener]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        self._connection = http.client.HTTPConnection(
            host, port, timeout=REPLY_S, source_address=(source, 0) if source else None)
        self._host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._headers = headers or {}
        self.token = token

    def send(self, method, target, body=None, *, raw=None, token=None, headers=None, check=True):
        """Sends a request: `body` as JSON, or `raw` bytes. A header that is None is left out.
        `check`: whether the form of the reply is looked at."""
        content = raw
        every = {"Host": self._host, "Accept": "application/json"}
        if body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            every["Content-Type"] = "application/json"
        if token or self.token:
            every["Authorization"] = "Bearer " + (token or self.token)
        every.update(self._headers)
        every.update(headers or {})
        every = {name: value for name, value in every.items() if value is not None}
        self._connection.request(method, target, content, every)
        return Pending(self._connection, method, target, every, content, check)

    def request(self, method, target, body=None, **options):
        return self.send(method, target, body, **options).reply()

    def get(self, target, **options):
        return self.request("GET", target, **options)

    def post(self, target, body=None, **options):
        return self.request("POST", target, body, **options)

    def delete(self, target, **options):
        return self.request("DELETE", target, **options)

    def local_port(self):
        """Of the connection, once there is one."""
        return self._connection.sock.getsockname()[1]

    def close(self):
        self._connection.close()


# --- curl ---------------------------------------------------------------------------------------

def curl(index, method, target, body=None, *, token=None, args=(), check=True):
    """A request as a person would type it; `body` goes through `--json`."""
    host = f"[{index.host}]" if ":" in index.host else index.host
    command = ["curl", "--silent", "--show-error", "--verbose", "--include", "--globoff",
               "--noproxy", "*", "--max-time", str(REPLY_S)]
    command += ["--head"] if method == "HEAD" else ["--request", method]
    if body is not None:
        command += ["--json", body if isinstance(body, str) else json.dumps(body)]
    if token:
        command += ["--header", "Authorization: Bearer " + token]
    command += [*args, f"http://{host}:{index.port}{target}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"curl ended with {done.returncode}: {done.stderr.decode()}")
    sent = [line[2:].partition(": ") for line in done.stderr.decode("utf-8", "replace").splitlines()
            if line.startswith("> ") and ": " in line]
    request_body = None
    if body is not None:
        request_body = command[command.index("--json") + 1].encode()
    return _finish(method, target, {name: value for name, _, value in sent}, request_body,
                   _parse_included(done.stdout), check)


def _parse_included(output):
    """What `curl --include` wrote: interim replies are skipped."""
    while True:
        head, _, rest = output.partition(b"\r\n\r\n")
        reply = parse_head(head)
        if reply.status >= 200:
            reply.body = rest
            return reply
        output = rest


def parse_head(head):
    """Status line and header lines, without the empty line after them."""
    lines = head.decode("iso-8859-1").split("\r\n")
    pairs = [line.partition(":") for line in lines[1:]]
    return Reply(int(lines[0].split()[1]),
                 headers_of((name.strip(), value.strip()) for name, _, value in pairs), b"")
