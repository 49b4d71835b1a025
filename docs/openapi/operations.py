"""The paths and what each of their methods takes and answers.

What every route may answer (the refusals of http/checks.c and http/door.c) is added to each.
"""

from docs.openapi import examples
from docs.openapi.replies import PAGE_HEADERS, Problems, empty_reply, json_reply, text_reply
from docs.openapi.schemas import TEXT, integer, number, ref, says
from docs.openapi.source import limit

NONE, NODE, KEY = {}, {"nodeToken": []}, {"joinKey": []}
PUBLIC = []
READER = [NONE, NODE, KEY]  # an open index asks for nothing

ANY = ("bad_request bad_credential bad_key foreign_host length_required too_large url_too_long "
       "headers_too_large rate_limited too_many_connections index_full no_memory").split()
PREFLIGHT = ("bad_request foreign_host length_required too_large headers_too_large rate_limited "
             "too_many_connections index_full no_memory").split()
STORE = ["store_failed", "not_ready"]


def parameter(name, place, description, schema, required=False):
    return {"name": name, "in": place, "description": description, "schema": schema} | (
        {"required": True} if required else {})


def path_id(description):
    return parameter("id", "path", description, ref("Id"), required=True)


def query(name, description, schema):
    return parameter(name, "query", description, schema)


NETWORK = query("network", "absent: that of the credential, else `default`", ref("Id"))
SINCE = query("since", "a cursor of the list: only what changed after it", ref("Cursor"))
WAIT = query("wait", "seconds to wait for something to say; absent: 0",
             number(0, limit("WAIT_MAX_S")))
ACKNOWLEDGED = query("after", "the `next` of an earlier read: what is up to there is acknowledged "
                     "and deleted", ref("Cursor"))
NODES_LIMIT = query(
    "limit", "of nodes in one reply; absent: {}".format(limit("LIST_DEFAULT_NODES")),
    integer(1, limit("LIST_MAX_NODES")))
AFTER = query("after", "an id: go on with a whole list behind it", ref("Id"))
MESSAGES_LIMIT = query(
    "limit", "of messages in one reply; absent: {}".format(limit("MAIL_DEFAULT_MESSAGES")),
    integer(1, limit("MAIL_MAX_MESSAGES")))
KNOWN = parameter("If-None-Match", "header", "the ETag of an earlier reply", TEXT)
FILTERS = query("meta", "`meta.<key>=<value>`: only nodes whose meta has that at its top level; at "
                "most {}, all must match".format(limit("FILTERS")),
                {"type": "object", "additionalProperties": TEXT,
                 "propertyNames": {"pattern": "^meta\\."}, "maxProperties": limit("FILTERS")}
                ) | {"style": "form", "explode": True}

NOT_MODIFIED = empty_reply("what `If-None-Match` names is still so", needed=["ETag"])
FILE_HEADERS = ["ETag", "X-Content-Type-Options"]


def ok(description, name, example, **headers):
    return json_reply(description, ref(name), example, **headers)


class Paths:
    """Puts the operations together as they are added."""

    def __init__(self):
        self.paths = {}
        self.problems = Problems()

    def add(self, method, path, name, summary, *, tag, security, replies, errors="",
            parameters=(), body=None, sheds=True, head=False, pages=()):
        codes = ANY + errors.split()
        if sheds:
            codes.append("overloaded")
        if security:
            codes.append("no_credential")
        operation = {"operationId": name, "tags": [tag], "summary": summary,
                     "security": security}
        if parameters:
            operation["parameters"] = list(parameters)
        if body:
            schema, example = body
            codes += ["bad_json", "not_json"]
            operation["requestBody"] = {"required": True, "content": {
                "application/json": {"schema": ref(schema), "example": example}}}
        operation["responses"] = {
            **{str(status): reply for status, reply in replies.items()},
            **self.problems.respond(codes, pages)}
        item = self.paths.setdefault(path, {})
        item[method] = operation
        if head:
            item["head"] = {**operation, "operationId": name + "Head",
                            "summary": f"the head of the reply to GET {path}"}

    def add_preflights(self):
        """A path takes OPTIONS where there is something at it."""
        for path, item in self.paths.items():
            name = next(iter(item.values()))["operationId"]
            errors = PREFLIGHT + (["unknown_path"] if path == "/demo" else [])
            item["options"] = {
                "operationId": name + "Options", "tags": ["preflights"],
                "summary": f"which methods {path} takes, and whether a page may use them",
                "security": PUBLIC,
                "responses": {
                    "204": {"$ref": "#/components/responses/Preflight"},
                    **self.problems.respond(errors)}}
            names = [p for p in next(iter(item.values())).get("parameters", ())
                     if p["in"] == "path"]
            if names:
                item["options"]["parameters"] = names


