"""The page in a headless Chromium: what is on the screen, by the numbers in the pictures themselves."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("websockets")

import numpy as np
import uvicorn
from browser import Browser

from recorder.session import Session
from sync.view.content import opened
from sync.view.server import listen, make_app
from tests.sync.view.planted_view import BITS, FPS, SIZE, kit_pictures, web_times_ns, world_s

NUMBERS = {"kit-01": kit_pictures(), "head": range(180), "web": range(len(web_times_ns()))}
TIMES = {device: [world_s(device, n) for n in numbers] for device, numbers in NUMBERS.items()}
USUAL_S = {"kit-01": 1 / FPS, "head": 1 / FPS, "web": 1 / 20}
READ = f"""
(() => {{
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d", {{ willReadFrequently: true }});
  canvas.width = {SIZE[0]}; canvas.height = {SIZE[1]};
  window.read = () => view.videos.map((video) => {{
    if (!video.veil.hidden) return null;
    pen.drawImage(video.player, 0, 0, canvas.width, canvas.height);
    let number = 0;
    for (let k = 0; k < {BITS}; k += 1) {{
      const stripe = pen.getImageData((k + 0.5) * canvas.width / {BITS}, canvas.height / 2, 1, 1);
      number = 2 * number + (stripe.data[0] > 128);
    }}
    return number;
  }});
  // The page counts its time on once for each picture of the screen; here it is wanted as it is now.
  const now = () => view.at + (view.playing ? (performance.now() - lastTick) / 1000 * view.speed : 0);
  window.seen = () => ({{
    at: now(), shown: read(), heard: soundHere() ? toPage(soundHere(), soundHere().player.currentTime) : null,
  }});
}})()
"""


@pytest.fixture(scope="module")
def address(planted: Session) -> Iterator[str]:
    line = listen(0)
    server = uvicorn.Server(uvicorn.Config(make_app(opened(planted)), ws="none", lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [line]})
    thread.start()
    yield f"http://127.0.0.1:{line.getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)
    line.close()


@pytest.fixture(scope="module")
def page(address: str, tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The page, opened, with every picture there."""
    profile: Path = tmp_path_factory.mktemp("chromium")
    with Browser(tool("chromium"), profile) as browser:
        browser.look(address, 1280, 900, "light")
        browser.until("session && view.videos.length === 3 && view.videos.every((v) => v.player.readyState >= 2)")
        browser.value(READ)
        yield browser


@pytest.fixture(autouse=True)
def _at_rest(page: Browser) -> None:
    page.value("pause(), go(0)")


def expected(device: str, at: float) -> set[int | None]:
    """The number that is to be seen at a time; two where the time is within a millisecond of the change."""
    times, numbers = TIMES[device], NUMBERS[device]
    end = times[-1] + USUAL_S[device]
    return {numbers[bisect_right(times, t) - 1] if times[0] <= t < end else None for t in (at - 1e-3, at, at + 1e-3)}


def until_exact(page: Browser) -> dict:
    """Wait until each picture on the screen is the one of the time; what is seen then, or at the end of patience."""
    deadline = time.monotonic() + 8
    while True:
        seen = page.value("seen()")
        if all(n in expected(d, seen["at"]) for d, n in zip(NUMBERS, seen["shown"], strict=True)):
            return seen
        if time.monotonic() > deadline:
            wanted = {d: expected(d, seen["at"]) for d in NUMBERS}
            raise AssertionError(f"at {seen['at']:.3f} s {seen['shown']} is shown and {wanted} is wanted")
        time.sleep(0.05)


def off_s(device: str, number: int | None, at: float) -> float | None:
    """How far the picture on the screen is from the time, by its own clock; 0 while its time lasts."""
    if number is None or None in expected(device, at):
        return None
    k = list(NUMBERS[device]).index(number)
    begins = TIMES[device][k]
    ends = TIMES[device][k + 1] if k + 1 < len(TIMES[device]) else begins + USUAL_S[device]
    return min(at - begins, 0.0) if at < begins else max(at - ends, 0.0)


@pytest.mark.parametrize("at", [0.9, 3.35, 3.72, 2.017, 5.25, 6.5, 7.9, 0.31])
def test_scrubbing_shows_each_camera_at_that_moment(page: Browser, at: float):
    """3.35 and 3.72 lie in and behind the pictures that the kit lost, 6.5 behind the webcam's end."""
    page.value(f'$("scrub").value = {1000 * at}; $("scrub").dispatchEvent(new Event("input"))')
    seen = until_exact(page)
    assert seen["at"] == pytest.approx(at, abs=1e-6)


def test_scrubbing_fast_ends_at_the_last_place(page: Browser):
    for k in range(40):
        page.value(f"go({0.9 + 0.1 * k})")
    assert until_exact(page)["at"] == pytest.approx(4.8)


