"""A person's body from ten inertial sensors, as the vector that LART reads (Rajasegaran et al., CVPR 2023).

    0:9       the pelvis's rotation matrix against the world, row by row
    9:216     the other 23 joints' rotation matrices against their parents, in SMPL's order
    216:226   shape, 0: no sensor sees it
    226:229   where the pelvis is, 0: no inertial sensor knows it

SMPL (Loper et al., 2015) rests in a T pose with x to the left, y up and z forward; a segment's frame is x forward, y
left, z up when the person stands with hanging arms. A joint's rotation is that of its segment against the segment its
parent moves with. SMPL's joints without a sensor (spine, collars, wrists, feet) do not turn; what the head turns
against the trunk is shared by neck and head, half each.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from ingest.targets.movement import orientation_at

VECTOR, JOINTS = 229, 24
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
NECK, HEAD = 12, 15
SEGMENT_OF = {
    **{0: "body", 1: "llegu", 2: "rlegu", 4: "llegd", 5: "rlegd", HEAD: "neck"},
    **{16: "larmu", 17: "rarmu", 18: "larmd", 19: "rarmd"},
}
"""Joint -> the sensor on the segment that moves with it."""
_AXES = Rotation.from_matrix([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""From our axes to SMPL's."""
_HANGING = {"l": Rotation.from_euler("z", -90, degrees=True), "r": Rotation.from_euler("z", 90, degrees=True)}
"""From hanging arms to the T pose."""

Sensors = Mapping[str, tuple[np.ndarray, np.ndarray]]


def body_pose(
    sensors: Sensors, at_ns: np.ndarray, mounted: Mapping[str, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The body at any times.

    Args:
        sensors: name -> (t_ns (N,) int64 ascending, quaternion (N, 4) w, x, y, z: world <- sensor).
        at_ns: (M,) int64 on the same clock.
        mounted: name -> (4,) quaternion sensor <- segment, how it is strapped on (`mountings`); None for along the
            segments' frames.

    Returns:
        vector (M, 229) float32, and measured (M, 24) bool: which joints' rotations were; the others are identity.
        A joint needs its own sensor and its parent segment's, both within `MAX_GAP_NS`.
    """
    count = len(at_ns)
    turns: list[Rotation] = []
    known: list[np.ndarray] = []
    local = np.broadcast_to(np.eye(3), (count, JOINTS, 3, 3)).copy()
    measured = np.zeros((count, JOINTS), bool)
    for joint, parent in enumerate(PARENTS):
        segment = SEGMENT_OF.get(joint)
        if segment is None:
            turns.append(turns[parent])
            known.append(known[parent])
            continue
        turn, valid = _turned(segment, sensors, at_ns, mounted or {})
        turns.append(turn)
        known.append(valid)
        against = turn if parent < 0 else turns[parent].inv() * turn
        good = valid if parent < 0 else valid & known[parent]
        measured[:, joint] = good
        local[good, joint] = against.as_matrix()[good]
    half = Rotation.from_rotvec(0.5 * Rotation.from_matrix(local[:, HEAD]).as_rotvec()).as_matrix()
    local[:, NECK] = local[:, HEAD] = half
    measured[:, NECK] = measured[:, HEAD]
    vector = np.zeros((count, VECTOR), np.float32)
    vector[:, : 9 * JOINTS] = local.reshape(count, 9 * JOINTS)
    return vector, measured


def mountings(standing: Mapping[str, np.ndarray], heading_deg: float) -> dict[str, np.ndarray]:
    """How each sensor is strapped on, from one moment of standing upright with hanging arms.

    Args:
        standing: name -> (4,) quaternion w, x, y, z, world <- sensor, at that moment; z of the world is up.
        heading_deg: where the person faced: degrees from the world's x axis towards its y axis. No sensor that is
            strapped on anyhow knows it; a wrong one turns every joint's axis about the vertical.

    Returns:
        name -> (4,) quaternion sensor <- segment, for `body_pose`.
    """
    facing = Rotation.from_euler("z", heading_deg, degrees=True)
    return {name: _wxyz(_rotation(q[None]).inv() * facing)[0] for name, q in standing.items()}


def _turned(
    segment: str, sensors: Sensors, at_ns: np.ndarray, mounted: Mapping[str, np.ndarray]
) -> tuple[Rotation, np.ndarray]:
    """How a segment is turned in SMPL's axes, identity where it is not known, and where it is."""
    if segment not in sensors:
        return Rotation.identity(len(at_ns)), np.zeros(len(at_ns), bool)
    q = orientation_at(*sensors[segment], at_ns)
    valid = np.isfinite(q[:, 0])
    turn = _rotation(np.where(valid[:, None], q, [1.0, 0, 0, 0]))
    if segment in mounted:
        turn = turn * _rotation(mounted[segment][None])
    turn = _AXES * turn * _AXES.inv()
    return (turn * _HANGING[segment[0]] if segment[1:4] == "arm" else turn), valid


def _rotation(wxyz: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(wxyz, -1, axis=-1))


def _wxyz(turn: Rotation) -> np.ndarray:
    return np.roll(turn.as_quat(), 1, axis=-1)
