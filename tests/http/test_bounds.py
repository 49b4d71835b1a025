"""The index draws its lines where docs/openapi.json says that they are: one step further is 400."""

import secrets
import urllib.parse

from tests.lib.case import IndexCase, some_id
from tests.openapi.description import Description

BASES = {
    "/register": {}, "/events": {},
    "/mailbox/{id}": {"id": "m", "type": "offer", "body": None},
    "/check": {"port": 50051, "protocol": "tcp", "nonce": "0" * 32},
}
FRESH = {"nonce": lambda: secrets.token_hex(16), "id": some_id}  # what must not come twice


def edges(schema):
    """(value, whether the index takes it), on both sides of each bound."""
    if "minLength" in schema:  # and so one of those of which any letters will do
        least, most = schema["minLength"], schema["maxLength"]
        for length in {least, most}:
            yield secrets.token_hex(most)[:length], True
        for length in {least - 1, most + 1} - {0, -1}:
            yield "a" * length, False
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if bound in schema and "maximum" in schema:
            yield schema[bound], True
            yield schema[bound] + step, False
    if "maxItems" in schema:
        yield ["udp://:4000"] * schema["maxItems"], True
        yield ["udp://:4000"] * (schema["maxItems"] + 1), False
    if "maxProperties" in schema:
        yield {f"meta.{n}": "x" for n in range(schema["maxProperties"])}, True
        yield {f"meta.{n}": "x" for n in range(schema["maxProperties"] + 1)}, False


class TestBounds(IndexCase):
    def setUp(self):
        super().setUp()
        self.description = Description()
        self.me = self.node(ttl=7200)
        self.me.sends(self.me)  # so that no poll waits

    def flat(self, schema):
        """Without the reference, and without the null that counts as absent."""
        schema = self.description.resolve(schema)
        if "anyOf" in schema and {"type": "null"} in schema["anyOf"]:
            schema = self.description.resolve(schema["anyOf"][0])
        return schema

    def assertTaken(self, taken, reply):
        self.assertEqual(reply.status != 400, taken, reply)

    def test_bound_of_a_body_is_that_of_the_index(self):
        tried = 0
        for method, path, operation in self.description.operations():
            if path not in BASES or method != "post":
                continue
            media = operation["requestBody"]["content"]["application/json"]
            for name, schema in self.description.resolve(media["schema"])["properties"].items():
                for value, taken in edges(self.flat(schema)):
                    body = {**BASES[path], **{k: new() for k, new in FRESH.items()
                                              if k in BASES[path]}, name: value}
                    with self.subTest(path=path, name=name, value=value):
                        self.assertTaken(taken, self.connect().post(
                            path.replace("{id}", self.me.id), body,
                            token=None if path == "/register" else self.me.token))
                        tried += 1
        self.assertGreater(tried, 30)

    def test_bound_of_a_parameter_is_that_of_the_index(self):
        tried = 0
        for method, path, operation in self.description.operations():
            if method != "get":
                continue
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                for value, taken in edges(self.flat(parameter["schema"])):
                    target = path.replace("{id}", value if parameter["in"] == "path"
                                          else self.me.id)
                    query = value if isinstance(value, dict) else {name: value}
                    if parameter["in"] == "query":
                        target += "?" + urllib.parse.urlencode(query)
                    with self.subTest(path=path, name=name, value=value):
                        self.assertTaken(taken, self.me.client.get(target))
                        tried += 1
        self.assertGreater(tried, 30)
