"""What is made of a finished run beside its measures: few-shot scores, a t-SNE figure, attention as pictures.

    python -m models.ccau.after RUN

writes ``few_shot.json`` (where the run held activities out), ``tsne.svg`` and ``attention/*.png`` into the run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import evaluate
from models.ccau import embedding
from models.ccau.attention import picture
from models.ccau.data import Streams, open_split, truth
from models.ccau.fewshot import Features, few_shot
from models.ccau.towers import VIEWS
from models.report import evenly, png
from recorder import durable

Outputs = Mapping[str, np.ndarray]


def few_shots(
    train: tuple[Streams, Outputs], test: tuple[Streams, Outputs], held_out: tuple[str, ...]
) -> dict[str, list[dict[str, Any]]]:
    """For each modality that clips of both splits have: mean and deviation of each k's scores, over the draws.

    Args:
        train, test: the clips of a split and what the run says of them.
        held_out: activities that the run has not learned.
    """
    labels = [truth(clips) for clips, _ in (train, test)]
    novel = [labels[0].activities.index(name) for name in held_out]
    found = {}
    for name in sorted(key.removesuffix(".context") for key in train[1] if key.endswith(".context")):
        parts = []
        for label, outputs in zip(labels, (train[1], test[1]), strict=True):
            rows = (outputs[f"{name}.present"] > 0.5) & label.atomic_valid & (label.activity >= 0)
            parts.append(Features(outputs[f"{name}.context"][rows], label.activity[rows], label.atomic[rows]))
        if all(len(part.activity) for part in parts):
            found[name] = [
                {
                    "shots": score.shots,
                    "short": score.short,
                    "top1": [float(score.top1.mean()), float(score.top1.std())],
                    "map": [float(np.nanmean(score.mean_ap)), float(np.nanstd(score.mean_ap))],
                }
                for score in few_shot(parts[0], parts[1], novel)
            ]
    return found


def layout(clips: Streams, outputs: Outputs, modality: str) -> str:
    """A modality's contexts of a split in the plane, by activity, as SVG."""
    label = truth(clips)
    rows = (outputs[f"{modality}.present"] > 0.5) & (label.activity >= 0)
    points = embedding.tsne(outputs[f"{modality}.context"][rows])
    return embedding.scatter(points, label.activity[rows], label.activities)


def attention_pictures(clips: Streams, outputs: Outputs, modality: str) -> dict[str, bytes]:
    """Middle frames of a few clips, left as they are and right as bright as they are looked at: name -> PNG."""
    found = {}
    for i in evenly(len(clips)):
        if outputs[f"{modality}.present"][i] > 0.5:
            frames = clips[i][modality]
            frame = frames[len(frames) // 2].permute(1, 2, 0).numpy()
            both = np.concatenate([frame, picture(frame, outputs[f"{modality}.attention"][i])], axis=1)
            found[f"{modality}-{i}.png"] = png(both)
    return found


def main(run: Path) -> None:
    """Write all of it into `run`."""
    config = evaluate.read_config(run)
    model, _ = evaluate.load_model(run, config)
    splits = {name: open_split(config.data, name, config.net) for name in ("train", "test")}
    said = {name: evaluate.predict(model, clips, torch.device("cpu")) for name, clips in splits.items()}
    if config.net.held_out:
        scores = few_shots((splits["train"], said["train"]), (splits["test"], said["test"]), config.net.held_out)
        durable.write_json(run / "few_shot.json", scores)
    shown = config.net.modalities[0]
    durable.write_bytes(run / "tsne.svg", layout(splits["test"], said["test"], shown).encode())
    (run / "attention").mkdir(exist_ok=True)
    for view in set(VIEWS) & set(config.net.modalities):
        for name, data in attention_pictures(splits["test"], said["test"], view).items():
            durable.write_bytes(run / "attention" / name, data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
