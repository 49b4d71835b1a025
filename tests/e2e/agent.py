"""One end of a WebRTC connection that is set up over an index's mailboxes; a process of its own.

It registers, finds its peer in the list, and goes through knock, ready, offer, answer and
candidates; the lower id calls. What happens is printed as lines of JSON. After that it obeys lines
on its standard input: `say TEXT`, `bulk BYTES`, `bye`."""

import argparse
import asyncio
import json
import sys
import threading
import urllib.error
import urllib.request
import uuid

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

CHUNK = 16 * 1024
STEP_S = 20
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def tell(event, **members):
    print(json.dumps({"event": event, **members}), flush=True)


class Mail:
    """The node at the index: registration, the list, and its mailbox."""

    def __init__(self, index, id, network):
        self.index, self.id, self.network = index, id, network
        self.token = None
        self.after = None
        self.waiting = asyncio.Queue()

    async def call(self, method, path, body=None, timeout=STEP_S + 45):
        def exchange():
            headers = {"Content-Type": "application/json"} if body is not None else {}
            if self.token:
                headers["Authorization"] = "Bearer " + self.token
            content = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(self.index + path, content, headers, method=method)
            with DIRECT.open(request, timeout=timeout) as reply:
                return json.loads(reply.read() or b"null")

        return await asyncio.to_thread(exchange)

    async def register(self):
        reply = await self.call("POST", "/register", {
            "id": self.id, "network": self.network, "ttl": 120, "meta": {"kind": "agent"}})
        self.token = reply["token"]

    async def leave(self):
        """Gives up the node, which also ends the read that is under way."""
        await self.call("DELETE", "/nodes/" + self.id)

    async def find(self, peer):
        """Returns when the list has `peer`: first the whole of it, then what changes."""
        query = "/list?network=" + self.network
        listing = await self.call("GET", query)
        while peer not in [node["id"] for node in listing["nodes"]]:
            listing = await self.call("GET", f"{query}&wait=25&since=" + listing["cursor"])

    async def read_on(self):
        """Reads until the node leaves, or the index goes: who is connected does not mind."""
        while True:
            after = "&after=" + self.after if self.after else ""
            try:
                reply = await self.call("GET", f"/mailbox/{self.id}?wait=25{after}")
            except OSError:
                return
            for message in reply["messages"]:
                await self.waiting.put(message)
            self.after = reply["next"]

    async def send(self, to, session, type, body):
        await self.call("POST", "/mailbox/" + to, {
            "id": str(uuid.uuid4()), "session": session, "type": type, "body": body})
        tell("sent", type=type)

    async def expect(self, type, session=None):
        """The next message, which must be of `type` (and `session`)."""
        message = await asyncio.wait_for(self.waiting.get(), STEP_S)
        assert message["type"] == type, message
        assert session in (None, message["session"]), message
        return message


def without_candidates(description):
    """The SDP without its candidates, and these as RTCIceCandidateInit objects."""
    kept, candidates, section = [], [], -1
    mids = {}
    for line in description.sdp.splitlines():
        if line.startswith("m="):
            section += 1
        elif line.startswith("a=mid:"):
            mids[section] = line.removeprefix("a=mid:")
        if line.startswith("a=candidate:"):
            candidates.append((section, line.removeprefix("a=")))
        elif not line.startswith("a=end-of-candidates"):
            kept.append(line)
    return "\r\n".join(kept) + "\r\n", [
        {"candidate": text, "sdpMid": mids[at], "sdpMLineIndex": at} for at, text in candidates]


