"""A page in headless Chromium, of any width, over its debugging pipe: no port, no net."""

import base64
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
needed = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


class Page:
    """A page that is open: what it answers, its picture, its PDF."""

    def __init__(self, write, read):
        self.write, self.read, self.number, self.session = write, read, 0, None
        self.events = []

    def call(self, method, **params):
        """A command of the DevTools protocol and its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        self.write.write(json.dumps(message).encode() + b"\0")
        self.write.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        text = bytearray()
        while (byte := self.read.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            text += byte
        return json.loads(text)

    def open(self, path, width=1280, height=900, script=True):
        """Opens a file at a width in CSS pixels, as a phone where it is narrow; waits for it."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.call("Page.navigate", url=Path(path).absolute().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression):
        """What JavaScript says of the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key, code=0):
        """A key that is pressed and let go."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code)  # fmt: skip

    def picture(self, path):
        """The whole page as a png."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def pdf(self, path):
        """The page as it is printed."""
        data = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))


@contextmanager
def browser(folder):
    """A page of a browser of its own, whose files lie in `folder`."""
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-pipe",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={folder}",
    ]
    commands, written = os.pipe()
    answers, answering = os.pipe()
    # the protocol reads file 3 and writes file 4 of the browser
    redirected = f'exec "$@" 3<&{commands} 4>&{answering}'  # sh knows one digit alone
    wrapped = ["bash", "-c", redirected, "bash", *command]
    process = subprocess.Popen(wrapped, pass_fds=(commands, answering), stderr=subprocess.DEVNULL,
                               env={**os.environ, "TMPDIR": str(folder)})  # fmt: skip
    os.close(commands)
    os.close(answering)
    with os.fdopen(written, "wb") as write, os.fdopen(answers, "rb") as read:
        page = Page(write, read)
        try:
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            attached = page.call("Target.attachToTarget", targetId=target, flatten=True)
            page.session = attached["sessionId"]
            page.call("Page.enable")
            page.call("Log.enable")
            page.call("Runtime.enable")
            yield page
        finally:
            process.kill()
            process.wait()
