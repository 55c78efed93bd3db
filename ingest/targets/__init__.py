"""What the sensors say a person did, felt and changed: pure functions from samples to what a model is taught."""

from ingest.targets.movement import (
    GREY,
    GROUPS,
    MAX_GAP_NS,
    MEMBERS,
    MIRRORED,
    STEP_NS,
    Thirds,
    fit_thirds,
    movement,
    normalised_gaze,
    orientation_at,
    rotation_degrees,
)

__all__ = [
    "GREY",
    "GROUPS",
    "MAX_GAP_NS",
    "MEMBERS",
    "MIRRORED",
    "STEP_NS",
    "Thirds",
    "fit_thirds",
    "movement",
    "normalised_gaze",
    "orientation_at",
    "rotation_degrees",
]
