"""The authors' weights, by the names in their code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.muscles.config import Config
from models.muscles.net import Model
from models.reference import load_exactly, without_prefix

IDLE = "embedding_input."  # a layer that the authors' other models build and never call
OF_GAZE_INPUT = {
    "lstm.": "imu_lstm.",
    "decoder_lstm.": "imu_decoder_lstm.",
    "imu_moves_unembed.": "imu_unembed.",
    "pointwise_conv.": "imu_pointwise_conv.",
}


def from_reference(state_dict: Mapping[str, Tensor], **config: Any) -> nn.Module:
    """A model with the authors' weights.

    Two things differ in their main model and are set right: both tasks pass the one 1x1 convolution, so it is copied
    to each; and gaze is predicted as (y, x), so the last layer's two rows are swapped. Their model that reads gaze
    calls the movement's parts by the names of the gaze's, and its gaze is (y, x) as well.
    """
    settings = Config(**config)
    published = without_prefix(state_dict)
    published.pop("contrast.params", None)
    if settings.gaze_input:
        return load_exactly(Model(settings), _of_gaze_input(published), "muscles")
    for leaf in ("weight", "bias"):
        if f"pointwise_conv.0.{leaf}" in published:
            published[f"imu_pointwise_conv.0.{leaf}"] = published[f"pointwise_conv.0.{leaf}"]
        last = f"gaze_unembed.1.0.{leaf}"
        if last in published:
            published[last] = published[last].flip(0)
    return load_exactly(Model(settings), published, "muscles", ours_alone=("contrast.pointer",))


def _of_gaze_input(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in published.items():
        start = next((old for old in OF_GAZE_INPUT if name.startswith(old)), "")
        if not name.startswith(IDLE):
            renamed[OF_GAZE_INPUT.get(start, "") + name.removeprefix(start)] = tensor
    first = "gaze_embed.0.0.weight"
    if first in renamed:
        renamed[first] = renamed[first].flip(1)
    return renamed
