"""The one training loop.

Everything random is a pure function of integers: the order of the clips of (seed, epoch), their augmentation of
(seed, epoch, clip), dropout of (seed, batch). A checkpoint therefore holds weights, optimiser and a step
number and no generator states, and a run that was killed and resumed continues with the same numbers to the bit
(on a CPU; CUDA's own kernels add in varying order).

Batches are numbered through the whole run; a step takes the next ones, of which each process computes every
`world`-th. So two processes compute what one does that accumulates two batches.

A run folder holds

    config.toml         everything it was made with
    metrics.jsonl       a line per logged step
    tensorboard/        the same for TensorBoard, where it is installed
    checkpoint.pt       all that resuming needs; loads with ``weights_only=True``
    model.safetensors   the weights to use (the averaged ones with ``train.ema``); metadata has the step
    trivial.json        what predicts without looking, from the training split; `models.evaluate` compares with it

Started by ``torchrun`` the loop reads RANK and WORLD_SIZE and runs data parallel; the first process writes.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from firmware_host.errors import ConfigError, SessionError, SyncctlError
from ingest.dataset import ClipSampler
from models import config as configuration
from models import module_of
from models.config import RunConfig
from models.journal import Journal
from models.optimizing import Average, learning_rate, optimizer_of
from models.process import Place, Stop
from recorder import durable

SHOWN_CLIPS = 8
TRIVIAL = "trivial.json"


class Clips(Sized, Protocol):
    """A map-style dataset of clips; an item has what the model's ``loss`` reads, ``clip`` and ``session``."""

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's epoch."""


def loader(clips: Clips, *args: Any, **options: Any) -> DataLoader[dict[str, Any]]:
    """A `DataLoader` of clips: torch takes whatever has a length and items, and only its types ask for a class."""
    return DataLoader(cast("Dataset[dict[str, Any]]", clips), *args, **options)


class DivergedError(SyncctlError):
    """The loss or its gradient stopped being a number."""


class Objective(nn.Module):
    """A model's loss as a forward pass: DistributedDataParallel only watches `forward`."""

    model: Any

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        loss: tuple[Tensor, dict[str, Tensor]] = self.model.loss(batch)
        return loss


