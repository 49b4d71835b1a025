"""What the tests of the documents need to know of Markdown: fences, headings, links, tables.

A fence's first word says what stands in it (GitHub colours by it, and shows nothing of the rest):

    sh                    commands; the test runs them, in a bash that goes on through the page
    sh background         a server: it is started, is ready when it listens, and runs until the end
    sh elsewhere: REASON  commands for another machine than the test's; counted, not run
    console               `$ ` commands and what they answer; run, and the answers compared in form
    console elsewhere: REASON
    text, json, c, ...    no command

`<!-- file: NAME -->` on the line before a fence of another kind: the reader saves it under that
name, and so does the test.
"""

import dataclasses
import os
import re
import subprocess

from tests.lib.index import ROOT

RUN, BACKGROUND, ELSEWHERE = "run", "background", "elsewhere"
COMMAND_WORDS = ("sh", "console")
OTHER_WORDS = ("text", "json", "yaml", "ini", "toml", "nginx", "sql", "http", "c", "js", "html",
               "python", "promql", "caddy", "diff", "make", "dockerfile", "ts")
FENCE = re.compile(r"^( *)(```+)(.*)$")
SAVED_AS = re.compile(r"^<!-- file: (\S+) -->$")


@dataclasses.dataclass
class Fence:
    """`line` is that of the opening fence, counted from 1; `mark` what follows its first word."""

    page: str
    line: int
    word: str
    mark: str
    lines: list = dataclasses.field(default_factory=list)
    saved_as: str = ""
    closed: bool = False

    @property
    def where(self):
        return f"{self.page}:{self.line}"

    @property
    def use(self):
        """RUN, BACKGROUND, ELSEWHERE; None where there is no command; "" where the mark is wrong"""
        if self.word not in COMMAND_WORDS:
            return None if not self.mark else ""
        if not self.mark:
            return RUN
        if self.mark == "background" and self.word == "sh":
            return BACKGROUND
        return ELSEWHERE if re.fullmatch(r"elsewhere: \S.{4,}", self.mark) else ""

    def commands(self):
        """(first line of the page, the command's lines, the answer's lines) for each command.

        In a console a command begins with `$ ` and goes on while it is not whole: after a
        backslash, or inside quotes. In a `sh` fence each such unit is one command too."""
        units, answer = [], None
        for number, text in enumerate(self.lines, self.line + 1):
            if units and not is_whole(units[-1][1]):
                units[-1][1].append(text)
            elif self.word == "sh":
                if text.strip() and not text.lstrip().startswith("#"):
                    units.append((number, [text], []))
            elif text.startswith("$ "):
                answer = []
                units.append((number, [text[2:]], answer))
            elif answer is not None:
                answer.append(text)
        return units


def is_whole(lines):
    """Whether bash would run these lines rather than wait for more."""
    text = "\n".join(lines)
    if text.endswith("\\"):
        return False
    parsed = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
    return not re.search(r"unexpected EOF|unexpected end of file|here-document", parsed.stderr)


def pages():
    """Every Markdown file that git knows, or would, as a path from the root."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard",
         "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(path for path in set(listed.stdout.splitlines())
                  if os.path.exists(os.path.join(ROOT, path)))


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def split(page):
    """(the fences, the other lines as (number, text))"""
    fences, prose, open_fence, quotes = [], [], None, ""
    lines = read(page).splitlines()
    for number, text in enumerate(lines, 1):
        match = FENCE.match(text)
        if open_fence and match and match[2] == quotes and not match[3].strip():
            open_fence.closed, open_fence = True, None
        elif open_fence:
            open_fence.lines.append(text)
        elif match:
            word, _, mark = match[3].strip().partition(" ")
            quotes = match[2]
            open_fence = Fence(page, number, word, mark.strip())
            saved = SAVED_AS.match(lines[number - 2]) if number > 1 else None
            open_fence.saved_as = saved[1] if saved else ""
            fences.append(open_fence)
        else:
            prose.append((number, text))
    return fences, prose


def headings(page):
    """(level, text, anchor as GitHub makes it) of each."""
    found, seen = [], {}
    for _, text in split(page)[1]:
        match = re.match(r"^(#{1,6}) +(.*?)\s*#*$", text)
        if not match:
            continue
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[2])
        anchor = re.sub(r"[^\w\- ]", "", bare.lower()).replace(" ", "-")
        times = seen.get(anchor, 0)
        seen[anchor] = times + 1
        found.append((len(match[1]), match[2], f"{anchor}-{times}" if times else anchor))
    return found


def links(page):
    """(line, target) of every link and picture, also of those that go over two lines."""
    found = []
    prose = split(page)[1]
    text = "\n".join(line for _, line in prose)
    bare = re.sub(r"(`+)(?:(?!\1).|\n)+?\1", lambda m: re.sub(r"[^\n]", "x", m[0]), text)
    for match in re.finditer(r"\]\(\s*<?([^()\s>]+)>?[^()]*\)|\b(?:src|href)=\"([^\"]+)\"", bare):
        found.append((prose[text.count("\n", 0, match.start())][0], match[1] or match[2]))
    return found


def code_spans(page):
    """(line, text) of what stands in backticks outside of fences."""
    found = []
    prose = split(page)[1]
    text = "\n".join(line for _, line in prose)
    for match in re.finditer(r"(`+)((?:(?!\1)(?:.|\n(?!\n)))+?)\1", text):
        found.append((prose[text.count("\n", 0, match.start())][0],
                      re.sub(r"\s+", " ", match[2]).strip()))
    return found


def first_columns(page):
    """The first column of each table, as a list of its cells."""
    tables, rows = [], []
    for _, text in split(page)[1] + [(0, "")]:
        if text.startswith("|"):
            rows.append(re.split(r"(?<!\\)\|", text)[1].strip())
        elif rows:
            tables.append(rows)
            rows = []
    return tables
