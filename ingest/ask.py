"""The batch contract: what a model may ask of a clip, under which name, in which shape and type.

A model says what it wants (`Ask`); a clip then has the keys of those kinds and no others. Whatever a session lacks is
zeros with False in the mask, so that a batch is always whole. docs/reference/batch.md explains each key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_host.clock import SECOND_NS
from firmware_host.errors import ConfigError, unknown_name
from ingest.logmel import MELS
from ingest.tables import JOINTS, VECTOR
from ingest.targets import GROUPS, STEP_NS

KINDS = {
    "ego": ("ego", "ego_valid"),
    "third": ("third", "third_valid"),
    "audio": ("audio", "audio_valid"),
    "environment": ("environment", "environment_valid"),
    "thermal": ("thermal", "thermal_valid"),
    "presence": ("presence", "presence_valid"),
    "events": ("events", "events_valid"),
    "imu": ("imu", "imu_valid"),
    "gaze": ("gaze", "gaze_valid"),
    "move": ("move", "move_valid"),
    "activity": ("activity",),
    "atomic": ("atomic", "atomic_valid"),
    "boxes": ("boxes", "box_valid", "box_score", "box_actions", "box_person"),
    "tracks": ("tracks", "tracks_valid", "tracks_joints", "track_boxes", "track_actions"),
    "graph": ("graph",),
    "features": ("scene_features", "scene_features_valid", "person_features", "person_features_valid"),
}
"""Kind -> the keys it brings."""
PLACES = ("every", "activity", "boxes", "person")
ENVIRONMENT = (
    *(f"bme680.{c}" for c in ("temperature", "pressure", "humidity", "gas")),
    *(f"tsl2591.{c}" for c in ("illuminance", "infrared_share")),
    *(f"isl29125.{c}" for c in ("green", "red", "blue")),
    *(f"ak9753.{c}" for c in ("ir1", "ir2", "ir3", "ir4")),
)
"""Columns of `environment`: chip and channel of the room kits."""
IMU = {
    **{"body": None, "neck": "body", "larmu": "body", "rarmu": "body", "llegu": "body", "rlegu": "body"},
    **{"larmd": "larmu", "rarmd": "rarmu", "llegd": "llegu", "rlegd": "rlegu"},
}
"""Rows of `imu`, in this order -> the segment each hangs on."""
ACTIVITY, ATOMIC, EVENTS, PRESENCE = "activity", "atomic", "environment", "presence"
"""Tiers of the labels that `activity`, `atomic`, `events` and `presence` are made of."""


@dataclass(frozen=True)
class Ask:
    """What a model wants of each clip.

    Attributes:
        kinds: keys of `KINDS`.
        at: where clips are: ``every`` stride of a recording; in each ``activity`` label; with the middle frame on each
            moment that has ``boxes``; or every stride of each ``person`` that has a track.
        frames: T, moments of a clip.
        step_ns: from one to the next.
        stride_ns: from the start of a clip to the next one's; for ``boxes``, at least.
        size: S, pixels of a picture's side.
        audio_rows: W, rows of the log-mel picture, 1 / 86.13 s each, from the clip's start.
        audio_role: whose microphone: ``third`` or ``ego``; the other where there is none.
        persons: P, boxes of a picture.
        tracks: N, people of a clip; the first is the one it is about.
        graph_frames: F, moments of the scene graph, spread evenly over the clip.
        keyframes: L, moments of features around the middle of the clip, ``keyframe_step_ns`` apart.
        keyframe_step_ns: see there.
        view: role of the camera whose boxes and features are meant.
        features: name of what `syncctl features` stored.
    """

    kinds: tuple[str, ...]
    at: str = "every"
    frames: int = 5
    step_ns: int = STEP_NS
    stride_ns: int = SECOND_NS
    size: int = 128
    audio_rows: int = 344
    audio_role: str = "third"
    persons: int = 8
    tracks: int = 5
    graph_frames: int = 5
    keyframes: int = 7
    keyframe_step_ns: int = SECOND_NS
    view: str = "third"
    features: str = ""

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError(unknown_name("kind", kind, KINDS))
        if self.at not in PLACES:
            raise ConfigError(unknown_name("place for clips", self.at, PLACES))
        if "features" in self.kinds and not self.features:
            raise ConfigError("a clip with features needs their name; `syncctl features` stores them under one")
        for name in ("frames", "step_ns", "stride_ns", "size", "audio_rows", "persons", "tracks", "graph_frames"):
            if getattr(self, name) < 1:
                raise ConfigError(f"'{name}' of a clip must be at least 1, not {getattr(self, name)}")

    @property
    def span_ns(self) -> int:
        """From the first moment to one step after the last."""
        return self.frames * self.step_ns

    def wants(self, kind: str) -> bool:
        """Whether it asks for that kind."""
        return kind in self.kinds


def shapes(ask: Ask, info: Mapping[str, Any], dims: int = 0) -> dict[str, tuple[tuple[int, ...], str]]:
    """Key -> shape (without the batch's) and dtype of every key that `ask` brings.

    Args:
        info: the document of `info.json`, which has the classes.
        dims: D, numbers of a feature.
    """
    t, s, p, n, k = ask.frames, ask.size, ask.persons, ask.tracks, ask.keyframes
    actions = len(info["vocabulary"].get(ATOMIC, ()))
    graph = (ask.graph_frames, len(info["objects"]), len(info["relations"]))
    every = {
        **dict.fromkeys(("ego", "third"), ((t, 3, s, s), "uint8")),
        **dict.fromkeys(("ego_valid", "third_valid", "gaze_valid", "thermal_valid"), ((t,), "bool")),
        "audio": ((MELS, ask.audio_rows), "float32"),
        "audio_valid": ((ask.audio_rows,), "bool"),
        "environment": ((t, len(ENVIRONMENT)), "float32"),
        "environment_valid": ((t, len(ENVIRONMENT)), "bool"),
        "thermal": ((t, 8, 8), "float32"),
        "imu": ((t, len(IMU), 9), "float32"),
        "imu_valid": ((t, len(IMU)), "bool"),
        "gaze": ((t, 2), "float32"),
        "move": ((t, len(GROUPS)), "float32"),
        "move_valid": ((t, len(GROUPS)), "bool"),
        "presence": ((t,), "float32"),
        "presence_valid": ((t,), "bool"),
        "events": ((len(info["vocabulary"].get(EVENTS, ())),), "float32"),
        "events_valid": ((), "bool"),
        "activity": ((), "int64"),
        "atomic": ((actions,), "float32"),
        "atomic_valid": ((), "bool"),
        "boxes": ((p, 4), "float32"),
        "box_valid": ((p,), "bool"),
        "box_score": ((p,), "float32"),
        "box_actions": ((p, actions), "float32"),
        "box_person": ((p,), "int64"),
        "tracks": ((n, t, VECTOR), "float32"),
        "tracks_valid": ((n, t), "bool"),
        "tracks_joints": ((n, t, JOINTS), "bool"),
        "track_boxes": ((n, t, 4), "float32"),
        "track_actions": ((n, t, actions), "float32"),
        "appearance": ((n, t, dims), "float32"),
        "appearance_valid": ((n, t), "bool"),
        "graph": (graph, "float32"),
        "scene_features": ((k, dims), "float32"),
        "scene_features_valid": ((k,), "bool"),
        "person_features": ((k, p, dims), "float32"),
        "person_features_valid": ((k, p), "bool"),
    }
    wanted = [key for kind in KINDS if ask.wants(kind) for key in KINDS[kind]]
    if ask.wants("tracks") and ask.features:
        wanted += ["appearance", "appearance_valid"]
    return {key: every[key] for key in wanted}
