"""docs/api.md: the document for people, written from docs/openapi.json alone."""

import json
import re
import textwrap

from docs.openapi.source import ROOT

WIDTH = 118
EVERYWHERE = ("Cache-Control", "X-Request-Id")  # in each reply: the rules tell of them
HEAD = """\
# The API, route by route

`make api` writes this page from `docs/openapi.json`, which the index serves as `GET /openapi.json`;
tests hold both to what the index does. The rules behind it, and why it is so, are in
[http.md](http.md).
"""


def _anchors():
    """{`METHOD /path`: anchor}, of the headings of http.md."""
    with open(f"{ROOT}/docs/http.md", encoding="utf-8") as file:
        headings = re.findall(r"^#{2,3} (.*)$", file.read(), re.M)
    anchors = {}
    for heading in headings:
        for route in re.findall(r"`([A-Z]+ /[^`]*)`", heading):
            anchors[re.sub(r"\{\w+\}", "{id}", route)] = re.sub(
                r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")
    return anchors


class Reference:
    def __init__(self, document):
        self.document = document
        self.parts = [HEAD]
        # What is a part of something else has a place of its own; the rest stands at its route.
        schemas = document["components"]["schemas"]
        self.shared = {"Problem"} | {
            name for name in schemas for other in schemas.values()
            if f'"#/components/schemas/{name}"' in json.dumps(other)}

    def resolve(self, value):
        while "$ref" in value:
            place = self.document
            for step in value["$ref"].split("/")[1:]:
                place = place[step]
            value = place
        return value

    # --- pieces ---------------------------------------------------------------------------------

    def add(self, *lines):
        self.parts += [*lines, ""]

    def paragraph(self, text):
        self.add(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False))

    def table(self, heads, rows):
        if rows:
            lines = ["| " + " | ".join(row) + " |" for row in [heads, *rows]]
            self.add(lines[0], "|" + "---|" * len(heads), *lines[1:])

    def example(self, value):
        text = json.dumps(value, ensure_ascii=False)
        lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False,
                              subsequent_indent=" ")
        self.add("```json", *lines, "```")

    def name_of(self, schema):
        """A schema in a few words."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            return f"[{name}](#{name.lower()})" if name in self.shared else name
        if "anyOf" in schema and "type" not in schema:
            return " or ".join(self.name_of(choice) for choice in schema["anyOf"])
        if "const" in schema:
            return f"`{json.dumps(schema['const'])}`"
        if "enum" in schema:
            return ", ".join(f"`{word}`" for word in schema["enum"])
        kinds = schema.get("type", "any JSON")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if "array" in kinds and "properties" not in schema["items"]:
            kinds = ["array of " + self.name_of(schema["items"]), *kinds[1:]]
        return " or ".join(kinds) + self.limits_of(schema)

    @staticmethod
    def limits_of(schema):
        words = []
        least, most = schema.get("minimum"), schema.get("maximum")
        if most is not None:
            words.append(f"{least} to {most}")
        elif least is not None:
            words.append(f"at least {least}")
        for least, most, what in (("minLength", "maxLength", "characters"),
                                  ("minItems", "maxItems", "items"),
                                  ("minProperties", "maxProperties", "members")):
            if most in schema:
                low, high = schema.get(least, 0), schema[most]
                words.append(f"{high} {what}" if low == high else f"{low} to {high} {what}")
        if "pattern" in schema:
            words.append("`" + schema["pattern"].replace("|", "\\|") + "`")
        if "format" in schema:
            words.append(schema["format"])
        return ", " + ", ".join(words) if words else ""

    def members(self, schema):
        """A table of them, and one of each kind of item that has members of its own."""
        needed = schema.get("required", ())
        self.table(["member", "type", "meaning"], [
            [f"`{name}`" + (", always" if name in needed else ""), self.name_of(member),
             self.meaning_of(member)]
            for name, member in schema.get("properties", {}).items()])
        for name, member in schema.get("properties", {}).items():
            items = member.get("items", {})
            if "properties" in items:
                self.paragraph(f"An item of `{name}`:")
                self.members(items)

    def meaning_of(self, schema):
        return schema.get("description") or (
            self.resolve(schema).get("description", "") if "$ref" in schema else "")

    # --- operations -----------------------------------------------------------------------------

    def credential(self, operation):
        if not operation["security"]:
            return "none"
        names = {"nodeToken": "a node token", "joinKey": "a join key"}
        ways = [names[next(iter(way))] for way in operation["security"] if way]
        return " or ".join(ways) + (
            "; none on an open index" if {} in operation["security"] else "")

    def replies(self, operation):
        rows = []
        for status, response in operation["responses"].items():
            reply = self.resolve(response)
            headers = [name for name, header in reply.get("headers", {}).items()
                       if name not in EVERYWHERE and self.resolve(header).get("required")]
            bodies = ["[Problem](#problem)" if kind == "application/problem+json" else
                      self.name_of(media["schema"]) if kind == "application/json" else kind
                      for kind, media in reply.get("content", {}).items()]
            rows.append([status, reply["description"], ", ".join(bodies), ", ".join(headers)])
        self.table(["status", "when", "body", "headers"], rows)

    def operation(self, method, path, operation, anchor, head):
        self.add(f"### {method.upper()} {path}")
        about = operation["summary"][0].upper() + operation["summary"][1:]
        if about[-1] not in ".?":
            about += "."
        self.paragraph(f"{about} Credential: {self.credential(operation)}."
                       + (" `HEAD` too." if head else "")
                       + f" Rules: [http.md](http.md#{anchor}).")
        self.table(["parameter", "in", "type", "meaning"], [
            [f"`{parameter['name']}`", parameter["in"], self.name_of(parameter["schema"]),
             parameter["description"]] for parameter in operation.get("parameters", ())])
        if "requestBody" in operation:
            media = operation["requestBody"]["content"]["application/json"]
            self.paragraph(f"The body, {self.name_of(media['schema'])}:")
            self.members(self.resolve(media["schema"]))
            self.example(media["example"])
        self.replies(operation)
        shown = []
        for status, response in operation["responses"].items():
            media = self.resolve(response).get("content", {}).get("application/json", {})
            if "example" in media:
                self.reply(status, media, shown)

    def reply(self, status, media, shown):
        name = self.name_of(media["schema"])
        self.paragraph(f"`{status}`, {name}:")
        if media["schema"].get("$ref", "").rsplit("/", 1)[-1] not in self.shared | set(shown):
            self.members(self.resolve(media["schema"]))
        shown.append(name)
        self.example(media["example"])

    def write(self):
        anchors = _anchors()
        for tag in self.document["tags"]:
            if tag["name"] == "preflights":
                continue
            self.add(f"## {tag['name'].capitalize()}")
            for path, item in self.document["paths"].items():
                for method in ("get", "post", "delete"):
                    operation = item.get(method)
                    if operation and tag["name"] in operation["tags"]:
                        self.operation(method, path, operation,
                                       anchors.get(f"{method.upper()} {path}", "routes"),
                                       "head" in item and method == "get")
        self.preflights()
        self.schemas()
        return "\n".join(self.parts).rstrip("\n") + "\n"

    def preflights(self):
        self.add("## Preflights")
        self.paragraph("`OPTIONS` at each of these paths needs no credential. Rules: "
                       "[http.md](http.md#cors).")
        item = next(iter(self.document["paths"].values()))
        self.replies(item["options"])

    def schemas(self):
        self.add("## Schemas")
        for name, schema in self.document["components"]["schemas"].items():
            if name not in self.shared:
                continue
            self.add(f"### {name}")
            words = schema.get("description", "")
            if "properties" not in schema:
                words += f": {self.name_of(schema)}"
            self.paragraph(words[0].upper() + words[1:] + ".")
            self.members(schema)
        self.add("## Errors")
        codes = self.document["components"]["examples"].items()
        self.table(["status", "code", "for example"], [
            [str(example["value"]["status"]), f"`{code}`", example["value"]["detail"]]
            for code, example in sorted(codes, key=lambda pair: pair[1]["value"]["status"])])


def reference_text(document):
    return Reference(document).write()
