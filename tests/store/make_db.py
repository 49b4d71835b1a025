#!/usr/bin/python3
"""Makes a small database with something of everything in it, by the index as it is now:

    tests/store/make_db.py FILE

tests/store/v1.db was made so by the last signpostd whose schema was version 1, and is kept: what
was written then has to be there in every later version. tests/http/test_upgrade.py says so."""

import json
import os
import shutil
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.lib.http import Client, url
from tests.lib.index import Index

TTL_S = 600
NODES = {  # id: its registration
    "ada": {"network": "alpha", "meta": {"role": "printer"}, "endpoints": ["tcp://:7000"]},
    "bob": {"network": "alpha", "meta": {"text": "Grüße"}},
    "cat": {"network": "alpha", "listed": False},
    "dan": {"network": "beta"},
}
GONE = "eve"  # has left alpha
BODY = '{"n" :  1, "text":"as it was sent"}'
SPENT, GIVEN, QUEUED = "m-spent", "m-given", "m-queued"  # messages to ada


def token(id):
    return (id + "A" * 43)[:43]


def fill(client):
    def ask(method, target, who, body=None, raw=None):
        reply = client.request(method, target, body, token=token(who), raw=raw)
        assert 200 <= reply.status < 300, reply
        return reply

    def register(id, **members):
        ask("POST", "/register", id, {"id": id, "token": token(id), "ttl": TTL_S, **members})

    def send(id):
        raw = f'{{"id":{json.dumps(id)},"type":"offer","session":"s-1","ttl":{TTL_S},"body":{BODY}}}'
        ask("POST", "/mailbox/ada", "bob", raw=raw.encode())

    for id, members in NODES.items():
        register(id, **members)
    register(GONE, network="alpha")
    ask("DELETE", "/nodes/" + GONE, GONE)
    send(SPENT)
    send(GIVEN)
    spent = ask("GET", url("/mailbox/ada", limit=1), "ada")["next"]
    ask("GET", url("/mailbox/ada", after=spent), "ada")
    send(QUEUED)


def make(path):
    with Index() as index:
        client = Client(index)
        fill(client)
        client.close()
        assert index.stop() == 0
        shutil.copy(index.db, path)


if __name__ == "__main__":
    make(sys.argv[1])
