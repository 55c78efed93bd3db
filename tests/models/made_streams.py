"""Clips with all the streams of a kit, made in memory as `ingest.dataset` hands them out."""

from __future__ import annotations

import torch

SMALL = {
    "modalities": ("ego", "third", "audio", "environment", "thermal", "imu", "graph"),
    **{"size": 33, "blocks": 2, "frames": 3, "widths": (2, 2, 3, 3), "hidden": 3, "rows": 40, "mels": 64},
    **{"audio_widths": (2, 2, 2, 2, 2), "audio_convolutions": (1,) * 5, "channels": 4, "sensor_width": 4},
    **{"objects": 3, "relations": 2, "activities": 4, "atomics": 5, "projection": 4},
}
"""Settings that make every tower run in milliseconds."""
SHAPES = {
    "environment": lambda c: (c.steps, c.channels),
    "thermal": lambda c: (c.steps, 8, 8),
    "imu": lambda c: (c.steps, 10, 9),
}


def batch_of(config, clips=8, seed=0):
    """A whole batch for a CCAU's configuration; the activity shows in every stream, and every mask has holes."""
    rng = torch.Generator().manual_seed(seed)
    activity = torch.arange(clips) % config.activities
    batch = {"activity": activity, "atomic": torch.zeros(clips, config.atomics)}
    batch["atomic"][torch.arange(clips), activity % config.atomics] = 1
    batch["atomic_valid"] = torch.ones(clips, dtype=torch.bool)
    level = activity / config.activities  # (B,)

    def holes(*shape):
        return torch.rand(shape, generator=rng) > 0.1

    for view in {"ego", "third"} & set(config.modalities):
        noise = torch.randint(0, 60, (clips, config.steps, 3, config.size, config.size), generator=rng)
        batch[view] = (noise + 180 * level[:, None, None, None, None]).to(torch.uint8)
        batch[f"{view}_valid"] = holes(clips, config.steps)
    if "audio" in config.modalities:
        sound = torch.rand(clips, config.mels, config.rows, generator=rng) - 20 + 15 * level[:, None, None]
        batch |= {"audio": sound, "audio_valid": holes(clips, config.rows)}
    for name in set(SHAPES) & set(config.modalities):
        shape = SHAPES[name](config)
        values = torch.randn(clips, *shape, generator=rng) + 4 * level.view(-1, *[1] * len(shape))
        batch[name] = 22 + 5 * values if name == "thermal" else values
        batch[f"{name}_valid"] = holes(clips, *(shape[:1] if name == "thermal" else shape[:2]))
    if "graph" in config.modalities:
        batch["graph"] = (torch.rand(clips, 3, config.objects, config.relations, generator=rng) > 0.9).float()
    return batch


class MadeStreams:
    """A split of such clips; a quarter of them from each of four sessions."""

    def __init__(self, config, n, seed=0):
        self.config, self.n, self.batch, self.epoch = config, n, batch_of(config, n, seed), 0

    def __len__(self):
        return self.n

    @property
    def activities(self):
        return tuple(f"activity {i}" for i in range(self.config.activities))

    def set_epoch(self, epoch):
        self.epoch = epoch

    def labels(self, index):
        item = {name: self.batch[name][index] for name in ("activity", "atomic", "atomic_valid")}
        return item | {"clip": torch.tensor(index), "session": f"s{4 * index // self.n}", "participant": "p0"}

    def __getitem__(self, index):
        return {name: value[index] for name, value in self.batch.items()} | self.labels(index)
