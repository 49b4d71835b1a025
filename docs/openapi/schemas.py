"""The schemas of what is in bodies and parameters.

What the index says is closed: a member that is not named here is a mistake, of the index or of this
page. What clients say is open: the index passes over what it does not know.
"""

from docs.openapi.source import ERRORS, limit

EPOCH = "9b61938dc7602e9e"
BOX_EPOCH = "70b1991df30984c4"
ID_PATTERN = r"^[A-Za-z0-9._-]+$"


def ref(name):
    return {"$ref": "#/components/schemas/" + name}


def says(description, schema):
    """The schema with words of its own; beside a $ref they stand as they are in OpenAPI 3.1."""
    return {"description": description, **schema}


def reply(description, members, optional=()):
    return {"type": "object", "description": description, "properties": members,
            "required": [name for name in members if name not in optional],
            "additionalProperties": False}


def asked(description, members, required=()):
    """A request: a member that is null counts as absent, unless it is required."""
    properties = {}
    for name, schema in members.items():
        words = {key: value for key, value in schema.items() if key == "description"}
        bare = {key: value for key, value in schema.items() if key != "description"}
        if name in required:
            properties[name] = schema
        elif "type" in bare:
            properties[name] = {**words, **bare, "type": [bare["type"], "null"]}
        else:
            properties[name] = {**words, **or_null(bare)}
    result = {"type": "object", "description": description, "properties": properties}
    return {**result, "required": list(required)} if required else result


def integer(least, most=None):
    return {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})


def number(least, most=None):
    return {**integer(least, most), "type": "number"}


def array(items, most=None):
    return {"type": "array", "items": items} | ({} if most is None else {"maxItems": most})


TEXT = {"type": "string"}
BOOL = {"type": "boolean"}
OBJECT = {"type": "object"}


def or_null(schema):
    return {"anyOf": [schema, {"type": "null"}]}


PORT = integer(0, 65535)
HEARTBEAT_AFTER = says("seconds: send the next sign of life then", number(0))
SIZE_OF = "at most {:,} bytes of JSON, nested {} levels at most".format
META = says("for people and for filters; " + SIZE_OF(limit("META_BYTES"), limit("KEPT_DEPTH")),
            OBJECT)
REACH = says("what the node has found out about its own ports and NAT; "
             + SIZE_OF(limit("REACH_BYTES"), limit("KEPT_DEPTH")), OBJECT)
ANNOUNCED = array(ref("EndpointAsked"), limit("ENDPOINTS"))

