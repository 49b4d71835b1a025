"""What the document shows: one exchange after another, as a real index answered."""

from docs.openapi.schemas import BOX_EPOCH, EPOCH
from docs.openapi.source import VERSION

YOU = {"address": "203.0.113.7", "port": 41234, "family": "ipv4"}
ENDPOINTS = ["grpc://203.0.113.7:50051", "udp://192.168.1.4:4000"]
OFFER = {"type": "offer", "sdp": "v=0\r\n..."}

REGISTER = {"id": "master-a", "endpoints": ["grpc://:50051", "udp://192.168.1.4:4000"],
            "meta": {"role": "master"}, "ttl": 30}
BACK = {"id": "master-a", "network": "default", "ttl": 30, "heartbeat_after": 9.453, "you": YOU,
        "endpoints": ENDPOINTS, "cursor": EPOCH + ".1"}
REGISTERED = {"id": "master-a", "network": "default",
              "token": "mOFt3hVqYcG8Y1xM7S9bWm0Zr5kLwQ2nDg4aTpXuEvI", "ttl": 30,
              "heartbeat_after": 9.453, "you": YOU, "endpoints": ENDPOINTS, "cursor": EPOCH + ".1"}
HEARTBEAT = {"meta": {"role": "master", "load": 2}}
TAKEN = {"ttl": 30, "heartbeat_after": 10.33, "you": YOU, "cursor": EPOCH + ".3", "mail": 0}

NODE = {"id": "master-a", "endpoints": ENDPOINTS, "observed": ["203.0.113.7"],
        "meta": {"role": "master", "load": 2}, "reach": {},
        "registered_at": "2026-11-21T03:24:56Z", "age": 0.017, "expires_in": 29.983}
LIST = {"network": "default", "cursor": EPOCH + ".3", "reset": False, "more": False,
        "nodes": [NODE], "gone": []}

MESSAGE_ASKED = {"id": "m1", "session": "s1", "type": "offer", "body": OFFER}
SENT = {"seq": 1, "state": "queued", "expires_in": 10}
MESSAGE = {"seq": 1, "id": "m1", "from": "master-a", "from_address": "203.0.113.7",
           "session": "s1", "type": "offer", "body": OFFER, "sent_at": "2026-11-21T03:24:56Z",
           "expires_in": 9.989}
MAIL = {"next": BOX_EPOCH + ".1", "reset": False, "messages": [MESSAGE]}

EVENTS_ASKED = {"since": EPOCH + ".3", "after": BOX_EPOCH + ".1", "wait": 25}
EVENTS = {"list": {"network": "default", "cursor": EPOCH + ".4", "reset": False, "more": False,
                   "nodes": [], "gone": ["master-b"]},
          "mail": {"next": BOX_EPOCH + ".1", "reset": False, "messages": []},
          "heartbeat_after": 9.724}

ICE = {"iceServers": [{"urls": ["stun:signpost.example.org:3478"]},
                      {"urls": ["turn:turn.example.org:3478?transport=udp"],
                       "username": "1764003600:master-a",
                       "credential": "zS5pT6yPYPpTz2XQ5X9gQxqYk1o="}],
       "ttl": 3600}
CHECK_ASKED = {"port": 50051, "protocol": "tcp", "nonce": "9f86d081884c7d659a2feaa0c55ad015"}
CHECKED = {"result": "open", "verified": True, "target": "203.0.113.7:50051",
           "dialed_from": "198.51.100.1", "contacted": True, "ms": 12.3, "you": YOU}

STATUS = {"version": VERSION, "ready": True, "time": "2026-11-21T03:25:26Z", "uptime": 86412.5,
          "load": {"nodes": 1, "networks": 1, "waiting": 1, "max_waiting": 20000, "connections": 2,
                   "max_connections": 25000, "cpu": 0.002, "memory": 9543680},
          "network": "default", "cursor": EPOCH + ".3", "more": False,
          "nodes": [{"id": "master-a", "age": 0.017, "expires_in": 29.983, "mail": 0}]}
METRICS = """\
# HELP signpost_nodes Registered nodes.
# TYPE signpost_nodes gauge
signpost_nodes 1
"""
