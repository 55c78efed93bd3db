"""The pictures of the README: `make figures` draws them anew into docs/pictures/, from a session that `align` has seen.

``python docs/figures.py SESSION [path alignment report view status]``: some of them or all. Pages are what a headless
Chromium shows of them; the status page is that of `syncctl serve --simulate`, half a minute into a recording.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

import cv2
import numpy as np

from recorder.samples import read_sound
from recorder.session import Session, open_session
from sync.alignment import Alignment, load

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "recorder"))

from browser import Browser  # noqa: E402  the one that the tests drive

OUT = ROOT / "docs" / "pictures"
STYLE = """<style>
text{font:13px system-ui,sans-serif;fill:#24292f} .small{font-size:11px;fill:#57606a} .name{font-weight:600}
.box{fill:#eef6f6;stroke:#0b7a75} .line{fill:none;stroke:#0b7a75;stroke-width:1.2} .axis{stroke:#8c959f}
.mark{stroke:#c0392b;stroke-dasharray:3 3}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.box{fill:#12302f}.line{stroke:#4fd1c5}
.box{stroke:#4fd1c5}}
</style>"""
ROOMS = (
    ("firmware_host", ("seven sensors", "exact 60 Hz plan"), "readings"),
    ("recorder", ("picture, sound, sensors", "survives a power cut"), "session/"),
    ("sync", ("every clock on one,", "with sigma, or refused"), "alignment.json"),
    ("ingest", ("Parquet, exact clips,", "targets from sensors"), "dataset/"),
    ("models", ("five papers, one loop,", "beside the trivial guess"), "run/"),
)
TONE_S = 0.6
"""Seconds shown around the start tone once all are on one clock."""


def path() -> str:
    """From a kit to a model, as SVG."""
    width, gap, top = 158, 22, 46
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 168" role="img">{STYLE}']
    parts.append('<text x="10" y="22" class="small">kit (I2C, UART, camera, microphone) or simulated home</text>')
    parts.append(f'<path d="M85 28 V{top - 3} m-4 -6 l4 6 l4 -6" class="line"/>')
    for k, (name, said, made) in enumerate(ROOMS):
        x = 8 + k * (width + gap)
        parts.append(f'<rect x="{x}" y="{top}" width="{width}" height="74" rx="8" class="box"/>')
        parts.append(f'<text x="{x + 12}" y="{top + 24}" class="name">{name}</text>')
        parts += [f'<text x="{x + 12}" y="{top + 44 + 16 * i}" class="small">{t}</text>' for i, t in enumerate(said)]
        parts.append(f'<text x="{x + 12}" y="{top + 96}" class="small">makes {made}</text>')
        if k:
            parts.append(f'<path d="M{x - gap + 3} {top + 37} h{gap - 6} m-6 -4 l6 4 l-6 4" class="line"/>')
    return "".join([*parts, "</svg>"])


def alignment(session: Session, found: Alignment) -> str:
    """The start tone in every microphone: as the files have it, and on one clock."""
    tones = {m.source: m for p in found.pairings if p.method == "tones" for m in p.matches[:1]}
    devices = [d for d in session.devices if d.of_kind("audio")]
    first = next(iter(tones.values()))
    start_ns = found.to_reference(first.source).forward(first.t_ns)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {70 + 52 * len(devices)}" role="img">{STYLE}']
    parts.append('<text x="120" y="20" class="name">before: each recording from its own beginning</text>')
    parts.append('<text x="520" y="20" class="name">after: on the clock of the first kit</text>')
    for k, device in enumerate(devices):
        sound, y = read_sound(session, device), 62 + 52 * k
        parts.append(f'<text x="8" y="{y}">{escape(device.name)}</text>')
        since = np.arange(len(sound.x)) / sound.rate_hz
        parts.append(curve(since, sound.x, (0, 8), (120, 490), y))
        step = 48
        t_ns = sound.times_ns(np.arange(0, len(sound.x), step))
        there = (found.to_reference(device.clock).forward(t_ns) - start_ns) * 1e-9
        parts.append(
            curve(
                np.interp(np.arange(len(sound.x)), np.arange(len(there)) * step, there),
                sound.x,
                (-TONE_S / 2, TONE_S),
                (520, 890),
                y,
            )
        )
    bottom = 36 + 52 * len(devices)
    for x, text in ((120, "0 s"), (305, "4 s"), (478, "8 s")):
        parts.append(f'<text x="{x}" y="{bottom + 22}" class="small">{text}</text>')
    zero = 520 + 370 * (TONE_S / 2) / (1.5 * TONE_S)
    parts.append(f'<path d="M{zero:.1f} 30 V{bottom}" class="mark"/>')
    parts.append(
        f'<text x="{zero - 60:.0f}" y="{bottom + 22}" class="small">{1.5 * TONE_S:.1f} s around the start tone</text>'
    )
    return "".join([*parts, "</svg>"])


def curve(t: np.ndarray, x: np.ndarray, shown: tuple[float, float], place: tuple[int, int], y: int) -> str:
    """How loud a sound is over time, as a filled line of 360 points around a height."""
    low, high = shown
    inside = (t >= low) & (t < high)
    bins = ((t[inside] - low) / (high - low) * 360).astype(int)
    level = np.sqrt(np.bincount(bins, x[inside].astype(float) ** 2, 360) / np.maximum(np.bincount(bins, None, 360), 1))
    level = 20 * np.sqrt(level / max(level.max(), 1e-9))
    px = place[0] + (np.arange(360) + 0.5) / 360 * (place[1] - place[0])
    points = " ".join(f"{a:.1f},{y - b:.1f}" for a, b in zip(px, level, strict=True))
    return f'<polyline points="{points}" class="line"/>'


def shot(browser: Browser, name: str, size: tuple[int, int]) -> None:
    """What the window shows, as a JPEG of less than 300 kB."""
    with tempfile.TemporaryDirectory() as folder:
        browser.picture(Path(folder) / "page.png")
        picture = cv2.imread(str(Path(folder) / "page.png"))
    picture = picture[: size[1]]
    for quality in (88, 80, 70, 60):
        cv2.imwrite(str(OUT / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if (OUT / f"{name}.jpg").stat().st_size < 300_000:
            break


def report(browser: Browser, session: Session) -> None:
    browser.look((session.root.resolve() / "report.html").as_uri(), 1100, 1000, "light")
    browser.until("document.readyState === 'complete'")
    time.sleep(1)
    shot(browser, "report", (1100, 1000))


def view(browser: Browser, session: Session) -> None:
    with running("view", session.root, "--no-browser", "--port", "8655"):
        browser.look("http://127.0.0.1:8655/", 1280, 860, "light")
        browser.until("[...document.querySelectorAll('video')].some(v => v.readyState >= 2)", 60)
        browser.value(
            "[...document.querySelectorAll('input[type=range]')].slice(0, 1).forEach(e => {"
            "e.value = (Number(e.min) + Number(e.max)) / 2; e.dispatchEvent(new Event('input'));"
            "e.dispatchEvent(new Event('change'))})"
        )
        time.sleep(6)
        shot(browser, "view", (1280, 860))


def status(browser: Browser) -> None:
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        arguments = ("--simulate", "--size", "640x360", "--port", "8656", "--token-file", token)
        with running("serve", Path(folder) / "sessions", *arguments):
            key = token.read_text().strip()
            order(8656, "start", key, {"session": "dinner", "activity": "eat_dinner"})
            browser.look("http://127.0.0.1:8656/", 1000, 1100, "light")
            unlocked(browser, key)
            browser.until("document.getElementById('state-name').textContent === 'recording'", 400)
            time.sleep(35)
            shot(browser, "status", (1000, 1100))
            order(8656, "stop", key, {})


def unlocked(browser: Browser, key: str) -> None:
    """Give the page the token, as a person would."""
    browser.until("document.getElementById('token') !== null")
    browser.value("document.getElementById('token').focus()")
    browser.type(key)
    browser.press("Enter")


def order(port: int, what: str, key: str, about: dict) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{what}", json.dumps(about).encode(), headers)
    urllib.request.urlopen(request, timeout=60).read()


@contextmanager
def running(command: str, *arguments: object) -> Iterator[None]:
    """A syncctl that serves, until the block ends."""
    call = [sys.executable, "-m", "syncctl", command, *map(str, arguments)]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "http://" not in process.stderr.readline():
        if process.poll() is not None:
            raise SystemExit(f"`syncctl {command}` ended")
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def draw(root: Path, wanted: Sequence[str]) -> None:
    """Draw some pictures, or all."""
    OUT.mkdir(exist_ok=True)
    session = open_session(root)
    wanted = wanted or ("path", "alignment", "report", "view", "status")
    if "path" in wanted:
        (OUT / "path.svg").write_text(path())
    if "alignment" in wanted:
        (OUT / "alignment.svg").write_text(alignment(session, load(root)))
    with tempfile.TemporaryDirectory() as folder, Browser("chromium", Path(folder)) as browser:
        if "report" in wanted:
            report(browser, session)
        if "view" in wanted:
            view(browser, session)
        if "status" in wanted:
            status(browser)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), sys.argv[2:])
