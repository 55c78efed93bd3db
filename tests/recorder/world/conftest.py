"""Homes that several tests look at: building one takes a quarter of a second, rendering far longer."""

from __future__ import annotations

import numpy as np
import pytest

from recorder.world import ACTIVITIES, MICROPHONES, World, WorldPlan

PLAN = WorldPlan(duration_s=20.0, seed=5, activity="make_tea")


def times(start_s: float, stop_s: float, rate_hz: float) -> np.ndarray:
    """(N,) int64 ns from start to before stop."""
    return np.arange(round(start_s * 1e9), round(stop_s * 1e9), round(1e9 / rate_hz))


@pytest.fixture(scope="session")
def world() -> World:
    """Twenty seconds that are rendered and heard."""
    return World(PLAN)


@pytest.fixture(scope="session")
def heard(world: World) -> dict[str, np.ndarray]:
    """What every microphone hears of it."""
    return {name: world.sound(name) for name in MICROPHONES}


@pytest.fixture(scope="session")
def long() -> World:
    """Enough actions for statistics; never rendered."""
    return World(WorldPlan(duration_s=60.0, seed=2))


@pytest.fixture(scope="session")
def days() -> list[World]:
    """A minute of every activity, in different houses and by different people; every second time with a guest."""
    return [
        World(WorldPlan(60.0, seed, activity, f"p{seed % 7}", f"r{seed % 5}", people=1 + seed % 2))
        for seed, activity in enumerate(ACTIVITIES)
    ]
