"""The five layouts, made small: red pictures and blue ones, bright floors, near and far halves."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

SIDE = 48


def write(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1] if rgb.ndim == 3 else rgb)


def made(root: Path, per_split: int = 16) -> Path:
    """Write all five layouts below `root`; every fourth picture is of another recording."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        rows = []
        for i in range(per_split):
            name, red = f"r{i // 4}__{i:03d}", i % 2 == 0
            frame = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
            frame[..., 0 if red else 2] += 150
            label = "red" if red else "blue"
            write(root / "scene" / split / label / f"{name}.png", frame)
            for t in range(7):
                moved = np.roll(frame, t if red else -t, axis=1)
                write(root / "action" / split / label / name / f"{t:02d}.png", moved)
            write(root / "dynamics" / split / f"{name}.png", frame)
            left = i // 2 % 2 == 0  # the class is in the box, not in the picture
            rows.append({"image": f"{name}.png", "x1": 2 if left else 30, "y1": 10, "x2": 18 if left else 46, "y2": 30})
            rows[-1]["class"] = "left" if left else "right"
            edge = int(rng.integers(12, 36))
            floor = np.zeros((SIDE, SIDE), np.uint8)
            floor[edge:] = 255
            lit = frame // 2 + (floor // 4)[..., None]
            write(root / "walkable" / split / f"{name}.png", lit)
            write(root / "walkable" / split / f"{name}.mask.png", np.where(np.arange(SIDE) < 2, 128, floor))
            write(root / "depth" / split / f"{name}.png", lit)
            far = np.where(floor == 255, 1000, 4000).astype(np.uint16)
            far[:, :2] = 0
            write(root / "depth" / split / f"{name}.depth.png", far)
        with (root / "dynamics" / f"{split}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    return root
