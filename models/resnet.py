"""ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1).

Names and layout are those of torchvision's ``resnet18``, so its public weights load as they are. The default
has 11,689,512 parameters, 11,176,512 without ``fc``. Shapes for 224 x 224 pixels:

    layer           output          of
    conv1, bn1      64 x 112 x 112  7x7, stride 2
    maxpool         64 x 56 x 56    3x3, stride 2
    layer1          64 x 56 x 56    two basic blocks
    layer2          128 x 28 x 28   two basic blocks, the first with stride 2
    layer3          256 x 14 x 14
    layer4          512 x 7 x 7
    fc              1000            on the mean over the cells
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models.reference import load_exactly, without_prefix

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's RGB, as public weights expect


class BasicBlock(nn.Module):
    """relu(bn(conv3x3(relu(bn(conv3x3(x))))) + shortcut(x)).

    The shortcut is the identity where the shape stays, otherwise a strided 1x1 convolution with batch norm.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet18(nn.Module):
    """ResNet-18 of any width.

    Args:
        widths: channels of the stem and of the four layers; the stem has those of layer 1.
        strides: stride of each layer's first block.
        inputs: channels of the image.
        classes: outputs of ``fc``; 0 leaves ``fc`` out, and the pooled features are the output.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        strides: Sequence[int] = (1, 2, 2, 2),
        inputs: int = 3,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        before = (widths[0], *widths[:3])
        layers = [
            nn.Sequential(BasicBlock(b, w, stride), BasicBlock(w, w, 1))
            for b, w, stride in zip(before, widths, strides, strict=True)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.fc = nn.Linear(widths[3], classes) if classes else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, images: Tensor) -> Tensor:
        """Features before pooling.

        Args:
            images: (B, inputs, H, W) float, normalised as the weights expect (torchvision: RGB in [0, 1] less
                the ImageNet mean, over its standard deviation).

        Returns:
            (B, widths[3], H / 32, W / 32) with the default strides, rounded up, >= 0.
        """
        return self.pyramid(images)[-1]

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The maps of all sizes: after the stem and after each layer, halving from H / 2 with the default strides."""
        x = torch.relu(self.bn1(self.conv1(images)))  # (B, widths[0], H/2, W/2)
        maps = [x]
        x = self.maxpool(x)  # (B, widths[0], H/4, W/4)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Class logits (B, classes), or the mean over cells (B, widths[3]) where there is no ``fc``."""
        pooled = self.maps(images).mean(dim=(2, 3))
        return pooled if self.fc is None else self.fc(pooled)


def side_of(size: int, strides: Sequence[int]) -> int:
    """Cells of a side of the last map, of pictures of `size` pixels a side."""
    side = -(-size // 4)
    for stride in strides:
        side = -(-side // stride)
    return side


class FrameFeatures(nn.Module):
    """A ResNet-18 without ``fc`` over the frames of clips.

    Args:
        widths, strides: of the ResNet.
        difference: give it each frame's difference to the one before as three more channels; a first frame's is 0.
    """

    def __init__(self, widths: Sequence[int], strides: Sequence[int], difference: bool = False) -> None:
        super().__init__()
        self.resnet = ResNet18(widths, strides, inputs=6 if difference else 3, classes=0)
        self.difference = difference

    def forward(self, clips: Tensor) -> Tensor:
        """(B, T, 3, S, S), normalised -> maps (B, T, C, h, w)."""
        return self.pyramid(clips)[-1].unflatten(0, clips.shape[:2])

    def pyramid(self, clips: Tensor) -> list[Tensor]:
        """The ResNet's five maps, (B * T, C, h, w) each."""
        if self.difference:
            before = torch.cat([clips[:, :1], clips[:, :-1]], dim=1)
            clips = torch.cat([clips, clips - before], dim=2)  # (B, T, 6, S, S)
        return self.resnet.pyramid(clips.flatten(0, 1))


def normalised(frames: Tensor) -> Tensor:
    """RGB (..., 3, H, W) as ``uint8``, or as float in [0, 1], less ImageNet's mean and over its deviation."""
    x = frames.float() / 255 if frames.dtype == torch.uint8 else frames
    mean, deviation = (torch.tensor(c, device=x.device, dtype=x.dtype).view(3, 1, 1) for c in (MEAN, DEVIATION))
    return (x - mean) / deviation


def from_reference(state_dict: Mapping[str, Tensor], **config: object) -> nn.Module:
    """A ResNet-18 with torchvision's weights; `config` are the constructor's arguments."""
    return load_exactly(ResNet18(**config), without_prefix(state_dict), "resnet18")  # type: ignore[arg-type]
