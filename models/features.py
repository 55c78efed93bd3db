"""``syncctl features``: what trained networks make of every keyframe, stored once in a dataset.

A backbone here is an I3D to Mixed_4f whose rest runs over the scene and over each person's box
(`models.hgrnn.features`), with public weights, or with those of a tuned `FeatureNet`, which end in a layer of their
own. One whose first layer takes two channels reads optical flow; the features of several stand side by side, as the
two streams that HGRNN reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from firmware_host.errors import ConfigError
from models.hgrnn.features import FRAMES, FeatureNet, flow
from models.i3d import scaled
from models.reference import read_weights
from recorder.terminal import emit, json_option, progress

TUNED = "reduce.weight"
FIRST = ("Conv3d_1a_7x7.conv3d.weight", "conv3d_1a_7x7.conv3d.weight")
"""How the names of an I3D's first weights end: as we and pytorch-i3d have them, and the other public naming."""
RGB, FLOW = 3, 2


class Stream:
    """One I3D over RGB or optical flow.

    Args:
        weights: by the public names, or of a `FeatureNet`; their first layer says what they read.

    Raises:
        ConfigError: the weights are not of an I3D.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        first = next((tensor for name, tensor in weights.items() if name.endswith(FIRST)), None)
        if first is None or first.shape[1] not in (RGB, FLOW):
            raise ConfigError("these weights have no first layer of an I3D for RGB or flow; give weights of an I3D")
        self.channels, self.tuned = first.shape[1], TUNED in weights
        width = weights[TUNED].shape if self.tuned else (1, 1024)
        classes = weights["classify.weight"].shape[0] if self.tuned else 1
        network = FeatureNet(classes, self.channels, features=width[0], narrow=1024 // width[1])
        if self.tuned:
            network.load_state_dict(weights)
        else:
            network.adopt(weights)
        self.network = network.eval()
        self.dims = width[0] if self.tuned else network.rest.channels

    def __call__(self, frames: np.ndarray, where: Tensor) -> tuple[Tensor, Tensor]:
        """Features of one clip: (T, 3, S, S) uint8, (P, 4) -> scene (D,), persons (P, D)."""
        if self.channels == FLOW:
            clip = flow(np.ascontiguousarray(frames.transpose(0, 2, 3, 1)))[None]
        else:
            clip = scaled(torch.from_numpy(frames)[None])
        scene, persons = self.network(clip, where[None])
        if self.tuned:
            scene, persons = self.network.reduce(scene), self.network.reduce(persons)
        return scene[0], persons[0]


class I3dBackbone:
    """An `ingest.features.Backbone` of I3Ds.

    Args:
        streams: whose features are joined, in this order.
        key: names their weights.
        size: pixels of the clips' side.
        step_ns: between frames.
        frames: of a clip.
    """

    def __init__(self, streams: Sequence[Stream], key: str, *, size: int, step_ns: int, frames: int = FRAMES) -> None:
        self.frames, self.step_ns, self.size, self.key = frames, step_ns, size, key
        self.streams, self.dims = streams, sum(stream.dims for stream in streams)

    @torch.no_grad()
    def __call__(self, frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `ingest.features.Backbone`."""
        where = torch.from_numpy(boxes)
        scenes, persons = zip(*(stream(frames, where) for stream in self.streams), strict=True)
        return torch.cat(scenes).numpy(), torch.cat(persons, dim=-1).numpy()


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What models call them, as in --set hgrnn.stored=NAME.")
@click.option(
    "--weights",
    "files",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Of an I3D: .safetensors, .pt or .pth. Given twice, the features stand side by side.",
)
@click.option("--size", type=click.IntRange(32), default=224, show_default=True, help="Pixels of a clip's side.")
@click.option("--view", type=click.Choice(["third", "ego"]), default="third", show_default=True, help="Which camera.")
@json_option
def features(dataset: Path, name: str, files: Sequence[Path], size: int, view: str, as_json: bool) -> None:
    """Compute the features of every keyframe of DATASET once: of the scene and of each person in a box.

    Weights whose first layer takes two channels are for optical flow, which is computed (DIS). What an interrupted
    run finished is kept; the same command goes on from there.

    \b
    Example:
      syncctl features dataset --name i3d --weights rgb_imagenet.pt
      syncctl features dataset --name both --weights rgb_imagenet.pt --weights flow_imagenet.pt
    """
    from ingest.features import store
    from ingest.opened import open_dataset

    weights, keys = zip(*map(_read, files), strict=True)
    backbone = I3dBackbone([Stream(w) for w in weights], "+".join(keys), size=size, step_ns=1_000_000_000 // 30)
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
