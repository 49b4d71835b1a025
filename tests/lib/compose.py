"""Runs the services of compose.yaml without an engine: each with its own command, environment and
user, in a network namespace where the others are to be found by their names. Their volumes are
folders of the test, so a path below a mount becomes one in there; the rest of an image (its
environment) is read from the Dockerfile."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import yaml

from tests.lib.index import ROOT, binary, clean_environment
from tests.lib.lab import ETC
from tests.lib.masters import MASTER

START_S, STOP_S = 60, 20


def interpolate(value, variables):
    """What compose does with $: `${NAME:-default}`, and `$$` for one of them."""
    if isinstance(value, dict):
        return {name: interpolate(inner, variables) for name, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value

    def one(match):
        if match[0] == "$$":
            return "$"
        assert match[1], f"a $ that stands for nothing: {value}"
        return variables.get(match[1]) or match[2]
    return re.sub(r"\$\$|\$\{(\w+):-([^}]*)\}|\$", one, value)


def read(**variables):
    with open(os.path.join(ROOT, "compose.yaml"), encoding="utf-8") as file:
        return interpolate(yaml.safe_load(file), variables)


def stages():
    """The Dockerfile, as {name of a stage (the last: None): {instruction: the last one's words}}."""
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        text = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", file.read()))
    found = {}
    for line in filter(None, text.splitlines()):
        instruction, words = line.split(maxsplit=1)
        if instruction == "FROM":
            stage = found.setdefault((re.findall(r" AS (\w+)$", words) or [None])[0], {})
        else:
            stage[instruction] = words
    return found


class Service:
    """One that may be started; its log grows in a file."""

    def __init__(self, project, name):
        self.project = project
        self.name = name
        self.config = project.config["services"][name]
        self._log = tempfile.TemporaryFile("w+")
        self.process = None

    @property
    def stage(self):
        build = self.config["build"]
        return stages()[None if build == "." else build["target"]]

    def mounts(self):
        """{path inside: folder outside}"""
        volumes = (volume.split(":")[:2] for volume in self.config.get("volumes", ()))
        found = {inside: self.project.folder(name) for name, inside in volumes}
        for tmpfs in self.config.get("tmpfs", ()):
            found[tmpfs.split(":")[0]] = self.project.folder("tmpfs-" + self.name)
        return found

    def mapped(self, text):
        """A path below a mount, as a path of this machine."""
        mounts = self.mounts()
        inside = "|".join(map(re.escape, sorted(mounts, key=len, reverse=True)))
        return re.sub(rf"(?<![\w/])({inside})(?=/|$)", lambda m: mounts[m[1]], text)

    def command(self, words=None):
        """Of the service; or other words, in its place."""
        words = words or [*json.loads(self.stage.get("ENTRYPOINT", "[]")),
                          *self.config.get("command", ())]
        environment = dict(word.split("=", 1) for word in self.stage.get("ENV", "").split())
        environment.update(self.config.get("environment", {}))
        user, group = self.config["user"].split(":")
        assert "no-new-privileges:true" in self.config["security_opt"], self.config
        assert self.config["cap_drop"] == ["ALL"] and self.config["read_only"], self.config
        words = [self.mapped(word) for word in words]
        # Of an image without a shell it is a path, of the others found by PATH.
        words[0] = os.path.basename(words[0])
        return [*self.project.lab.within(self.name), "setpriv", "--no-new-privs", "--reuid", user,
                "--regid", group, "--clear-groups", "--bounding-set=-all", "env",
                "PATH=" + self.project.path,
                *(f"{name}={self.mapped(value)}" for name, value in environment.items()), *words]

    def start(self):
        self.process = subprocess.Popen(
            self.command(), env=clean_environment(), stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=subprocess.STDOUT, cwd="/")

    def healthy(self):
        check = re.fullmatch(r".*CMD (\[.*\])", self.stage["HEALTHCHECK"])[1]
        done = subprocess.run(
            self.command(json.loads(check)), env=clean_environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=START_S, check=False)
        return done.returncode == 0

    def log(self):
        self._log.seek(0)
        return self._log.read()

    def wait(self, timeout=STOP_S):
        return self.process.wait(timeout)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


class Project:
    """All of them, in a lab that has a host for each."""

    def __init__(self, case, lab):
        self.lab = lab
        self.config = read(PUBLIC_ADDRESS=lab.addresses["turn"])
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        case.addCleanup(folder.cleanup)
        self._root = folder.name
        os.chmod(self._root, 0o755)
        self.path = self._programs() + ":/usr/bin:/bin"
        for name in self.config["services"]:
            self._let_find(name)
        self.services = {}
        for name in self.config["services"]:
            self.services[name] = Service(self, name)
            case.addCleanup(self.services[name].close)

    def _programs(self):
        """Where every user may run them."""
        folder = os.path.join(self._root, "bin")
        os.mkdir(folder)
        for program in (binary(), os.path.join(os.path.dirname(binary()), "signpost"), MASTER):
            shutil.copy(program, folder)
        return folder

    def _let_find(self, name):
        """The others by their names, as the network of an engine does."""
        folder = os.path.join(ETC, self.lab.namespace(name))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "hosts"), "w", encoding="ascii") as hosts:
            hosts.write("127.0.0.1 localhost\n")
            hosts.writelines(f"{address} {other}\n"
                             for other, address in self.lab.addresses.items())

    def folder(self, name):
        """Of a volume; it belongs to the user of the image that it is first filled from."""
        path = os.path.join(self._root, name)
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            os.chown(path, 65532, 65532)
        return path

    def up(self):
        """Starts all, in the order that they ask for."""
        for name in self.config["services"]:
            self._start(self.services[name])

    def _start(self, service):
        if service.process:
            return
        for other, how in service.config.get("depends_on", {}).items():
            self._start(self.services[other])
            self._await(self.services[other], how["condition"])
        service.start()

    @staticmethod
    def _await(service, condition):
        if condition == "service_completed_successfully":
            assert service.wait(START_S) == 0, service.log()
            return
        assert condition == "service_healthy", condition
        end = time.monotonic() + START_S
        while not service.healthy():
            assert service.process.poll() is None, service.log()
            assert time.monotonic() < end, service.log()
