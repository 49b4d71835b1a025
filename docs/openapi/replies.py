"""What replies share: headers, and the refusals that every route knows."""

from docs.openapi.schemas import TEXT, integer
from docs.openapi.source import ERRORS, limit

PROBLEM = "application/problem+json"

HEADERS = {
    "Cache-Control": ("`no-store`, but for files that are the same for everyone: `no-cache`",
                      {"enum": ["no-store", "no-cache"]}),
    "Vary": ("what of the request the reply depends on",
             {"type": "string", "pattern": "^(Origin|Accept)(, (Origin|Accept))*$"}),
    "Access-Control-Allow-Origin": ("`*`, or the origin that asked", TEXT),
    "Access-Control-Expose-Headers": (
        "what a page may read of the headers",
        {"const": "ETag, Link, Location, Retry-After"}),
    "ETag": ("send it as `If-None-Match`",
             {"type": "string", "pattern": '^(W/)?"[0-9a-f.]+"$'}),
    "Link": ("the rest of a whole list, with `rel=\"next\"` (RFC 8288)",
             {"type": "string", "maxLength": limit("LINK_CHARS"),
              "pattern": '^</list\\?after=[^>]+>; rel="next"$'}),
    "Location": ("where the new node is", {"type": "string", "pattern": "^/nodes/[^/]+$"}),
    "Retry-After": ("seconds to wait before asking again", integer(1)),
    "WWW-Authenticate": ("what is asked for", {"const": "Bearer"}),
    "Allow": ("the methods of the path",
              {"type": "string",
               "pattern": "^(GET|HEAD|POST|DELETE|OPTIONS)(, (GET|HEAD|POST|DELETE|OPTIONS))*$"}),
    "Access-Control-Allow-Methods": ("as Allow", TEXT),
    "Access-Control-Allow-Headers": ("what a page may send",
                                     {"const": "Authorization, Content-Type"}),
    "Access-Control-Max-Age": ("seconds that this may be kept", integer(1)),
    "X-Content-Type-Options": ("it is what its type says", {"const": "nosniff"}),
    "Content-Security-Policy": ("what the page may do", TEXT),
    "Referrer-Policy": ("what its links say of it", {"const": "no-referrer"}),
}

