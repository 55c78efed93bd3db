"""LART's tokens, loss, answers, and how fast each of its layers learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import evaluate
from models.config import TrainConfig, require
from models.lart.config import Config
from models.lart.positions import STEPS, TRACKS, positions
from models.lart.tracks import JOINTS, VECTOR, at_moment, hidden_share, known, order_for, random_order, rest, taken
from models.lart.transformer import Transformer
from models.reference import load_exactly, without_prefix

JOINT_NUMBERS = 135
READ = ("tracks", "tracks_valid", "tracks_joints", "joints", "appearance", "appearance_valid")
IDLE = ("class_token", "pe", "conv_en.", "conv_de.", "smpl_head.", "loca_head.", "action_head_kinetics.")
"""Parts of the authors' checkpoints through which no action goes."""


class Model(nn.Module):
    """What each person does at every step, read from its track and the tracks beside it."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.mask_token = nn.Parameter(torch.randn(width))
        if config.learned_positions:
            self.pos_embedding = nn.Parameter(positions(width, STEPS, TRACKS, time_first=False))
        if "pose" in config.parts:
            given = VECTOR + JOINTS * config.partial
            self.pose_shape_encoder = encoder(given, config.pose_hidden, config.pose_width)
        if "joints" in config.parts:
            self.joint_encoder = encoder(JOINT_NUMBERS, config.joints_hidden, config.joints_width)
        if "appearance" in config.parts:  # spelled as in the authors' checkpoints
            self.apperance_encoder = encoder(config.appearance, config.appearance_hidden, config.appearance_width)
        sizes = (config.layers, config.heads, config.head, config.hidden)
        self.transformer = Transformer(width, *sizes, config.norm, config.dropout, config.drop_path)
        self.action_head_ava = nn.ModuleList([nn.Sequential(nn.Linear(width, config.classes))])
        self.register_buffer("mean", rest())
        self.register_buffer("deviation", torch.ones(VECTOR))

    @torch.no_grad()
    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Take person vectors less `mean` over `deviation`, (229,) or the first 226; places stay as they are.

        Without it vectors are taken less the body at rest. Public weights need the statistics published with them.
        """
        for own, given, plain in ((self.mean, mean, 0.0), (self.deviation, deviation, 1.0)):
            own.fill_(plain)
            own[: VECTOR - 3] = given.flatten()[: VECTOR - 3]

    def forward(self, batch: Mapping[str, Tensor], hidden: Tensor | None = None) -> dict[str, Tensor]:
        """Say what everybody does at every step; the first track is the person of interest.

        Args:
            batch: as far as `inputs` asks: ``tracks`` (B, N, T, 229); ``tracks_joints`` (B, N, 24) or (B, N, T, 24)
                bool, the rotations that are measured, all where absent; ``joints`` (B, N, T, 135); ``appearance``
                (B, N, T, D) with ``appearance_valid`` (B, N, T) bool. Always ``tracks_valid`` (B, N, T) bool, where
                there is a detection. What is under a False does not matter, not even NaN.
            hidden: (B, N, T) bool, detections that are replaced by the mask; they look, but nobody looks at them.

        Returns:
            ``actions`` (B, N, T, A): logits. Where there is no detection the answer is filled in from the others.
        """
        valid = batch["tracks_valid"]
        x = self._tokens(batch).transpose(1, 2)  # (B, T, N, width)
        seen = (valid if hidden is None else valid & ~hidden).transpose(1, 2)  # (B, T, N)
        x = torch.where(seen[..., None], x, self.mask_token.to(x.dtype))
        steps, people = x.shape[1:3]
        x = (x + self._positions(steps, people).to(x)).flatten(1, 2)  # (B, T * N, width); token t * N + i
        y = self.transformer(x, openable(seen.flatten(1)))
        logits = self.action_head_ava[0](y)  # (B, T * N, A)
        return {"actions": logits.unflatten(1, (steps, people)).transpose(1, 2)}

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted cross entropy over the steps that have a detection and a label, hidden ones too.

        In training a person of each clip is drawn to be the first, with companions in any order.

        Args:
            batch: as for `forward`, any number of tracks, with ``track_actions`` (B, N, T, A) in [0, 1] and, where not
                every detection has labels, ``track_actions_valid`` (B, N, T) bool.

        Returns:
            A scalar in float32 and ``{"actions": ...}`` without the weight; 0 where nothing has a label.
        """
        valid = batch["tracks_valid"]
        names = [name for name in (*READ, "track_actions", "track_actions_valid") if name in batch]
        people = self.config.people
        order = random_order(valid.any(2), people) if self.training else order_for(0, valid.any(2), people)
        chosen = {name: taken(batch[name], order) for name in names}
        valid = chosen["tracks_valid"]
        hidden = hidden_share(valid, self.config.mask) if self.training else None
        logits = self(chosen, hidden)["actions"].float()
        counted = valid & chosen["track_actions_valid"] if "track_actions_valid" in chosen else valid.clone()
        if not self.config.others:
            counted[:, 1:] = False
        wanted = torch.where(counted[..., None], chosen["track_actions"].float(), 0)
        each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        loss = torch.where(counted[..., None], each, 0).sum() / (counted.sum() * each.shape[-1]).clamp(min=1)
        return self.config.weight * loss, {"actions": loss}

    def after_step(self) -> None:
        """Nothing follows a step."""

    @torch.no_grad()
    def everybody(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Probabilities of each person at every step, each in turn the person of interest: (B, N, T, A)."""
        there = batch["tracks_valid"].any(2)
        given = {name: batch[name] for name in READ if name in batch}
        found = []
        for who in range(there.shape[1]):
            order = order_for(who, there, self.config.people)
            found.append(torch.sigmoid(self({k: taken(v, order) for k, v in given.items()})["actions"][:, 0].float()))
        return torch.stack(found, dim=1)

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``actions`` (B, 1, A): what the first person does in the middle of the clip, the mean probability of twelve
        steps."""
        valid = batch["tracks_valid"]
        order, middle = order_for(0, valid.any(2), self.config.people), valid.shape[2] // 2
        logits = self({name: taken(batch[name], order) for name in READ if name in batch})["actions"][:, :1]
        return {"actions": at_moment(torch.sigmoid(logits.float()), middle)}

    def begin(self) -> None:
        """Take the weights of the run in ``start``, before the first step.

        Raises:
            SessionError: no run there, or one without weights.
            ConfigError: another model's, or of another size.
        """
        if self.config.start:
            folder = Path(self.config.start)
            other = evaluate.load_model(folder, evaluate.read_config(folder))[0]
            load_exactly(self, other.state_dict(), "this model (lart.start)").train()

    def parameter_groups(self, train: TrainConfig) -> list[dict[str, Any]]:
        """What learns how fast: by layer, ``layer_decay`` to the power of the layers above it; vectors do not decay.

        The encoders, the mask and the positions are layer 0, the transformer's layers follow, the head is the last.
        """
        groups: dict[tuple[int, bool], dict[str, Any]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            layer, plain = self._layer(name), parameter.ndim > 1
            share = train.layer_decay ** (self.config.layers + 1 - layer)
            decay = train.weight_decay if plain else 0.0
            group = groups.setdefault((layer, plain), {"params": [], "share": share, "weight_decay": decay})
            group["params"].append(parameter)
        return list(groups.values())

    def _layer(self, name: str) -> int:
        if name.startswith("transformer.layers."):
            return int(name.split(".")[2]) + 1
        return self.config.layers + 1 if name.startswith("action_head") else 0

    def _tokens(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B, N, T, width), anything where there is no detection, but a number."""
        valid = batch["tracks_valid"][..., None]
        parts = []
        if "pose" in self.config.parts:
            parts.append(self.pose_shape_encoder(self._pose(batch, valid)))
        if "joints" in self.config.parts:
            parts.append(self.joint_encoder(torch.where(valid, batch["joints"], 0)))
        if "appearance" in self.config.parts:
            fine = valid & batch["appearance_valid"][..., None] if "appearance_valid" in batch else valid
            parts.append(self.apperance_encoder(torch.where(fine, batch["appearance"], 0)))
        return torch.cat(parts, dim=-1)

    def _pose(self, batch: Mapping[str, Tensor], valid: Tensor) -> Tensor:
        vectors, measured = batch["tracks"], batch.get("tracks_joints")
        if measured is None:
            measured = torch.ones(*vectors.shape[:2], JOINTS, dtype=torch.bool, device=vectors.device)
        if measured.ndim == 3:
            measured = measured[:, :, None]
        measured = measured.expand(*vectors.shape[:3], JOINTS)
        x = torch.where(valid, (known(vectors, measured) - self.mean) / self.deviation.clamp(min=1e-10), 0)
        return torch.cat([x, measured.to(x.dtype)], dim=-1) if self.config.partial else x

    def _positions(self, steps: int, people: int) -> Tensor:
        """(T, N, width)."""
        if not self.config.learned_positions:
            return positions(self.config.width, steps, people, time_first=True).permute(1, 2, 0)
        require(steps <= STEPS, "lart.learned_positions", f"knows {STEPS} steps, not clips of", steps)
        return self.pos_embedding[:, :steps, :people].permute(1, 2, 0)


