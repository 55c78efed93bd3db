"""A button and an LED on the kit itself, for whoever has no hand free for a phone.

The button: a short press starts and stops, a long one marks an event. The LED tells what reaches the disk, not what
was asked for: it is steady only while the recording's file grows.

    off            nothing runs                 slow blink    ready
    steady         bytes are being written      fast blink    something is wrong
    double blink   the disk is nearly full

What decides is pure; gpiozero (which has a mock for it) is only met in `Panel`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firmware_host.errors import PortError

LONG_S = 1.0
SHORT_S = 0.03
"""A contact that closes for less bounced."""
GROWING_S = 3.0
"""A file that has not grown for this long is not being written: clusters close several times a second."""
DISK_LOW_MINUTES = 15.0
STEP_S = 0.1
PATTERNS = {
    "off": "0",
    "ready": "11111111110000000000",
    "steady": "1",
    "wrong": "10",
    "disk": "11011000000000000000",
}
"""One character for each `STEP_S`, over and over."""


def pressed(held_s: float) -> str | None:
    """What a press of this length means: ``toggle``, ``event``, or None."""
    if held_s < SHORT_S:
        return None
    return "event" if held_s >= LONG_S else "toggle"


@dataclass
class Light:
    """Decides what the LED shows from what is known, moment by moment."""

    bytes_written: int = 0
    grown_at: float | None = None

    def pattern(
        self, now_s: float, state: str, written: int | None, *, error: bool = False, disk_minutes: float | None = None
    ) -> str:
        """A key of `PATTERNS`.

        Args:
            now_s: any clock that goes on.
            state: of the kit, as `recorder.serve.keeper` names it.
            written: bytes of the recording's file, None where there is none.
            error: the last thing that was tried failed.
            disk_minutes: until the disk is full, None where that is not known.
        """
        if state != "recording":
            self.bytes_written, self.grown_at = 0, None
            if state == "idle":
                return "wrong" if error else "off"
            return "steady" if state == "stopping" else "ready"
        if written is not None and written > self.bytes_written:
            self.bytes_written, self.grown_at = written, now_s
        if self.grown_at is None:
            self.grown_at = now_s  # the first bytes may take as long as any others
        if now_s - self.grown_at > GROWING_S:
            return "wrong"
        if self.bytes_written == 0:
            return "ready"
        if disk_minutes is not None and disk_minutes < DISK_LOW_MINUTES:
            return "disk"
        return "steady"


def lit(pattern: str, step: int) -> bool:
    """Whether the LED is on in the `step`-th `STEP_S` of a pattern."""
    shape = PATTERNS[pattern]
    return shape[step % len(shape)] == "1"


class Panel:
    """The button and the LED through gpiozero; either may be absent."""

    def __init__(
        self, button: int | None, led: int | None, press: Callable[[str], None], pattern: Callable[[], str]
    ) -> None:
        """`press` is called with what a press means, `pattern` asked for a key of `PATTERNS`, both from a thread.

        Raises:
            PortError: gpiozero is missing, or the pins cannot be had.
        """
        self._press, self._pattern = press, pattern
        self._stopped = threading.Event()
        self._down_at = 0.0
        try:
            import gpiozero

            self._button: Any = gpiozero.Button(button) if button is not None else None
            self._led: Any = gpiozero.LED(led) if led is not None else None
        except ImportError as error:
            raise PortError("the button and the LED need the package gpiozero: pip install gpiozero") from error
        except Exception as error:  # gpiozero has a family of its own, and each pin library another
            pins = " and ".join(str(p) for p in (button, led) if p is not None)
            raise PortError(f"GPIO {pins} cannot be used ({error}); check [button] and [led] in kit.toml") from error
        if self._button is not None:
            self._button.when_pressed = self._down
            self._button.when_released = self._up
        self._thread = threading.Thread(target=self._shine, name="led", daemon=True)
        if self._led is not None:
            self._thread.start()

    def close(self) -> None:
        """Give the pins back, the LED dark."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for device in (self._button, self._led):
            if device is not None:
                device.close()

    def _down(self) -> None:
        self._down_at = time.monotonic()

    def _up(self) -> None:
        meaning = pressed(time.monotonic() - self._down_at)
        if meaning is not None:
            self._press(meaning)

    def _shine(self) -> None:
        step = 0
        while not self._stopped.wait(STEP_S):
            self._led.value = lit(self._pattern(), step)
            step += 1
        self._led.off()