def add_nodes(paths):
    paths.add("post", "/register", "register", "make a node, or bring its owner back",
              tag="nodes", security=[NONE, KEY, NODE], body=("Register", examples.REGISTER),
              replies={
                  200: ok("its owner is back: what it sent replaces all that was",
                          "Registered", examples.BACK),
                  201: ok("a new node", "Registered", examples.REGISTERED, needed=["Location"])},
              errors="bad_id bad_endpoint bad_token other_network id_taken token_in_use "
                     "too_many_nodes network_full store_failed not_ready")
    paths.add("post", "/heartbeat", "heartbeat", "renew the lease of a node, and change it",
              tag="nodes", security=[NODE], body=("Heartbeat", examples.HEARTBEAT),
              replies={200: ok("the lease is renewed", "HeartbeatTaken", examples.TAKEN)},
              errors="bad_endpoint not_yours unknown_node store_failed not_ready")
    paths.add("get", "/list", "list", "who is here, or what changed since",
              tag="nodes", security=READER, head=True,
              parameters=[NETWORK, SINCE, WAIT, NODES_LIMIT, AFTER, FILTERS, KNOWN],
              replies={200: ok("the list", "List", examples.LIST, needed=["ETag"],
                               sometimes=["Link", "Retry-After"]), 304: NOT_MODIFIED},
              errors="bad_id bad_cursor other_network unknown_node store_failed not_ready")
    paths.add("get", "/nodes/{id}", "getNode", "one node, listed or not",
              tag="nodes", security=READER, head=True,
              parameters=[path_id("the node"), NETWORK],
              replies={200: ok("the node", "Node", examples.NODE)},
              errors="bad_id other_network unknown_node store_failed not_ready")
    paths.add("delete", "/nodes/{id}", "removeNode", "a node leaves, and its mailbox goes with it",
              tag="nodes", security=[NODE, KEY],
              parameters=[path_id("the node"), NETWORK],
              replies={204: empty_reply("it is gone")},
              errors="bad_id not_yours other_network unknown_node store_failed not_ready")


def add_mail(paths):
    paths.add("post", "/mailbox/{id}", "send", "leave a message for a node of the same network",
              tag="messages", security=[NODE], parameters=[path_id("who it is for")],
              body=("MessageAsked", examples.MESSAGE_ASKED),
              replies={202: ok("it is kept", "Sent", examples.SENT)},
              errors="bad_id unknown_node message_id_reused mailbox_full network_full store_failed "
                     "not_ready")
    paths.add("get", "/mailbox/{id}", "read", "read the mailbox of a node, or wait for a message",
              tag="messages", security=[NODE],
              parameters=[path_id("whose mailbox"), ACKNOWLEDGED, WAIT, MESSAGES_LIMIT],
              replies={200: ok("what is in it", "Mail", examples.MAIL,
                               sometimes=["Retry-After"])},
              errors="bad_id bad_cursor not_yours unknown_node superseded store_failed not_ready")
    answer = {200: ok("what there is to say", "Events", examples.EVENTS,
                      sometimes=["Retry-After"])}
    errors = "bad_cursor unknown_node superseded store_failed not_ready"
    paths.add("post", "/events", "events", "the one poll that a client needs: list and mailbox",
              tag="messages", security=[NODE], body=("EventsAsked", examples.EVENTS_ASKED),
              replies=answer, errors=errors)
    paths.add("get", "/events", "getEvents", "the same, asked in the query",
              tag="messages", security=[NODE],
              parameters=[SINCE, ACKNOWLEDGED, WAIT, NODES_LIMIT], replies=answer, errors=errors)


