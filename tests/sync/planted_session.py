"""A session folder made of WAV files with planted clocks: two kits' worth of sound, tones, and truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from planted_sounds import RATE, heard, noisy, room, with_tones

from firmware_host.clockmap import ClockMap
from recorder.session import Session, open_session
from sync.add import add_file

SECONDS = 40.0
TONES = {"start": 4.0, "end": 35.0}
DEVICES = {
    # name: start in the scene (s), skew against the world (ppm), wearer, true and noted distance to the speaker (m)
    "room": (0.0, 0.0, None, 1.30, 1.25),
    "body": (0.75, 31.0, "p01", 2.04, 2.10),
    "head": (1.5, -44.0, "p01", 2.22, 2.20),
}


def recorded(scene: np.ndarray, name: str, *, tones: bool = True, late_s: float = 0.0) -> np.ndarray:
    """What one device hears: the scene, and the tones late by its distance to the speaker and by `late_s`."""
    start_s, skew_ppm, _, distance_m, _ = DEVICES[name]
    seed = sorted(DEVICES).index(name)
    late = {k: t + distance_m / 343.0 + late_s for k, t in TONES.items()} if tones else {}
    x = with_tones(room(scene, 40 + seed), late, level=0.2)
    return noisy(heard(x, start_s, SECONDS - 2, skew_ppm), 15, 70 + seed)


def write_session(root: Path, sounds: dict[str, np.ndarray], folder: Path) -> Session:
    """A session of media files, with a truth beside it."""
    maps = []
    for name, x in sounds.items():
        soundfile.write(folder / f"{name}.wav", x, RATE, subtype="PCM_24")
        start_s, skew_ppm, wearer, _, noted_m = DEVICES[name]
        add_file(root, folder / f"{name}.wav", "media", wearer=wearer, tone_distance_m=noted_m)
        maps.append(ClockMap.affine(name, "world", target_ns=round(start_s * 1e9), skew_ppm=skew_ppm))
    (root / "truth.json").write_text(json.dumps({"clock_maps": [m.to_json() for m in maps]}))
    return open_session(root)