def test_playing_keeps_sound_and_pictures_within_a_picture_of_each_other(page: Browser):
    page.value("go(1.2)")
    until_exact(page)
    page.press(" ")
    page.until("view.playing && view.at > 2", 15)
    rows = []
    while (seen := page.value("seen()"))["at"] < 5.2:
        rows.append(seen)
        time.sleep(0.05)
    assert len(rows) > 8
    ats = [row["at"] for row in rows]
    assert all(b > a for a, b in pairwise(ats)), "time goes forward"
    assert np.median([abs(row["heard"] - row["at"]) for row in rows]) < 1 / FPS
    for k, device in enumerate(NUMBERS):
        off = [o for row in rows if (o := off_s(device, row["shown"][k], row["at"])) is not None]
        assert len(off) > 5
        within = np.mean([abs(o) <= USUAL_S[device] for o in off])
        assert within >= 0.9, f"{device}: {[round(1000 * o) for o in off]} ms"
        assert abs(np.median(off)) <= USUAL_S[device] / 2, f"{device}: {[round(1000 * o) for o in off]} ms"


def test_pausing_stops_everything_at_that_moment(page: Browser):
    page.press(" ")
    page.until("view.at > 1.5", 15)
    page.press(" ")
    seen = until_exact(page)
    assert page.value("view.sounds.every((s) => s.player.paused) && view.videos.every((v) => v.player.paused)")
    time.sleep(0.2)
    assert page.value("seen()") == seen


def test_the_keyboard(page: Browser):
    page.value("go(2.51)")
    for key, code, moved in (
        ("ArrowRight", 39, 1.0),
        ("ArrowLeft", 37, -1.0),
        (".", 190, 1 / FPS),
        (",", 188, -1 / FPS),
    ):
        before = page.value("view.at")
        for kind in ("keyDown", "keyUp"):
            page.do("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)
        assert page.value("view.at") - before == pytest.approx(moved, abs=1e-3)
        until_exact(page)


def test_a_click_on_a_track_goes_there(page: Browser):
    box = "(() => { const b = $('axis').getBoundingClientRect(); return [b.left + b.width / 4, b.top + 8]; })()"
    (x, y), long = page.value(box), page.value("session.duration_s")
    for kind in ("mousePressed", "mouseReleased"):
        page.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert until_exact(page)["at"] == pytest.approx(long / 4, abs=0.01)


def test_to_the_end_and_from_the_beginning_again(page: Browser):
    page.value("go(session.duration_s - 0.3)")
    page.press(" ")
    page.until("!view.playing && view.at === session.duration_s", 30)
    page.press(" ")
    page.until("view.playing && view.at < 2", 15)


def test_actions_at_one_time_stand_below_each_other(page: Browser):
    spans = [(0, 4), (1, 2), (2, 3), (4, 6), (3, 5)]
    intervals = [{"begin_s": a, "end_s": b, "value": f"v{a}", "actor": ""} for a, b in sorted(spans)]
    found = page.value(
        f"const tier = makeTier({{tier: 'made', intervals: {json.dumps(intervals)}}}); "
        "const told = [tier.canvas.style.height, tier.intervals.map((i) => i.lane)];"
        "tier.canvas.parentNode.remove(); told"
    )
    assert found == ["48px", [0, 1, 1, 1, 0]]


def test_numbers_beside_the_pictures(page: Browser):
    page.value("go(3.5)")
    page.until("document.getElementById('curves').innerText.includes('up 0.21 m')")
    page.until("document.getElementById('labels').innerText.includes('make tea (p01)')")
    page.until("view.heats[0].data && view.heats[0].drawn === 35")
    assert page.value("view.heats[0].range.textContent") == "20.0 to 30.0 °C"
    colours = page.value("view.heats[0].cells.map((c) => c.style.backgroundColor)")
    assert [k for k, c in enumerate(colours) if c != colours[0]] == [8 * 3 + 3], (
        "the warm pixel, in the row it is in now"
    )


def test_without_sound_a_timer_leads(page: Browser):
    page.value('$("sound").value = ""; $("sound").dispatchEvent(new Event("change"))')
    begun = time.monotonic()
    page.press(" ")
    page.until("view.at > 1", 15)
    assert time.monotonic() - begun < 10
    assert page.value("view.sounds.every((s) => s.player.paused)")
    page.value('$("sound").value = "kit-01"; $("sound").dispatchEvent(new Event("change"))')


def test_nothing_failed_and_nothing_came_from_elsewhere(page: Browser, address: str):
    page.value("1")
    assert page.errors == []
    assert all(url.startswith((address, "data:", "about:")) for url in page.requests), page.requests


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light"), (390, "dark")])
def test_no_window_is_too_narrow(page: Browser, address: str, width: int, scheme: str):
    page.look(address, width, 844, scheme)
    page.until("session && view.videos.every((v) => v.player.readyState >= 2)")
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    page.value(READ)
