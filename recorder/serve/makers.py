"""The kits that a server can keep: hardware by its kit file, or a loop of the simulated home."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from recorder.config import KitFile
from recorder.looped import LoopedMicrophone, looped_kit, prepared_loop
from recorder.microphone import SoundDeviceSpeaker
from recorder.protocol import Speaker
from recorder.record import LiveKit
from recorder.run import live_kit
from recorder.serve.worker import KitMaker
from recorder.terminal import note

LOOPS = ".simulated-home"


def hardware_kit(file: KitFile) -> tuple[LiveKit, Speaker | None]:
    """The kit of a kit file, and its speaker where it has one."""
    speaker = SoundDeviceSpeaker(file.speaker.device or None) if file.speaker else None
    return live_kit(file), speaker


def simulated_kit(folder: Path, name: str, seed: int, width: int, height: int) -> KitMaker:
    """A maker of simulated kits; renders their home into `folder` on first use.

    Raises:
        ConfigError: the home cannot be built.
    """
    place = folder / LOOPS
    if not place.exists():
        note("rendering the simulated home once; this takes a minute")
    prepared_loop(place, seed=seed, width=width, height=height)
    return partial(_looped, place, name, seed, width, height)


def _looped(place: Path, name: str, seed: int, width: int, height: int) -> tuple[LiveKit, Speaker | None]:
    kit = looped_kit(prepared_loop(place, seed=seed, width=width, height=height), name)
    assert isinstance(kit.microphone, LoopedMicrophone)
    return kit, kit.microphone