class Run:
    """A training run in progress: builds the parts from a configuration; `advance` makes one step.

    Args:
        config: what to train and how.
        dataset: the training clips, augmented.
        place: where.
        fresh: whether the run begins, and is not to be restored.
    """

    def __init__(self, config: RunConfig, dataset: Clips, place: Place, fresh: bool = True) -> None:
        self.config, self.train, self.place = config, config.train, place
        if config.train.compile and place.device.type == "cpu":
            raise ConfigError(
                "train.compile is for CUDA: what torch 2.13 compiled for a CPU damaged memory here; "
                "drop it, or train on a GPU"
            )
        self.model: Any = module_of(config.model).Model(config.net).to(place.device)
        if fresh and hasattr(self.model, "begin"):
            self.model.begin()  # a model on weights of others reads them here; the run then has them
        self.optimizer = optimizer_of(self.model, config.train)
        self.average = Average(self.model, config.train.ema) if config.train.ema else None
        self.dataset, self.step = dataset, 0
        self.batches_per_epoch = len(dataset) // config.train.batch
        if not len(dataset):
            raise SessionError(f"{config.data} has no clips to train on; build it from more sessions")
        if not self.batches_per_epoch:
            raise ConfigError(
                f"{config.data} has {len(dataset)} training clips, fewer than one batch of "
                f"{config.train.batch}; lower it with --set train.batch={max(1, len(dataset) // 2)}"
            )
        objective = Objective(self.model)
        if config.train.compile:
            objective.compile()
        self.objective = DistributedDataParallel(objective) if place.world > 1 else objective

    @property
    def batches_done(self) -> int:
        """Batches that all processes together have made steps of."""
        return self.step * self.train.accumulate * self.place.world

    def batches(self) -> Iterator[dict[str, Any]]:
        """This process's batches from the current step on, without end."""
        train, count, first = self.train, self.batches_per_epoch, self.batches_done
        for epoch in itertools.count(first // count):
            order = list(ClipSampler(len(self.dataset), seed=train.seed, epoch=epoch))
            numbers = range(max(epoch * count, first), (epoch + 1) * count)
            mine = [number % count for number in numbers if number % self.place.world == self.place.rank]
            self.dataset.set_epoch(epoch)
            yield from loader(
                self.dataset,
                batch_sampler=[order[k * train.batch : (k + 1) * train.batch] for k in mine],
                num_workers=train.workers,
                generator=torch.Generator(),  # else each new loader draws from the step's own generator
            )

    def advance(self, batches: Iterator[dict[str, Any]]) -> dict[str, float]:
        """Make one optimiser step; return what ``metrics.jsonl`` says of it.

        Raises:
            DivergedError: the loss or the gradient is not finite; the weights are then still the old ones.
        """
        train = self.train
        lr = learning_rate(train, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("share", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        waited = 0.0
        clips: list[str] = []
        for part in range(train.accumulate):
            asked = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - asked
            clips += [f"{c} of {s}" for c, s in zip(batch["clip"].tolist(), batch["session"], strict=True)]
            number = self.batches_done + part * self.place.world + self.place.rank
            seed = np.random.SeedSequence((train.seed, number)).generate_state(1, np.uint64)[0]
            torch.manual_seed(int(seed))
            for name, value in self._backward(batch, last=part == train.accumulate - 1).items():
                sums[name] = sums.get(name, 0.0) + value / train.accumulate
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), train.clip_norm or math.inf).item()
        if not all(map(math.isfinite, (*sums.values(), norm))):
            raise DivergedError(_diverged(self.step, sums, clips))
        self.optimizer.step()
        self.model.after_step()
        if self.average:
            self.average.update(self.model)
        self.step += 1
        return {"step": self.step, **sums, "lr": lr, "gradient": norm, "waited_s": waited}

    def _backward(self, batch: dict[str, Any], last: bool) -> dict[str, float]:
        tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        tensors = {name: value.to(self.place.device, non_blocking=True) for name, value in tensors.items()}
        quiet: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if isinstance(self.objective, DistributedDataParallel) and not last:
            quiet = self.objective.no_sync()  # gradients travel once a step
        with quiet:
            with torch.autocast(self.place.device.type, torch.bfloat16, enabled=self.train.bf16):
                loss, terms = self.objective(tensors)
            (loss / self.train.accumulate).backward()
        return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}}

    def save(self, folder: Path) -> None:
        """Write ``checkpoint.pt`` and ``model.safetensors``; each is whole at any moment."""
        state = {
            "step": self.step,
            "processes": self.place.world,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.weights if self.average else {},
        }
        with durable.replacing(folder / "checkpoint.pt") as scratch:
            torch.save(state, scratch)
        weights = self.average.weights if self.average else self.model.state_dict()
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        durable.write_bytes(folder / "model.safetensors", save(plain, metadata={"step": str(self.step)}))

    def restore(self, folder: Path) -> None:
        """Continue from ``checkpoint.pt``."""
        path = folder / "checkpoint.pt"
        try:
            state = torch.load(path, map_location=self.place.device, weights_only=True)
        except FileNotFoundError as error:
            raise SessionError(f"{folder} has no checkpoint yet; start it anew in another folder") from error
        except Exception as error:
            raise SessionError(f"{path} cannot be read ({error}); it is damaged") from error
        if state["processes"] != self.place.world:
            raise ConfigError(
                f"{folder} is a run of {state['processes']} processes, not of {self.place.world}; "
                "resume it on as many, as its batches are shared out among them"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        if self.average:
            self.average.weights = state["average"]


def train(config: RunConfig, folder: Path, dataset: Clips, resume: bool = False) -> dict[str, Any]:
    """Train until ``train.steps``, or until SIGTERM or Ctrl-C, which save and end it.

    Args:
        config: what to train and how.
        folder: the run; must not exist yet, or with `resume` must hold a run of this configuration.
        dataset: the training clips.
        resume: continue from the run's checkpoint.

    Returns:
        What ``syncctl train --json`` prints.
    """
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    with Place.here(config.train.device) as place:
        run = Run(config, dataset, place, fresh=not resume)
        if place.first:
            open_folder(config, folder, resume)
            durable.write_json(folder / TRIVIAL, module_of(config.model).truth(dataset).trivial())
        if resume:
            run.restore(folder)
        with Journal(folder, run.step, config.train, quiet=not place.first) as journal:
            _loop(run, folder, journal)
        if place.first:
            run.save(folder)
    return _summary(run, folder, journal)


def _loop(run: Run, folder: Path, journal: Journal) -> None:
    train, first_step, began, waited = run.train, run.step, time.monotonic(), 0.0
    batches = run.batches()
    with Stop() as stop:
        while run.step < train.steps and not stop.agreed(run.place.world):
            line = run.advance(batches)
            waited += line.pop("waited_s")
            spent = time.monotonic() - began
            line |= {"ms_per_step": 1e3 * spent / (run.step - first_step), "data_share": waited / spent}
            journal.add(line)
            if run.step % train.save_every == 0 and run.place.first:
                run.save(folder)


def _summary(run: Run, folder: Path, journal: Journal) -> dict[str, Any]:
    config = run.config
    first, last = journal.ends()
    return {
        "run": str(folder),
        "model": config.model,
        "preset": config.preset,
        "data": config.data,
        "device": run.place.device.type,
        "processes": run.place.world,
        "clips": len(run.dataset),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "step": run.step,
        "steps": config.train.steps,
        "interrupted": run.step < config.train.steps,
        "loss_first": first,
        "loss_last": last,
        "ms_per_step": round(journal.last.get("ms_per_step", 0.0), 1),
        "data_share": round(journal.last.get("data_share", 0.0), 3),
    }


def open_folder(config: RunConfig, folder: Path, resume: bool) -> None:
    """Make the run's folder and write its configuration, or check that it can be resumed with it.

    Raises:
        ConfigError: the folder exists, or with `resume` its configuration is another.
    """
    path = folder / configuration.FILE
    if not resume:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder} exists; continue it with --resume, or name another folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_bytes(path, configuration.dumps(config).encode())
        return
    changed = configuration.differences(configuration.load(path), config)
    if changed:
        raise ConfigError(
            f"{folder} was started with other settings (it has, you ask for): {', '.join(changed)}; "
            "a resumed run keeps its own, so drop them or start anew in another folder"
        )


def _diverged(step: int, sums: Mapping[str, float], clips: list[str]) -> str:
    wrong = [name for name, value in sums.items() if name != "loss" and not math.isfinite(value)]
    what = f"the {' and '.join(wrong)} loss" if wrong else "the loss or its gradient"
    shown = ", ".join(clips[:SHOWN_CLIPS]) + (", ..." if len(clips) > SHOWN_CLIPS else "")
    return (
        f"{what} is not a finite number at step {step + 1} (clips {shown}); look at these clips, or lower "
        "train.lr or set train.clip_norm; the last checkpoint is untouched"
    )
