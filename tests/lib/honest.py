"""An honest client, as a program of its own: python3 -m tests.lib.honest HOST PORT SOURCE

It registers, says `ready`, and sends a heartbeat every 100 ms until its standard input ends; each
tenth over a new connection, as one who has just come. Then it writes, as one line of JSON, how long
each took in ms and what went wrong."""

import http.client
import json
import select
import sys
import time

EVERY_S = 0.1
NEW_EACH = 10
AT_LEAST = 20  # also where the attack is over sooner: what it left behind may take its time
PATIENCE_S = 20


class Honest:
    def __init__(self, host, port, source):
        self.where = host, port
        self.source = source
        self.took_ms = []
        self.wrong = []
        self.token = None
        self.connection = self.connect()

    def connect(self):
        return http.client.HTTPConnection(*self.where, timeout=PATIENCE_S,
                                          source_address=(self.source, 0))

    def ask(self, connection, target, body):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        connection.request("POST", target, json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def register(self):
        status, body = self.ask(self.connection, "/register",
                                {"id": "honest", "network": "honest", "ttl": 60})
        assert status == 201, body
        self.token = json.loads(body)["token"]

    def beat(self, number):
        """The time counts from before the connection is made to after the last byte."""
        start = time.monotonic()
        connection = self.connect() if number % NEW_EACH == NEW_EACH - 1 else self.connection
        try:
            status, body = self.ask(connection, "/heartbeat", {"id": "honest"})
            if status != 200:
                self.wrong.append(f"heartbeat {number}: {status} {body.decode()}")
        except (OSError, http.client.HTTPException) as error:
            self.wrong.append(f"heartbeat {number}: {error!r}")
            connection.close()
        self.took_ms.append((time.monotonic() - start) * 1000)
        if connection is not self.connection:
            connection.close()


def main():
    honest = Honest(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    honest.register()
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        ended = select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0]
        if ended and len(honest.took_ms) >= AT_LEAST:
            break
        time.sleep(max(0, due - time.monotonic()))
        due = max(due, time.monotonic() - EVERY_S) + EVERY_S
        honest.beat(len(honest.took_ms))
    print(json.dumps({"took_ms": honest.took_ms, "wrong": honest.wrong}))


if __name__ == "__main__":
    main()
