"""The pins of a held bus, with a `pinctrl` below that writes down what it is told."""

from __future__ import annotations

from itertools import pairwise

import pytest

from firmware_host.recovery import clock_out

PINCTRL = """#!/bin/sh
echo "$@" >> {log}
if [ "$1" = get ]; then echo "{answer}"; fi
exit {status}
"""


@pytest.fixture
def pinctrl(tmp_path, monkeypatch):
    """Puts a `pinctrl` on the path; returns a function that reads what it was told."""

    def install(answer="2: a3 pu | hi // GPIO2 = SDA1", status=0):
        log, tool = tmp_path / "told", tmp_path / "pinctrl"
        log.touch()
        tool.write_text(PINCTRL.format(log=log, answer=answer, status=status))
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return lambda: log.read_text().splitlines()

    return install


def levels(told):
    """What the two lines did, as (data, clock) after each order; 1 is released."""
    line = {"2": 1, "3": 1}
    history = []
    for words in (order.split() for order in told if order.startswith("set")):
        if words[2] in ("op", "ip"):
            line[words[1]] = int(words[2] == "ip")
            history.append((line["2"], line["3"]))
    return history


def test_nine_clocks_then_a_stop_then_the_pins_are_given_back(pinctrl):
    told = pinctrl()
    assert clock_out("/dev/i2c-1") == "nine clocks and a stop were given"
    history = levels(told())
    rising = [b for a, b in pairwise(history) if (a[1], b[1]) == (0, 1)]
    assert rising[:9] == [(1, 1)] * 9  # data released through all nine
    assert history[-2:] == [(0, 1), (1, 1)]  # a stop: data rises while the clock is high
    assert told()[-2:] == ["set 2 a3", "set 3 a3"]
    assert not any("dh" in order for order in told())  # a line is never driven high


def test_pins_that_are_not_the_buses_are_left_alone(pinctrl):
    told = pinctrl(answer="2: ip pu | hi // GPIO2 = input")
    assert "is not a bus pin" in clock_out("/dev/i2c-1")
    assert all(order.startswith("get") for order in told())


def test_a_tool_that_fails_is_said_and_nothing_raises(pinctrl):
    pinctrl(status=1)
    assert "pinctrl did not work" in clock_out("/dev/i2c-1")


def test_without_the_tool_or_on_another_bus_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in clock_out("/dev/i2c-1")
    assert "not on the header" in clock_out("/dev/i2c-7")
