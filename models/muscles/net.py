"""Learn from your muscles: a visual representation supervised by gaze and body movement.

Ehsani, Gordon, Nguyen, Mottaghi, Farhadi, "What Can You Learn From Your Muscles? Learning Visual Representation
from Human Interactions", ICLR 2021, section 4 and appendix A.4.1. The head camera's frames pass a ResNet-18 that
starts from random weights; what the wearer looks at and which body parts move are to be read from its features,
and two views of one frame must resemble each other more than they resemble other frames (MoCo).

Where the paper and the authors' code disagree, the default does what the code does: the decoder reads the
frames again (the paper decodes from the encoder's state alone), and the losses weigh 0.09 visual, 0.9 gaze,
0.009 movement. The contrastive loss starts near ln 16385 = 9.7 and the gaze loss near 0.05, so these weights
balance the terms; the paper prints 0.9, 0.09 and 0.01, which is the preset ``paper``.

Shapes at full size (B clips):

    frames          B x 5 x 3 x 224 x 224
    ResNet maps     5B x 512 x 7 x 7
    1x1 conv        5B x 64 x 7 x 7, then B x 5 x 3136      one for each task
    encoder LSTM    its last (h, c), 3 x B x 512            one for each task
    decoder LSTM    B x 5 x 512, from that (h, c)           one for each task
    gaze, movement  B x 5 x 2, B x 5 x 6                    512 -> 100 -> 2 or 6
    embedding       B x 128 on the unit sphere              first frame, query and key
    rebuilt         5B x 3 x 56 x 56                        in place of the embedding with ``visual = "rebuild"``

Parameters: 69,364,208 with the momentum encoder's 11,242,176; 58,122,032 are trained. An LSTM 3136 -> 512 of
three layers has 11,677,696. The authors' code builds a 1x1 convolution for movement (32,832) and then passes
both tasks through the one for gaze; here each task uses its own, so the count is the same and nothing is idle.
With gaze as an input (2 -> 100 -> 512 beside the 3136) the movement's two LSTMs have 12,726,272 each.

The authors' code runs the ResNet three times a step: on the clip, on its first frame again (the query), and on
another view of that (the key, by the momentum encoder). The query is the clip's first frame as it is augmented, so
its map is taken from the first run: two runs remain. Batch norm then sees it among five frames instead of alone.

Legend: B clips, T frames of a clip, S pixels of a side, C channels, h x w cells, G groups of body parts,
E size of the embedding, Q entries of the queue.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.muscles.config import Config
from models.muscles.contrast import Queue, contrastive_loss, embedded, gathered
from models.muscles.losses import gaze_loss, move_loss
from models.muscles.rebuild import Builder, rebuild_loss
from models.resnet import FrameFeatures, normalised

UNKNOWN_GAZE = -1.0  # as the authors' files say it


class Model(nn.Module):
    """Gaze and movement from five frames, with a visual side task.

    Frames come in as RGB, ``uint8`` or float in [0, 1]; the model normalises them.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        inputs = config.channels * config.cells
        self.feature_extractor = FrameFeatures(config.widths, config.strides, config.difference)
        if "attn" in config.parts:
            self.pointwise_conv = pointwise(config)
            self.lstm, self.decoder_lstm = lstm(config, inputs), lstm(config, inputs)
            self.gaze_unembed = perceptron(config.hidden, config.unembed, 2, config.dropout)
        if "move" in config.parts:
            self.imu_pointwise_conv = pointwise(config)
            if config.gaze_input:
                self.gaze_embed = perceptron(2, config.unembed, config.hidden, config.dropout)
                inputs += config.hidden
            self.imu_lstm, self.imu_decoder_lstm = lstm(config, inputs), lstm(config, inputs)
            self.imu_unembed = perceptron(config.hidden, config.unembed, config.groups, config.dropout)
        if "vis" in config.parts:
            self._add_visual(config)
        self._keys: list[Tensor] = []  # of the batches since the last optimiser step

    def _add_visual(self, config: Config) -> None:
        if config.visual == "rebuild":
            self.builder = Builder(config.widths, config.channels)
            return
        self.feature_linear = nn.Linear(config.widths[3], config.embedding)
        self.moco_feature_extractor = FrameFeatures(config.widths, config.strides, config.difference)
        self.moco_feature_linear = nn.Linear(config.widths[3], config.embedding)
        for own, copy in self._momentum_pairs():
            copy.load_state_dict(own.state_dict())
            copy.requires_grad_(False)
        self.contrast = Queue(config.queue, config.embedding)

    def forward(self, frames: Tensor, gaze: Tensor | None = None) -> dict[str, Tensor]:
        """Predict for every frame of a clip.

        Args:
            frames: (B, T, 3, S, S).
            gaze: with ``gaze_input``: (B, T, 2), (x, y) as fractions of the frame, `UNKNOWN_GAZE` where missing.

        Returns:
            ``gaze`` (B, T, 2): (x, y) as fractions of the frame, (0, 0) at its top left, not clipped.
            ``move`` (B, T, G): logits, positive where the group is thought to move.
            Only those among the objectives.
        """
        return self.read(self.feature_extractor(normalised(frames)), gaze)

    def read(self, maps: Tensor, gaze: Tensor | None = None) -> dict[str, Tensor]:
        """What `forward` says, from maps (B, T, C, h, w)."""
        outputs = {}
        if hasattr(self, "gaze_unembed"):
            states = recode(flattened(maps, self.pointwise_conv), self.lstm, self.decoder_lstm)
            outputs["gaze"] = self.gaze_unembed(states)
        if hasattr(self, "imu_unembed"):
            cells = flattened(maps, self.imu_pointwise_conv)
            if hasattr(self, "gaze_embed"):
                cells = torch.cat([cells, self.gaze_embed(gaze)], dim=2)  # (B, T, channels*h*w + hidden)
            outputs["move"] = self.imu_unembed(recode(cells, self.imu_lstm, self.imu_decoder_lstm))
        return outputs

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`forward` of the batch's ``frames``, and with ``gaze_input`` of its gaze."""
        return self(batch["frames"], self._given(batch))

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the objectives' losses, and each of them.

        Args:
            batch: ``frames`` (B, T, 3, S, S); ``gaze`` (B, T, 2) with ``gaze_valid`` (B, T) bool; ``move``
                (B, T, G) of 0 and 1 with ``move_valid`` (B, T, G) bool; for contrast ``key`` (B, 3, S, S),
                another view of the first frame. ``vis`` alone reads ``query`` (B, 3, S, S) and no frames.

        Returns:
            The loss to minimise, a scalar in float32, and ``{"visual": ..., "gaze": ..., "move": ...}``
            unweighted. A batch without a valid label has loss 0 for that term.
        """
        alone = self.config.objectives == "vis"
        frames = normalised(batch["query"][:, None] if alone else batch["frames"])
        maps = self.feature_extractor(frames)  # (B, T, C, h, w), T = 1 for `vis` alone
        outputs, losses = self.read(maps, self._given(batch)), {}
        if "gaze" in outputs:
            losses["gaze"] = gaze_loss(outputs["gaze"], batch["gaze"], batch["gaze_valid"])
        if "move" in outputs:
            losses["move"] = move_loss(outputs["move"], batch["move"], batch["move_valid"])
        if hasattr(self, "builder"):
            losses["visual"] = rebuild_loss(self.builder(maps.flatten(0, 1)), frames.flatten(0, 1))
        if hasattr(self, "contrast"):
            query = embedded(maps[:, 0], self.feature_linear)
            key = self._key(batch["key"])
            losses["visual"] = contrastive_loss(query, key, self.contrast.memory, self.config.temperature)
        weights = self.config
        return sum(getattr(weights, f"{name}_weight") * value for name, value in losses.items()), losses

    @torch.no_grad()
    def _key(self, views: Tensor) -> Tensor:
        maps = self.moco_feature_extractor(normalised(views)[:, None])
        key = embedded(maps[:, 0], self.moco_feature_linear)
        if self.training:
            self._keys.append(key)
        return key

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the momentum encoder towards the encoder and put the new keys into the queue.

        The loop calls it after every optimiser step, so that accumulated batches see the same queue.
        """
        if not hasattr(self, "contrast"):
            return
        for own, copy in self._momentum_pairs():
            for source, target in zip(own.parameters(), copy.parameters(), strict=True):
                target.lerp_(source, 1 - self.config.momentum)
        self.contrast.push(gathered(self._keys))
        self._keys.clear()

    def _given(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        if not self.config.gaze_input:
            return None
        return torch.where(batch["gaze_valid"][..., None], batch["gaze"], UNKNOWN_GAZE)

    def _momentum_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [
            (self.feature_extractor, self.moco_feature_extractor),
            (self.feature_linear, self.moco_feature_linear),
        ]


def pointwise(config: Config) -> nn.Sequential:
    """(B*T, C, h, w) -> (B*T, channels, h, w)."""
    conv = nn.Conv2d(config.widths[3], config.channels, 1)
    return nn.Sequential(conv, nn.LeakyReLU(), nn.Dropout(config.dropout))


def lstm(config: Config, inputs: int) -> nn.LSTM:
    """(B, T, inputs) -> (B, T, hidden)."""
    return nn.LSTM(inputs, config.hidden, config.layers, batch_first=True)


def perceptron(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """(B, T, inputs) -> (B, T, outputs)."""
    first = nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(), nn.Dropout(dropout))
    return nn.Sequential(first, nn.Sequential(nn.Linear(hidden, outputs)))


def flattened(maps: Tensor, conv: nn.Module) -> Tensor:
    """A 1x1 convolution, and all cells in a row: (B, T, C, h, w) -> (B, T, channels * h * w)."""
    return conv(maps.flatten(0, 1)).flatten(1).unflatten(0, maps.shape[:2])


def recode(sequence: Tensor, encoder: nn.LSTM, decoder: nn.LSTM) -> Tensor:
    """Read all frames, then read them again from the state that this left: (B, T, D) -> (B, T, hidden)."""
    _, state = encoder(sequence)
    decoded, _ = decoder(sequence, state)
    return decoded