PAGE_HEADERS = ["Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"]
ALWAYS = ("Cache-Control",)
SOMETIMES = ("Vary", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers")

# What the examples say. The titles are those of error.h.
DETAILS = {
    "bad_json": "line 1, column 10: '}' expected near end of file",
    "bad_request": "`limit` must be a whole number from 1 to 1000",
    "bad_id": "the id has 65 bytes or a character that is not allowed: use 1 to 64 of "
              "A-Z a-z 0-9 . _ -",
    "bad_endpoint": "the host of tcp://8.8.8.8:80 is not the address that this index sees you "
                    "at: leave the host empty",
    "bad_cursor": "`since` is not a cursor; send one as an earlier reply gave it, or none",
    "bad_token": "token must be 43 base64url characters (256 random bits, no padding)",
    "no_credential": "a node token is needed: send the token of /register in Authorization: Bearer",
    "bad_credential": "a node token is 43 base64url characters; the one sent is not",
    "bad_key": "this index knows no such join key: it was mistyped or withdrawn; ask the operator "
               "for one",
    "not_yours": "the token is that of node master-a, not of master-b",
    "other_network": "the credential admits to another network than blue",
    "foreign_host": "this index is open to its own machine only: call it as localhost, or start it "
                    "with --open",
    "target_refused": "you were seen as 127.0.0.1, a loopback address, which this index does not "
                      "dial: ask over the internet, or an index of your own network that runs "
                      "with --check-private",
    "unknown_node": "nobody is not registered here now: it left, its lease ran out, or it is in "
                    "another network",
    "unknown_path": "there is nothing at this path; see /list, /register, /heartbeat, /mailbox, "
                    "/events",
    "bad_method": "this path takes POST, OPTIONS",
    "id_taken": "master-a is held by another node: choose another id, or send the token of that "
                "node",
    "token_in_use": "the token is that of node master-a: one token, one node",
    "superseded": "another read of this mailbox began after this one: only the newest waits",
    "message_id_reused": "you sent another message with the id m1 to master-b: use a new id",
    "nonce_used": "this nonce was used for a check before: make 16 new random bytes for each",
    "length_required": "Transfer-Encoding is not taken: send the body with a Content-Length",
    "too_large": "the body has 70000 bytes: at most 69632 are taken",
    "url_too_long": "the URL has 2100 characters: at most 2048",
    "not_json": "send the body with Content-Type: application/json; with curl use "
                "`curl --json '{...}'`",
    "headers_too_large": "the request line and 9 headers and arguments have 4200 bytes: send fewer "
                         "or shorter ones",
    "too_many_connections": "your address has all the connections that it may have: close one "
                            "first",
    "rate_limited": "your address sends more requests than this index takes: wait, then send fewer",
    "mailbox_full": "the mailbox of master-b takes no more now: it holds as much of yours as one "
                    "sender may leave; wait until it is read or messages expire",
    "too_many_nodes": "your address has 256 nodes, the most that this index takes: let one leave "
                      "first",
    "network_full": "the network has 50000 nodes, the most that this index takes: let one leave "
                    "first",
    "check_limited": "this index makes at most 120 checks a minute in all: ask again in 60 s",
    "index_full": "the index has its 100000 nodes: try again later",
    "overloaded": "the index has more to do than it can, and turns away what is least urgent "
                  "first: try again",
    "store_failed": "the index could not write to its database: try again in a second",
    "no_memory": "the index is out of memory: try again",
    "not_ready": "the index is reading its store: try again shortly",
}
ACTIONS = {"mailbox_full": "retry", "rate_limited": "retry", "check_limited": "retry",
           "overloaded": "retry", "store_failed": "retry", "no_memory": "retry",
           "not_ready": "retry"}


def header_component(name):
    description, schema = HEADERS[name]
    return {"description": description, "schema": schema}


def header_refs(needed=(), sometimes=()):
    every = {}
    for name in ALWAYS + tuple(needed):
        every[name] = {"$ref": f"#/components/headers/{name}.needed"}
    for name in SOMETIMES + tuple(sometimes):
        every[name] = {"$ref": f"#/components/headers/{name}"}
    return every


def header_components():
    """Each as it may be there, and as it must be."""
    plain = {name: header_component(name) for name in HEADERS}
    needed = {name + ".needed": {"required": True, **header_component(name)} for name in HEADERS}
    return {**plain, **needed}


def problem_example(code):
    status, title = ERRORS[code]
    value = {"type": "urn:signpost:problem:" + code, "title": title, "status": status,
             "detail": DETAILS[code], "code": code}
    return {"value": value | ({"action": ACTIONS[code]} if code in ACTIONS else {})}


def problem_response(codes, page=False):
    """A reply that is one of these errors, which have one status; `page`: also as HTML."""
    status = ERRORS[codes[0]][0]
    needed = {401: ["WWW-Authenticate"], 405: ["Allow"], 429: ["Retry-After"],
              503: ["Retry-After"]}.get(status, [])
    sometimes = []
    if "id_taken" in codes:
        (needed if len(codes) == 1 else sometimes).append("Retry-After")
    if page:
        sometimes += PAGE_HEADERS
    response = {
        "description": "; ".join(f"`{code}`: {ERRORS[code][1]}" for code in codes),
        "headers": header_refs(needed, sometimes),
        "content": {PROBLEM: {
            "schema": {
                "$ref": "#/components/schemas/Problem",
                "properties": {
                    "type": {"enum": ["urn:signpost:problem:" + code for code in codes]},
                    "title": {"enum": [ERRORS[code][1] for code in codes]},
                    "status": {"const": status},
                    "code": {"enum": list(codes)},
                },
                "unevaluatedProperties": False,
            },
            "examples": {code: {"$ref": "#/components/examples/" + code} for code in codes},
        }},
    }
    if page:
        response["content"]["text/html"] = {"schema": TEXT}
    return response


class Problems:
    """Collects the sets of errors that operations answer, each set once."""

    def __init__(self):
        self.components = {}

    def respond(self, codes, pages=()):
        """{status: reference} for these codes; `pages`: the statuses that come as HTML too."""
        by_status = {}
        for code in ERRORS:
            if code in codes:
                by_status.setdefault(ERRORS[code][0], []).append(code)
        assert sum(map(len, by_status.values())) == len(set(codes)), f"unknown code in {codes}"
        return {str(status): self._refer(status, found, status in pages)
                for status, found in sorted(by_status.items())}

    def _refer(self, status, codes, page):
        name = ".".join([str(status), *codes] + ["html"] * page)
        self.components[name] = problem_response(codes, page)
        return {"$ref": "#/components/responses/" + name}


def json_reply(description, schema, example, needed=(), sometimes=()):
    return {"description": description, "headers": header_refs(needed, sometimes),
            "content": {"application/json": {"schema": schema, "example": example}}}


def text_reply(description, media_type, example=None, needed=()):
    return {"description": description, "headers": header_refs(needed),
            "content": {media_type: {"schema": TEXT} | ({"example": example} if example else {})}}


def empty_reply(description, needed=(), sometimes=()):
    return {"description": description, "headers": header_refs(needed, sometimes)}


