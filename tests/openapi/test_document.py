"""docs/openapi.json is OpenAPI, says what the server's headers say, and its examples are valid."""

import json
import os
import re
import subprocess
import unittest

from docs.openapi import source
from docs.openapi.document import document_text
from docs.openapi.markdown import reference_text
from tests.lib.index import ROOT, run
from tests.lib.problem import CODES
from tests.openapi.description import Description

VALIDATOR = os.path.join(
    ROOT, "tests", "openapi", "node_modules", "@seriousme", "openapi-schema-validator", "bin",
    "validate-api-cli.js")


def content_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def walk(value):
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from walk(inner)


class TestDocument(unittest.TestCase):
    maxDiff = 3000

    @classmethod
    def setUpClass(cls):
        cls.description = Description()
        cls.document = cls.description.document

    def test_document_is_openapi_3_1(self):
        done = subprocess.run(["node", VALIDATOR, "docs/openapi.json"], cwd=ROOT, text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(json.loads(done.stdout)["valid"], done.stdout)
        self.assertEqual(self.document["openapi"], "3.1.0")

    def test_document_and_reference_are_up_to_date(self):
        for name, text in (("docs/openapi.json", document_text()),
                           ("docs/api.md", reference_text(self.document))):
            self.assertTrue(content_of(name) == text, f"{name} is not what `make api` writes")

    def test_version_is_that_of_the_program(self):
        done = run("--version")
        self.assertIn(" " + self.document["info"]["version"], done.stdout)

    def test_operation_ids_are_unique(self):
        names = [operation["operationId"] for _, _, operation in self.description.operations()]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_references_lead_somewhere_and_components_are_used(self):
        used = {part["$ref"] for part in walk(self.document) if isinstance(part.get("$ref"), str)}
        for reference in used:
            self.description.resolve({"$ref": reference})
        # Told in the description of the whole: they are answers of no operation.
        used |= {"#/components/responses/404.unknown_path", "#/components/responses/405.bad_method"}
        for kind in ("schemas", "responses", "examples"):
            for name in self.document["components"][kind]:
                self.assertIn(f"#/components/{kind}/{name}", used)

    def test_errors_are_those_of_the_server(self):
        codes = {code: status for code, (status, _) in source.ERRORS.items()}
        self.assertEqual(codes, CODES)
        described = {}
        for name, response in self.document["components"]["responses"].items():
            if "application/problem+json" in response.get("content", {}):
                properties = response["content"]["application/problem+json"]["schema"]["properties"]
                self.assertEqual(str(properties["status"]["const"]), name[:3])
                for code in properties["code"]["enum"]:
                    described[code] = properties["status"]["const"]
        self.assertEqual(described, codes)

    def test_limits_are_those_of_the_server(self):
        """By the compiler's word, since the document is made of ours."""
        names = sorted(source.LIMITS)
        program = '#include "server_limits.h"\n' + "\n".join(
            f"{name}_is (long long){name}" for name in names)
        done = subprocess.run(["cc", "-E", "-P", "-Iserver", "-xc", "-"], input=program, cwd=ROOT,
                              text=True, capture_output=True, check=True)
        found = re.findall(r"^(LIMIT_\w+)_is \(long long\)(.*)$", done.stdout, re.M)
        self.assertEqual(len(found), len(names))
        for name, value in found:
            self.assertEqual(source.LIMITS[name], eval(value.replace("LL", "")), name)
        schemas = self.document["components"]["schemas"]
        for value, name in (
                (schemas["Id"]["maxLength"], "ID_CHARS"),
                (schemas["Token"]["maxLength"], "TOKEN_CHARS"),
                (schemas["Endpoint"]["maxLength"], "ENDPOINT_CHARS"),
                (schemas["Register"]["properties"]["endpoints"]["maxItems"], "ENDPOINTS"),
                (schemas["MessageType"]["maxLength"], "TYPE_CHARS"),
                (schemas["MessageAsked"]["properties"]["ttl"]["maximum"], "MESSAGE_TTL_MAX_S"),
                (schemas["MessageAsked"]["properties"]["ttl"]["minimum"], "MESSAGE_TTL_MIN_S"),
                (schemas["Registered"]["properties"]["ttl"]["maximum"], "TTL_MAX_S"),
                (schemas["EventsAsked"]["properties"]["wait"]["maximum"], "WAIT_MAX_S"),
                (schemas["EventsAsked"]["properties"]["limit"]["maximum"], "LIST_MAX_NODES"),
                (schemas["CheckAsked"]["properties"]["timeout"]["maximum"], "CHECK_CONNECT_S"),
                (schemas["Mail"]["properties"]["messages"]["maxItems"], "MAIL_MAX_MESSAGES")):
            self.assertEqual(value, source.LIMITS["LIMIT_" + name], name)

    def test_examples_are_valid_by_their_schemas(self):
        counts = {"example": 0, "examples": 0}
        for part in walk(self.document):
            if "schema" in part and "example" in part:
                counts["example"] += 1
                self.assertEqual(
                    self.description.errors_of(part["schema"], part["example"]), [], part)
            elif "schema" in part and isinstance(part.get("examples"), dict):
                for example in part["examples"].values():
                    counts["examples"] += 1
                    value = self.description.resolve(example)["value"]
                    self.assertEqual(self.description.errors_of(part["schema"], value), [], value)
            elif isinstance(part.get("examples"), list):
                for value in part["examples"]:
                    self.assertEqual(self.description.errors_of(part, value), [], part)
        self.assertGreater(min(counts.values()), 20, counts)

    def test_every_operation_has_an_example_of_its_body_and_reply(self):
        for method, path, operation in self.description.operations():
            bodies = [operation.get("requestBody", {})] + [
                self.description.resolve(response)
                for status, response in operation["responses"].items() if status < "300"]
            for body in bodies:
                media = body.get("content", {}).get("application/json")
                if media:
                    self.assertIn("example", media, f"{method} {path}")
