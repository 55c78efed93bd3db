"""The model whole: trunk, proposals, heads; what it learns from and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import boxes as boxing
from models import rpn
from models.i3d import I3D, scaled
from models.reference import load_exactly
from models.rpn import Rpn
from models.vat.config import Config
from models.vat.heads import Heads, detections
from models.vat.pictures import looked

SHARE = 0.25
"""Of the boxes the second stage learns from, at most this part shows persons."""
IS_PERSON = 0.5
"""Overlap from which a proposal shows a person; under it, background."""
FROM_SCRATCH = 0.1
"""Share of a batch in batch norm's running statistics where these are learned; I3D's own 0.01 takes 500 steps."""


class Model(nn.Module):
    """Who does what in the middle of a clip, from its frames alone.

    A batch is what `docs/reference/batch.md` describes. Read are ``third`` (B, T, 3, S, S), RGB of uint8 or float in
    [0, 1], with ``third_valid`` (B, T) bool; and, to learn or where ``rois`` is ``truth``, ``boxes`` (B, P, 4) of the
    keyframe with ``box_valid`` (B, P) bool and ``box_actions`` (B, P, actions) of 0 and 1. What lies under a False is
    never seen. A true box is cut to the picture; one that is then without area, or is not finite, is no box.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.trunk = I3D(classes=0, last="Mixed_4f", narrow=config.narrow)
        kinds = len(config.scales) * len(config.ratios)
        self.rpn = Rpn(self.trunk.channels, -(-512 // config.narrow), kinds)
        self.head = Heads(config, self.trunk.channels)
        if not config.frozen_norm:
            for part in _norms(self):
                part.momentum = FROM_SCRATCH
        self.train()

    def train(self, mode: bool = True) -> Model:
        """As ever, but with ``frozen_norm`` batch norm keeps the statistics it has."""
        super().train(mode)
        if self.config.frozen_norm:
            for part in _norms(self):
                part.eval()
        return self

    def maps(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The trunk's map, (B, C, T / 4, S / 16, S / 16); frames that are not valid are middle grey."""
        seen = batch["third_valid"][:, None, :, None, None]  # (B, 1, T, 1, 1)
        return self.trunk.maps(torch.where(seen, scaled(batch["third"]), 0))

    def anchors(self, maps: Tensor) -> Tensor:
        """The anchors of a map, (N, 4)."""
        config = self.config
        height, width = maps.shape[3:]
        return rpn.anchors_of(height, width, config.base / config.size, config.scales, config.ratios).to(maps.device)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Judge the boxes of each clip.

        Returns:
            ``boxes`` (B, R, 4): proposals by falling score, or the true boxes as they came with P = R; ``valid``
            (B, R) bool; ``logits`` (B, R, actions + background) and ``codes`` (B, R, K, 4) of the heads.
        """
        return self.judged(self.maps(batch), batch)

    def judged(self, maps: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`forward` from the map on."""
        if self.config.rois == "truth":
            boxes, valid = true_boxes(batch)
        else:
            objects, moves = self.rpn(_middle(maps))
            boxes, _, valid = rpn.proposals(objects, moves, self.anchors(maps), self.config.proposals)
        logits, codes = self.head(maps, boxes)
        return {"boxes": boxes, "valid": valid, "logits": logits, "codes": codes}

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Detections.

        Returns:
            ``boxes`` (B, R, K, 4) within the picture, K being 1, or the actions with ``specific``. ``scores``
            (B, R, actions) in [0, 1], 0 where another box of the class speaks for the person, or there is no box.
            ``person`` (B, R), the same for being a person at all, of the box at ``person_boxes`` (B, R, 4). With an
            Action Transformer also what `looked` says of the surest person: ``attention`` and ``embedding``.
        """
        maps = self.maps(batch)
        found = self.judged(maps, batch)
        boxes, valid, actions = found["boxes"], found["valid"], self.config.actions
        chances = torch.sigmoid(found["logits"].float())
        scores, person = chances[..., :actions], chances[..., -1]
        person = 1 - person if self.config.background else scores.amax(-1)
        if self.config.rois == "truth":
            moved, person_boxes = boxes[:, :, None], boxes
            scores, person = scores * valid[..., None], person * valid
        else:
            moved = boxing.clipped(boxing.decode(found["codes"].float(), boxes[:, :, None]))
            best = scores.argmax(-1) if self.config.specific else torch.zeros_like(valid, dtype=torch.int64)
            chosen = best[..., None, None].expand(-1, -1, 1, 4)
            person_boxes = moved.gather(2, chosen)[:, :, 0]
            scores = detections(moved, scores, valid)
            person = detections(person_boxes[:, :, None], person[..., None], valid)[..., 0]
        answer = {"boxes": moved, "scores": scores, "person": person, "person_boxes": person_boxes}
        if self.head.transformer is not None and boxes.shape[1]:
            surest = person.argmax(-1)[:, None, None].expand(-1, 1, 4)
            answer["attention"], answer["embedding"] = looked(self.head, maps, boxes.gather(1, surest)[:, 0])
        return answer

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of both stages' losses, and each of them, unweighted.

        Args:
            batch: see the class.

        Returns:
            The loss to minimise, and ``objectness`` and ``proposal`` of the first stage, ``action`` (binary cross
            entropy, summed over the classes, mean over boxes) and ``box`` (smooth L1 of the persons' codes, mean over
            boxes) of the second. Clips without a person teach background.
        """
        config, maps = self.config, self.maps(batch)
        truth, there = true_boxes(batch)
        anchors, (objects, moves) = self.anchors(maps), self.rpn(_middle(maps))
        objectness, proposal = rpn.rpn_losses(objects, moves, anchors, truth, there)
        if config.rois == "truth":
            boxes, valid, person = truth, there, there
            index = torch.arange(truth.shape[1], device=truth.device).expand(len(truth), -1)
        else:
            found, _, _ = rpn.proposals(objects, moves, anchors, config.proposals)
            boxes, valid, person, index = self._lesson(found, truth, there)
        logits, codes = self.head(maps, boxes)
        goals = rpn.codes_to(truth, index, boxes, person)
        wanted = _gathered(torch.where(there[..., None], batch["box_actions"], 0), index) * person[..., None]
        losses = {
            "objectness": objectness,
            "proposal": proposal,
            "action": action_loss(logits, wanted, person, valid),
            "box": box_loss(codes, goals, person, wanted) / valid.sum().clamp(min=1),
        }
        return sum(getattr(config, f"{name}_weight") * value for name, value in losses.items()), losses

    def after_step(self) -> None:
        """Nothing is to be done after an optimiser step."""

    def load_i3d(self, published: Mapping[str, Tensor]) -> None:
        """Start from a whole I3D's weights, by the names of `models.i3d`: the trunk's, and the I3D head's tail.

        Raises:
            ConfigError: names are missing or shapes differ.
        """
        parts = [self.trunk] + ([self.head.tube.tail] if self.head.tube is not None else [])
        for part in parts:
            own = part.state_dict()
            load_exactly(part, {name: x for name, x in published.items() if name in own}, "vat's I3D")
        self.train(self.training)

    @torch.no_grad()
    def _lesson(self, found: Tensor, truth: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw what the second stage learns from among proposals and true boxes.

        Returns:
            boxes (B, S, 4), valid (B, S), person (B, S) and the index (B, S) of the true box to be found.
        """
        candidates = torch.cat([found, truth], dim=1)
        label, index = rpn.assigned(candidates, truth, there, IS_PERSON, IS_PERSON, best=False)
        chosen = rpn.drawn(label, self.config.sampled, SHARE)
        count = min(self.config.sampled, candidates.shape[1])
        place = chosen.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, :count]
        valid = chosen.gather(1, place)
        person = valid & (label.gather(1, place) == rpn.PERSON)
        return _gathered(candidates, place), valid, person, index.gather(1, place)


def true_boxes(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The labels' boxes within the picture, (B, P, 4) float32, 0 where there is none, and which there are, (B, P)."""
    told = batch["boxes"].float()
    boxes = boxing.clipped(told)
    there = batch["box_valid"] & torch.isfinite(told).all(-1) & boxing.usable(boxes)
    return torch.where(there[..., None], boxes, 0), there


def action_loss(logits: Tensor, wanted: Tensor, person: Tensor, valid: Tensor) -> Tensor:
    """Binary cross entropy of every class, summed over classes, mean over valid boxes; 0 without any.

    Args:
        logits: (B, S, A or A + 1).
        wanted: (B, S, A) of 0 and 1.
        person, valid: (B, S) bool; a valid box without a person is background.
    """
    if logits.shape[-1] > wanted.shape[-1]:
        wanted = torch.cat([wanted, (~person)[..., None].to(wanted.dtype)], dim=-1)
    each = F.binary_cross_entropy_with_logits(logits.float(), wanted.float(), reduction="none").sum(-1)
    return torch.where(valid, each, 0).sum() / valid.sum().clamp(min=1)


def box_loss(codes: Tensor, goals: Tensor, person: Tensor, wanted: Tensor) -> Tensor:
    """Smooth L1 of the codes, summed over persons; with a code for each class, the mean over the person's classes.

    Args:
        codes: (B, S, K, 4).
        goals: (B, S, 4).
        person: (B, S) bool.
        wanted: (B, S, A) of 0 and 1.
    """
    each = F.smooth_l1_loss(codes.float(), goals[:, :, None].expand_as(codes), reduction="none").sum(-1)  # (B, S, K)
    if codes.shape[2] > 1:
        each = each * wanted / wanted.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(person, each.sum(-1), 0).sum()


def _norms(model: nn.Module) -> Iterator[nn.BatchNorm3d]:
    return (part for part in model.modules() if isinstance(part, nn.BatchNorm3d))


def _middle(maps: Tensor) -> Tensor:
    """The step at which boxes are sought: (B, C, T, H, W) -> (B, C, H, W); of 16 the ninth."""
    return maps[:, :, maps.shape[2] // 2]


def _gathered(rows: Tensor, index: Tensor) -> Tensor:
    """(B, P, D) and (B, S) -> (B, S, D); zeros where there are no rows to choose from."""
    if rows.shape[1] == 0:
        return rows.new_zeros(*index.shape, rows.shape[2])
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2]))
