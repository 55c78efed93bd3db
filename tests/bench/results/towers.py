"""CCAU on streams that were described beforehand: the project's model, but for the first layers of three towers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.ccau import Config, Model
from models.ccau.towers import NumbersEncoder, SensorTower, VideoTower
from models.convgru import ConvGRU
from tests.bench.results import pictures
from tests.bench.results.clips import BANDS, VIEWS

INPUTS, WIDTH = 4 * pictures.CHANNELS, 32


class DescribedView(VideoTower):
    """A view whose blocks are maps (B, N, INPUTS, 4, 4) already; two convolutions stand in for the ResNet."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.backbone = nn.Sequential(nn.Conv2d(INPUTS, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
        self.backbone.outputs = WIDTH
        self.agg = ConvGRU(WIDTH, config.hidden, config.gru_dropout)

    def blocks(self, clips: Tensor, valid: Tensor) -> Tensor:
        """(B, N, INPUTS, 4, 4) and (B, N) bool -> (B, N, WIDTH, 1, 4, 4)."""
        seen = torch.where(valid[..., None, None, None], clips, 0)
        return self.backbone(seen.flatten(0, 1)).unflatten(0, clips.shape[:2])[:, :, :, None]


class Described(Model):
    """A CCAU with described views and sound."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in config.modalities:
            if name in VIEWS:
                self.towers[name] = DescribedView(config)
            elif name == "audio":
                encoder = NumbersEncoder(2 * BANDS + 1, config.sensor_width)
                self.towers[name] = SensorTower(config, encoder, config.sensor_width)
        if config.stage == "predict":
            self._foretell_only()
        for name in self._teachers:
            self.towers[name].requires_grad_(False)


def size_of(model: nn.Module) -> int:
    """Weights that learn or have learned."""
    return sum(p.numel() for p in model.parameters())
