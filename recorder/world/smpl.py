"""A person as the 24 joints of SMPL (Loper et al., 2015): rotations, and a vector of pose, shape and place.

Our body has ten rigid segments; SMPL's joints that have none of ours (spine, feet, collars, wrists) do not turn. SMPL
rests in a T pose with x to the left, y up and z forward; ours stands with hanging arms, x forward, y left, z up. The
shape's first number is the stature in its standard deviations, the others are 0: no mesh was fitted.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.body import SIDES
from recorder.world.person import Person

JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand"),
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
SEGMENT_OF = {
    **{"pelvis": "body", "left_hip": "llegu", "right_hip": "rlegu", "left_knee": "llegd", "right_knee": "rlegd"},
    **{"head": "neck", "left_shoulder": "larmu", "right_shoulder": "rarmu", "left_elbow": "larmd"},
    "right_elbow": "rarmd",
}
USUAL_M, SPREAD_M = 1.70, 0.09
AXES = Rotation.from_matrix(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
"""From our axes to SMPL's."""


def rotations(person: Person, t: np.ndarray) -> np.ndarray:
    """(N, 24, 3) each joint's rotation against its parent's, the pelvis's against the world: axis times angle."""
    count = len(t)
    turns: list[Rotation] = []
    for joint, parent in zip(JOINTS, PARENTS, strict=True):
        segment = SEGMENT_OF.get(joint)
        if segment is None:
            turns.append(turns[parent])
            continue
        turn = AXES * person.turn(segment, t) * AXES.inv()
        if segment[1:4] == "arm":
            turn = turn * Rotation.from_euler("z", -SIDES[segment[0]] * np.pi / 2)
        turns.append(turn)
    local = [turn if p < 0 else turns[p].inv() * turn for turn, p in zip(turns, PARENTS, strict=True)]
    # Half of what the head turns is the neck's.
    half = Rotation.from_rotvec(0.5 * local[JOINTS.index("head")].as_rotvec())
    local[JOINTS.index("neck")] = local[JOINTS.index("head")] = half
    return np.stack([turn.as_rotvec() for turn in local], axis=1).reshape(count, len(JOINTS), 3)


def places(person: Person, t: np.ndarray) -> np.ndarray:
    """(N, 24, 3) where the joints are, metres, in the world's axes."""
    one = person.one
    pelvis, up = person.origin("body", t), person.turn("body", t).apply([0.0, 0.0, 1.0])
    found = {"pelvis": pelvis, "neck": person.origin("neck", t)}
    found |= {f"spine{k}": pelvis + 0.22 * k * one.trunk * up for k in (1, 2, 3)}
    found["head"] = person.point("neck", np.array([0.0, 0.0, 0.09]), t)
    for side, name in (("l", "left"), ("r", "right")):
        hip, knee = person.origin(f"{side}legu", t), person.origin(f"{side}legd", t)
        shoulder, elbow = person.origin(f"{side}armu", t), person.origin(f"{side}armd", t)
        found |= {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_shoulder": shoulder, f"{name}_elbow": elbow}
        found[f"{name}_ankle"] = person.point(f"{side}legd", np.array([0.0, 0.0, -one.shank]), t)
        found[f"{name}_foot"] = person.point(f"{side}legd", np.array([0.13, 0.0, -one.shank - 0.5 * one.ankle]), t)
        found[f"{name}_collar"] = 0.5 * (shoulder + found["neck"])
        found[f"{name}_wrist"] = person.point(f"{side}armd", np.array([0.0, 0.0, -0.75 * one.forearm]), t)
        found[f"{name}_hand"] = person.palm(side, t)
    return np.stack([found[joint] for joint in JOINTS], axis=1)


def vector(person: Person, t: np.ndarray) -> np.ndarray:
    """(N, 85): 24 rotations of 3, 10 of shape, and where the pelvis is in SMPL's axes, metres."""
    shape = np.zeros((len(t), 10))
    shape[:, 0] = (person.one.stature - USUAL_M) / SPREAD_M
    pelvis = AXES.apply(person.origin("body", t))
    return np.concatenate([rotations(person, t).reshape(len(t), -1), shape, pelvis], axis=1)
