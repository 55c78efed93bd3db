"""Keyframes for HGRNN: the features that were stored under a name, and what the people in the boxes do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ingest.ask import ATOMIC, Ask
from ingest.dataset import Clips
from models.config import TrainConfig, require
from models.hgrnn.model import Config
from models.people import PersonTruth, truth_of


def open_split(data: str, split: str, config: Config, train: TrainConfig | None = None) -> Clips:
    """The keyframes of a split that have boxes, each with the features around it; nothing is varied.

    Features were computed once, of pictures as they were recorded, so that a mirrored picture is another feature.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no such split, no features of that name, or a configuration that these keyframes do not fit.
    """
    del train
    clips = Clips(data, split, wanted(config))
    classes = len(clips.dataset.words(ATOMIC))
    rule = f"must be {classes} for these clips (--set hgrnn.classes={classes})"
    require(config.classes == classes, "hgrnn.classes", rule, config.classes)
    if len(clips):
        width = clips[0]["scene_features"].shape[-1] // config.streams
        require(config.inputs == width, "hgrnn.inputs", f"must be {width} for the stored features", config.inputs)
    return clips


def completed(config: Config, data: str) -> Config:
    """The configuration with as many classes as the dataset has atomic actions, and as wide as the stored features.

    Raises:
        SessionError: no dataset there, or one of another version.
        ConfigError: no features of that name.
    """
    clips = Clips(data, "train", wanted(config))
    inputs = clips[0]["scene_features"].shape[-1] // config.streams if len(clips) else config.inputs
    return replace(config, classes=len(clips.dataset.words(ATOMIC)), inputs=inputs)


def wanted(config: Config) -> Ask:
    """What the model asks of a keyframe."""
    kinds = ("boxes", "features")
    frames = 2 * config.context + 1
    return Ask(kinds, at="boxes", frames=1, persons=config.persons, keyframes=frames, features=config.stored)


def truth(clips: Any) -> PersonTruth:
    """What was annotated of every box."""
    items = [clips.labels(i) for i in range(len(clips))]
    keys = ("box_actions", "box_valid", *(key for key in ("boxes", "box_score") if items and key in items[0]))
    rows = [tuple(np.asarray(item[key]) for key in keys) for item in items]
    names = clips.dataset.words(ATOMIC)
    return truth_of(rows, [item["session"] for item in items], names)
