"""VGG-19 with batch norm on a log-mel picture (the audio encoder of the CCAU code).

VGG-19's five stages (Simonyan, Zisserman, ICLR 2015, configuration E) and, as the picture is still large, further
stages of one convolution until its short side is one cell. Shapes for 4 s of sound, 344 rows of 128 mels:

    layer             output
    the picture       3 x 344 x 128     three times the same channel
    stages 1 to 5     64 x 172 x 64, 128 x 86 x 32, 256 x 43 x 16, 512 x 21 x 8, 512 x 10 x 4
    two more          512 x 5 x 2, 512 x 2 x 1
    flatten           256               from 1024

25,019,456 parameters, with the published names (``features.0.weight`` ..., ``flatten.0.weight``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.config import require
from models.reference import load_exactly, without_prefix

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 4, 4, 4)


class VggAudio(nn.Module):
    """A picture of sound to one vector.

    Args:
        rows, mels: size of the picture: time, frequency; each at least 32.
        outputs: size of the vector.
        widths, convolutions: of the five stages.
    """

    def __init__(
        self,
        rows: int = 344,
        mels: int = 128,
        outputs: int = 256,
        widths: Sequence[int] = WIDTHS,
        convolutions: Sequence[int] = CONVOLUTIONS,
    ) -> None:
        super().__init__()
        for name, side in (("rows", rows), ("mels", mels)):
            require(side >= 32, name, "must be at least 32 for five halvings", side)
        more = min(rows // 32, mels // 32).bit_length() - 1
        stages = [*zip(widths, convolutions, strict=True), *[(widths[-1], 1)] * more]
        layers: list[nn.Module] = []
        before = 3
        for width, count in stages:
            for _ in range(count):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        cells = (rows >> len(stages)) * (mels >> len(stages))
        self.flatten = nn.Sequential(nn.Linear(before * cells, outputs))
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, sound: Tensor) -> Tensor:
        """(B, rows, mels) float log-mel -> (B, outputs), of either sign."""
        picture = sound[:, None].expand(-1, 3, -1, -1)
        return self.flatten(self.features(picture).flatten(1))


def from_reference(state_dict: Mapping[str, Tensor], **config: object) -> nn.Module:
    """An encoder with the published weights; the heads that a published file also holds are left out."""
    published = {n: t for n, t in without_prefix(state_dict).items() if not n.startswith("final_fc")}
    return load_exactly(VggAudio(**config), published, "vgg_audio")  # type: ignore[arg-type]
