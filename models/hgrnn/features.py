"""What HGRNN reads: an I3D feature of the scene and one of each person, from 33 frames around every keyframe.

The persons' come from inside their boxes, which stand still for the 33 frames: at every step of the trunk's map 7 x 7
cells are cut out, the rest of the I3D runs over them, and the mean of what comes out is the feature. The scene's is the
same over the whole picture. The I3D with a layer of 256 on it is first tuned to the classes (`models.hgrnn.tuning`);
the features are stored once, because the RNNs need them again and again.

Optical flow is a second stream: an I3D of its own over `flow` of the same frames. The public flow weights were trained
on TV-L1, which OpenCV has only in its contributed modules; this is DIS (Kroeger et al., "Fast Optical Flow using Dense
Inverse Search", ECCV 2016), scaled as theirs was: pixels in [-20, 20] become [-1, 1].
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from models import boxes, i3d
from models.i3d import I3D

FRAMES = 33
MOST_FLOW_PX = 20.0
TRUNK_END, REST = "Mixed_4f", "MaxPool3d_5a_2x2"


class FeatureNet(nn.Module):
    """The scene's and the persons' features of one stream, and the classifier that tunes them.

    Args:
        classes: A.
        channels: 3 for RGB, 2 for flow.
        features: width of the layer on the I3D.
        narrow: every width of the I3D is divided by it.
    """

    def __init__(self, classes: int, channels: int = 3, features: int = 256, narrow: int = 1) -> None:
        super().__init__()
        self.trunk = I3D(classes=0, inputs=channels, last=TRUNK_END, narrow=narrow)
        self.rest = I3D(classes=0, inputs=self.trunk.channels, first=REST, narrow=narrow)
        self.reduce = nn.Linear(self.rest.channels, features)
        self.classify = nn.Linear(features, classes)

    def forward(self, clips: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """Features of 1024 / narrow channels, before the layer on the I3D.

        Args:
            clips: (B, channels, T, S, S) in [-1, 1], T = 33 for the paper.
            where: (B, P, 4), boxes of the keyframe.

        Returns:
            scene (B, C), persons (B, P, C); a box that is not finite shows zeros.
        """
        maps = self.trunk.maps(clips)  # (B, 832, T/4, S/16, S/16)
        scene = self.rest(maps)
        if not where.shape[1]:
            return scene, scene.new_zeros(len(scene), 0, scene.shape[1])
        return scene, self.rest(tubes(maps, where)).unflatten(0, where.shape[:2])

    def logits(self, clips: Tensor, where: Tensor) -> Tensor:
        """What each person does, from its own box alone: (B, P, classes)."""
        return self.classify(self.reduce(self(clips, where)[1]))

    def adopt(self, published: Mapping[str, Tensor]) -> None:
        """Take public I3D weights, by either of their namings; the layers after the I3D stay as they are."""
        last = ("logits.conv3d.weight", "conv3d_0c_1x1.conv3d.weight")
        classes = next((len(tensor) for name, tensor in published.items() if name.endswith(last)), 0)
        channels = self.trunk.get_parameter("Conv3d_1a_7x7.conv3d.weight").shape[1]
        whole = i3d.from_reference(published, classes=classes, inputs=channels)
        for part in (self.trunk, self.rest):
            own = {name: tensor for name, tensor in whole.state_dict().items() if name.split(".")[0] in part.names}
            part.load_state_dict(own)


def tubes(maps: Tensor, where: Tensor) -> Tensor:
    """Cut the same box out of every step: (B, C, T, H, W), (B, P, 4) -> (B * P, C, T, 7, 7)."""
    batch, steps = maps.shape[0], maps.shape[2]
    pictures = maps.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
    inside = boxes.pooled(pictures, where.repeat_interleave(steps, dim=0))  # (B * T, P, C, 7, 7)
    return inside.unflatten(0, (batch, steps)).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)


@torch.no_grad()
def features_of(network: FeatureNet, clips: Tensor, where: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """What is stored for one stream: reduced features, scene (B, D) and persons (B, P, D), 0 where nobody is."""
    scene, persons = network.eval()(clips, where)
    return network.reduce(scene), torch.where(valid[..., None], network.reduce(persons), 0)


def flow(frames: np.ndarray) -> Tensor:
    """Optical flow from each frame to the next, as the I3D of the second stream takes it.

    Args:
        frames: (T, S, S, 3) uint8, RGB.

    Returns:
        (2, T, S, S) float32 in [-1, 1], x to the right and y down; the last step is repeated, so that both streams
        have as many.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    moved = [search.calc(a, b, np.empty(0, np.float32)) for a, b in itertools.pairwise(grey)]
    whole = np.stack([*moved, moved[-1]]).clip(-MOST_FLOW_PX, MOST_FLOW_PX) / MOST_FLOW_PX
    return torch.from_numpy(np.ascontiguousarray(whole.transpose(3, 0, 1, 2), dtype=np.float32))
