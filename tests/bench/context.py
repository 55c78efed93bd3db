"""Does the Action Transformer find what the box does not show? Its head beside the I3D head, on a made task.

`models.synthetic.vat` says what is in the clips and why a head that looks inside the box alone cannot know three of
the four classes. Both heads learn from the same number of clips; average precision is of other clips. Shown with it:
chance, and the ceiling of a head that sees only the box. This shows that the mechanism works, not how well AVA is
solved.

Must hold, on every seed: with location above the I3D head by 0.25 on `both`; without location `right` within 0.05 of
chance; `own` equal within 0.02, for there is nothing that context could add.

`python -m tests.bench context` trains three arms on three seeds, about a minute and a half each on an idle core;
`--seeds=1` or `--steps=300` less. The command fails where something that must hold does not.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from models.ava.matching import average_precision
from models.synthetic.vat import CHANNELS, CLASSES, scenes
from models.vat import Config
from models.vat.heads import Heads

STEPS, BATCH, TESTED, LR = 900, 64, 2000, 2e-3
SMALL = Config(
    actions=len(CLASSES),
    background=False,
    narrow=8,
    frozen_norm=False,
    query="low",
    layers=2,
    width=32,
    hidden=128,
    dropout=0.0,
    location=16,
)
ARMS = {
    "I3D head": replace(SMALL, head="i3d"),
    "Tx, no location": replace(SMALL, location=0),
    "Tx": SMALL,
}
CHANCE = dict.fromkeys(CLASSES, 0.5) | {"both": 0.25}
BOX_ALONE = dict.fromkeys(CLASSES, 0.5) | {"own": 1.0}


def main(arguments: list[str] | None = None) -> None:
    """Run and print; exit status 1 where something that must hold does not."""
    words = sys.argv[1:] if arguments is None else arguments
    told = dict(w[2:].split("=", 1) for w in words if w.startswith("--") and "=" in w)
    seeds, steps = int(told.get("seeds", 3)), int(told.get("steps", STEPS))
    print(f"{'arm':18} seed  parameters  " + "".join(f"{name:>8}" for name in CLASSES) + "     mAP  CPU s")
    for name, known in (("chance", CHANCE), ("box alone, at most", BOX_ALONE)):
        print(f"{name:18} {'':18}" + _numbers(known))
    failed = [fault for seed in range(seeds) for fault in faults(one_seed(seed, steps))]
    for fault in failed:
        print(f"does not hold: {fault}")
    if failed:
        sys.exit(1)


def one_seed(seed: int, steps: int) -> dict[str, dict[str, float]]:
    """Average precision of every arm; rows are printed as they come."""
    found = {}
    for name, config in ARMS.items():
        begun = time.process_time()
        head = trained(config, steps, seed)
        found[name] = measured(head, seed)
        size, spent = sum(p.numel() for p in head.parameters()), time.process_time() - begun
        print(f"{name:18} {seed:4}  {size:10,}  {_numbers(found[name])}  {spent:5.0f}", flush=True)
    return found


def trained(config: Config, steps: int, seed: int, lr: float = LR, batch: int = BATCH) -> Heads:
    """A head that has learned from `steps` batches."""
    torch.manual_seed(seed)
    head, random = Heads(config, CHANNELS).train(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(head.parameters(), lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        seen = scenes(batch, random)
        logits, _ = head(seen.maps, seen.boxes)
        loss = F.binary_cross_entropy_with_logits(logits, seen.labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return head.eval()


@torch.no_grad()
def measured(head: Heads, seed: int) -> dict[str, float]:
    """Average precision of each class on clips that nobody learned from."""
    test = scenes(TESTED, torch.Generator().manual_seed(10_000 + seed))
    scores = torch.cat([head(m, b)[0] for m, b in zip(test.maps.split(200), test.boxes.split(200), strict=True)])
    labels = test.labels[:, 0].numpy().astype(bool)
    return {
        name: average_precision(scores[:, 0, k].numpy(), labels[:, k], int(labels[:, k].sum()))
        for k, name in enumerate(CLASSES)
    }


def faults(found: dict[str, dict[str, float]]) -> list[str]:
    """What must hold on a seed and does not."""
    box, blind, whole = (found[name] for name in ARMS)
    own = [each["own"] for each in found.values()]
    rules = {
        f"Tx above the I3D head by 0.25 on both: {whole['both']:.3f}, {box['both']:.3f}": whole["both"]
        > box["both"] + 0.25,
        f"without location right is chance: {blind['right']:.3f}": abs(blind["right"] - 0.5) < 0.05,
        f"own equal within 0.02: {min(own):.3f} to {max(own):.3f}": max(own) - min(own) < 0.02,
    }
    return [name for name, holds in rules.items() if not holds]


def _numbers(values: dict[str, float]) -> str:
    return "".join(f"{values[name]:8.3f}" for name in CLASSES) + f"{np.mean(list(values.values())):8.3f}"


if __name__ == "__main__":
    main()
