"""What `syncctl evaluate` shows of a run beside its measures: contexts in the plane, attention, few-shot scores."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import ConfigError
from models import evaluate
from models.ccau import embedding
from models.ccau.attention import picture
from models.ccau.data import Streams, open_split, truth
from models.ccau.fewshot import Features, few_shot
from models.ccau.towers import VIEWS
from models.config import RunConfig
from models.report import evenly, png
from recorder import durable

Outputs = Mapping[str, np.ndarray]
FEWEST = 5
"""Clips that are worth laying out."""


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


def attention_pictures(clips: Streams, outputs: Outputs, modality: str) -> dict[str, bytes]:
    """Middle frames of a few clips, left as they are and right as bright as they are looked at: name -> PNG."""
    found = {}
    for i in evenly(len(clips)):
        if outputs[f"{modality}.present"][i] > 0.5:
            frames = clips[i][modality]
            frame = frames[len(frames) // 2].permute(1, 2, 0).numpy()
            both = np.concatenate([frame, picture(frame, outputs[f"{modality}.attention"][i])], axis=1)
            found[f"{modality}, clip {i}"] = png(both)
    return found


def illustrate(run: Path, config: RunConfig, model: Any, clips: Streams, said: Outputs) -> list[str]:
    """Figures of a split for the run's report, each a ``<figure>``.

    Where the run held activities out, what is known of these from a few clips is also written to ``few_shot.json``.

    Args:
        run: its folder.
        config: its configuration.
        model: with its weights.
        clips: of the split.
        said: what the model says of each.
    """
    found = [*_plane(clips, said, config.net.modalities), *_attended(clips, said, config.net.modalities)]
    if config.net.held_out:
        learned = open_split(config.data, "train", config.net)
        known = evaluate.predict(model, learned, evaluate.device_of(config))
        scores = few_shots((learned, known), (clips, said), config.net.held_out)
        durable.write_json(run / "few_shot.json", scores)
        found.append(_shots(scores, config.net.held_out))
    return found


def _plane(clips: Streams, said: Outputs, modalities: tuple[str, ...]) -> Iterator[str]:
    """Contexts by activity, of the first stream that enough clips have."""
    label = truth(clips)
    for modality in (m for m in modalities if f"{m}.context" in said):
        rows = (said[f"{modality}.present"] > 0.5) & (label.activity >= 0)
        if rows.sum() < FEWEST:
            continue
        try:
            points = embedding.tsne(said[f"{modality}.context"][rows])
            drawn = embedding.scatter(points, label.activity[rows], label.activities)
        except ConfigError as error:
            drawn = f"<p>{html.escape(str(error))}</p>"
        yield f"<figure>{drawn}<figcaption>Contexts of {modality} by t-SNE, a dot a clip.</figcaption></figure>"
        return


def _attended(clips: Streams, said: Outputs, modalities: tuple[str, ...]) -> Iterator[str]:
    for view in VIEWS:
        if view in modalities and f"{view}.attention" in said:
            for name, data in attention_pictures(clips, said, view).items():
                told = f"{name}: the middle frame, and as bright as it was looked at"
                yield (
                    f'<figure><img src="data:image/png;base64,{base64.b64encode(data).decode()}" alt="">'
                    f"<figcaption>{told}</figcaption></figure>"
                )


def _shots(scores: Mapping[str, list[dict[str, Any]]], held_out: tuple[str, ...]) -> str:
    rows = "".join(
        f"<tr><td>{modality}</td><td>{score['shots']}</td><td>{score['top1'][0]:.3f} ± {score['top1'][1]:.3f}</td></tr>"
        for modality, found in scores.items()
        for score in found
    )
    head = "<tr><th>stream</th><th>clips an activity</th><th>top-1</th></tr>"
    novel = html.escape(", ".join(held_out))
    caption = f"Of {novel}, which were not learned, known from a few clips (deviation over draws)"
    return f"<figure><table>{head}{rows}</table><figcaption>{caption}</figcaption></figure>"
