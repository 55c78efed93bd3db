"""A world for simulated chips to be in."""

from __future__ import annotations

import numpy as np

from firmware_host.process import WARM_UP_NS
from firmware_host.simulate import CHIPS, Stimulus

START_NS = 10**12
T0_NS = START_NS + WARM_UP_NS


def world_of(kit, *, seconds=30.0, rate_hz=50.0) -> Stimulus:
    """Slow, different changes of everything that each sensor of `kit` can feel."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    zero, one = np.zeros_like(t), np.ones_like(t)
    tables = {}
    for s in kit.sensors:
        if s.model == "bme680":
            columns = [21 + 0.1 * t, 100_000 + 20 * t, 40 + 0.3 * t, 80_000 + 500 * t]
        elif s.model == "amg8833":
            columns = [*(20 + 0.1 * pixel + np.sin(t) for pixel in range(64)), 24 * one]
        elif s.model == "tsl2591":
            columns = [300 + 5 * t, 0.2 + 0.002 * t]
        elif s.model == "ak9753":
            columns = [*(100 * i + 3 * t for i in range(1, 5)), 24 + 0.05 * t]
        elif s.model == "isl29125":
            columns = [500 + 10 * t, 800 - 5 * t, 300 + 2 * t]
        elif s.model == "mlx90393":
            columns = [20 * np.cos(t), 20 * np.sin(t), -44 * one, 25 + 0.1 * t]
        elif s.model == "bno055":
            angle = 1.5 * np.sin(t)
            quaternion = [np.cos(angle / 2), zero, zero, np.sin(angle / 2)]
            columns = [*quaternion, 0.5 * np.sin(t), -0.2 * one, zero, zero, zero, 9.81 * one]
            columns += [zero, zero, np.degrees(1.5 * np.cos(t)), 31 * one]
        else:
            columns = [value * (1 + 0.002 * t) for value in CHIPS[s.model].quiet]
        tables[s.name] = np.stack(columns, axis=1).astype(np.float32)
    return Stimulus(0, rate_hz, tables)
