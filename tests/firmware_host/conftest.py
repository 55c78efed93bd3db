"""Kits that run on a simulated clock."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import settings
from kitworld import START_NS, T0_NS, world_of

from firmware_host.clock import FakeClock
from firmware_host.process import InlineAcquisition
from firmware_host.schedule import plan
from firmware_host.simulate import simulated_ports

# A machine that does other things as well must not make a property fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def inline(tmp_path):
    """Builds an `InlineAcquisition` of a kit, opened and started with tick 0 at `T0_NS`."""

    def build(kit, *, wrap=lambda ports, clock: ports, seed=0):  # noqa: ARG005
        path = tmp_path / "stimulus.npz"
        world_of(kit).save(path)
        open_simulated = partial(
            simulated_ports, kit, stimulus_path=path, t0_ns=T0_NS, log_path=tmp_path / "log.jsonl", seed=seed
        )
        clock = FakeClock(START_NS)
        acquisition = InlineAcquisition(plan(kit), lambda clock: wrap(open_simulated(clock), clock), clock)
        acquisition.open()
        acquisition.start(T0_NS)
        return acquisition

    return build
