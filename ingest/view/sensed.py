"""What sensors and microphones say at the moments of a clip."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ingest.ask import ENVIRONMENT, IMU
from ingest.logmel import MELS
from ingest.moments import values_at
from ingest.sounds import mel_window, sound_name
from ingest.targets import orientation_at
from ingest.view.session import Arrays, SessionRows

HELD_NS = 2_000_000_000
"""A room sensor's value counts this long: the slowest gives two a second."""
TURN_NS = 25_000_000
"""Half of the time over which a turn is measured where the chip's own was not recorded."""


class Sensed:
    """The kinds ``audio``, ``environment``, ``thermal`` and ``imu`` of one session."""

    def __init__(self, of: SessionRows) -> None:
        self._of = of

    def audio(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        wanted = self._of.ask.audio_rows
        heard = sorted(
            (s for s in self._of.streams if s["kind"] == "audio" and s["role"] in ("third", "ego") and s["count"]),
            key=lambda s: (s["role"] != self._of.ask.audio_role, s["device"]),
        )
        if not heard:
            return {"audio": np.zeros((MELS, wanted), np.float32), "audio_valid": np.zeros(wanted, bool)}
        name = sound_name(self._of.session, heard[0]["device"])
        mels, valid = mel_window(heard[0], self._of.dataset.store.read, name, int(moments[0]), wanted)
        return {"audio": mels, "audio_valid": valid}

    def environment(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        out = np.zeros((len(moments), len(ENVIRONMENT)), np.float32)
        valid = np.zeros(out.shape, bool)
        for device, stream, column, place, mean, std in self._room_channels:
            found = self._around(device, stream, moments, HELD_NS)
            _, values, known = values_at(found.t_ns, found.x[:, column], moments, "hold", HELD_NS)
            known &= np.isfinite(values)
            out[known, place] = (values[known] - mean) / std
            valid[:, place] = known
        return {"environment": out, "environment_valid": valid}

    @cached_property
    def _room_channels(self) -> list[tuple[str, str, int, int, float, float]]:
        """Device, stream and column of each known environment channel, its place, and how it is standardised."""
        channels, found = self._of.dataset.stats["channels"], {}
        for row in self._sensors("third"):
            track = f"{row['model']}.{row['name'].removeprefix(row['sensor'] + '.')}"
            for column, channel in enumerate(
                self._of.dataset.rows.channels(self._of.session, row["device"], row["name"])
            ):
                known = channels.get(f"{track}.{channel}")
                place = f"{row['model']}.{channel}"
                if place in ENVIRONMENT and place not in found and known:
                    spread = known["std"] or 1.0
                    found[place] = row["device"], row["name"], column, ENVIRONMENT.index(place), known["mean"], spread
        return list(found.values())

    def thermal(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        out, valid = np.zeros((len(moments), 8, 8), np.float32), np.zeros(len(moments), bool)
        row = next((r for r in self._sensors("third") if r["model"] == "amg8833" and r["rate_hz"] == 480), None)
        if row is not None:
            found = self._around(row["device"], row["name"], moments, HELD_NS)
            _, values, valid = values_at(found.t_ns, found.x, moments, "hold", HELD_NS)
            out = values.reshape(-1, 8, 8)
        return {"thermal": out, "thermal_valid": valid}

    def imu(self, moments: np.ndarray, actor: str | None) -> Arrays:
        out = np.zeros((len(moments), len(IMU), 9), np.float32)
        worn = {r["sensor"]: r for r in self._worn(actor) if r["name"].endswith(".quaternion")}
        turns = {name: self._orientation(row, moments) for name, row in worn.items()}
        valid = np.zeros((len(moments), len(IMU)), bool)
        for place, (name, parent) in enumerate(IMU.items()):
            if name not in turns or (parent is not None and parent not in turns):
                continue
            q = turns[name][1]
            known = np.isfinite(turns[name]).all(axis=(0, 2))
            if parent is not None:
                known &= np.isfinite(turns[parent][1]).all(axis=1)
            own = Rotation.from_quat(q[known], scalar_first=True)
            base = own if parent is None else Rotation.from_quat(turns[parent][1][known], scalar_first=True)
            local = own if parent is None else base.inv() * own
            before = Rotation.from_quat(turns[name][0][known], scalar_first=True)
            after = Rotation.from_quat(turns[name][2][known], scalar_first=True)
            spin = (before.inv() * after).as_rotvec() * (1e9 / (2 * TURN_NS))
            six = local.as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(-1, 6)
            out[known, place] = np.concatenate([six, spin], axis=1)
            valid[:, place] = known
        return {"imu": out, "imu_valid": valid}

    def _orientation(self, row: dict[str, Any], moments: np.ndarray) -> np.ndarray:
        """(3, T, 4): just before, at and just after each moment; NaN where not measured."""
        found = self._around(row["device"], row["name"], moments, 4 * TURN_NS)
        times = (moments - TURN_NS, moments, moments + TURN_NS)
        return np.stack([orientation_at(found.t_ns, found.x, at) for at in times])

    def _sensors(self, role: str) -> list[dict[str, Any]]:
        found = (s for s in self._of.streams if s["role"] == role and s["kind"] == "sensor" and s["count"])
        return sorted(found, key=lambda s: (s["device"], s["name"]))

    def _worn(self, actor: str | None) -> list[dict[str, Any]]:
        found = (s for s in self._of.streams if s["kind"] == "sensor" and s["count"] and s["sensor"] in IMU)
        return [s for s in found if s["wearer"] == actor or (s["wearer"] is None and actor == self._of.focus)]

    def _around(self, device: str, stream: str, moments: np.ndarray, reach_ns: int) -> Any:
        span = int(moments[0]) - reach_ns, int(moments[-1]) + reach_ns + 1
        return self._of.dataset.rows.series(self._of.session, device, stream, span, more=1)
