"""Writes docs/openapi.json and docs/api.md."""

import os

from docs.openapi.document import document_text, make_document
from docs.openapi.markdown import reference_text
from docs.openapi.source import ROOT


def main():
    for name, text in (("openapi.json", document_text()),
                       ("api.md", reference_text(make_document()))):
        with open(os.path.join(ROOT, "docs", name), "w", encoding="utf-8") as file:
            file.write(text)


main()