def add_connecting(paths):
    paths.add("get", "/ice", "ice", "which STUN and TURN servers to use",
              tag="connecting", security=READER, head=True,
              replies={200: ok("the servers", "Ice", examples.ICE)},
              errors="unknown_node store_failed not_ready")
    paths.add("post", "/check", "check", "have the index dial the caller back",
              tag="connecting", security=READER, body=("CheckAsked", examples.CHECK_ASKED),
              replies={200: ok("what came of it", "Checked", examples.CHECKED)},
              errors="target_refused unknown_node nonce_used check_limited store_failed not_ready")


def add_health(paths):
    def status(word):
        return {"type": "object", "properties": {"status": {"const": word}},
                "required": ["status"], "additionalProperties": False}
    paths.add("get", "/healthz", "alive", "does the process answer?", tag="operation",
              security=PUBLIC, head=True, sheds=False,
              replies={200: json_reply("it does", status("alive"), {"status": "alive"})})
    paths.add("get", "/readyz", "ready", "can the index do its work?", tag="operation",
              security=PUBLIC, head=True, sheds=False,
              replies={200: json_reply("it can", status("ready"), {"status": "ready"})},
              errors="not_ready")
    paths.add("get", "/metrics", "metrics", "what Prometheus collects", tag="operation",
              security=PUBLIC, head=True, sheds=False, errors="unknown_path",
              replies={200: text_reply("the metrics, in Prometheus's text format", "text/plain",
                                       examples.METRICS)})


def add_status(paths):
    reply = ok("as JSON, or, where Accept prefers it, as a page; without a credential the page of "
               "an index with join keys asks for one", "Status", examples.STATUS,
               sometimes=PAGE_HEADERS)
    reply["content"]["text/html"] = {"schema": TEXT}
    paths.add("get", "/", "status", "how the index is, and who is here", tag="operation",
              security=READER, head=True, parameters=[NETWORK, NODES_LIMIT, AFTER, FILTERS],
              replies={200: reply}, pages=(400, 401, 403, 404, 503),
              errors="bad_id bad_cursor other_network unknown_node store_failed not_ready")


def add_files(paths):
    def page(path, name, summary, kind, headers=(), errors=""):
        paths.add("get", path, name, summary, tag="files", security=PUBLIC, head=True,
                  parameters=[KNOWN], errors=errors,
                  replies={200: text_reply("the file", kind, needed=[*FILE_HEADERS, *headers]),
                           304: empty_reply("what `If-None-Match` names is still so",
                                            [*FILE_HEADERS, *headers])})
    page("/signpost.js", "module", "the module for browsers", "text/javascript")
    page("/signpost.d.ts", "types", "its types for TypeScript", "text/plain")
    page("/demo", "demo", "a page that shows it at work, with `--demo`", "text/html",
         PAGE_HEADERS[:2], "unknown_path")
    paths.add("get", "/openapi.json", "describe", "this document", tag="files", security=PUBLIC,
              head=True, parameters=[KNOWN],
              replies={200: json_reply("OpenAPI 3.1", says("an OpenAPI document",
                                                           {"type": "object"}),
                                       {"openapi": "3.1.0"}, needed=FILE_HEADERS),
                       304: empty_reply("what `If-None-Match` names is still so", FILE_HEADERS)})


def make_paths():
    paths = Paths()
    for add in (add_nodes, add_mail, add_connecting, add_health, add_status, add_files):
        add(paths)
    paths.add_preflights()
    return paths
