"""A headless Chromium, driven by its debugging protocol: pages as a person would see them."""

import base64
import json
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0"),
)


class Browser:
    """One tab."""

    def __init__(self, chromium: str, profile: Path) -> None:
        from websockets.sync.client import connect

        command = [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = self._port(profile / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            tab = next(t for t in json.load(answer) if t["type"] == "page")
        self._open = ExitStack()
        self._line = self._open.enter_context(connect(tab["webSocketDebuggerUrl"], ping_interval=None, max_size=None))
        self._number = 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.do(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()
        self._process.terminate()
        self._process.wait(10)

    def do(self, method: str, **parameters: Any) -> dict:
        """One command and its result."""
        self._number += 1
        self._line.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._line.recv(timeout=30))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._noted(message)

    def look(self, url: str, width: int, height: int, scheme: str) -> None:
        """Open a page in a window of this size, light or dark."""
        self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.do("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives; promises are awaited."""
        result = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression: str, seconds: float = 20) -> Any:
        """The expression's value as soon as it is true."""
        deadline = time.monotonic() + seconds
        tried = f"(() => {{ try {{ return {expression} }} catch {{ return false }} }})()"  # the page may still load
        while not (value := self.value(tried)):
            assert time.monotonic() < deadline, f"{expression} did not come true"
            time.sleep(0.1)
        return value

    def press(self, key: str) -> None:
        """A key, as from a keyboard."""
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)

    def type(self, text: str) -> None:
        """Text, as from a keyboard."""
        self.do("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.do("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _noted(self, message: dict) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.errors.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(message["params"]["exceptionDetails"]))

    @staticmethod
    def _port(path: Path) -> int:
        deadline = time.monotonic() + 30
        while not path.exists() or not path.read_text().strip():
            assert time.monotonic() < deadline, "Chromium did not open its debugging port"
            time.sleep(0.05)
        return int(path.read_text().split()[0])
