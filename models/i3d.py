"""I3D (Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017): Inception blown up into time.

Names are those of the public ``rgb_imagenet.pt`` (pytorch-i3d), so its weights load as they are; the other public
naming (``model_rgb.pth``, kinetics-i3d for PyTorch) is translated. Padding is TensorFlow's SAME, which depends on the
size and puts the odd cell *after*; batch norm has an epsilon of 1e-3. Shapes for 64 frames of 400 x 400 pixels:

    layer                output              of
    Conv3d_1a_7x7        64 x 32 x 200 x 200   7x7x7, stride 2
    MaxPool3d_2a_3x3     64 x 32 x 100 x 100   1x3x3, stride 1, 2, 2
    Conv3d_2b_1x1        64 x 32 x 100 x 100
    Conv3d_2c_3x3       192 x 32 x 100 x 100
    MaxPool3d_3a_3x3    192 x 32 x 50 x 50     1x3x3, stride 1, 2, 2
    Mixed_3b, 3c        256, 480 x 32 x 50 x 50
    MaxPool3d_4a_3x3    480 x 16 x 25 x 25     3x3x3, stride 2
    Mixed_4b ... 4f     512, 512, 512, 528, 832 x 16 x 25 x 25
    MaxPool3d_5a_2x2    832 x 8 x 13 x 13      2x2x2, stride 2
    Mixed_5b, 5c        832, 1024 x 8 x 13 x 13
    logits              400                    1x1x1 on means over 2 x 7 x 7

Parameters with 400 classes: 12,697,264 for RGB, 12,675,312 for flow. To Mixed_4f 7,528,256; Mixed_5b has
1,974,272, Mixed_5c 2,784,736, the logits 410,000.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firmware_host.errors import ConfigError, unknown_name
from models.reference import load_exactly, without_prefix

Three = tuple[int, int, int]

LAYERS: dict[str, tuple[int, ...]] = {
    "Conv3d_1a_7x7": (64,),
    "MaxPool3d_2a_3x3": (),
    "Conv3d_2b_1x1": (64,),
    "Conv3d_2c_3x3": (192,),
    "MaxPool3d_3a_3x3": (),
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "MaxPool3d_4a_3x3": (),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "MaxPool3d_5a_2x2": (),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Every layer in order, with its width: of a convolution, or of a block's six convolutions."""
KERNELS: dict[str, tuple[Three, Three]] = {
    "Conv3d_1a_7x7": ((7, 7, 7), (2, 2, 2)),
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": ((1, 1, 1), (1, 1, 1)),
    "Conv3d_2c_3x3": ((3, 3, 3), (1, 1, 1)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
"""Kernel and stride (time, height, width) of what is no block."""


def same(x: Tensor, kernel: Three, stride: Three) -> Tensor:
    """`x` (..., T, H, W) with the zeros around it that make the output ceil(size / stride): half before, rest after."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[-3:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x


class Conv(nn.Module):
    """Convolution with SAME padding, then batch norm and ReLU; ``plain``: a bias instead of these two."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Three = (1, 1, 1), stride: Three = (1, 1, 1), plain: bool = False
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=plain)
        self.bn = None if plain else nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, outputs, T / stride, ...), rounded up."""
        y = self.conv3d(same(x, self.kernel, self.stride))
        return y if self.bn is None else torch.relu(self.bn(y))


class MaxPool(nn.Module):
    """Maximum with SAME padding of zeros: for inputs >= 0, as everything after a ReLU is."""

    def __init__(self, kernel: Three, stride: Three) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T / stride, ...), rounded up."""
        return F.max_pool3d(same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """The Inception block: 1x1; 1x1 then 3x3; 1x1 then 3x3; pool then 1x1; side by side in channels."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        cube = (3, 3, 3)
        self.b0 = Conv(inputs, widths[0])
        self.b1a = Conv(inputs, widths[1])
        self.b1b = Conv(widths[1], widths[2], cube)
        self.b2a = Conv(inputs, widths[3])
        self.b2b = Conv(widths[3], widths[4], cube)
        self.b3a = MaxPool(cube, (1, 1, 1))
        self.b3b = Conv(inputs, widths[5])

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, sum of the branches' widths, T, H, W)."""
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(branches, dim=1)


class I3D(nn.Module):
    """I3D, whole or a run of its layers.

    Args:
        classes: outputs of ``logits``; 0 leaves it out, and the pooled features are the output.
        inputs: channels that come in: 3 for RGB, 2 for flow; with `first` the width of the layer before.
        first, last: the layers that are built, keys of `LAYERS`; ``last="Mixed_4f"`` is the usual trunk and
            ``first="MaxPool3d_5a_2x2"`` what it leaves over.
        narrow: every width is divided by it, for machines without a GPU.
        dropout: before ``logits``.
    """

    def __init__(
        self,
        classes: int = 400,
        inputs: int = 3,
        first: str = "Conv3d_1a_7x7",
        last: str = "Mixed_5c",
        narrow: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        for name in (first, last):
            if name not in LAYERS:
                raise ConfigError(unknown_name("layer of I3D", name, LAYERS))
        names = list(LAYERS)
        self.names = names[names.index(first) : names.index(last) + 1]
        self.channels = inputs
        for name in self.names:
            layer, self.channels = _layer(name, self.channels, narrow)
            self.add_module(name, layer)
        self.dropout = nn.Dropout(dropout)
        self.logits = Conv(self.channels, classes, plain=True) if classes else None
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, clips: Tensor) -> Tensor:
        """Features before pooling.

        Args:
            clips: (B, inputs, T, H, W) float; for the public weights RGB, or flow, in [-1, 1] (see `scaled`).

        Returns:
            (B, channels, T / 8, H / 32, W / 32) for the whole network, a T / 4, H / 16, W / 16 trunk; rounded up,
            >= 0. ``channels`` is an attribute.
        """
        for name in self.names:
            clips = self.get_submodule(name)(clips)
        return clips

    def forward(self, clips: Tensor) -> Tensor:
        """Class logits (B, classes), or the mean over cells (B, channels) where there is no ``logits``.

        As published: means over 2 x 7 x 7 cells (over fewer where there are fewer), a logit for each, their mean.
        """
        maps = self.maps(clips)
        if self.logits is None:
            return maps.mean(dim=(2, 3, 4))
        window = [min(most, size) for most, size in zip((2, 7, 7), maps.shape[2:], strict=True)]
        means = F.avg_pool3d(maps, window, stride=1)
        return self.logits(self.dropout(means)).mean(dim=(2, 3, 4))


def scaled(frames: Tensor) -> Tensor:
    """RGB as ``uint8``, or as float in [0, 1], (B, T, 3, H, W) -> (B, 3, T, H, W) in [-1, 1]."""
    x = frames.float() / 127.5 if frames.dtype == torch.uint8 else frames * 2
    return x.transpose(1, 2) - 1


def from_reference(state_dict: Mapping[str, Tensor], **config: object) -> nn.Module:
    """An I3D with public weights under either of the two public namings; `config` as the constructor's arguments."""
    published = {_translated(name): tensor for name, tensor in without_prefix(state_dict).items()}
    return load_exactly(I3D(**config), published, "i3d")  # type: ignore[arg-type]


def _layer(name: str, inputs: int, narrow: int) -> tuple[nn.Module, int]:
    """A layer of `LAYERS` and the channels it gives."""
    widths = tuple(-(-width // narrow) for width in LAYERS[name])
    if not widths:
        return MaxPool(*KERNELS[name]), inputs
    if len(widths) == 1:
        return Conv(inputs, widths[0], *KERNELS[name]), widths[0]
    return Mixed(inputs, widths), widths[0] + widths[2] + widths[4] + widths[5]


def _translated(name: str) -> str:
    """``mixed_3b.branch_1.0.batch3d.bias`` -> ``Mixed_3b.b1a.bn.bias``; names of pytorch-i3d stay."""
    name = name.replace("conv3d_0c_1x1.", "logits.").replace(".batch3d.", ".bn.")
    name = re.sub(r"^(mixed|conv3d)_(?=\d)", lambda found: found[0].capitalize(), name)
    name = name.replace(".branch_0.", ".b0.")
    return re.sub(r"\.branch_(\d)\.(\d)\.", lambda found: f".b{found[1]}{'ab'[int(found[2])]}.", name)
