"""Runs the commands of each document, in their order, as a reader would who sits in a clone that is
built. tests/docs/markdown.py has what the fences say.

A page is one bash, in namespaces of its own: its ports are free, what it starts ends with it, and
what it puts into /usr/local, /etc, /var/lib and /var/backups is gone afterwards. A line of the page
is the same line of the script, so that bash itself says where something failed."""

import os
import re
import subprocess
import tempfile
import unittest

from tests.docs import markdown
from tests.docs.case import DocsCase
from tests.lib.index import ROOT, binary, clean_environment

PAGE_ENDS_S = 400
BUILT = ("signpostd", "signpost", "libsignpost.a", "libsignpost.so", "examples", "generated",
         "obj/server", "obj/client")

COPY = ('git ls-files -z --cached --others --exclude-standard | '
        'tar -c --ignore-failed-read --null -T - | tar -x -C "$0"')
COMMIT = "git init -q -b main && git add -A && git commit -q -m clone"

DRIVER = r"""
set -eE -o pipefail
ip link set lo up
ip link add wan0 type veth peer name wan1
ip address add 192.0.2.7/24 dev wan0 && ip link set wan0 up && ip link set wan1 up
mount -t tmpfs tmpfs /usr/local
cp -a /etc/. "$STORY/etc" && mount --bind "$STORY/etc" /etc
mkdir "$STORY/lib" && mount --bind /var/lib "$STORY/lib"
mount -t tmpfs tmpfs /var/lib && ln -s "$STORY"/lib/* /var/lib
mount -t tmpfs tmpfs /var/backups

listening() { cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A" { n++ } END { print n + 0 }'; }

# `! command`: bash by itself goes on where it succeeds.
fails() { if "$@"; then echo "succeeded, and should not have: $*" && return 1; fi; }

# A server is there when one more socket listens than before it was started.
ready() { # PID LISTENED LINE
    for _ in $(seq 1200); do
        if [ "$(listening)" -gt "$2" ]; then return; fi
        if ! kill -0 "$1" 2>/dev/null; then break; fi
        sleep 0.1
    done
    echo "$PAGE:$3: it does not listen; it wrote:"
    cat "$STORY/$3.log"
    trap - ERR
    exit 1
}

trap 'echo "$PAGE:$LINENO: status $?: $BASH_COMMAND"' ERR
source "$STORY/story"
"""


def script(page):
    """(the page as a script, [(line, the answer's lines) of each command of a console])"""
    lines = [""] * (len(markdown.read(page).splitlines()) + 2)
    answers = []
    for fence in markdown.split(page)[0]:
        end = fence.line + len(fence.lines) + 1
        if fence.saved_as:
            lines[fence.line] = f"cat >{fence.saved_as} <<'END OF THE FENCE'"
            lines[end] = "END OF THE FENCE"
        elif fence.use == markdown.BACKGROUND:
            lines[fence.line] = "listened=$(listening); {"
            lines[end] = f'}} >"$STORY/{fence.line}.log" 2>&1 & ready $! $listened {fence.line}'
        elif fence.use != markdown.RUN:
            continue
        if fence.word != "console":
            lines[fence.line + 1:end] = [re.sub(r"^! ", "fails ", text) for text in fence.lines]
            continue
        for number, command, answer in fence.commands():
            answers.append((number, answer))
            closing, after = lines[number], number + len(command)
            lines[number:after] = command
            lines[number] = f"{closing} {{ {command[0]}"
            fails = any(re.match(r"HTTP/1\.1 [45]", text) for text in answer)
            # It ends on the line after it, which may begin the next one.
            lines[after] = f'}} >"$STORY/{number}.out" 2>&1{" || true" if fails else ""};'
    return "\n".join(lines[1:]) + "\n", answers


def commands_of(page):
    return sum(len(fence.commands()) for fence in markdown.split(page)[0]
               if fence.use in (markdown.RUN, markdown.BACKGROUND))


def form(text):
    """What an answer has to have: status lines, names of headers, names of JSON members."""
    return set(re.findall(r"^HTTP/1\.1 \d+|^[A-Z][\w-]+(?=: )|\"\w+\"(?=:)", text, re.M))