class Connection:
    """The peer connection, its one DataChannel, and the order of the session's messages."""

    def __init__(self, mail, peer):
        self.mail, self.peer = mail, peer
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.opened = asyncio.Event()
        self.channel = None
        self.received = 0

    def take(self, channel):
        self.channel = channel
        channel.on("message", self.got)
        if channel.readyState == "open":
            self.opened.set()
        else:
            channel.on("open", self.opened.set)

    def got(self, message):
        if isinstance(message, bytes):
            self.received += len(message)
        elif message.startswith("bulk-end "):
            self.channel.send(f"bulk-got {self.received} of " + message.split()[1])
        else:
            tell("message", text=message)

    async def send_description(self, type, session):
        description = self.connection.localDescription
        sdp, candidates = without_candidates(description)
        assert candidates and "a=candidate" not in sdp
        await self.mail.send(self.peer, session, type,
                             {"type": description.type, "sdp": sdp, "gen": 0})
        await self.mail.send(self.peer, session, "candidates",
                             {"gen": 0, "candidates": candidates, "end": True})

    async def add_candidates(self, session):
        """This library starts its checks with what it has: so the candidates come first."""
        ended = False
        while not ended:  # a browser may tell them in several batches
            body = (await self.mail.expect("candidates", session))["body"]
            for init in body["candidates"]:
                candidate = candidate_from_sdp(init["candidate"].removeprefix("candidate:"))
                candidate.sdpMid = init["sdpMid"]
                candidate.sdpMLineIndex = init["sdpMLineIndex"]
                await self.connection.addIceCandidate(candidate)
            ended = body["end"]
        await self.connection.sctp.transport.transport.addRemoteCandidate(None)

    async def call(self):
        session = str(uuid.uuid4())
        await self.mail.send(self.peer, session, "knock", {"kind": "webrtc"})
        await self.mail.expect("ready", session)
        self.take(self.connection.createDataChannel("signpost"))
        await self.connection.setLocalDescription(await self.connection.createOffer())
        await self.send_description("offer", session)
        answer = (await self.mail.expect("answer", session))["body"]
        await self.add_candidates(session)
        await self.connection.setRemoteDescription(
            RTCSessionDescription(answer["sdp"], answer["type"]))

    async def be_called(self):
        self.connection.on("datachannel", self.take)
        knock = await self.mail.expect("knock")
        session = knock["session"]
        assert knock["from"] == self.peer, knock
        await self.mail.send(self.peer, session, "ready", {"kind": knock["body"]["kind"]})
        offer = (await self.mail.expect("offer", session))["body"]
        await self.connection.setRemoteDescription(
            RTCSessionDescription(offer["sdp"], offer["type"]))
        await self.add_candidates(session)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await self.send_description("answer", session)

    async def bulk(self, total):
        """The other end says on the channel what it has got of it."""
        for start in range(0, total, CHUNK):
            self.channel.send(bytes(min(CHUNK, total - start)))
        self.channel.send(f"bulk-end {total}")


async def commands(connection):
    """Lines of the standard input, read by a thread: it may be a pipe or a file."""
    lines, loop = asyncio.Queue(), asyncio.get_running_loop()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
        loop.call_soon_threadsafe(lines.put_nowait, "bye")

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) != "bye":
        verb, _, rest = line.partition(" ")
        if verb == "say":
            connection.channel.send(rest)
        elif verb == "bulk":
            await connection.bulk(int(rest))


async def live(options):
    mail = Mail(options.index, options.id, options.network)
    await mail.register()
    tell("registered")
    reader = asyncio.create_task(mail.read_on())
    await mail.find(options.peer)
    tell("found", peer=options.peer)
    connection = Connection(mail, options.peer)
    await (connection.call() if options.id < options.peer else connection.be_called())
    await asyncio.wait_for(connection.opened.wait(), STEP_S)
    tell("connected")
    await commands(connection)
    if not reader.done():
        await mail.leave()
    await asyncio.wait([reader])
    await connection.connection.close()
    tell("closed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--index", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--network", default="default")
    options = parser.parse_args()
    try:
        asyncio.run(live(options))
    except urllib.error.HTTPError as error:
        tell("failed", status=error.code, body=error.read().decode("utf-8", "replace"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
