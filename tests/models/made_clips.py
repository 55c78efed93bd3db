"""Small clips made in memory, as `ingest.dataset.MuscleClips` gives them."""

from __future__ import annotations

import torch

GROUPS = 6


class MadeClips:
    """Clips of a bright square on noise: it jumps where the groups move, and the gaze is its centre.

    Args:
        n: clips; the first quarter belongs to session s0, the next to s1, and so on.
        size: pixels of a side.
        frames: of a clip.
        seed: of everything.
    """

    def __init__(self, n: int, size: int = 32, frames: int = 5, seed: int = 0) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.n, self.epoch = n, 0
        side = size // 4
        self.moving = torch.rand(n, frames, generator=rng) > 0.5
        place = torch.randint(0, size - side, (n, frames, 2), generator=rng)
        for t in range(1, frames):
            place[:, t] = torch.where(self.moving[:, t, None], place[:, t], place[:, t - 1])
        self.frames = torch.randint(0, 60, (n, frames, 3, size, size), generator=rng, dtype=torch.uint8)
        for i in range(n):
            for t in range(frames):
                x, y = place[i, t].tolist()
                self.frames[i, t, :, y : y + side, x : x + side] = 230
        self.gaze = (place + side / 2) / size
        self.gaze_valid = torch.rand(n, frames, generator=rng) > 0.1
        self.move = self.moving[..., None].float().expand(n, frames, GROUPS)
        self.move_valid = torch.rand(n, frames, GROUPS, generator=rng) > 0.3

    def __len__(self) -> int:
        return self.n

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def labels(self, index: int) -> dict:
        """The item without its frames."""
        return {
            "gaze": self.gaze[index],
            "gaze_valid": self.gaze_valid[index],
            "move": self.move[index],
            "move_valid": self.move_valid[index],
            "move_deg": 10 * self.move[index],
            "clip": torch.tensor(index),
            "session": f"s{4 * index // self.n}",
            "participant": "p0",
        }

    def __getitem__(self, index: int) -> dict:
        rng = torch.Generator().manual_seed(1000 * self.epoch + index)
        first = self.frames[index, 0]
        query, key = (first + torch.randint(0, 20, first.shape, generator=rng, dtype=torch.uint8) for _ in "qk")
        return self.labels(index) | {"frames": self.frames[index], "query": query, "key": key}
