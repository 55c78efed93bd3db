"""What a kit's sensors have learnt about themselves, kept from one recording to the next.

A BNO055 calibrates itself while it moves and forgets everything with its power. The profile that a recording ended
with is stored on the kit and given back to the same sensor when the next one starts. A profile that is written in the
kit file goes before it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firmware_host.errors import ConfigError
from firmware_host.schedule import make_sensor
from firmware_host.spec import KitConfig, SensorConfig
from recorder import durable


def path_of(kit: str) -> Path:
    """Where the profiles of a kit are: in the user's state folder."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "syncctl" / f"{kit}.profiles.json"


def load(path: Path) -> dict[str, str]:
    """Sensor -> profile. Empty where there is no file, or not one of ours: a sensor then calibrates itself anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def restored(kit: KitConfig, profiles: Mapping[str, str]) -> KitConfig:
    """The kit, its sensors with the profiles that are known of them and that the kit file does not say."""
    return replace(kit, sensors=tuple(_with(s, profiles.get(s.name)) for s in kit.sensors))


def keep(path: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Store the profiles that a recording ended with beside those of sensors that found none."""
    found = {sensor: s["profile"] for sensor, s in settings.items() if s.get("profile")}
    if found:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_json(path, {**load(path), **found})


def _with(sensor: SensorConfig, profile: str | None) -> SensorConfig:
    if profile is None or sensor.options.get("profile"):
        return sensor
    known = replace(sensor, options={**sensor.options, "profile": profile})
    try:
        make_sensor(known)
    except ConfigError:  # another chip has this name now, or the file was edited
        return sensor
    return known
