"""The judge of description.py sees each kind of fault, in the document and in replies."""

import copy
import json
import unittest

from tests.openapi.description import Description

HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store",
           "X-Request-Id": "a-1", "Vary": "Origin"}
REGISTERED = {
    "method": "POST", "path": "/register", "query": "",
    "request_headers": {"Host": "localhost", "Content-Type": "application/json"},
    "request_body": '{"id": "a", "meta": null, "more": 1}', "status": 201,
    "response_headers": {**HEADERS, "Location": "/nodes/a?network=default"},
    "response_body": json.dumps({
        "id": "a", "network": "default", "ttl": 30, "heartbeat_after": 10.1,
        "you": {"address": "::1", "port": 4000, "family": "ipv6"}, "endpoints": [],
        "cursor": "9b61938dc7602e9e.1"})}
REFUSED = {
    **REGISTERED, "status": 409, "request_body": '{"id": "a"}',
    "response_headers": {**HEADERS, "Content-Type": "application/problem+json",
                         "Retry-After": "3"},
    "response_body": json.dumps({
        "type": "urn:signpost:problem:id_taken", "title": "Another node holds this id",
        "status": 409, "detail": "a is held by another node", "code": "id_taken"})}
LISTED = {
    "method": "GET", "path": "/list", "query": "limit=10&meta.role=master",
    "request_headers": {"Host": "localhost"}, "request_body": None, "status": 200,
    "response_headers": {**HEADERS, "ETag": 'W/"9b61938dc7602e9e.1"'},
    "response_body": json.dumps({
        "network": "default", "cursor": "9b61938dc7602e9e.1", "reset": False, "more": False,
        "nodes": [], "gone": []})}
REMOVED = {
    "method": "DELETE", "path": "/nodes/a", "query": "",
    "request_headers": {"authorization": "Bearer ***"}, "request_body": None, "status": 204,
    "response_headers": {"Cache-Control": "no-store", "X-Request-Id": "a-1"}, "response_body": ""}


class TestJudge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.description = Description()

    def assertFault(self, exchange, words, description=None):
        faults = (description or self.description).judge(exchange)
        self.assertTrue(any(words in fault for fault in faults), faults)

    def changed(self, exchange, **members):
        return {**exchange, **members}

    def with_body(self, exchange, **members):
        body = json.loads(exchange["response_body"]) | members
        return {**exchange, "response_body": json.dumps(
            {name: value for name, value in body.items() if value is not None})}

    def test_exchange_that_is_right_has_no_fault(self):
        for exchange in (REGISTERED, REFUSED, LISTED, REMOVED):
            self.assertEqual(self.description.judge(exchange), [])

    def test_reply_that_is_wrong_is_seen(self):
        for exchange, words in (
                (self.with_body(REGISTERED, nickname="x"), "nickname"),
                (self.with_body(REGISTERED, network=None), "network"),
                (self.with_body(REGISTERED, ttl="30"), "ttl"),
                (self.with_body(REGISTERED, you={"address": "here", "port": 1, "family": "ipv4"}),
                 "you.address"),
                (self.with_body(REFUSED, code="superseded"), "code"),
                (self.with_body(REFUSED, status=410), "status"),
                (self.with_body(REFUSED, hint="x"), "hint"),
                (self.with_body(LISTED, gone=["a b"]), "gone.0"),
                (self.changed(REMOVED, response_body="{}"), "a body"),
                (self.changed(REGISTERED, status=202), "no 202"),
                (self.changed(LISTED, path="/lists"), "no 200")):
            self.assertFault(exchange, words)

    def test_headers_that_are_wrong_are_seen(self):
        for exchange, headers, words in (
                (REGISTERED, {**HEADERS}, "location is missing"),
                (REGISTERED, {**REGISTERED["response_headers"], "X-New": "1"}, "x-new"),
                (REGISTERED, {**REGISTERED["response_headers"], "Location": "http://x/"},
                 "location"),
                (REGISTERED, {**REGISTERED["response_headers"], "Content-Type": "text/html"},
                 "media type"),
                (REFUSED, {**REFUSED["response_headers"], "Retry-After": "soon"}, "retry-after"),
                (self.changed(REFUSED, method="PUT", status=405),
                 {**REFUSED["response_headers"], "Allow": "GET, OPTIONS"}, "other methods")):
            self.assertFault(self.changed(exchange, response_headers=headers), words)

    def test_request_that_was_answered_and_is_wrong_is_seen(self):
        for exchange, words in (
                (self.changed(REGISTERED, request_body='{"id": "a b"}'), "request: id"),
                (self.changed(REGISTERED, request_body='{"listed": "no"}'), "request: listed"),
                (self.changed(LISTED, query="limit=1001"), "parameter limit"),
                (self.changed(LISTED, query="since=x"), "parameter since"),
                (self.changed(LISTED, query="&".join(f"meta.{n}=1" for n in range(9))),
                 "parameter meta"),
                (self.changed(REMOVED, path="/nodes/a%20b"), "parameter id"),
                (self.changed(REMOVED, request_headers={}), "without a credential")):
            self.assertFault(exchange, words)

    def test_fault_in_the_document_is_seen(self):
        def rename(document):
            schema = document["components"]["schemas"]["Registered"]
            schema["properties"]["net"] = schema["properties"].pop("network")

        def forget(document):
            del document["paths"]["/register"]["post"]["responses"]["201"]

        def change(document):
            document["components"]["schemas"]["You"]["properties"]["family"]["enum"] = ["ipv4"]

        for fault, words in ((rename, "'network' was unexpected"), (forget, "no 201"),
                             (change, "you.family")):
            document = copy.deepcopy(self.description.document)
            fault(document)
            self.assertFault(REGISTERED, words, Description(document))
