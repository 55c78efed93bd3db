"""The status page in a browser, as a person meets it: by keyboard, at two widths, with nothing from elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from browser import Browser
from fake_recorder import recorder
from served import TOKEN, Running

STATE = "document.getElementById('state-name').textContent"


@pytest.fixture
def browser(tmp_path: Path, tool) -> Iterator[Browser]:
    with Browser(tool("chromium"), tmp_path / "profile") as opened:
        yield opened


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr("recorder.serve.keeper.child", recorder)
    running = Running(tmp_path / "kit-01", "kit-01")
    yield running
    running.close()


def focus_on(browser: Browser, name: str) -> None:
    """Go to an element with the Tab key alone."""
    for _ in range(40):
        if browser.value("document.activeElement.id || document.activeElement.textContent.trim()") == name:
            return
        browser.press("Tab")
    raise AssertionError(f"{name} cannot be reached with the Tab key")


def test_a_recording_by_keyboard_alone(browser: Browser, kit: Running):
    browser.look(f"http://{kit.kit.address}/", 1280, 900, "light")
    browser.until(f"{STATE} === 'idle'")
    focus_on(browser, "token")
    browser.type(TOKEN)
    browser.press("Enter")
    browser.until("!document.getElementById('start').hidden")
    focus_on(browser, "activity")
    browser.type("eat_dinner")
    browser.press("Enter")
    browser.until(f"{STATE} === 'recording'")
    assert browser.until("document.getElementById('instruction').textContent") == "Eat dinner."
    browser.until("document.querySelectorAll('#sensors li').length === 1")
    assert browser.value("document.querySelector('#sensors .value').textContent") == "31.25 °C"
    assert browser.value("document.querySelectorAll('#heat i').length") == 64
    browser.until("document.getElementById('preview').src.startsWith('blob:')")
    focus_on(browser, "event-text")
    browser.type("kettle boils")
    browser.press("Enter")
    browser.until("document.getElementById('answer').textContent === 'Marked: kettle boils.'")
    focus_on(browser, "stop")
    browser.press("Enter")
    browser.until(f"{STATE} === 'idle'")
    browser.until("document.querySelectorAll('#sessions li').length === 1")
    own = f"http://{kit.kit.address}/"
    assert all(url.startswith((own, "data:", f"blob:{own}")) for url in browser.requests), "works with the cable out"
    assert browser.errors == []


def test_a_wrong_token_is_said_and_the_page_stays_locked(browser: Browser, kit: Running):
    browser.look(f"http://{kit.kit.address}/", 390, 844, "dark")
    browser.until(f"{STATE} === 'idle'")
    focus_on(browser, "token")
    browser.type("not-the-token-at-all")
    browser.press("Enter")
    assert "token" in browser.until("document.getElementById('answer').textContent")
    assert browser.value("document.getElementById('start').hidden")


def test_everything_has_a_name_and_nothing_is_wider_than_a_phone(browser: Browser, kit: Running):
    browser.look(f"http://{kit.kit.address}/", 390, 844, "dark")
    browser.until(f"{STATE} === 'idle'")
    nameless = (
        "[...document.querySelectorAll('input,button,img,[role=meter],[role=img],section')].filter(e => !("
        "e.labels?.length || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.alt || "
        "(e.tagName === 'BUTTON' && e.textContent.trim()))).map(e => e.id || e.outerHTML.slice(0, 80))"
    )
    assert browser.value(nameless) == []
    assert browser.value("document.documentElement.scrollWidth") <= 390
