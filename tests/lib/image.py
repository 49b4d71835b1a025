"""Builds the Dockerfile with buildah, on a base image that is made here, and runs the image as a
container engine would: as process 1 of its own, on a root that cannot be written, without root."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time

from tests.lib.index import ROOT

# Everything in a place of its own: what the machine's own engine has is no affair of a test.
STORAGE = os.path.join(ROOT, "build", "image")
BASE = "docker.io/library/debian:bookworm-slim"  # what `FROM debian:bookworm-slim` means
ENVIRONMENT = {**os.environ, "BUILDAH_FORMAT": "docker", "BUILDAH_ISOLATION": "chroot",
               "STORAGE_DRIVER": "vfs"}
BUILD_S, START_S, STOP_S = 500, 20, 20


def call(*command, timeout=BUILD_S):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=ENVIRONMENT, timeout=timeout, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"[-6000:]
    return done.stdout.strip()


def buildah(*words):
    return call("buildah", "--root", os.path.join(STORAGE, "root"),
                "--runroot", os.path.join(STORAGE, "run"), *words)


# --- the base -------------------------------------------------------------------------------------

def archive():
    """Where this machine gets its packages from."""
    sites = ("apt-get", "indextargets", "Created-By: Packages", "Origin: Debian", "Label: Debian",
             "--format", "$(SITE)")
    if not call(*sites):
        call("apt-get", "-qq", "update")
    found = call(*sites).splitlines()
    assert found, "apt knows no archive of Debian to make a base image from"
    return found[0]


def make_base():
    """Debian's smallest system, with this machine's own settings of apt."""
    if BASE in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        return
    with tempfile.TemporaryDirectory(prefix="signpost-base-") as root:
        call("debootstrap", "--variant=minbase", "bookworm", root, archive())
        os.chmod(root, 0o755)
        os.remove(os.path.join(root, "etc/apt/sources.list"))
        call("sh", "-c", 'cp -a /etc/apt/sources.list* "$1/etc/apt/"', "sh", root)
        settings = re.findall(r'^Acquire::(?!IndexTargets|Changelogs).* ".+";$',
                              call("apt-config", "dump"), re.M)
        with open(os.path.join(root, "etc/apt/apt.conf.d/80here"), "w", encoding="utf-8") as file:
            file.write("\n".join(settings) + "\n")
        container = buildah("from", "scratch")
        buildah("copy", "-q", container, root, "/")
        buildah("commit", "-q", "--rm", container, BASE)


# --- images ---------------------------------------------------------------------------------------

class Image:
    """One target of the Dockerfile (None: the last), built, and its files laid out in `root`."""

    def __init__(self, case, target=None):
        name = "localhost/signpost-" + (target or "index")
        make_base()
        buildah("bud", "--pull-never", "--layers=false", "-q", "-t", name,
                *(("--target", target) if target else ()), ROOT)
        buildah("rmi", "--prune")  # what had that name before
        self._container = buildah("from", "--pull-never", name)
        case.addClassCleanup(buildah, "rm", self._container)
        self.root = buildah("mount", self._container)
        self.config = json.loads(buildah("inspect", "--type", "image", name))["Docker"]["config"]

    def files(self):
        """(bytes, path) of each, the largest first."""
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                found.append((os.lstat(path).st_size, os.path.relpath(path, self.root)))
        return sorted(found, reverse=True)

    def command(self, arguments, user, volume, extra):
        """What starts it: its own environment and entry point, after the mounts."""
        environment = [*self.config.get("Env", ()), *(f"{k}={v}" for k, v in extra.items())]
        script = ('set -e; mount --bind "$root" "$root"; mount -t proc proc "$root/proc"; '
                  'mount -o remount,bind,ro "$root"; '
                  '[ -z "$volume" ] || mount --bind "$volume" "$root/data"; '
                  'exec setpriv --no-new-privs chroot --groups= --userspec="$user" "$root" '
                  '/signpostd "$@"')
        assert self.config["Entrypoint"] == ["/signpostd"]
        os.makedirs(os.path.join(self.root, "proc"), exist_ok=True)  # an engine makes it, too
        return ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"root={self.root}",
                f"volume={volume or ''}", f"user={user}", *environment, "unshare", "--mount",
                "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", *arguments]

    def run(self, *arguments, user="65532:65532", volume=None, environment=None):
        """For what ends by itself."""
        return subprocess.run(
            self.command(arguments, user, volume, environment or {}), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=START_S, check=False)

    def start(self, case, **options):
        return Container(case, self, **options)


class Container:
    """An index in it that runs; `start_s` is how long it took until it was ready."""

    def __init__(self, case, image, user="65532:65532", volume=None, environment=None):
        self._log = tempfile.TemporaryFile("w+")
        began = time.monotonic()
        self._process = subprocess.Popen(
            image.command((), user, volume, environment or {}), stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=subprocess.STDOUT)
        case.addCleanup(self.close)
        self.wait_for_log(" ready ")
        self.start_s = time.monotonic() - began

    def log(self):
        self._log.seek(0)
        return self._log.read()

    def wait_for_log(self, text):
        end = time.monotonic() + START_S
        while text not in self.log():
            assert self._process.poll() is None, "it has ended:\n" + self.log()
            assert time.monotonic() < end, f"no {text!r} in its log:\n" + self.log()
            time.sleep(0.002)

    @property
    def pid(self):
        """The number outside of what is process 1 inside."""
        number = self._process.pid
        with open(f"/proc/{number}/task/{number}/children", encoding="ascii") as children:
            return int(children.read())

    def send(self, number):
        os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM):
        """Its exit code."""
        self.send(number)
        return self._process.wait(STOP_S)

    def close(self):
        if self._process.poll() is None:
            self._process.kill()  # and with it, by --kill-child, what is inside
        self._process.wait()
        self._log.close()
