"""A kit file from what a doctor found, and what he measured kept in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from firmware_host.errors import ConfigError
from recorder import durable
from recorder.config import read_kit
from recorder.doctor.examine import Report
from recorder.tomlfile import line_of


def kit_text(report: Report, name: str = "kit-01") -> str:
    """The TOML of a kit with everything that answered, at default rates."""
    lines = [
        "# Written by `syncctl doctor --write-config`. `syncctl record DIR --config THIS --dry-run` shows its plan.",
        f'name = "{name}"',
        'role = "third"                # third, ego, body, eye, other',
        "# tone_distance_m = 0.3       # from the speaker of the tones to this kit's microphone",
    ]
    for table, config in (("camera", report.camera), ("microphone", report.microphone)):
        if config is not None:
            lines += ["", f"[{table}]", *_plain(config)]
    lanes = {f.lane.name: f.lane for f in report.sensors}
    for lane in lanes.values():
        lines += ["", "[[lanes]]", f'name = "{lane.name}"', f'bus = "{lane.bus}"', f'device = "{lane.device}"']
        if lane.bus == "i2c":
            lines.append(f"scl_hz = {lane.scl_hz}              # must match dtparam=i2c_arm_baudrate in config.txt")
    models = Counter(f.model for f in report.sensors)
    given: Counter[str] = Counter()
    for found in report.sensors:
        given[found.model] += 1
        alone = models[found.model] == 1
        sensor = found.model if alone else f"{found.model}-{given[found.model]}"
        lines += ["", "[[sensors]]", f'name = "{sensor}"', f'model = "{found.model}"', f'lane = "{found.lane.name}"']
        if found.address is not None:
            lines.append(f"address = {found.address:#04x}")
    return "\n".join(lines) + "\n"


def keep_latency(path: Path, latency_ms: float, sigma_ms: float) -> None:
    """Put the camera's latency into a kit file; every other line stays as it is.

    Raises:
        ConfigError: the file has no table [camera] of its own.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for key, value in (("latency_sigma_ms", sigma_ms), ("latency_ms", latency_ms)):
        text = "\n".join(lines) + "\n"
        head, at = line_of(text, ("camera",)), line_of(text, ("camera", key))
        if head is None or lines[head - 1].split("#")[0].strip() != "[camera]":
            raise ConfigError(f"{path} has no line [camera]; add `latency_ms = {latency_ms}` to its camera by hand")
        if at is not None:
            del lines[at - 1]
        lines.insert(head, f"{key} = {value}")
    durable.write_bytes(path, ("\n".join(lines) + "\n").encode())
    read_kit(path)


def _plain(config: Any) -> Iterator[str]:
    """The keys of a table that say something."""
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, str) and value:
            yield f'{field.name} = "{value}"'
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{field.name} = {value}"
