"""The scene RNN: what happens around the keyframe, as one vector.

A frame is its scene feature beside the maximum over its persons' features. A GRU reads from l frames before up to the
keyframe, another from l frames after down to it; the context is the two states at the keyframe. Reading on would not
change them, so each takes l + 1 steps, not 2l + 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.hgrnn.graph import masked_max


class SceneGRU(nn.Module):
    """(B, 2l + 1, ...) -> (B, 2 * hidden).

    Args:
        features: width of a scene feature, and of a person's.
        hidden: width of each direction.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.before = nn.GRU(2 * features, hidden, batch_first=True)
        self.after = nn.GRU(2 * features, hidden, batch_first=True)

    def forward(self, scene: Tensor, persons: Tensor, valid: Tensor) -> Tensor:
        """The context of the middle frame.

        Args:
            scene: (B, 2l + 1, D).
            persons: (B, 2l + 1, P, D).
            valid: (B, 2l + 1, P) bool; a frame without a person counts as zeros.
        """
        frames = torch.cat([scene, masked_max(persons, valid)], dim=-1)  # (B, 2l + 1, 2D)
        middle = frames.shape[1] // 2
        _, past = self.before(frames[:, : middle + 1])
        _, future = self.after(frames[:, middle:].flip(1))
        return torch.cat([past[0], future[0]], dim=-1)
