"""The second stage: from a clip's map and boxes to actions and better boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import boxes as boxing
from models.vat.attention import CELLS, ActionTransformer, Location
from models.vat.config import Config
from models.vat.tube import Tube


class Heads(nn.Module):
    """Action Transformer, I3D head or both, as ``config.head`` says.

    Args:
        config: of the model.
        channels: of the trunk's map.
    """

    def __init__(self, config: Config, channels: int) -> None:
        super().__init__()
        self.config = config
        used = config.head.split("+")
        located = "tx" in used and config.location
        self.location = Location(config.location) if located else nn.Identity()
        self.transformer = ActionTransformer(config, channels + config.location) if "tx" in used else None
        self.tube = Tube(channels, config.narrow) if "i3d" in used else None
        outputs = [part.outputs for part in (self.transformer, self.tube) if part is not None]
        self.action = nn.Linear(outputs[0], config.outputs)
        self.code = nn.Linear(outputs[-1], 4 * (config.actions if config.specific else 1))

    def forward(self, maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Judge boxes; each for itself, whatever the others are.

        Args:
            maps: (B, C, T, H, W) of the trunk.
            boxes: (B, R, 4).

        Returns:
            logits (B, R, actions, then background where there is one).
            codes (B, R, K, 4), how to move each box onto the person; K is 1, or the actions with ``specific``.
        """
        features = []
        if self.transformer is not None:
            features.append(self.transformer(*self.placed(maps, boxes)))
        if self.tube is not None:
            features.append(self.tube(maps, boxes))
        return self.action(features[0]), self.code(features[-1]).unflatten(-1, (-1, 4))

    def placed(self, maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The map with location, (B, C', T, H, W), and the boxes cut out of its middle, (B, R, C', 7, 7)."""
        maps = self.location(maps)
        return maps, boxing.pooled(maps[:, :, maps.shape[2] // 2], boxes, CELLS)


def detections(boxes: Tensor, scores: Tensor, valid: Tensor, threshold: float = 0.6) -> Tensor:
    """Suppress within each class: of boxes that mean the same person the best one speaks.

    Args:
        boxes: (B, R, K, 4), K being 1 or the number of classes.
        scores: (B, R, A) in [0, 1].
        valid: (B, R) bool.

    Returns:
        (B, R, A): the scores, 0 where another box of the class speaks or the box is not valid.
    """
    scores = torch.where(valid[..., None], scores, 0)
    by_class = scores.transpose(1, 2)  # (B, A, R)
    places = boxes.transpose(1, 2).expand(-1, by_class.shape[1], -1, -1)  # (B, A, R, 4)
    count = by_class.shape[-1]
    index, kept = boxing.suppressed(places, by_class, threshold, count)
    speaks = torch.zeros(*by_class.shape[:2], count + 1, dtype=torch.bool, device=scores.device)
    speaks.scatter_(-1, torch.where(kept, index, count), True)
    return scores * speaks[..., :count].transpose(1, 2)
