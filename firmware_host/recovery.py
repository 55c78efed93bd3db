"""Freeing an I2C bus whose data line a chip holds low, by clocking it until it lets go.

A chip that was interrupted in the middle of a byte waits for clocks that never come. The Pi's kernel driver
offers no recovery, so its pins are taken from it for a moment: nine clocks with the data line released end any
byte, a stop condition ends the transfer (UM10204, section 3.1.16), and the pins go back to what they were. Lines
are only ever pulled low or released, never driven high, as on the bus itself. `pinctrl` comes with Raspberry Pi OS.
"""

from __future__ import annotations

import shutil
import subprocess

HEADER_PINS = {"/dev/i2c-0": (0, 1), "/dev/i2c-1": (2, 3)}
"""Data and clock GPIO of the buses on the Pi's header."""
_CLOCKS = 9
_PATIENCE_S = 1.0


def clock_out(device: str) -> str:
    """Clock the bus free; returns, in a few words for the log, what was done or why nothing was. Never raises."""
    if device not in HEADER_PINS:
        return f"{device} is not on the header's pins, so it was only opened anew"
    tool = shutil.which("pinctrl")
    if tool is None:
        return "pinctrl is not installed, so the bus was only opened anew"
    data, clock = (str(pin) for pin in HEADER_PINS[device])
    low, released = ("op", "dl"), ("ip",)
    try:
        functions = {pin: _function(tool, pin) for pin in (data, clock)}
        try:
            _set(tool, data, *released)
            for _ in range(_CLOCKS):
                _set(tool, clock, *low)
                _set(tool, clock, *released)
            for pin, level in ((clock, low), (data, low), (clock, released), (data, released)):
                _set(tool, pin, *level)
        finally:
            for pin, function in functions.items():
                _set(tool, pin, function)
    except (OSError, subprocess.SubprocessError) as error:
        return f"pinctrl did not work ({error}), so the bus was only opened anew"
    return "nine clocks and a stop were given"


def _function(tool: str, pin: str) -> str:
    """What a pin is used for now, such as ``a0``. `pinctrl get 2` says ``2: a0 pu | hi // GPIO2 = SDA1``."""
    done = subprocess.run([tool, "get", pin], check=True, capture_output=True, text=True, timeout=_PATIENCE_S)
    words = done.stdout.split(":", 1)[-1].split()
    if not words or not words[0].startswith("a"):
        raise OSError(f"pin {pin} is not a bus pin: {done.stdout.strip()!r}")
    return words[0]


def _set(tool: str, pin: str, *words: str) -> None:
    subprocess.run([tool, "set", pin, *words], check=True, capture_output=True, timeout=_PATIENCE_S)
