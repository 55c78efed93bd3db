"""What a training step of Muscles costs, beside one in the paper's own style, at the same sizes in one run.

`python -m tests.bench muscles_speed [--size=64]`. The authors' code runs the ResNet three times a step: on the clip, on
its first frame again for the query, and on the other view for the key. Ours takes the query from the clip's own maps.
Batch norm then has other statistics, so the two losses differ a little; both are printed.
"""

from __future__ import annotations

import sys
import time
from statistics import median

import torch
from torch import Tensor

from models.muscles import Config, Model
from models.muscles.contrast import contrastive_loss, embedded
from models.muscles.losses import gaze_loss, move_loss
from models.resnet import normalised

BATCH, STEPS = 16, 5


class PaperStyle(Model):
    """The same model and weights, with the ResNet run on the clip, on the query and on the key."""

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:  # type: ignore[override]
        """See `models.muscles.Model.loss`."""
        outputs = self(batch["frames"])
        query = self.feature_extractor(normalised(batch["query"])[:, None])[:, 0]
        key = self._key(batch["key"])
        losses = {
            "gaze": gaze_loss(outputs["gaze"], batch["gaze"], batch["gaze_valid"]),
            "move": move_loss(outputs["move"], batch["move"], batch["move_valid"]),
            "visual": contrastive_loss(
                embedded(query, self.feature_linear), key, self.contrast.memory, self.config.temperature
            ),
        }
        return sum(getattr(self.config, f"{name}_weight") * value for name, value in losses.items()), losses


def batch_of(config: Config, clips: int) -> dict[str, Tensor]:
    """Noise, with all labels known."""
    random = torch.Generator().manual_seed(0)

    def pictures(*shape: int) -> Tensor:
        return torch.randint(0, 256, (*shape, 3, config.size, config.size), generator=random, dtype=torch.uint8)

    frames = pictures(clips, config.frames)
    known = torch.ones(clips, config.frames, dtype=torch.bool)
    return {
        "frames": frames,
        "query": frames[:, 0],
        "key": pictures(clips),
        "gaze": torch.rand(clips, config.frames, 2, generator=random),
        "gaze_valid": known,
        "move": torch.rand(clips, config.frames, config.groups, generator=random).round(),
        "move_valid": known[..., None].expand(-1, -1, config.groups),
    }


def step(model: Model, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> tuple[float, float]:
    """Seconds of this process's CPU that one optimiser step takes, and its loss."""
    began = time.process_time()
    loss, _ = model.loss(batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.after_step()
    return time.process_time() - began, loss.item()


def main() -> None:
    """Print both; steps of the two alternate, so that a busy machine is busy for both."""
    torch.set_num_threads(1)
    size = next((int(a.partition("=")[2]) for a in sys.argv if a.startswith("--size=")), 64)
    config = Config(size=size, hidden=128, dropout=0.0, queue=1024)
    batch, ours = batch_of(config, BATCH), Model(config)
    theirs = PaperStyle(config)
    theirs.load_state_dict(ours.state_dict())
    runs = {"paper style": theirs, "ours": ours}
    optimizers = {name: torch.optim.Adam([p for p in m.parameters() if p.requires_grad]) for name, m in runs.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(STEPS + 1):  # the first warms up
        for name, model in runs.items():
            taken[name].append(step(model, optimizers[name], batch))
    spent = {name: median(seconds for seconds, _ in found[1:]) for name, found in taken.items()}
    for name, found in taken.items():
        print(
            f"{name:14} {1e3 * spent[name]:7.0f} ms of CPU a step, {BATCH} clips of {config.frames} frames, {size} px; "
            f"first loss {found[0][1]:.4f}"
        )
    print(f"ratio          {spent['paper style'] / spent['ours']:7.2f}")


if __name__ == "__main__":
    main()