def encoder(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU between: (..., inputs) -> (..., outputs)."""
    widths = (inputs, *hidden, outputs)
    layers: list[nn.Module] = []
    for k in range(len(widths) - 1):
        layers += [nn.Linear(widths[k], widths[k + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def openable(seen: Tensor) -> Tensor:
    """`seen` (B, M) with the first token open where all are closed: a softmax over nothing is no number."""
    first = torch.zeros_like(seen)
    first[:, :1] = ~seen.any(dim=1, keepdim=True)
    return seen | first


def from_reference(state_dict: Mapping[str, Tensor], **config: Any) -> nn.Module:
    """A model with the authors' weights, by the names in their checkpoints (``state_dict`` of ``epoch_*-EMA.ckpt``).

    Parts through which no action goes are left out: class tokens, which are joined after the transformer, two
    convolutions, and the heads for Kinetics, body and place. Call `Model.standardise` with their statistics.
    """
    published = {
        name.removeprefix("encoder."): tensor
        for name, tensor in without_prefix(state_dict).items()
        if not name.startswith("smpl.") and not name.removeprefix("encoder.").startswith(IDLE)
    }
    if "pos_embedding" in published:
        published["pos_embedding"] = published["pos_embedding"].detach()
    return load_exactly(Model(Config(**config)), published, "lart", ours_alone=("mean", "deviation"))