class TestCommands(DocsCase):
    @classmethod
    def setUpClass(cls):
        """A clone as a reader has it: what git knows, and what make builds, without sanitizers."""
        folder = tempfile.TemporaryDirectory(prefix="signpost-docs-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder, cls.clone = folder.name, os.path.join(folder.name, "clone")
        build = os.path.join(cls.clone, "build")
        os.makedirs(os.path.join(build, "obj"))
        for shell, place in ((COPY, ROOT), (COMMIT, cls.clone)):
            subprocess.run(["bash", "-e", "-o", "pipefail", "-c", shell, cls.clone], cwd=place,
                           check=True, capture_output=True, env=cls.environment())
        built = os.path.dirname(binary())
        for path in BUILT if os.path.basename(built) == "build" else ():
            subprocess.run(["cp", "-a", os.path.join(built, path), os.path.join(build, path)],
                           check=True)
        subprocess.run(["make", "-j2", "all", "examples"], cwd=cls.clone, check=True,
                       capture_output=True, env=cls.environment())

    @classmethod
    def environment(cls, **extra):
        return clean_environment(
            HOME=cls.folder, TERM="dumb", GIT_AUTHOR_NAME="Reader", GIT_COMMITTER_NAME="Reader",
            GIT_AUTHOR_EMAIL="reader@example.org", GIT_COMMITTER_EMAIL="reader@example.org",
            GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*",
            **extra)

    def assertRuns(self, page):
        text, answers = script(page)
        with tempfile.TemporaryDirectory(dir=self.folder) as story:
            place = os.path.join(story, "signpost")
            subprocess.run(["cp", "-a", self.clone, place], check=True)
            os.mkdir(os.path.join(story, "etc"))
            with open(os.path.join(story, "story"), "w", encoding="utf-8") as file:
                file.write(text)
            # An answer of 4xx or 5xx is a failure, where the page does not show it.
            with open(os.path.join(story, ".curlrc"), "w", encoding="ascii") as file:
                file.write("fail-with-body\nsilent\nshow-error\n")
            environment = self.environment(
                STORY=story, PAGE=page, CURL_HOME=story,
                PATH=os.path.join(place, "build") + ":" + os.environ["PATH"])
            with open(os.path.join(story, "output"), "w+", encoding="utf-8",
                      errors="replace") as output:
                done = subprocess.run(
                    ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                     "--mount-proc", "bash", "-c", DRIVER],
                    cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, timeout=PAGE_ENDS_S, check=False)
                output.seek(0)
                wrote = output.read()
            self.assertEqual(done.returncode, 0, f"{page}\n{wrote}")
            faults = []
            for line, answer in answers:
                with open(os.path.join(story, f"{line}.out"), encoding="utf-8") as file:
                    came = file.read()
                lacks = form("\n".join(answer)) - form(came)
                if lacks:
                    faults.append(f"{page}:{line}: the answer has no {', '.join(sorted(lacks))}; "
                                  f"it was:\n{came}")
            self.assertNone(faults)
        print(f"figure: {page}: {commands_of(page)} commands")

    def test_fault_in_a_page_is_found_where_it_is(self):
        for fence, says in (
                ("```sh\ntrue\nfalse | cat\n```\n", ":3: status 1"),
                ("```sh\ntrue\n! true\n```\n", "succeeded, and should not have: true"),
                ("```sh\n(\n  exit 3\n)\n```\n", "status 3"),
                ("```sh background\ntrue\n```\n", ":1: it does not listen"),
                ("```sh background\nsignpostd\n```\n```sh\ncurl 127.0.0.1:7117/lst\n```\n",
                 ":5: status 22: curl"),
                ("```console\n$ echo '{\"a\": 1}'\n{\"a\": 1}\n$ echo Be: 1\nTo: 1\n```\n",
                 ":4: the answer has no To")):
            with self.subTest(fence=fence), tempfile.NamedTemporaryFile(
                    "w", suffix=".md", encoding="utf-8") as page:
                page.write(fence)
                page.flush()
                with self.assertRaises(AssertionError) as caught:
                    self.assertRuns(page.name)
                self.assertIn(says, str(caught.exception))


def add_tests():
    for page in markdown.pages():
        if commands_of(page):
            name = re.sub(r"\W+", "_", page.removesuffix(".md")).lower()
            setattr(TestCommands, f"test_commands_of_{name}_all_succeed",
                    lambda self, page=page: self.assertRuns(page))


add_tests()

if __name__ == "__main__":
    unittest.main()
