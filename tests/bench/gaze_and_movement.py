"""What gaze and movement teach a frozen backbone, on made scenes: the Muscles paper's claim as a mechanism.

`python -m tests.bench gaze_and_movement [--seeds=3] [--steps=350] [--arms=vis,vis/attn]`. Every arm makes the same
steps on the same clips; then its backbone is frozen and probes are trained on its maps. To hold, on every seed:
vis/move/attn above vis on tool, cell and movers; stripes, of which neither signal speaks, are the control. This shows
that a signal gets into the features, and no more: gaze and movement are themselves supervision about what is probed.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.muscles import Config, Model
from models.resnet import normalised
from models.synthetic.muscles import CHANCE, FRAMES, MOVERS, SIDE, Scenes, made

ARMS = ("random", "vis", "vis/attn", "vis/move", "vis/move/attn")
TRAIN, TEST, BATCH, PROBE_STEPS = 2048, 1024, 64, 300
WIDTHS, HIDDEN = (8, 16, 32, 32), 64


def config(objectives: str) -> Config:
    """A narrow ResNet with a map of 4 x 4; the losses weighed by their gradients."""
    return Config(
        size=SIDE, frames=FRAMES, groups=len(MOVERS), widths=WIDTHS, strides=(1, 2, 1, 1), channels=32, hidden=HIDDEN,
        layers=1, unembed=64, dropout=0.1, objectives=objectives, visual_weight=0.1, gaze_weight=20.0, move_weight=1.0,
        embedding=64, queue=1024, momentum=0.99,
    )  # fmt: skip


def learned(objectives: str, scenes: Scenes, steps: int, seed: int) -> Model:
    """A model after `steps` steps; ``random`` after none."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model = Model(config("vis" if objectives == "random" else objectives))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 2e-3, weight_decay=0.01)
    for step in range(0 if objectives == "random" else steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
        index = torch.randint(len(scenes.frames), (BATCH,), generator=random)
        loss, _ = model.loss(scenes.batch(index, random))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        model.after_step()
    return model.eval()


class Probe(nn.Module):
    """1x1 convolution, then an MLP on the first frame's cells, or an LSTM over all frames' for the movers."""

    def __init__(self, answers: int, sequence: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(WIDTHS[3], 16, 1)
        cells = 16 * 4 * 4
        self.lstm = nn.LSTM(cells, HIDDEN, batch_first=True) if sequence else None
        self.head = nn.Sequential(
            nn.Linear(HIDDEN if sequence else cells, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, answers)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, T, C, 4, 4) -> (B, answers)."""
        if self.lstm is None:
            return self.head(F.relu(self.conv(maps[:, 0])).flatten(1))
        cells = F.relu(self.conv(maps.flatten(0, 1))).flatten(1).unflatten(0, maps.shape[:2])
        return self.head(self.lstm(cells)[1][0][-1])


@torch.no_grad()
def features(model: Model, scenes: Scenes) -> Tensor:
    """Maps of all clips, (N, T, C, 4, 4), each channel scaled to a deviation of 1."""
    maps = torch.cat([model.feature_extractor(normalised(part)) for part in scenes.frames.split(256)])
    return maps / maps.std(dim=(0, 1, 3, 4), keepdim=True).clamp(min=1e-6)


def probed(name: str, maps: tuple[Tensor, Tensor], answers: tuple[Tensor, Tensor], seed: int) -> float:
    """Accuracy on the test clips of a probe trained on the training clips' maps."""
    torch.manual_seed(seed)
    probe = Probe(round(1 / CHANCE[name]), sequence=name == "movers")
    optimizer = torch.optim.AdamW(probe.parameters(), 3e-3, weight_decay=0.01)
    for _ in range(PROBE_STEPS):
        index = torch.randint(len(maps[0]), (128,))
        loss = F.cross_entropy(probe(maps[0][index]), answers[0][index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return (probe(maps[1]).argmax(1) == answers[1]).float().mean().item()


def arm(objectives: str, seed: int, steps: int, train: Scenes, test: Scenes) -> dict[str, float]:
    """Probe -> accuracy."""
    model = learned(objectives, train, steps, seed)
    maps = features(model, train), features(model, test)
    return {name: probed(name, maps, (train.answers[name], test.answers[name]), seed) for name in CHANCE}


def option(name: str, otherwise: str) -> str:
    """The text after ``--name=``."""
    return next((a.partition("=")[2] for a in sys.argv if a.startswith(f"--{name}=")), otherwise)


def main() -> None:
    """Print a line for each arm and seed, then what holds."""
    torch.set_num_threads(1)
    seeds, steps = int(option("seeds", "1" if "--quick" in sys.argv else "3")), int(option("steps", "350"))
    arms = option("arms", ",".join(ARMS)).split(",")
    print(f"{steps} steps of {BATCH} clips an arm; test clips {TEST}, so one standard error is at most 0.016")
    print(f"{'':24}{''.join(f'{name:>9}' for name in CHANCE)}")
    print(f"{'chance':24}{''.join(f'{value:9.3f}' for value in CHANCE.values())}   (the ceiling is 1)")
    found: dict[tuple[str, int], dict[str, float]] = {}
    for seed in range(seeds):
        train, test = made(TRAIN, 2 * seed), made(TEST, 2 * seed + 1)
        for objectives in arms:
            began = time.monotonic()
            found[objectives, seed] = arm(objectives, seed, steps, train, test)
            shown = "".join(f"{value:9.3f}" for value in found[objectives, seed].values())
            print(f"{objectives:17} seed {seed}{shown}   {time.monotonic() - began:.0f} s", flush=True)
    if {"vis", "vis/move/attn"} <= set(arms):
        for name in CHANCE:
            gains = [found["vis/move/attn", s][name] - found["vis", s][name] for s in range(seeds)]
            kind = "control" if name == "stripes" else "holds" if min(gains) > 0 else "DOES NOT HOLD"
            print(f"vis/move/attn over vis, {name:8} {', '.join(f'{gain:+.3f}' for gain in gains)}   {kind}")


if __name__ == "__main__":
    main()
