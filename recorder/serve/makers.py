"""The kits that a server can keep: hardware by its kit file, or a loop of the simulated home.

Imports stand inside the functions: they are called in the recorder's process, and the server, which only hands them
over, shall not carry encoders and simulated worlds about.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.config import KitFile
from recorder.session import MANIFEST
from recorder.terminal import note

if TYPE_CHECKING:
    from recorder.protocol import Speaker
    from recorder.record import LiveKit

LOOPS = ".simulated-home"


def hardware_kit(file: KitFile) -> tuple[LiveKit, Speaker | None]:
    """The kit of a kit file, and its speaker where it has one."""
    from recorder.microphone import SoundDeviceSpeaker
    from recorder.run import live_kit

    speaker = SoundDeviceSpeaker(file.speaker.device or None) if file.speaker else None
    return live_kit(file), speaker


def simulated_kit(
    folder: Path, name: str, seed: int, width: int, height: int
) -> Callable[[], tuple[LiveKit, Speaker | None]]:
    """A maker of simulated kits; their home is rendered into `folder` when the first of them is armed."""
    place = folder / LOOPS / f"{seed}-{width}x{height}"
    if not (place / "ready").exists():
        note("the simulated home is rendered when the kit is first armed; that takes half a minute")
    return partial(_looped, place, name, seed, width, height)


def _looped(place: Path, name: str, seed: int, width: int, height: int) -> tuple[LiveKit, Speaker | None]:
    from recorder.looped import LoopedMicrophone, looped_kit, prepared_loop

    kit = looped_kit(prepared_loop(place, seed=seed, width=width, height=height), name)
    assert isinstance(kit.microphone, LoopedMicrophone)
    return kit, kit.microphone


def recover_interrupted(folder: Path) -> None:
    """Mend what an earlier power cut left, where there is anything."""
    if any(not _sealed(manifest) for manifest in folder.glob(f"*/{MANIFEST}")):
        from recorder.recover import recover_all

        recover_all(folder, note)


def _sealed(manifest: Path) -> bool:
    try:
        return bool(json.loads(manifest.read_text()).get("sealed"))
    except (OSError, ValueError, AttributeError):
        return False
