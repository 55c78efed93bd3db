"""The button and the LED: the LED follows the bytes, not the wish."""

import pytest

from firmware_host.errors import PortError
from recorder.button import GROWING_S, PATTERNS, Light, Panel, lit, pressed


@pytest.mark.parametrize(("held", "meaning"), [(0.01, None), (0.2, "toggle"), (0.99, "toggle"), (1.0, "event")])
def test_how_long_a_press_lasts_says_what_it_means(held: float, meaning: str | None):
    assert pressed(held) == meaning


def test_the_light_is_steady_only_while_the_file_grows():
    light = Light()
    assert light.pattern(0.0, "idle", None) == "off"
    assert light.pattern(1.0, "armed", None) == "ready"
    assert light.pattern(2.0, "recording", 0) == "ready", "asked for, but nothing is on the disk yet"
    assert light.pattern(3.0, "recording", 1000) == "steady"
    assert light.pattern(3.0 + GROWING_S, "recording", 2000) == "steady"
    assert light.pattern(3.1 + 2 * GROWING_S, "recording", 2000) == "wrong"
    assert light.pattern(3.2 + 2 * GROWING_S, "recording", 3000) == "steady"
    assert light.pattern(20.0, "idle", None, error=True) == "wrong"


def test_a_recording_that_never_writes_is_told():
    light = Light()
    light.pattern(0.0, "recording", 0)
    assert light.pattern(GROWING_S + 0.1, "recording", 0) == "wrong"


def test_a_second_recording_is_judged_by_its_own_bytes():
    light = Light()
    light.pattern(0.0, "recording", 5000)
    light.pattern(1.0, "idle", None)
    assert light.pattern(2.0, "recording", 100) == "steady"


def test_a_disk_that_is_nearly_full_is_told_before_it_is():
    assert Light().pattern(0.0, "recording", 10, disk_minutes=5.0) == "disk"


def test_every_pattern_looks_different_within_two_seconds():
    shown = {name: tuple(lit(name, step) for step in range(20)) for name in PATTERNS}
    assert len(set(shown.values())) == len(PATTERNS)


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch):
    gpiozero = pytest.importorskip("gpiozero")
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


def test_a_real_button_and_led_library_carry_it(pins, monkeypatch: pytest.MonkeyPatch):
    import threading

    now, heard, seen = [10.0], [], threading.Event()
    monkeypatch.setattr("recorder.button.time.monotonic", lambda: now[0])
    monkeypatch.setattr("recorder.button.STEP_S", 0.001)
    panel = Panel(17, 27, heard.append, lambda: seen.set() or "steady")
    for held in (0.2, 1.5):
        pins.pin(17).drive_low()
        now[0] += held
        pins.pin(17).drive_high()
    assert heard == ["toggle", "event"]
    assert seen.wait(5)
    for _ in range(5000):
        if pins.pin(27).state:
            break
    assert pins.pin(27).state
    panel.close()


def test_a_pin_that_is_taken_is_one_sentence(pins):  # noqa: ARG001
    panel = Panel(17, None, lambda _: None, lambda: "off")
    with pytest.raises(PortError, match="GPIO 17"):
        Panel(17, None, lambda _: None, lambda: "off")
    panel.close()
