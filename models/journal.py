"""``metrics.jsonl``, TensorBoard where it is installed, and the line for people."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from models.config import TrainConfig
from recorder import durable
from recorder.terminal import PLAIN_EVERY_S, note


class Journal:
    """Writes down what a run does; to be entered with `with`.

    Args:
        folder: the run.
        step: where it starts; lines after it are of steps that a kill has undone, and are dropped.
        train: how often to write.
        quiet: write and say nothing, as all processes but the first.
    """

    def __init__(self, folder: Path, step: int, train: TrainConfig, quiet: bool) -> None:
        self.path, self.train, self.quiet = folder / "metrics.jsonl", train, quiet
        self.last: dict[str, float] = {}
        self._said = time.monotonic()
        self._board: Any = None
        self._bar: Any = None
        if not quiet:
            kept = [line for line in read_log(self.path) if line["step"] <= step]
            durable.write_bytes(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
            self._board = _tensorboard(folder / "tensorboard", step)
            self._bar = _bar(step, train.steps)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board:
            self._board.close()
        if self._bar:
            self._bar.stop()

    def add(self, line: dict[str, float]) -> None:
        """Write the step where it is due, and say it now and then."""
        self.last = line
        if self.quiet:
            return
        step = int(line["step"])
        if step % self.train.log_every == 0 or step in (1, self.train.steps):
            rounded = {name: float(f"{value:.6g}") for name, value in line.items()}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounded | {"step": step}) + "\n")
            if self._board:
                for name, value in rounded.items():
                    if name != "step":
                        self._board.add_scalar(name, value, step)
        self._say(line)

    def _say(self, line: dict[str, float]) -> None:
        speed = f"{line['ms_per_step']:.0f} ms/step, {100 * line['data_share']:.0f} % waiting for data"
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=line["step"], said=f"loss {line['loss']:.4g}  {speed}")
        elif time.monotonic() - self._said >= PLAIN_EVERY_S:
            self._said = time.monotonic()
            note(f"step {line['step']:.0f}/{self.train.steps}  loss {line['loss']:.4g}  {speed}")

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


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer that takes back what it told of later steps; None where TensorBoard is not installed."""
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        return None
    return module.SummaryWriter(str(folder), purge_step=step + 1)


def _bar(step: int, steps: int) -> Any:
    """A bar where stderr is a terminal, else None."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[said]}"))
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("train", total=steps, completed=step, said="")
    bar.start()
    return bar
