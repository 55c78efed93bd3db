"""``metrics.jsonl`` and the line for people."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from models.config import TrainConfig
from recorder import durable
from recorder.terminal import PLAIN_EVERY_S, note


class Journal:
    """Writes down what a run does.

    Args:
        folder: the run.
        step: where it starts; lines after it are of steps that a kill has undone, and are dropped.
        quiet: write and say nothing, as all processes but the first.
    """

    def __init__(self, folder: Path, step: int, quiet: bool) -> None:
        self.path, self.quiet, self.said = folder / "metrics.jsonl", quiet, time.monotonic()
        self.last: dict[str, float] = {}
        if not quiet:
            kept = [line for line in read_log(self.path) if line["step"] <= step]
            durable.write_bytes(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def add(self, line: dict[str, float], train: TrainConfig) -> None:
        """Write the step where it is due, and say it every few seconds."""
        self.last = line
        if self.quiet:
            return
        due = line["step"] % train.log_every == 0 or line["step"] in (1, train.steps)
        if due:
            rounded = {name: float(f"{value:.6g}") for name, value in line.items()}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounded | {"step": int(line["step"])}) + "\n")
        if time.monotonic() - self.said >= PLAIN_EVERY_S:
            self.said = time.monotonic()
            note(
                f"step {line['step']:.0f}/{train.steps}  loss {line['loss']:.4g}  "
                f"{line['ms_per_step']:.0f} ms/step, {100 * line['data_share']:.0f} % waiting for data"
            )

    def ends(self) -> tuple[float | None, float | None]:
        """The loss at the run's start and at its end, each the mean over a tenth of the lines, at most 20."""
        losses = [line["loss"] for line in read_log(self.path)]
        if not losses:
            return None, None
        few = min(20, -(-len(losses) // 10))
        return sum(losses[:few]) / few, sum(losses[-few:]) / few


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
