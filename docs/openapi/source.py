"""What the server's headers say: the version, the limits, and what can go wrong."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _read(name):
    with open(os.path.join(ROOT, "server", name), encoding="utf-8") as file:
        return file.read()


def _find_limits():
    text = re.sub(r"/\*.*?\*/", "", _read("server_limits.h"), flags=re.S)
    limits = {}
    lines = re.findall(r"^#define (LIMIT_\w+)(?:\\\n|[ \t])+(\S.*?)[\s\\]*$", text, re.M)
    for name, value in lines:
        value = re.sub(r"LIMIT_\w+", lambda found: str(limits[found.group()]), value)
        if not re.fullmatch(r"[0-9L ()*/+-]+", value):
            raise ValueError(f"server_limits.h: {name} is not plain arithmetic: {value}")
        limits[name] = int(eval(value.replace("L", "")))  # pylint: disable=eval-used
    return limits


def _find_errors():
    """{code: (status, title)}, in the order of error.h."""
    rows = re.findall(r'X\(\w+,\s*"(\w+)",\s*(\d+),\s*"([^"]*)"\)', _read("error.h"))
    return {code: (int(status), title) for code, status, title in rows}


VERSION = re.search(r'^#define SIGNPOST_VERSION "(.*)"$', _read("version.h"), re.M).group(1)
LIMITS = _find_limits()
ERRORS = _find_errors()


def limit(name):
    return LIMITS["LIMIT_" + name]
