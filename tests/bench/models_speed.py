"""How much faster the models' encoders are than a straightforward one in the papers' own style, at the same numbers.

    python -m tests.bench models_speed [--quick]

CCAU's video encoder at full size (8 blocks of 5 frames of 128 x 128): the plain one keeps frames channels first, as
torch does by itself, and steps the ConvGRU one block at a time with a convolution for each gate over input and state
together. Forward alone, and forward with backward. CPU seconds of one thread; the fastest of the repetitions, taken in
turn, so that a busy machine troubles both alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.ccau import Config
from models.ccau.towers import VideoTower

REPEATS = 8
TOLERANCE = 1e-4


def plain_resnet(net: nn.Module, x: Tensor) -> Tensor:
    """The published forward pass: the same layers, memory as it comes."""
    x = net.maxpool(torch.relu_(net.bn1(net.conv1(x))))
    return net.layer4(net.layer3(net.layer2(net.layer1(x))))


def plain_convgru(cell: nn.Module, maps: Tensor) -> Tensor:
    """The published loop: (B, N, C, h, w) to the last state."""
    h = torch.zeros_like(maps[:, 0])
    for x in maps.unbind(dim=1):
        both = torch.cat([x, h], dim=1)
        update, reset = torch.sigmoid(cell.update_gate(both)), torch.sigmoid(cell.reset_gate(both))
        candidate = torch.tanh(cell.out_gate(torch.cat([x, reset * h], dim=1)))
        h = h * (1 - update) + candidate * update
    return h


def plain_encoder(tower: VideoTower, clips: Tensor) -> Tensor:
    """(B, T, 3, S, S) to the last context, in the papers' style."""
    x = ((clips - tower.mean) / tower.deviation).unflatten(1, (-1, tower.frames)).transpose(2, 3)
    features = torch.relu(plain_resnet(tower.backbone, x.flatten(0, 1).contiguous())).mean(dim=2)
    return plain_convgru(tower.agg.cell_list[0], features.unflatten(0, x.shape[:2]))


def seconds(*works: Callable[[], object]) -> list[float]:
    """CPU seconds of each, the least of `REPEATS` in turn."""
    least = [float("inf")] * len(works)
    for _ in range(REPEATS):
        for i, work in enumerate(works):
            begun = time.process_time()
            work()
            least[i] = min(least[i], time.process_time() - begun)
    return least


def main(arguments: list[str] | None = None) -> None:
    """Print the ratios."""
    quick = "--quick" in (sys.argv if arguments is None else arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tower = VideoTower(Config(gru_dropout=0.0))
    clips = torch.rand(1 if quick else 2, 40, 3, 128, 128)
    valid = torch.ones(clips.shape[:2], dtype=torch.bool)
    print(f"CCAU video encoder, {len(clips)} clips of 8 x 5 x 128 x 128, CPU seconds, one thread")
    for name, training in (("forward, in use", False), ("forward and backward, in training", True)):
        tower.train(training)

        def once(work: Callable[[], Tensor], training: bool = training) -> Callable[[], Tensor]:
            def run() -> Tensor:
                with torch.set_grad_enabled(training):
                    out = work()
                    if training:
                        tower.zero_grad()
                        out.square().mean().backward()
                return out.detach()

            return run

        own, plain = once(lambda: tower.grid(clips, valid)), once(lambda: plain_encoder(tower, clips))
        apart = (own() - plain()).abs().max().item()
        fast, slow = seconds(own, plain)
        fault = "" if apart < TOLERANCE else "  NOT THE SAME NUMBERS"
        print(f"{name:36}{slow:8.2f} plain{fast:8.2f} ours   {slow / fast:5.2f} x   {apart:.1e} apart{fault}")


if __name__ == "__main__":
    main()
