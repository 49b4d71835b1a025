#!/usr/bin/python3
"""The example of the file of options, docs/signpostd.conf, from what `signpostd --help` says:

    tests/install/conf.py >docs/signpostd.conf
"""

import os
import re
import sys
import textwrap

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.lib import index

HEAD = """\
# Options of signpostd for its systemd service, as environment variables: see signpostd(8). The
# lines that begin with #SIGNPOST_ show the defaults; a change takes `systemctl restart signpostd`,
# or, of what is in the files that are named here, `systemctl reload signpostd`. The values of a
# repeatable option are separated by commas. The service works in /var/lib/signpost.
"""
NOT_HERE = ("check-config", "healthcheck", "version", "help")


def options(help):
    """(name, whether it takes a value, what it is for, its default) of each."""
    for entry in re.findall(r"^  --.*\n(?: {36}.*\n)*", help, re.MULTILINE):
        name, _, metavar = entry[4:36].strip().partition(" ")
        text, _, default = " ".join(entry[36:].split()).partition(" Default: ")
        yield name, metavar, text, default.removesuffix(".")


def example():
    parts = [HEAD]
    for name, metavar, text, default in options(index.run("--help").stdout):
        if name in NOT_HERE:
            continue
        variable = "SIGNPOST_" + name.upper().replace("-", "_")
        comment = textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="# ",
                                break_long_words=False, break_on_hyphens=False)
        parts.append(f"{comment}\n#{variable}={default if metavar else 'no'}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(example())
