"""Chromium without a window, driven through the DevTools protocol over its debugging pipe.

The pipe is JSON with a zero byte after each message, so that needs no library: those that exist
bring browsers of their own, or a second runtime. Debian's Chromium is what runs here.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List

_TIMEOUT = 60.0
_ARGUMENTS = (
    "--headless=new",
    "--remote-debugging-pipe",
    # Tests run as root, where Chromium's own sandbox does not.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    # Nothing leaves the machine, not even what browsers ask by themselves.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


# Every visible text with its contrast to what is painted below it (WCAG 2.1, "contrast ratio").
_CONTRASTS = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb) => rgb.slice(0, 3)
    .map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    let below = node;
    let ground = channels(getComputedStyle(below).backgroundColor);
    while (ground[3] < 255) {
      below = below.parentElement;
      ground = channels(getComputedStyle(below).backgroundColor);
    }
    const pair = [luminance(channels(getComputedStyle(node).color)), luminance(ground)];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    found.push({text: texts.currentNode.data.trim(), ratio});
  }
  return found;
})()
"""


class BrowserError(Exception):
    """What Chromium refused, or what a script in a page threw."""


class Browser:
    def __init__(self, profile: Path) -> None:
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        # The shell puts both where Chromium looks, at 3 and 4, so they must be elsewhere.
        commands_at, answers_at = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (commands, answers))
        script = f'exec "$@" 3<&{commands_at} 4>&{answers_at}'
        arguments = ["chromium", *_ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
        with open(profile.with_suffix(".log"), "wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", script, "bash", *arguments],
                pass_fds=(commands_at, answers_at),
                stdout=log,
                stderr=log,
            )
        for fd in (commands, answers, commands_at, answers_at):
            os.close(fd)
        self._buffer = b""
        self._calls = 0
        #: All events so far, of all pages.
        self.events: List[Dict[str, Any]] = []

    def call(self, method: str, session: str = "", **parameters: Any) -> Dict[str, Any]:
        """Raises BrowserError if Chromium answers with an error, or not at all."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(method)
            if answer.get("id") != self._calls:
                self.events.append(answer)
            elif "error" in answer:
                raise BrowserError(f"{method}: {answer['error']}")
            else:
                result: Dict[str, Any] = answer["result"]
                return result

    def _receive(self, method: str) -> Dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self._read, 1 << 20) if ready else b""
            if not chunk:
                raise BrowserError(f"{method}: no answer from Chromium")
            self._buffer += chunk
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: Dict[str, Any] = json.loads(text)
        return message

    def open(self, file: Path, width: int, scheme: str, touch: bool = False) -> "Page":
        """A page of ``width`` CSS pixels; ``scheme`` is ``light`` or ``dark``."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, target, attached["sessionId"])
        page.load(file, width, scheme, touch)
        return page

    def close(self) -> None:
        try:
            self.call("Browser.close")
        finally:
            try:
                self._process.wait(timeout=_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            os.close(self._read)
            os.close(self._write)


class Page:
    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    def _call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def load(self, file: Path, width: int, scheme: str, touch: bool) -> None:
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        height = 740 if width < 600 else 900
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self._call("Emulation.setTouchEmulationEnabled", enabled=touch)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)
        self._call("Page.navigate", url=file.as_uri())
        # Two frames after the load, all observers of sizes have run.
        self.run(
            "new Promise(done => { const ready = () => requestAnimationFrame(() => "
            "requestAnimationFrame(() => done())); "
            "document.readyState === 'complete' ? ready() : addEventListener('load', ready); })"
        )

    def run(self, script: str) -> Any:
        """The value of a script, awaited. Raises BrowserError for what it throws."""
        result = self._call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise BrowserError(json.dumps(result["exceptionDetails"], indent=1))
        return result["result"].get("value")

    def events(self, *methods: str) -> List[Dict[str, Any]]:
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] in methods
        ]

    @property
    def requests(self) -> List[str]:
        """The address of everything the page asked for, its own first."""
        return [item["request"]["url"] for item in self.events("Network.requestWillBeSent")]

    @property
    def complaints(self) -> List[Dict[str, Any]]:
        """Exceptions, messages of the console, and what the browser itself logged."""
        return self.events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")

    def contrasts(self) -> List[Dict[str, Any]]:
        """Visible texts, each with the ratio of its contrast."""
        return self.run(_CONTRASTS)  # type: ignore[no-any-return]

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"text": "\r"} if key == "Enter" else {}
            code = {"Enter": 13, "Tab": 9}.get(key, 0)
            for kind in ("keyDown", "keyUp"):
                self._call(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    windowsVirtualKeyCode=code,
                    **(text if kind == "keyDown" else {}),
                )

    def type(self, text: str) -> None:
        self._call("Input.insertText", text=text)

    def _middle(self, selector: str) -> Dict[str, float]:
        return self.run(  # type: ignore[no-any-return]
            f"(() => {{ const node = document.querySelector({json.dumps(selector)}); "
            "node.scrollIntoView({block: 'center', behavior: 'instant'}); "
            "const box = node.getBoundingClientRect(); "
            "return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )

    def tap(self, selector: str) -> None:
        """A finger on the middle of an element."""
        point = self._middle(selector)
        self._call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def hover(self, selector: str) -> None:
        """The mouse over the middle of an element."""
        self._call("Input.dispatchMouseEvent", type="mouseMoved", **self._middle(selector))

    def click(self, selector: str) -> None:
        """The mouse over the middle of an element, and its left button."""
        self.hover(selector)
        point = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)

    def screenshot(self, file: Path, whole: bool = True) -> None:
        data = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)[
            "data"
        ]
        file.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)