SCHEMAS = {
    # --- words -----------------------------------------------------------------------------
    "Id": says("of a node, a network, a message or a session",
               {"type": "string", "minLength": 1, "maxLength": limit("ID_CHARS"),
                "pattern": ID_PATTERN, "examples": ["master-a"]}),
    "Cursor": says("names a point in a history; opaque to clients",
                   {"type": "string", "maxLength": 36,
                    "pattern": r"^[0-9a-f]{16}\.(0|[1-9][0-9]{0,18})$",
                    "examples": [EPOCH + ".3"]}),
    "Token": says("a node token: 256 random bits in base64url, without padding",
                  {"type": "string", "minLength": limit("TOKEN_CHARS"),
                   "maxLength": limit("TOKEN_CHARS"), "pattern": r"^[A-Za-z0-9_-]+$"}),
    "Endpoint": says("where a node takes direct connections: `scheme://host:port`",
                     {"type": "string", "maxLength": limit("ENDPOINT_CHARS"),
                      "pattern": r"^[a-z][a-z0-9+.-]*://[^/?#@\s]+:[0-9]{1,5}$",
                      "examples": ["grpc://203.0.113.7:50051"]}),
    "EndpointAsked": says(
        "as an endpoint; a host that is empty, `[::]` or `0.0.0.0` means the address that the "
        "index sees the node at",
        {"type": "string", "maxLength": limit("ENDPOINT_CHARS"),
         "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]*:[0-9]{1,5}$",
         "examples": ["grpc://:50051"]}),
    "Address": says("an IPv4 or IPv6 address",
                    {"type": "string",
                     "anyOf": [{"format": "ipv4"}, {"format": "ipv6", "pattern": ":"}],
                     "examples": ["203.0.113.7"]}),
    "Time": says("for people: RFC 3339, in UTC",
                 {"type": "string", "format": "date-time",
                  "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
                  "examples": ["2026-11-21T03:24:56Z"]}),
    "MessageType": says("`knock`, `ready`, `offer`, `answer`, `candidates`, `bye`, or another",
                        {"type": "string", "minLength": 1, "maxLength": limit("TYPE_CHARS"),
                         "pattern": r"^[a-z0-9._-]+$"}),
    "You": reply("the caller, as the index sees it", {
        "address": ref("Address"),
        "port": says("0 where a proxy does not tell it", PORT),
        "family": {"enum": ["ipv4", "ipv6"]},
    }),
    # --- nodes -----------------------------------------------------------------------------
    "Register": asked("a node, whole: what is absent gets its default", {
        "id": says("absent: the index makes a UUID", ref("Id")),
        "network": says("absent: that of the credential, else `default`", ref("Id")),
        "endpoints": says("absent: none", ANNOUNCED),
        "meta": META,
        "reach": REACH,
        "ttl": says("seconds; what is outside of {LEAST} to {MOST} is brought to the nearer end; "
                    "absent: {DEFAULT}".format(
                        LEAST=limit("TTL_MIN_S"), MOST=limit("TTL_MAX_S"),
                        DEFAULT=limit("TTL_DEFAULT_S")), {"type": "number"}),
        "listed": says("false: in no list, but reachable by id; absent: true", BOOL),
        "token": says("the proof of ownership; absent, and none in Authorization: the index makes "
                      "one", ref("Token")),
    }),
    "Registered": reply("the node as it is now", {
        "id": ref("Id"),
        "network": ref("Id"),
        "token": says("only where the index made it, and never again", ref("Token")),
        "ttl": says("seconds: the length of the lease",
                    integer(limit("TTL_MIN_S"), limit("TTL_MAX_S"))),
        "heartbeat_after": HEARTBEAT_AFTER,
        "you": ref("You"),
        "endpoints": says("as others see them", array(ref("Endpoint"))),
        "cursor": ref("Cursor"),
    }, optional=("token",)),
    "Heartbeat": asked("what changed; what is absent stays as it was", {
        "id": says("must be that of the token", ref("Id")),
        "endpoints": ANNOUNCED,
        "meta": META,
        "reach": REACH,
    }),
    "HeartbeatTaken": reply("the lease, renewed", {
        "ttl": integer(limit("TTL_MIN_S"), limit("TTL_MAX_S")),
        "heartbeat_after": HEARTBEAT_AFTER,
        "you": ref("You"),
        "cursor": says("of the network: tells whether the list moved", ref("Cursor")),
        "mail": says("how many messages wait", integer(0)),
    }),
    "Node": reply("one node", {
        "id": ref("Id"),
        "endpoints": array(ref("Endpoint")),
        "observed": says("where the index sees it: one address of a family",
                         array(ref("Address"), 2)),
        "meta": META,
        "reach": REACH,
        "registered_at": ref("Time"),
        "age": says("seconds since the last sign of life", number(0)),
        "expires_in": says("seconds until the lease ends", {"type": "number"}),
    }),
    "List": reply("a whole list, or what changed", {
        "network": ref("Id"),
        "cursor": says("ask on with it as `since`", ref("Cursor")),
        "reset": says("this replaces what was known", BOOL),
        "more": says("there is more than fits", BOOL),
        "after": says("of a whole list that has more: goes on behind this id", ref("Id")),
        "nodes": array(ref("Node"), limit("LIST_MAX_NODES")),
        "gone": says("ids of those that are no longer in the list", array(ref("Id"))),
    }, optional=("after",)),
    # --- messages --------------------------------------------------------------------------
    "MessageAsked": asked("a message", {
        "id": says("the sender's own: makes a retry harmless", ref("Id")),
        "type": {**ref("MessageType"), "not": {"const": "undeliverable"}},
        "body": says("any JSON, kept byte for byte; " + SIZE_OF(
            limit("MESSAGE_BYTES"), limit("KEPT_DEPTH")), {}),
        "session": ref("Id"),
        "ttl": says("whole seconds; absent: 5 (`knock`, `ready`), 10 (`offer`, `answer`), 30 "
                    "(others)",
                    integer(limit("MESSAGE_TTL_MIN_S"), limit("MESSAGE_TTL_MAX_S"))),
    }, required=("id", "type", "body")),
    "Sent": reply("what became of a message", {
        "seq": says("its place in the mailbox", integer(1)),
        "state": says("`handed`: a reader was waiting for it", {"enum": ["queued", "handed"]}),
        "expires_in": says("seconds", {"type": "number"}),
    }),
    "Message": reply("a message as its recipient reads it", {
        "seq": integer(1),
        "id": ref("Id"),
        "from": says("null: the index itself", or_null(ref("Id"))),
        "from_address": or_null(ref("Address")),
        "session": or_null(ref("Id")),
        "type": ref("MessageType"),
        "body": says("as it was sent; of an `undeliverable`: an Undeliverable", {}),
        "sent_at": ref("Time"),
        "expires_in": says("seconds", {"type": "number"}),
    }) | {"if": {"properties": {"type": {"const": "undeliverable"}}},
          "then": {"properties": {"from": {"type": "null"}, "body": ref("Undeliverable")}},
          "else": {"properties": {"from": ref("Id")}}},
    "Undeliverable": reply("which message came to nobody, and why", {
        "id": ref("Id"),
        "to": ref("Id"),
        "session": or_null(ref("Id")),
        "type": ref("MessageType"),
        "reason": {"enum": ["expired", "gone"]},
    }),
    "Mail": reply("what is in a mailbox", {
        "next": says("acknowledges all of this as `after` of the next read", ref("Cursor")),
        "reset": says("`after` was of another epoch, and nothing was acknowledged", BOOL),
        "messages": array(ref("Message"), limit("MAIL_MAX_MESSAGES")),
    }),
    "EventsAsked": asked("what is known already", {
        "since": says("a cursor of the list; absent: the whole list", ref("Cursor")),
        "after": says("a `next` of the mailbox: what is up to there is acknowledged",
                      ref("Cursor")),
        "wait": says("seconds; absent: 0", number(0, limit("WAIT_MAX_S"))),
        "limit": says("of nodes, and of messages; absent: {}, and never more than {} messages"
                      .format(limit("LIST_DEFAULT_NODES"), limit("MAIL_DEFAULT_MESSAGES")),
                      integer(1, limit("LIST_MAX_NODES"))),
    }),
    "Events": reply("the list and the mailbox", {
        "list": ref("List"),
        "mail": ref("Mail"),
        "heartbeat_after": HEARTBEAT_AFTER,
    }),
    # --- help with connecting --------------------------------------------------------------
    "Ice": reply("an RTCConfiguration, as `new RTCPeerConnection()` takes it", {
        "iceServers": array(reply("one entry", {
            "urls": array({"type": "string", "pattern": "^(stuns?|turns?):"}) | {"minItems": 1},
            "username": says("of TURN: when it ends, and the id of the node", TEXT),
            "credential": TEXT,
        }, optional=("username", "credential")) | {
            "dependentRequired": {"username": ["credential"], "credential": ["username"]}}),
        "ttl": says("seconds that it is good for", {"const": limit("TURN_TTL_S")}),
    }),
    "CheckAsked": asked("what to dial", {
        "port": integer(1, 65535),
        "protocol": {"enum": ["tcp", "udp"]},
        "nonce": says("16 random bytes, new ones for each check",
                      {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        "from": says("the address to dial from: the one that this request came to, or another; "
                     "absent: the other one where there is one", {"enum": ["contacted", "other"]}),
        "timeout": says("seconds for connecting; absent: {}".format(limit("CHECK_CONNECT_S")),
                        number(1, limit("CHECK_CONNECT_S"))),
    }, required=("port", "protocol", "nonce")),
    "Checked": reply("what was seen", {
        "result": {"enum": ["open", "connected", "refused", "timeout", "unreachable", "sent"]},
        "verified": says("who listens said the proof", BOOL),
        "target": says("`address:port` that was dialled", TEXT),
        "dialed_from": says("null: not even an attempt could be made", or_null(ref("Address"))),
        "contacted": says("the caller had contacted that address", BOOL),
        "ms": says("until it was known whether it connects", number(0)),
        "you": ref("You"),
    }),
    # --- operation -------------------------------------------------------------------------
    "Status": reply("how the index is, and who is here", {
        "version": TEXT,
        "ready": says("as `/readyz` says it", BOOL),
        "time": ref("Time"),
        "uptime": says("seconds", number(0)),
        "load": ref("Load"),
        "network": ref("Id"),
        "cursor": ref("Cursor"),
        "more": says("there are more nodes than fit", BOOL),
        "after": says("where there are more: goes on behind this id", ref("Id")),
        "nodes": array(ref("SignOfLife"), limit("LIST_MAX_NODES")),
    }, optional=("after",)),
    "Load": reply("what there is at the moment, and how much there may be", {
        "nodes": says("null where there are join keys", or_null(integer(0))),
        "networks": says("null where there are join keys", or_null(integer(0))),
        "waiting": says("polls that wait; null where there are join keys", or_null(integer(0))),
        "max_waiting": says("null: no limit", or_null(integer(1))),
        "connections": says("null where there are join keys", or_null(integer(0))),
        "max_connections": says("null: no limit", or_null(integer(1))),
        "cpu": says("the share of one processor", number(0)),
        "memory": says("bytes", integer(0)),
    }),
    "SignOfLife": reply("what of a node changes from second to second", {
        "id": ref("Id"),
        "age": says("seconds since the last sign of life", number(0)),
        "expires_in": says("seconds until the lease ends", {"type": "number"}),
        "mail": says("how many messages wait", integer(0)),
    }),
    # --- the rest --------------------------------------------------------------------------
    "Problem": {
        "type": "object",
        "description": "an error (RFC 9457)",
        "properties": {
            "type": says("the code as a URI",
                         {"type": "string", "pattern": "^urn:signpost:problem:[a-z_]+$"}),
            "title": says("the code in words", {"type": "string", "minLength": 1}),
            "status": {"enum": sorted({status for status, _ in ERRORS.values()})},
            "detail": says("a sentence for people: what was wrong, and what to do",
                           {"type": "string", "minLength": 1}),
            "code": says("the word to write programs against", {"enum": list(ERRORS)}),
            "action": says("what mends it", {"enum": ["register", "retry"]}),
        },
        "required": ["type", "title", "status", "detail", "code"],
    },
}
