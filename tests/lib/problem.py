"""What every error reply of the index must look like (RFC 9457), and the words it may use."""

import re

# code: status. They are the contract's; a client is written against them.
CODES = {
    "bad_json": 400, "bad_request": 400, "bad_id": 400, "bad_endpoint": 400, "bad_cursor": 400,
    "bad_token": 400, "no_credential": 401, "bad_credential": 401, "bad_key": 401,
    "not_yours": 403, "other_network": 403, "foreign_host": 403, "unknown_node": 404,
    "unknown_path": 404, "bad_method": 405, "id_taken": 409, "token_in_use": 409,
    "superseded": 409, "message_id_reused": 409, "length_required": 411, "too_large": 413,
    "url_too_long": 414, "headers_too_large": 431, "too_many_connections": 429,
    "not_json": 415, "rate_limited": 429, "mailbox_full": 429, "too_many_nodes": 429,
    "index_full": 503, "store_failed": 503, "no_memory": 503, "not_ready": 503,
    "target_refused": 403, "nonce_used": 409, "check_limited": 429, "network_full": 429,
    "overloaded": 503,
}

ACTIONS = ("register", "retry", "reset")


METHODS = {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
TYPE = "urn:signpost:problem:"


def check_problem(reply):
    """Raises AssertionError, with the whole reply, where an error is not a proper problem."""
    check_headers(reply)
    expect(reply, reply.media_type() == "application/problem+json", "the media type is wrong")
    problem = reply.json()
    expect(reply, isinstance(problem, dict), "no object")
    for member in ("type", "title", "detail", "code"):
        value = problem.get(member)
        expect(reply, isinstance(value, str) and value, f"no {member}")
    expect(reply, problem.get("status") == reply.status, "another status")
    expect(reply, problem["code"] in CODES, "an unknown code")
    expect(reply, CODES[problem["code"]] == reply.status, "a code of another status")
    expect(reply, problem["type"] == TYPE + problem["code"], "another type")
    expect(reply, problem.get("action", "retry") in ACTIONS, "an unknown action")
    if problem.get("action") == "retry" or problem["code"] == "id_taken":
        expect(reply, "Retry-After" in reply.headers, "it does not say how long to wait")


def check_headers(reply):
    """The same of what the head alone says: all that there is where HEAD is refused."""
    every = {name: reply.headers.get_all(name, []) for name in (
        "Retry-After", "Allow", "WWW-Authenticate", "Cache-Control", "Content-Type",
        "X-Request-Id")}
    for name, values in every.items():
        expect(reply, len(values) <= 1, f"more than one {name}")
    expect(reply, every["Cache-Control"] == ["no-store"], "a cache may keep it")
    expect(reply, REQUEST_ID.match("".join(every["X-Request-Id"])), "it does not say its id")
    if reply.status in (429, 503) or every["Retry-After"]:
        wait = "".join(every["Retry-After"])
        expect(reply, wait.isdigit() and int(wait) >= 1, "no Retry-After of whole seconds")
    expect(reply, every["WWW-Authenticate"] == (["Bearer"] if reply.status == 401 else []),
           "WWW-Authenticate is wrong")
    if reply.status == 405:
        allowed = "".join(every["Allow"]).split(", ")
        expect(reply, "OPTIONS" in allowed, "no Allow")
        expect(reply, set(allowed) <= METHODS and len(set(allowed)) == len(allowed),
               "a method that there is not, or one twice")


def expect(reply, condition, what):
    if not condition:
        raise AssertionError(f"{what} in {reply}")
