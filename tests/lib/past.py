"""Small databases with something of everything in them, as earlier versions left them.

tests/store/vN.db was made by the last signpostd whose schema was version N, with

    python3 -m tests.lib.past FILE

and is kept: what was written then has to be there in every later version. Before the schema
changes again, the same makes the next one."""

import glob
import json
import os
import shutil
import sqlite3
import sys
import time

from tests.lib.http import Client, url
from tests.lib.index import ROOT, Index

KEPT = {int(os.path.basename(path)[1:-3]): path  # by the version of their schema
        for path in glob.glob(os.path.join(ROOT, "tests", "store", "v*.db"))}
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


def ask(client, method, target, who, body=None, raw=None):
    reply = client.request(method, target, body, token=token(who), raw=raw)
    assert 200 <= reply.status < 300, reply
    return reply


def send(client, id):
    """A message from bob to ada; the same again where the index remembers it."""
    raw = f'{{"id":{json.dumps(id)},"type":"offer","session":"s-1","ttl":{TTL_S},"body":{BODY}}}'
    return ask(client, "POST", "/mailbox/ada", "bob", raw=raw.encode())


def fill(client):
    for id in (*NODES, GONE):
        members = NODES.get(id, {"network": "alpha"})
        ask(client, "POST", "/register", id,
            {"id": id, "token": token(id), "ttl": TTL_S, **members})
    ask(client, "DELETE", "/nodes/" + GONE, GONE)
    send(client, SPENT)
    send(client, GIVEN)
    spent = ask(client, "GET", url("/mailbox/ada", limit=1), "ada")["next"]
    ask(client, "GET", url("/mailbox/ada", after=spent), "ada")
    send(client, QUEUED)


def make(path):
    with Index() as index:
        client = Client(index)
        fill(client)
        client.close()
        assert index.stop() == 0
        shutil.copy(index.db, path)


def copy(old, to):
    """As if it had been left just now: messages and the memory of who left do not last for years."""
    shutil.copy(old, to)
    with sqlite3.connect(to) as db:
        left_ms, = db.execute("SELECT max(sent_wall_ms) FROM messages").fetchone()
        later = {"by": int(time.time() * 1000) - left_ms}
        db.execute("UPDATE messages SET sent_wall_ms = sent_wall_ms + :by, "
                   "expires_ms = expires_ms + :by, forget_ms = forget_ms + :by", later)
        db.execute("UPDATE tombstones SET gone_ms = gone_ms + :by", later)
    db.close()


def check(case, index):
    """All that fill() has put in is there, over HTTP."""
    client = Client(index)
    try:
        found = {node["id"]: node for network in ("alpha", "beta")
                 for node in client.get(url("/list", network=network))["nodes"]}
        case.assertEqual(set(found), {"ada", "bob", "dan"})
        case.assertEqual(found["ada"]["meta"], NODES["ada"]["meta"])
        case.assertEqual(found["ada"]["endpoints"], ["tcp://127.0.0.1:7000"])
        case.assertEqual(found["bob"]["meta"], NODES["bob"]["meta"])
        for id in NODES:
            ask(client, "POST", "/heartbeat", id, {})
        case.assertEqual(client.get(url("/nodes/" + GONE, network="alpha")).status, 404)
        page = ask(client, "GET", "/mailbox/ada", "ada")
        case.assertEqual([message["id"] for message in page["messages"]], [GIVEN, QUEUED])
        case.assertEqual(page.text.count(f'"body":{BODY}'), 2)
        for id in (SPENT, GIVEN, QUEUED):
            send(client, id)  # a retry, as the index knows
        page = ask(client, "GET", "/mailbox/ada", "ada")
        case.assertEqual([message["id"] for message in page["messages"]], [GIVEN, QUEUED])
    finally:
        client.close()


def schema(path):
    """The version, and the text of each object."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        version, = db.execute("PRAGMA user_version").fetchone()
        return version, dict(db.execute("SELECT name, sql FROM sqlite_schema").fetchall())
    finally:
        db.close()


if __name__ == "__main__":
    make(sys.argv[1])
