"""``syncctl features``: what a trained network makes of every keyframe, stored once in a dataset.

A backbone here is an I3D to Mixed_4f whose rest runs over the scene and over each person's box
(`models.hgrnn.features`), with public weights, or with those of a tuned `FeatureNet`, which end in a layer of their
own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from firmware_host.errors import ConfigError
from models.hgrnn.features import FRAMES, FeatureNet
from models.i3d import scaled
from models.reference import read_weights
from recorder.terminal import emit, json_option, progress

TUNED = "reduce.weight"


class I3dBackbone:
    """An `ingest.features.Backbone` of an I3D.

    Args:
        weights: by the public names, or of a `FeatureNet`.
        key: names them.
        size: pixels of the clips' side.
        step_ns: between frames.
        frames: of a clip.
    """

    def __init__(self, weights: dict[str, Tensor], key: str, *, size: int, step_ns: int, frames: int = FRAMES) -> None:
        self.frames, self.step_ns, self.size, self.key = frames, step_ns, size, key
        self._tuned = TUNED in weights
        width = weights[TUNED].shape if self._tuned else (1, 1024)
        classes = weights["classify.weight"].shape[0] if self._tuned else 1
        network = FeatureNet(classes, features=width[0], narrow=1024 // width[1])
        if self._tuned:
            network.load_state_dict(weights)
        else:
            network.adopt(weights)
        self._network = network.eval()
        self.dims = width[0] if self._tuned else network.rest.channels

    @torch.no_grad()
    def __call__(self, frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `ingest.features.Backbone`."""
        clip = scaled(torch.from_numpy(frames)[None])
        scene, persons = self._network(clip, torch.from_numpy(boxes)[None])
        if self._tuned:
            scene, persons = self._network.reduce(scene), self._network.reduce(persons)
        return scene[0].numpy(), persons[0].numpy()


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What models call them, as in --set hgrnn.stored=NAME.")
@click.option("--weights", required=True, type=click.Path(path_type=Path), help="Of an I3D: .safetensors, .pt or .pth.")
@click.option("--size", type=click.IntRange(32), default=224, show_default=True, help="Pixels of a clip's side.")
@click.option("--view", type=click.Choice(["third", "ego"]), default="third", show_default=True, help="Which camera.")
@json_option
def features(dataset: Path, name: str, weights: Path, size: int, view: str, as_json: bool) -> None:
    """Compute the features of every keyframe of DATASET once: of the scene and of each person in a box.

    What an interrupted run finished is kept; the same command goes on from there.

    \b
    Example:
      syncctl features dataset --name i3d --weights rgb_imagenet.pt
    """
    from ingest.features import store
    from ingest.opened import open_dataset

    tensors, key = _read(weights)
    backbone = I3dBackbone(tensors, key, size=size, step_ns=1_000_000_000 // 30)
    count = sum(len(open_dataset(dataset).sessions(s)) for s in ("train", "val", "test"))
    with progress("features", count) as advance:
        made = store(dataset, name, backbone, view=view, done=lambda _: advance(1))
    document = {"dataset": str(dataset), "name": name, "dims": backbone.dims, **made}
    emit(as_json, document, [f"{name}: {made['moments']} moments, {made['persons']} persons, {backbone.dims} numbers"])


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """A file of weights, and a hash of its bytes."""
    state = read_weights(path, "give a file of I3D weights")
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(f"{path} holds no plain dictionary of tensors")
    return state, hashlib.sha256(path.read_bytes()).hexdigest()
