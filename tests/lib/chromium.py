"""Debian's chromium, driven over its DevTools pipe: pages in contexts of their own, in a namespace."""

import base64
import contextlib
import json
import os
import subprocess
import tempfile
import threading

BINARY = "/usr/bin/chromium"
CALL_S = 60
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-default-apps", "--disable-extensions", "--no-proxy-server",
    # Else host candidates are names that only multicast could resolve.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--remote-debugging-pipe",
)


class Chromium:
    """A browser; leaving the test ends it."""

    def __init__(self, case, *flags, wrapper=()):
        self._folder = tempfile.TemporaryDirectory(
            prefix="signpost-chromium-", ignore_cleanup_errors=True)
        case.addCleanup(self._folder.cleanup)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._last = 0
        self._answers = {}
        self._changed = threading.Condition()
        self._ended = False
        self.listeners = {}  # of a session's events
        # The descriptors 3 and 4 are the pipe; the shell puts them there.
        command = [*wrapper, "sh", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "sh",
                   BINARY, *FLAGS, *flags, f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"HOME": self._folder.name, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
        os.close(theirs_in)
        os.close(theirs_out)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        case.addCleanup(self.close)
        self.version = self.call("Browser.getVersion")["product"]

    # --- the pipe: JSON, each message ended by NUL ------------------------------------------

    def _read(self):
        rest = b""
        with os.fdopen(self._in, "rb", buffering=0) as stream:
            while more := stream.read(1 << 16):
                *whole, rest = (rest + more).split(b"\0")
                for text in whole:
                    self._take(json.loads(text))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, message):
        if "id" in message:
            with self._changed:
                self._answers[message["id"]] = message
                self._changed.notify_all()
        elif listener := self.listeners.get(message.get("sessionId")):
            listener(message["method"], message["params"])

    def call(self, method, session=None, timeout=CALL_S, **params):
        with self._changed:
            self._last += 1
            number = self._last
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._ended, timeout)
            answer = self._answers.pop(number, None)
        assert answer is not None, f"no answer to {method} {params}"
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._out)
        self._reader.join(CALL_S)

    # --- pages ------------------------------------------------------------------------------

    def context(self):
        """As another user's browser: nothing is shared with other contexts."""
        return self.call("Target.createBrowserContext")["browserContextId"]

    def page(self, url, context=None):
        return Page(self, url, context or self.context())


class Page:
    def __init__(self, browser, url, context):
        self.browser, self.context = browser, context
        self.errors = []
        self.target = browser.call(
            "Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = browser.call(
            "Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.listeners[self.session] = self._hear
        self._loaded = threading.Event()
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.go(url)

    def _hear(self, method, params):
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    @contextlib.contextmanager
    def loading(self, what="another document"):
        """What is done inside makes it load another document, which is there after it."""
        self._loaded.clear()
        yield
        assert self._loaded.wait(CALL_S), f"{what} did not load"

    def go(self, url):
        with self.loading(url):
            told = self.call("Page.navigate", url=url)
            assert "errorText" not in told, f"{url}: {told['errorText']}"

    def run(self, script, timeout=CALL_S):
        """The value of the script, an expression or the body of an async function."""
        body = script if "return" in script else f"return ({script})"
        told = self.browser.call(
            "Runtime.evaluate", session=self.session, timeout=timeout,
            expression=f"(async () => {{ {body} }})()", awaitPromise=True, returnByValue=True,
            userGesture=True)
        if "exceptionDetails" in told:
            details = told["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description", details["text"]))
        return told["result"].get("value")

    def listeners(self, of):
        """The types of events that something listens to there."""
        found = self.call("Runtime.evaluate", expression=of)["result"]["objectId"]
        told = self.call("DOMDebugger.getEventListeners", objectId=found)
        return sorted(one["type"] for one in told["listeners"])

    def size(self, width, height, mobile=False, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self.browser.listeners.pop(self.session, None)
        self.browser.call("Target.closeTarget", targetId=self.target)


class PageError(AssertionError):
    """The page's script has thrown."""
