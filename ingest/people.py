"""A person as numbers: the vector that LART eats (Rajasegaran et al., CVPR 2023), from SMPL's joint rotations.

    0:9       the pelvis's rotation matrix, row by row
    9:216     23 more joints' rotation matrices against their parents, in SMPL's order
    216:226   shape
    226:229   where the pelvis is, metres

A mirrored person (left and right change sides) is x to -x in SMPL's axes, which are x left, y up, z forward.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ingest.tables import JOINTS, VECTOR

MIRRORED_JOINTS = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)
"""Each SMPL joint's other side."""
_SHAPE, _PLACE = 9 * JOINTS, 9 * JOINTS + 10


def person_vector(smpl: np.ndarray) -> np.ndarray:
    """(N, 85) SMPL parameters (24 axis-angle rotations, 10 of shape, place) to (N, 229) float32."""
    turns = Rotation.from_rotvec(smpl[:, : 3 * JOINTS].reshape(-1, 3)).as_matrix().reshape(len(smpl), -1)
    return np.concatenate([turns, smpl[:, 3 * JOINTS :]], axis=1).astype(np.float32)


def mirrored(vector: np.ndarray) -> np.ndarray:
    """The same persons in a mirror: (..., 229) to (..., 229)."""
    if vector.shape[-1] != VECTOR:
        raise ValueError(f"a person has {VECTOR} numbers, not {vector.shape[-1]}")
    sign = np.array([-1, 1, 1], vector.dtype)
    turns = vector[..., :_SHAPE].reshape(*vector.shape[:-1], JOINTS, 3, 3)[..., MIRRORED_JOINTS, :, :]
    turns = (turns * sign[:, None] * sign).reshape(*vector.shape[:-1], _SHAPE)
    return np.concatenate([turns, vector[..., _SHAPE:_PLACE], vector[..., _PLACE:] * sign], axis=-1)
