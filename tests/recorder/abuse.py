"""A kit that serves in a process of its own, and people who mean it no good."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

TOKEN = "correct-horse-battery"
CONNECTIONS = 200


class ServedKit:
    """`syncctl serve --simulate` with its sessions in a folder."""

    def __init__(self, folder: Path, size: str, name: str = "kit-01") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(TOKEN)
        self.sessions = folder / "sessions"
        self._said = (folder / "stderr.txt").open("w+")
        arguments = [
            "serve",
            self.sessions,
            "--simulate",
            "--name",
            name,
            "--size",
            size,
            "--port",
            "0",
            "--token-file",
            folder / "token",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "syncctl", *map(str, arguments)], stderr=self._said, start_new_session=True
        )
        self.port = int(self._line("http://").rpartition(":")[2].split("/")[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self._said.close()

    def said(self) -> str:
        """All that it printed for people."""
        self._said.seek(0)
        return self._said.read()

    def ask(self, method: str, path: str, body: Any = None, token: str | None = TOKEN) -> tuple[int, dict]:
        """One request; returns status and JSON."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = line.getresponse()
        document = json.loads(answer.read() or b"{}")
        line.close()
        return answer.status, document

    def until(self, state: str, seconds: float = 120) -> dict:
        """Wait for a state of the kit."""
        deadline = time.monotonic() + seconds
        while (status := self.ask("GET", "/status")[1])["state"] != state:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"the kit is {status['state']}, not {state}: {self.said()}")
            time.sleep(0.2)
        return status

    def interrupt(self) -> None:
        os.kill(self.process.pid, signal.SIGINT)

    def _line(self, word: str) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.said().splitlines():
                if word in line:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"it does not serve: {self.said()}")


def abuse(kit: ServedKit, stop: threading.Event) -> Counter[str]:
    """Everything at once, again and again, until `stop`; returns how often which answer came to what."""
    told: Counter[str] = Counter()
    while not stop.is_set():
        told.update(_crowd(kit))
        told[f"wrong token {kit.ask('POST', '/stop', {}, token='wrong-token-of-some-length')[0]}"] += 1
        told[f"start twice {kit.ask('POST', '/start', {'session': 'another'})[0]}"] += 1
        for path in ("/sessions/..%2f..%2fetc/files/passwd", "/sessions/dinner/files/..%2f..%2ftoken"):
            told[f"traversal {kit.ask('GET', path)[0]}"] += 1
        with suppress(OSError):
            told[f"10 MB {_large(kit.port)}"] += 1
    return told


def _crowd(kit: ServedKit) -> Counter[str]:
    """As many connections as `CONNECTIONS`, all held open, each with half a request."""
    lines = []
    for _ in range(CONNECTIONS):
        line = socket.create_connection(("127.0.0.1", kit.port), timeout=5)
        with suppress(OSError):
            line.sendall(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        lines.append(line)
    time.sleep(0.2)
    told: Counter[str] = Counter()
    for line in lines:
        line.setblocking(False)
        with suppress(OSError):
            told[f"crowd {line.recv(12)[9:].decode() or 'closed'}"] += 1
        line.close()
    time.sleep(0.2)
    return told


def _large(port: int) -> int:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    line.request("POST", "/start", b"x" * 10_000_000, {"Content-Type": "application/json"})
    status = line.getresponse().status
    line.close()
    return status
