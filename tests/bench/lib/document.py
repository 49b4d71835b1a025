"""Puts what was measured into a page: tables between two comments, and pictures beside it."""

import os
import re

from tests.bench.lib.report import ROOT, show

PICTURES = os.path.join(ROOT, "docs", "plots")


def markdown(columns, rows):
    """What a reader of the page sees of a table; `columns` as of report.Table."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(show(row.get(name)) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def fill(page, places):
    """Writes each text of `places` between `<!-- table: NAME -->` and `<!-- end of NAME -->`."""
    path = os.path.join(ROOT, "docs", page)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for name, content in places.items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end of {name} -->)"
        text, count = re.subn(pattern, lambda found, content=content:
                              f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL)
        assert count == 1, f"{page} has no place for the table {name}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def draw(pictures):
    """{name: SVG}, into docs/plots."""
    for name, picture in pictures.items():
        with open(os.path.join(PICTURES, name + ".svg"), "w", encoding="utf-8") as file:
            file.write(picture)
