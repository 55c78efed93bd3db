"""Do streams teach each other: the made task of `models.synthetic.ccau`, with controls.

    python -m tests.bench cooperation [--quick]

Every arm trains the same towers from the same start on the same clips and is tested on one stream alone. Beside the
two sizes stand two controls where there is nothing to teach: streams that share no more than the class, and an
alignment of the wrong clips. A gain there would be regularisation and not cooperation. This shows a mechanism, no
quality on real recordings.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.ccau import Config, Model
from models.synthetic.ccau import ACTIVITIES, ATOMICS, BLOCKS, SHAPES, STREAMS, World

SEEDS = 5
STEPS, BATCH, RATE = 150, 40, 3e-3
TESTED = 1000
TEST_SEED = 10_000
CONFIG = Config(
    modalities=STREAMS,
    blocks=BLOCKS,
    frames=1,
    hidden=32,
    channels=SHAPES["environment"][0],
    sensor_width=32,
    activities=ACTIVITIES,
    atomics=ATOMICS,
    tasks="activity",
    head_dropout=0.3,
    cooperation=0.0,
    projection=32,
)


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
        name: in the table.
        cooperation: weight of the alignment.
        atomic: learn the atomic actions too.
        independent: the streams share only the class.
        shuffled: clips are aligned with other clips.
    """

    name: str
    cooperation: float = 0.0
    atomic: bool = False
    independent: bool = False
    shuffled: bool = False


ARMS = (
    Arm("single"),
    Arm("cooperative", cooperation=1.0),
    Arm("compositional", atomic=True),
    Arm("cooperative compositional", cooperation=1.0, atomic=True),
)
WRONG_CLIPS = Arm("cooperative, wrong clips", cooperation=1.0, shuffled=True)
OWN_POINTS = (
    Arm("single, own points", independent=True),
    Arm("cooperative, own points", cooperation=1.0, independent=True),
)


class Shuffled(Model):
    """Aligns each clip with another one."""

    def _aligned(self, grids: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        turned = {name: (rows, grid.roll(i, dims=0)) for i, (name, (rows, grid)) in enumerate(grids.items())}
        return super()._aligned(turned)


def accuracy(arm: Arm, clips: int, seed: int, steps: int = STEPS) -> Tensor:
    """Top-1 of each stream alone on new clips, (3,), after training on `clips` labelled ones."""
    torch.manual_seed(seed)
    config = replace(CONFIG, cooperation=arm.cooperation, tasks="activity/atomic" if arm.atomic else "activity")
    model = (Shuffled if arm.shuffled else Model)(config)
    world = World.of(seed)
    train = world.clips(clips, seed, independent=arm.independent)
    test = world.clips(TESTED, seed + TEST_SEED, independent=arm.independent)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], RATE, weight_decay=0.01)
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randperm(clips, generator=random)[:BATCH]
        loss, _ = model.loss({name: value[rows] for name, value in train.items()})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        said = model.eval().predict(test)
    right = [(said[f"{name}.activity"].argmax(dim=1) == test["activity"]).float().mean() for name in STREAMS]
    return torch.stack(right)


def table(arms: tuple[Arm, ...], clips: int, seeds: int) -> None:
    """Print each arm's accuracies, and its gain over the first arm, seeds paired."""
    print(f"\n{clips} labelled clips, {seeds} seeds; chance {1 / ACTIVITIES:.3f}")
    print(f"{'':27}" + "".join(f"{name:>18}" for name in STREAMS) + "    mean gain, points")
    first = None
    for arm in arms:
        found = torch.stack([accuracy(arm, clips, seed) for seed in range(seeds)])  # (seeds, 3)
        first = found if first is None else first
        gain = 100 * (found - first).mean(dim=1)
        spread = found.std(dim=0) if seeds > 1 else torch.zeros(3)
        values = "".join(f"{m:11.3f} ±{s:5.3f}" for m, s in zip(found.mean(dim=0), spread, strict=True))
        print(f"{arm.name:27}{values}" + f"    {gain.mean():+.1f} ({', '.join(f'{g:+.1f}' for g in gain)})")


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    quick = "--quick" in (sys.argv if arguments is None else arguments)
    seeds = 1 if quick else SEEDS
    torch.set_num_threads(1)
    begun = time.process_time()
    table((*ARMS, WRONG_CLIPS), 120, seeds)
    table(OWN_POINTS, 120, seeds)
    if not quick:
        table(ARMS, 240, seeds)
    print(f"\n{time.process_time() - begun:.0f} CPU seconds")


if __name__ == "__main__":
    main()
