"""All towers together: which clips have which stream, and the losses between towers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firmware_host.errors import ConfigError
from models.ccau import losses
from models.ccau.config import TASKS, Config
from models.ccau.predict_next import contrast_loss, foretell, predictor
from models.ccau.start import adopt
from models.ccau.towers import Reading, Tower, VideoTower, cells, tower


@dataclass(frozen=True)
class Present:
    """The clips of a batch that have a stream.

    Attributes:
        rows: (R,) int64, which they are.
        stream, valid: the stream of those clips, and its mask.
    """

    rows: Tensor
    stream: Tensor
    valid: Tensor

    @classmethod
    def of(cls, batch: Mapping[str, Tensor], modality: str) -> Present | None:
        """The clips with at least one valid value; None where the batch knows nothing of this stream."""
        if modality not in batch:
            return None
        stream = batch[modality]
        valid = batch.get(f"{modality}_valid")
        if valid is None:
            valid = torch.ones(stream.shape[:2], dtype=torch.bool, device=stream.device)
        seen = valid.flatten(1).any(dim=1)
        if seen.all():
            return cls(torch.arange(len(stream), device=stream.device), stream, valid)
        rows = seen.nonzero()[:, 0]
        return cls(rows, stream[rows], valid[rows])


class Model(nn.Module):
    """A tower for each modality, trained together, used each by itself.

    A batch is that of `ingest.dataset`: streams by the modality's name with their masks, ``activity`` (B,) int64 or
    -1, ``atomic`` (B, A) of 0 and 1 with ``atomic_valid`` (B,) bool. A clip without a stream takes no part in that
    tower's losses, statistics and alignments; what stands under its mask changes nothing.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.towers = nn.ModuleDict({name: tower(name, config) for name in config.modalities})
        together = list(combinations(config.modalities, 2)) if config.cooperation else []
        sizes = {name: cells(name, config) for name in config.modalities}
        self.pairs = nn.ModuleDict({pair(a, b): losses.Alignment(config, (sizes[a], sizes[b])) for a, b in together})
        if config.stage == "predict":
            self._foretell_only()
        else:
            self.weighting = nn.ModuleDict({name: losses.Weighting(config) for name in config.learning})
        for name in self._teachers:
            self.towers[name].requires_grad_(False)

    def _foretell_only(self) -> None:
        """That needs phi and no heads."""
        for part in self._towers.values():
            part.attention_fn = part.final_bn = part.final_fc_video = part.final_fc_atomic = None
            if isinstance(part, VideoTower):
                part.network_pred = predictor(self.config.hidden, part.backbone.outputs)

    @property
    def _towers(self) -> dict[str, Tower]:
        """`towers`, with their type."""
        return cast("dict[str, Tower]", dict(self.towers.items()))

    @property
    def _teachers(self) -> set[str]:
        """The towers that do not learn."""
        return set(self.config.modalities) - set(self.config.learning)

    def begin(self) -> None:
        """Take over the weights of the runs in ``start``, before the first step.

        Raises:
            SessionError, ConfigError: see `models.ccau.start.adopt`; or a static teacher without weights.
        """
        filled = adopt(self, self.config.start)
        for name in sorted(self._teachers):
            if any(f"towers.{name}.{key}" not in filled for key in self.towers[name].state_dict()):
                raise ConfigError(
                    f"the teacher '{name}' is to stay as it is, but no run of ccau.start has its weights; train it "
                    f"alone first and name that run"
                )

    def train(self, mode: bool = True) -> Model:
        """Training mode; a static teacher stays as it is used."""
        super().train(mode)
        for name in self._teachers:
            self.towers[name].eval()
        return self

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Reading]]:
        """Modality -> (R,) rows of the clips that have it, and their `Reading`; only those that any clip has."""
        readings = {}
        for name, part in self._towers.items():
            present = Present.of(batch, name)
            if present is not None and len(present.rows):
                readings[name] = present.rows, part.read(part.grid(present.stream, present.valid))
        return readings

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each modality says by itself, and all together.

        Returns:
            ``M.activity`` (B, activities) probabilities that sum to 1, ``M.atomic`` (B, atomics) probabilities,
            ``M.context`` (B, D), ``M.attention`` (B, h, w) and ``M.present`` (B,) 1 or 0 for each modality M;
            zeros where a clip does not have it. ``all.activity`` and ``all.atomic``: the mean over the modalities
            a clip has, ``all.present`` whether it has any.
        """
        size = len(next(iter(batch.values())))
        readings = self(batch)
        outputs: dict[str, Tensor] = {}
        for name in self.config.modalities:
            if name in readings:
                rows, reading = readings[name]
                found = _spoken(reading)
                outputs |= {f"{name}.{key}": _scattered(value, rows, size) for key, value in found.items()}
            else:
                outputs |= self._silent(name, size)
        return outputs | _fused(outputs, self.config.modalities)

    def _silent(self, name: str, size: int) -> dict[str, Tensor]:
        """The outputs of a modality that no clip of the batch has."""
        config, part = self.config, self._towers[name]
        side = math.isqrt(cells(name, config))
        shapes: dict[str, tuple[int, ...]] = {"context": (config.hidden,), "attention": (side, side), "present": ()}
        sizes = (("activity", part.final_fc_video, config.activities), ("atomic", part.final_fc_atomic, config.atomics))
        shapes |= {task: (classes,) for task, layers, classes in sizes if layers is not None}
        device = next(self.parameters()).device
        return {f"{name}.{key}": torch.zeros(size, *shape, device=device) for key, shape in shapes.items()}

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum to minimise, and each of its terms unweighted: ``M.TASK``, ``M-N.align``, ``M.distill``, ``M.next``.

        A term that no clip of the batch has anything to say to is 0.
        """
        if self.config.stage == "predict":
            return self._foretelling(batch)
        readings = self(batch)
        terms: dict[str, Tensor] = {}
        total = self._zero()
        for name in self.config.learning:
            own = self._labelled(readings.get(name), batch)
            terms |= {f"{name}.{task}": value for task, value in own.items()}
            if self.config.distillation != "none" and "activity" in own:
                own["activity"] = self.config.label_weight * own["activity"]
            total = total + self.weighting[name](own)
        distilled = self._distilled(readings)
        aligned = self._aligned({name: (rows, reading.grid) for name, (rows, reading) in readings.items()})
        total = total + self.config.teacher_weight * sum(distilled.values(), start=self._zero())
        total = total + self.config.cooperation * sum(aligned.values(), start=self._zero())
        return self._reaching_all(total), terms | distilled | aligned

    def after_step(self) -> None:
        """Nothing: all that is learned is learned by gradients."""

    def _labelled(self, found: tuple[Tensor, Reading] | None, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        config = self.config
        tasks = config.tasks.split("/")
        if found is None:
            return {task: self._zero() for task in tasks}
        rows, reading = found
        own = {}
        if "activity" in tasks:
            own["activity"] = losses.activity_loss(reading.logits["activity"], batch["activity"][rows])
        if "atomic" in tasks:
            atomic, valid = batch["atomic"][rows], batch["atomic_valid"][rows]
            logits = reading.logits["atomic"]
            own["atomic"] = losses.atomic_loss(logits, atomic, valid, config.focal_gamma, config.positive_weight)
        return own

    def _aligned(self, grids: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """The alignment of every pair over the clips that have both."""
        terms = {}
        for one, other in combinations(self.config.modalities, 2) if self.pairs else ():
            name = pair(one, other)
            value = self._zero()
            if one in grids and other in grids:
                (rows0, grid0), (rows1, grid1) = grids[one], grids[other]
                ours, theirs = torch.isin(rows0, rows1), torch.isin(rows1, rows0)
                value = losses.align_loss(*self.pairs[name](grid0[ours], grid1[theirs])) if ours.any() else value
            terms[f"{name}.align"] = value
        return terms

    def _distilled(self, readings: Mapping[str, tuple[Tensor, Reading]]) -> dict[str, Tensor]:
        """For each student the mean over its teachers."""
        config = self.config
        if config.distillation == "none":
            return {}
        lessons: dict[str, list[Tensor]] = {name: [] for name in config.learning}
        for student, teacher in permutations(config.modalities, 2):
            teaches = config.distillation == "cooperative" or teacher not in config.students
            if student not in lessons or not teaches or student not in readings or teacher not in readings:
                continue
            (rows0, own), (rows1, other) = readings[student], readings[teacher]
            mine, theirs = own.logits["activity"], other.logits["activity"]
            shared = mine[torch.isin(rows0, rows1)], theirs[torch.isin(rows1, rows0)]
            lessons[student].append(losses.distill_loss(*shared, config.distill_temperature))
        return {f"{n}.distill": torch.stack(each).mean() if each else self._zero() for n, each in lessons.items()}

    def _foretelling(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        terms = {f"{n}.next": self._zero() for n, part in self._towers.items() if isinstance(part, VideoTower)}
        grids = {}
        for name, part in self._towers.items():
            present = Present.of(batch, name)
            if present is None or not len(present.rows):
                continue
            if isinstance(part, VideoTower):
                terms[f"{name}.next"], context = self._next(part, present)
            else:
                context = part.grid(present.stream, present.valid)
            grids[name] = present.rows, context
        aligned = self._aligned(grids)
        total = sum(terms.values(), start=self._zero())
        total = total + self.config.cooperation * sum(aligned.values(), start=self._zero())
        return self._reaching_all(total), terms | aligned

    def _next(self, part: VideoTower, present: Present) -> tuple[Tensor, Tensor]:
        """A view's loss, and its context over all blocks for the alignment."""
        features = F.normalize(part.blocks(present.stream, present.valid).mean(dim=3), dim=2)  # (B, N, C, h, w)
        seen = self.config.blocks - self.config.predicted
        foretold = foretell(features[:, :seen], self.config.predicted, part.agg, part.network_pred)
        value = contrast_loss(foretold, features[:, seen:], self.config.temperature)
        return value, part.agg(features)[:, -1] if self.pairs else foretold[:, -1]

    def _zero(self) -> Tensor:
        return torch.zeros((), device=next(self.parameters()).device)

    def _reaching_all(self, total: Tensor) -> Tensor:
        """The same number, by way of every learned weight where a batch lacks whole streams.

        Data parallel waits for the gradient of each, and a batch of nothing must have a gradient too.
        """
        if total.requires_grad and not torch.distributed.is_initialized():
            return total
        return total + 0 * sum((p.sum() for p in self.parameters() if p.requires_grad), start=self._zero())


def pair(one: str, other: str) -> str:
    """How a pair is called in the weights and in the log."""
    return f"{one}-{other}"


def _spoken(reading: Reading) -> dict[str, Tensor]:
    """A reading as outputs."""
    present = torch.ones(len(reading.context), device=reading.context.device)
    found = {"context": reading.context, "attention": reading.attention, "present": present}
    for task, logits in reading.logits.items():
        found[task] = logits.softmax(dim=1) if task == "activity" else logits.sigmoid()
    return found


def _scattered(values: Tensor, rows: Tensor, size: int) -> Tensor:
    """(R, ...) into (size, ...), zeros elsewhere."""
    out = values.new_zeros(size, *values.shape[1:])
    out[rows] = values
    return out


def _fused(outputs: Mapping[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """The mean over the modalities that each clip has."""
    present = torch.stack([outputs[f"{name}.present"] for name in names]).sum(dim=0)  # (B,)
    fused = {"all.present": (present > 0).to(present)}
    for task in TASKS:
        if f"{names[0]}.{task}" in outputs:
            total = torch.stack([outputs[f"{name}.{task}"] for name in names]).sum(dim=0)
            fused[f"all.{task}"] = total / present.clamp(min=1)[:, None]
    return fused
