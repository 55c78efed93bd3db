"""Small scenes of a wearer who looks at a tool: what gaze and movement can teach about pictures, and what they cannot.

A wall with stripes is shifted while the torso moves; two hands jitter while their arms move; a tool of one of three
kinds lies among two other things. Gaze is the tool, up to noise and blinks; of each movement label a third is unknown.
So gaze tells where the tool is and which of the things it is, movement tells what changes from frame to frame, and
neither says anything of how fine the stripes are: the probe of that is the control.

Chance: tool 1/3, all three movers right 1/8, cell of the tool 1/16, stripes 1/3. The ceiling is 1 for all of them but
for a tool that a hand covers, which `made` avoids: things are drawn above hands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SIDE, FRAMES, CELLS = 32, 4, 4
MOVERS = ("torso", "left arm", "right arm")
CHANCE = {"tool": 1 / 3, "movers": 1 / 8, "cell": 1 / CELLS**2, "stripes": 1 / 3}
GAZE_NOISE, BLINKS, UNKNOWN = 0.02, 0.1, 1 / 3
STRIPES = (2.0, 4.0, 7.0)  # a picture's side has so many
JITTER_PX, SHIFT_PX = 2.5, 3.0
GLYPHS = (
    ("......", ".####.", ".#..#.", ".#..#.", ".####.", "......"),
    ("..##..", "..##..", "######", "######", "..##..", "..##.."),
    ("#....#", ".#..#.", "..##..", "..##..", ".#..#.", "#....#"),
    ("#.....", "#.....", "#.....", "#.....", "#.....", "######"),
    ("######", "..##..", "..##..", "..##..", "..##..", "..##.."),
)
"""Three tools, then two things that are none."""


@dataclass(frozen=True)
class Scenes:
    """N clips of four frames.

    Attributes:
        frames: (N, T, 3, S, S) uint8.
        gaze, gaze_valid: (N, T, 2) float (x, y) in [0, 1]; (N, T) bool.
        move, move_valid: (N, T, 3) float 0 or 1, of `MOVERS`; bool.
        answers: probe -> (N,) int64: ``tool``, ``movers`` (three bits), ``cell``, ``stripes``.
    """

    frames: Tensor
    gaze: Tensor
    gaze_valid: Tensor
    move: Tensor
    move_valid: Tensor
    answers: dict[str, Tensor]

    def batch(self, index: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Clips as `models.muscles.Model.loss` reads them, with another view of the first frame as ``key``."""
        frames = self.frames[index].float() / 255
        picked = {name: getattr(self, name)[index] for name in ("gaze", "gaze_valid", "move", "move_valid")}
        return picked | {"frames": frames, "query": frames[:, 0], "key": other_view(frames[:, 0], random)}


def made(clips: int, seed: int) -> Scenes:
    """Draw clips; the same seed gives the same ones."""
    random = torch.Generator().manual_seed(seed)
    moving = torch.rand(clips, len(MOVERS), generator=random) < 0.5
    stripes = torch.randint(len(STRIPES), (clips,), generator=random)
    tool = torch.randint(3, (clips,), generator=random)
    places = torch.rand(clips, CELLS**2, generator=random).argsort(1)[:, :3]  # of the tool and of two others
    frames = _wall(stripes, moving[:, 0], random)
    for side in (0, 1):
        _draw_hand(frames, side, moving[:, 1 + side], random)
    others = torch.tensor([3, 4]).expand(clips, 2)
    middle = _draw_things(frames, torch.cat([tool[:, None], others], dim=1), places, random)
    frames += 0.03 * torch.randn(frames.shape, generator=random)
    gaze = middle[:, None] + GAZE_NOISE * torch.randn(clips, FRAMES, 2, generator=random)
    move = moving[:, None].float().expand(clips, FRAMES, len(MOVERS))
    return Scenes(
        frames=(255 * frames.clamp(0, 1)).round().to(torch.uint8),
        gaze=gaze,
        gaze_valid=torch.rand(clips, FRAMES, generator=random) >= BLINKS,
        move=move,
        move_valid=torch.rand(move.shape, generator=random) >= UNKNOWN,
        answers={
            "tool": tool,
            "movers": (moving.long() * torch.tensor([4, 2, 1])).sum(1),
            "cell": places[:, 0],
            "stripes": stripes,
        },
    )


