"""The chips that syncctl can read. A new one is its driver here and its name below (docs/how-to/add-a-sensor.md)."""

from __future__ import annotations

from importlib import import_module

from firmware_host.driver import SensorSpec

_MODELS = (
    "ak9753",
    "amg8833",
    "bme680",
    "bno055",
    "isl29125",
    "mlx90393",
    "tsl2591",
)

SENSORS: dict[str, SensorSpec] = {model: import_module(f"{__name__}.{model}").SPEC for model in _MODELS}
"""Each module's `SPEC`. `firmware_host.simulate.CHIPS` has a chip for every key."""
