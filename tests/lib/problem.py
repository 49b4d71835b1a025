"""What every error reply of the index must look like (RFC 9457), and the words it may use."""

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


def check_problem(reply):
    """Raises AssertionError, with the whole reply, where an error is not a proper problem."""

    def expect(condition, what):
        if not condition:
            raise AssertionError(f"{what} in {reply}")

    expect(reply.media_type() == "application/problem+json", "the media type is wrong")
    problem = reply.json()
    expect(isinstance(problem, dict), "no object")
    for member in ("type", "title", "detail", "code"):
        value = problem.get(member)
        expect(isinstance(value, str) and value, f"no {member}")
    expect(problem.get("status") == reply.status, "another status")
    expect(problem["code"] in CODES, "an unknown code")
    expect(CODES[problem["code"]] == reply.status, "a code of another status")
    expect(problem.get("action", "retry") in ACTIONS, "an unknown action")
    if reply.status in (429, 503):
        expect(reply.headers.get("Retry-After", "").isdigit(), "no Retry-After")
    if reply.status == 405:
        expect(reply.headers.get("Allow"), "no Allow")
