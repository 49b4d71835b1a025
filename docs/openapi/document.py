"""The whole document."""

import json

from docs.openapi.operations import make_paths
from docs.openapi.replies import (DETAILS, empty_reply, header_components, problem_example,
                                  problem_response)
from docs.openapi.schemas import SCHEMAS
from docs.openapi.source import VERSION

ABOUT = """\
A directory of nodes and their mailboxes; it carries no peer traffic.

The rules behind this description are in `docs/http.md` of the source: who may do what on an open \
index and on one with join keys, what is committed when, cursors and resets, long polls, limits. \
What libmicrohttpd answers by itself, to requests that are hardly HTTP, is there too.

Replies have no members but those that are named here. A later version may add some: pass over \
what you do not know. In requests, members and query parameters that are unknown are passed over, \
and a member that is null counts as absent.

A path that is not named here is answered as the response `404.unknown_path` says, a method that \
a path does not take as `405.bad_method` says. The listener of `--ops-listen` knows `/metrics`, \
`/healthz` and `/readyz` alone."""

TAGS = {
    "nodes": "who is here",
    "messages": "mailboxes, and the poll for everything",
    "connecting": "help with reaching one another",
    "operation": "for who runs the index",
    "files": "the same for everyone",
    "preflights": "`OPTIONS`, as browsers ask before they let a page in",
}

SECURITY = {
    "nodeToken": {"type": "http", "scheme": "bearer", "bearerFormat": "43 base64url characters",
                  "description": "the proof of owning one node: its own, or of `/register`"},
    "joinKey": {"type": "http", "scheme": "bearer",
                "bearerFormat": "spk_ and 43 base64url characters",
                "description": "admits to one network of an index that was started with `--keys`"},
}


def make_document():
    paths = make_paths()
    elsewhere = {"404.unknown_path": problem_response(["unknown_path"]),
                 "405.bad_method": problem_response(["bad_method"])}
    preflight = empty_reply(
        "what the path takes",
        ["Allow", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
         "Access-Control-Max-Age"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Signpost", "summary": "A signaling index", "description": ABOUT,
                 "version": VERSION, "license": {"name": "MIT", "identifier": "MIT"}},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/", "description": "the index that this document comes from"}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths.paths,
        "components": {
            "securitySchemes": SECURITY,
            "schemas": SCHEMAS,
            "headers": header_components(),
            "responses": {"Preflight": preflight, **elsewhere,
                          **dict(sorted(paths.problems.components.items()))},
            "examples": {code: problem_example(code) for code in DETAILS},
        },
    }


# --- as text --------------------------------------------------------------------------------------

WIDTH = 120


def write(value, indent=0, used=0):
    """JSON that people can read too: what fits into a line is one. `used`: of the first line."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + used + len(line) < WIDTH or not value or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        heads = [json.dumps(name, ensure_ascii=False) + ": " for name in value]
        parts = [head + write(member, indent + 1, len(head))
                 for head, member in zip(heads, value.values())]
    else:
        parts = [write(item, indent + 1) for item in value]
    inner = "\n" + " " * (indent + 1)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + inner + ("," + inner).join(parts) + "\n" + " " * indent + closing


def document_text():
    return write(make_document()) + "\n"
