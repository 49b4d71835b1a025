"""docs/openapi.json as a judge: what it says of an exchange that was recorded."""

import functools
import json
import os
import re
import urllib.parse

from jsonschema import Draft202012Validator, FormatChecker, RefResolver

from tests.lib.index import ROOT

PATH = os.path.join(ROOT, "docs", "openapi.json")
METHODS = ("get", "head", "post", "delete", "options")
# Of HTTP itself, and of a proxy before the index; a description says nothing of them.
OF_HTTP = {"date", "connection", "content-length", "content-type", "server"}


class Description:
    def __init__(self, document=None):
        if document is None:
            with open(PATH, encoding="utf-8") as file:
                document = json.load(file)
        self.document = document
        self._resolver = RefResolver("", document)
        self._templates = [
            (re.compile(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(path)) + "$"), path)
            for path in sorted(document["paths"], key=lambda path: "{" in path)]
        self._validators = {}

    # --- what is in it --------------------------------------------------------------------------

    def operations(self):
        """(method, path, operation) of each."""
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method, path, item[method]

    def resolve(self, value):
        while "$ref" in value:
            value = self._resolver.resolve(value["$ref"])[1]
        return value

    def errors_of(self, schema, value):
        """What is wrong with a value, in sentences."""
        key = id(schema)
        if key not in self._validators:  # the schema is kept too, so that its id stays its own
            self._validators[key] = schema, Draft202012Validator(
                schema, resolver=self._resolver, format_checker=FormatChecker())
        return [f"{'.'.join(map(str, error.absolute_path)) or 'it'}: {error.message[:300]}"
                for error in self._validators[key][1].iter_errors(value)]

    @functools.lru_cache(maxsize=4096)
    def find(self, path):
        """The template of a path, or None, and what stands for its names."""
        for pattern, template in self._templates:
            found = pattern.match(path)
            if found:
                return template, found.groups()
        return None, ()

    # --- an exchange ----------------------------------------------------------------------------

    def place_of(self, exchange):
        """(method, path) as the document names them; the path is None where it names none. `get`
        is no GET to HTTP, and so none to the document either."""
        return exchange["method"].swapcase(), self.find(exchange["path"])[0]

    def judge(self, exchange):
        """What of an exchange is not as the document says."""
        method, path = self.place_of(exchange)
        operation = self.document["paths"].get(path, {}).get(method)
        status = str(exchange["status"])
        # The listener for operations knows less than the document.
        unknown = status == "404" and '"code":"unknown_path"' in exchange["response_body"]
        response = self._response_of(path, None if unknown else operation, status)
        if response is None:
            return [f"the document has no {status} there"]
        faults = self._judge_reply(method, self.resolve(response), exchange)
        allowed = exchange["response_headers"].get("Allow")
        if allowed and path and set(allowed.lower().split(", ")) != set(
                self.document["paths"][path]):
            faults.append(f"the document has other methods than {allowed}")
        if operation and status.startswith("2"):
            faults += self._judge_request(operation, exchange)
        return faults

    def _response_of(self, path, operation, status):
        if operation:
            return operation["responses"].get(status)
        # A path or a method that there is not: it is told so, or refused before that is known.
        responses = self.document["components"]["responses"]
        if status in ("404", "405"):
            return responses["404.unknown_path" if status == "404" else "405.bad_method"]
        return self.document["paths"]["/healthz"]["get"]["responses"].get(
            status) if status >= "4" else None

    def _judge_reply(self, method, response, exchange):
        headers = {name.lower(): value for name, value in exchange["response_headers"].items()}
        documented = {name.lower(): self.resolve(header)
                      for name, header in response.get("headers", {}).items()}
        faults = [f"the header {name} is not documented"
                  for name in headers.keys() - documented.keys() - OF_HTTP]
        for name, header in documented.items():
            if name not in headers:
                if header.get("required"):
                    faults.append(f"the header {name} is missing")
                continue
            value = as_typed(headers[name], self.resolve(header["schema"]))
            faults += [f"header {name}: {error}"
                       for error in self.errors_of(header["schema"], value)]
        return faults + self._judge_body(method, response.get("content", {}), headers, exchange)

    def _judge_body(self, method, content, headers, exchange):
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not content:
            return ["a body, or its type, that is not documented"] * bool(
                kind or exchange["response_body"])
        if kind not in content:
            return [f"the media type {kind or '(none)'} is not documented"]
        if method == "head":
            return []
        body = exchange["response_body"]
        if kind.endswith("json"):
            body = json.loads(body)
        return ["reply: " + error for error in self.errors_of(content[kind]["schema"], body)]

    def _judge_request(self, operation, exchange):
        faults = []
        security = operation.get("security", [])
        named = {name.lower() for name in exchange["request_headers"]}
        if security and {} not in security and "authorization" not in named:
            faults.append("it was answered without a credential")
        body = operation.get("requestBody")
        if body:
            schema = body["content"]["application/json"]["schema"]
            faults += ["request: " + error
                       for error in self.errors_of(schema, json.loads(exchange["request_body"]))]
        return faults + self._judge_parameters(operation, exchange)

    def _judge_parameters(self, operation, exchange):
        query = urllib.parse.parse_qsl(exchange["query"], keep_blank_values=True)
        names = iter(self.find(exchange["path"])[1])
        faults = []
        for parameter in map(self.resolve, operation.get("parameters", ())):
            schema = parameter["schema"]
            values = []
            if parameter["in"] == "path":
                values = [urllib.parse.unquote(next(names))]
            elif parameter["in"] == "query" and schema.get("type") == "object":
                members = {k: v for k, v in query if k.startswith(parameter["name"] + ".")}
                values = [members] if members else []
            elif parameter["in"] == "query":
                values = [value for name, value in query if name == parameter["name"]]
            for value in values:
                faults += [f"parameter {parameter['name']}: {error}" for error in self.errors_of(
                    schema, as_typed(value, self.resolve(schema)))]
        return faults


def as_typed(text, schema):
    """What a text of a header or a parameter stands for."""
    if schema.get("type") in ("integer", "number") and re.fullmatch(r"[0-9]*\.?[0-9]+\.?", text):
        return float(text)
    return text
