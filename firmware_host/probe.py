"""What sits at an address: a look that disturbs nobody, for a scan of a bus.

A chip with an identity register is asked for it (`SensorSpec.identity`). Two have none: a Grid-EYE is believed by its
looks, an MLX90393 by its manners. Nothing is written but the number of the register to read, or one byte that every one
of them ignores.

At 0x29 two of ours may sit, a TSL2591 and a BNO055. The first takes a byte with its top bit set for a command, so it is
asked first and in its own words (0xB2: its identity, 0x12); to a BNO055 that is a register which does not exist. What
cannot be avoided: the status bit in which an MLX90393 shows its last reset is cleared by any reading of it.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware_host.driver import fetch
from firmware_host.link import Link
from firmware_host.ports import BusFault
from firmware_host.sensors import SENSORS, amg8833

_NOTHING, _NONSENSE = 0x00, 0x90
"""Commands of an MLX90393: one that does nothing, and one that it does not have."""
_STANDING_MODES, _REJECTED = 0xC0, 0x10
"""A single measurement may end between two questions; burst and wake on change do not."""


def identify(link: Link, address: int) -> str | None:
    """The model of ours that answers at a 7-bit I2C address, None where nobody or somebody else does.

    `link` leads to that address. Faults of the bus are answers too, and are not raised.
    """
    for model in sorted(SENSORS, key=_turn):
        spec = SENSORS[model]
        if address in spec.addresses:
            try:
                if _WAYS[model](link) if spec.identity is None else link(spec.identity[0]) == spec.identity[1]:
                    return model
            except BusFault:
                continue
    return None


def _turn(model: str) -> tuple[bool, bool]:
    """The TSL2591 before all others, for what it would make of their questions; who only looks like itself, last."""
    return model != "tsl2591", model in _WAYS


def _is_grid_eye(link: Link) -> bool:
    control, frame = (link(transfer) for transfer in amg8833.LOOK)
    return amg8833.plausible(control, frame)


def _is_mlx90393(link: Link) -> bool:
    """It rejects a command that does not exist, and says so in the status of that command alone."""
    before, nonsense, after = (link(fetch(command, 1))[0] for command in (_NOTHING, _NONSENSE, _NOTHING))
    rejected = [bool(status & _REJECTED) for status in (before, nonsense, after)]
    modes = {status & _STANDING_MODES for status in (before, nonsense, after)}
    return rejected == [False, True, False] and len(modes) == 1


_WAYS: dict[str, Callable[[Link], bool]] = {"amg8833": _is_grid_eye, "mlx90393": _is_mlx90393}
"""For those whose `SensorSpec.identity` is None."""