def other_view(images: Tensor, random: torch.Generator) -> Tensor:
    """(B, 3, S, S) in [0, 1], each rolled by up to 3 px, its colours scaled, with noise."""
    shift = torch.randint(-3, 4, (len(images), 2), generator=random)
    at = torch.arange(SIDE)
    rows, columns = ((at + shift[:, k, None]) % SIDE for k in (0, 1))  # (B, S) each
    which = torch.arange(len(images))[:, None, None]
    moved = images.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    gain = 0.6 + 0.8 * torch.rand(len(images), 3, 1, 1, generator=random)
    return (moved * gain + 0.05 * torch.randn(images.shape, generator=random)).clamp(0, 1)


def _wall(stripes: Tensor, moving: Tensor, random: torch.Generator) -> Tensor:
    """(N, T, 3, S, S) float: stripes of any direction, shifted from frame to frame while the torso moves."""
    clips = len(stripes)
    turn = 3.1416 * torch.rand(clips, generator=random)
    way = SHIFT_PX * (2 * torch.rand(clips, FRAMES, generator=random) - 1).sign()
    way = torch.where(moving[:, None], way, 0).cumsum(1)  # (N, T) px across the stripes: along them nothing shows
    at = torch.arange(SIDE, dtype=torch.float32)
    along = at * turn.cos()[:, None, None] + at[:, None] * turn.sin()[:, None, None]  # (N, S, S)
    along = along[:, None] + way[..., None, None]  # (N, T, S, S)
    pace = 2 * 3.1416 * torch.tensor(STRIPES)[stripes] / SIDE
    wave = torch.sin(along * pace[:, None, None, None])  # (N, T, S, S)
    colour = 0.3 + 0.2 * torch.rand(clips, 1, 3, 1, 1, generator=random)
    return colour + 0.1 * wave[:, :, None]


def _draw_hand(frames: Tensor, side: int, moving: Tensor, random: torch.Generator) -> None:
    clips = len(frames)
    rest = torch.tensor([SIDE * (0.22, 0.78)[side], SIDE * 0.85]) + torch.rand(clips, 1, 2, generator=random)
    jitter = JITTER_PX * (2 * torch.rand(clips, FRAMES, 2, generator=random) - 1)
    middle = rest + torch.where(moving[:, None, None], jitter, 0)  # (N, T, 2)
    at = torch.arange(SIDE, dtype=torch.float32)
    away = (at - middle[..., 0, None])[:, :, None] ** 2 + (at - middle[..., 1, None])[..., None] ** 2
    cover = torch.sigmoid(12 - away)[:, :, None]  # radius of about 3.5 px, soft at the rim
    skin = torch.tensor([0.85, 0.65, 0.5]).view(1, 1, 3, 1, 1)
    frames.mul_(1 - cover).add_(cover * skin)


def _draw_things(frames: Tensor, kinds: Tensor, places: Tensor, random: torch.Generator) -> Tensor:
    """Draw kinds (N, K) in the cells `places` (N, K); returns the first's middle (N, 2) as fractions of the side."""
    glyphs = torch.tensor([[[c == "#" for c in row] for row in glyph] for glyph in GLYPHS])
    cell, size = SIDE // CELLS, glyphs.shape[-1]
    corner = torch.stack([places % CELLS, places // CELLS], dim=-1) * cell  # (N, K, 2) x, y
    corner = corner + torch.randint(cell - size + 1, corner.shape, generator=random)
    colour = 0.6 + 0.4 * torch.rand(*kinds.shape, 3, generator=random)
    for n in range(len(frames)):
        for k in range(kinds.shape[1]):
            x, y = corner[n, k].tolist()
            part = frames[n, :, :, y : y + size, x : x + size]
            part[..., glyphs[kinds[n, k]]] = colour[n, k][None, :, None]
    return (corner[:, 0] + size / 2) / SIDE
