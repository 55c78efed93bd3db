"""Small films of bright people made in memory, as `models.vat.data.Scenes` gives them."""

from __future__ import annotations

from types import SimpleNamespace

import torch

PERSONS = 3
ACTIONS = ("stand", "carry", "wave")


class MadeScenes:
    """Clips of up to three bright rectangles on noise; a red one stands, a green one carries, a blue one waves.

    Args:
        n: clips; the first quarter belongs to session s0, the next to s1, and so on.
        size: pixels of a side.
        frames: of a clip.
        config: the model's, where `models.vat.truth` is asked.
    """

    def __init__(self, n: int, size: int = 64, frames: int = 8, seed: int = 0, config: object = None) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.n, self.epoch, self.config, self.actions = n, 0, config, ACTIONS
        self.third = torch.randint(0, 60, (n, frames, 3, size, size), generator=rng, dtype=torch.uint8)
        self.boxes = torch.zeros(n, PERSONS, 4)
        self.valid = torch.rand(n, PERSONS, generator=rng) < torch.tensor([1.0, 0.6, 0.3])
        self.done = torch.zeros(n, PERSONS, len(ACTIONS))
        for i in range(n):
            for k in torch.nonzero(self.valid[i])[:, 0].tolist():
                width, height = torch.randint(size // 4, size // 2, (2,), generator=rng).tolist()
                x, y = (int(torch.randint(size - m, (), generator=rng)) for m in (width, height))
                action = int(torch.randint(len(ACTIONS), (), generator=rng))
                self.third[i, :, action, y : y + height, x : x + width] = 230
                self.boxes[i, k] = torch.tensor([x, y, x + width, y + height]) / size
                self.done[i, k, action] = 1
        self.dataset = SimpleNamespace(words={"atomic": ACTIONS}.get)

    def __len__(self) -> int:
        return self.n

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def labels(self, index: int) -> dict:
        """The item without its pictures."""
        return {
            "boxes": self.boxes[index],
            "box_valid": self.valid[index],
            "box_actions": self.done[index],
            "clip": torch.tensor(index),
            "session": f"s{4 * index // self.n}",
            "participant": "",
        }

    def __getitem__(self, index: int) -> dict:
        frames = self.third[index]
        return self.labels(index) | {"third": frames, "third_valid": torch.ones(len(frames), dtype=torch.bool)}
