"""The Action Transformer head: a person looks around the clip (section 3.2 of the paper).

A unit takes a query for each box and attends with it to all cells of the clip's map, its memory:

    A   = softmax(Q K^T / sqrt(D)) V         Q = Wq q, K = Wk x, V = Wv x
    Q'  = LayerNorm(Q + Dropout(A))
    Q'' = LayerNorm(Q' + Dropout(FFN(Q')))

(The paper prints FFN(Q) in the last line; its text and figure pass Q' through, and so does this.) The units of a layer,
its heads, each have all D channels, and what they give side by side is the next layer's q. The FFN has 4 D hidden
channels, which is what the published parameter counts come to.

Keys and values depend on the clip alone. They are computed for all units in one product, once a clip, and R queries
share them: nothing of size R x cells is ever kept. The units of a layer are computed together.

Shapes at full size (B clips, R boxes, N = 16 x 25 x 25 = 10,000 cells, H = 2 heads, L = 3 layers, D = 128):

    map with location   B x 864 x 16 x 25 x 25      832 of I3D, 16 of place, 16 of time
    boxes' cells        B x R x 864 x 7 x 7         from the middle of the clip
    keys, values        B x L x 2 x H x N x D       one product, 864 -> 1536
    query, low          B x R x 864                 the mean of 49 cells
    query, high         B x R x 128                 1x1 to 128, 49 x 128 -> 128
    layer               B x R x H x D
    output              B x R x 256
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.vat.config import Config

CELLS = 7
"""Cells along each side of a box that was cut out of a map."""


class Location(nn.Module):
    """Channels that tell where a cell is: its (row, column) and its time, each through two linear maps with ReLU.

    Positions are relative to the map's centre, in fractions of its size, so another length or size of clip means
    the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.place = nn.Sequential(nn.Linear(2, half), nn.ReLU(), nn.Linear(half, half))
        self.time = nn.Sequential(nn.Linear(1, half), nn.ReLU(), nn.Linear(half, half))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C + channels, T, H, W)."""
        times, rows, columns = (_centred(n, maps) for n in maps.shape[2:])
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)  # (H, W, 2)
        place = self.place(grid).permute(2, 0, 1)[:, None]  # (c, 1, H, W)
        time = self.time(times[:, None]).T[:, :, None, None]  # (c, T, 1, 1)
        where = [part.expand(len(maps), -1, *maps.shape[2:]) for part in (place, time)]
        return torch.cat([maps, *(part.to(maps.dtype) for part in where)], dim=1)


class PerHead(nn.Module):
    """A linear map of each head's own: (..., H, inputs) -> (..., H, outputs)."""

    def __init__(self, heads: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(heads, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(heads, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.einsum("...hi,hio->...ho", x, self.weight) + self.bias


class PerHeadNorm(nn.Module):
    """Layer norm over the D channels of each head: (..., H, D) -> (..., H, D)."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(heads, width))
        self.bias = nn.Parameter(torch.zeros(heads, width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class HighRes(nn.Module):
    """Query from all cells of a box, for `heads` units at once: a 1x1 convolution, then all 49 cells to one vector."""

    def __init__(self, inputs: int, width: int, heads: int) -> None:
        super().__init__()
        self.cell = nn.Linear(inputs, heads * width)
        self.whole = PerHead(heads, CELLS * CELLS * width, width)
        self.heads = heads

    def forward(self, cells: Tensor) -> Tensor:
        """(B, R, C, 7, 7) -> (B, R, heads, width)."""
        each = self.cell(cells.flatten(3).transpose(2, 3))  # (B, R, 49, heads * width)
        return self.whole(each.unflatten(-1, (self.heads, -1)).transpose(2, 3).flatten(4).flatten(3))


class Layer(nn.Module):
    """The units of one layer.

    Args:
        config: of the model.
        inputs: channels of the query that comes in; 0 for a first layer that takes its own from the box.
        cells: channels of the boxes' cells, for a preprocessor in each unit; 0 for none.
    """

    def __init__(self, config: Config, inputs: int, cells: int) -> None:
        super().__init__()
        heads, width = config.heads, config.width
        self.heads, self.dropout = heads, config.dropout
        self.query = nn.Linear(inputs, heads * width) if inputs else None
        self.preprocessor = HighRes(cells, width, heads) if cells else None
        self.own = PerHead(heads, width, width) if cells else None
        self.norm1, self.norm2 = PerHeadNorm(heads, width), PerHeadNorm(heads, width)
        self.inner, self.outer = PerHead(heads, width, config.hidden), PerHead(heads, config.hidden, width)

    def projected(self, query: Tensor | None, cells: Tensor) -> Tensor:
        """Q of each unit, (B, R, H, D), from what comes in (B, R, inputs) and the boxes' cells (B, R, C, 7, 7)."""
        parts = []
        if self.query is not None:
            parts.append(self.query(query).unflatten(-1, (self.heads, -1)))
        if self.preprocessor is not None and self.own is not None:
            parts.append(self.own(self.preprocessor(cells)))
        return sum(parts[1:], parts[0])

    def forward(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Q (B, R, H, D) with keys and values (B, H, N, D) -> Q'' (B, R, H, D)."""
        seen = F.scaled_dot_product_attention(query.transpose(1, 2), keys, values).transpose(1, 2)
        query = self.norm1(query + F.dropout(seen, self.dropout, self.training))
        changed = self.outer(torch.relu(self.inner(query)))
        return self.norm2(query + F.dropout(changed, self.dropout, self.training))


class ActionTransformer(nn.Module):
    """All layers.

    Args:
        config: of the model.
        channels: of the map, location included.
    """

    def __init__(self, config: Config, channels: int) -> None:
        super().__init__()
        self.layers, self.heads, self.width = config.layers, config.heads, config.width
        self.high = config.query == "high"
        each = self.high and config.preprocessor == "per_unit"
        self.memory = nn.Linear(channels, self.layers * 2 * self.heads * self.width)
        self.preprocessor = HighRes(channels, self.width, 1) if self.high and not each else None
        first = 0 if each else self.width if self.high else channels
        later = self.heads * self.width
        self.units = nn.ModuleList(
            Layer(config, first if i == 0 else later, channels if each else 0) for i in range(self.layers)
        )
        self.outputs = later

    def forward(self, maps: Tensor, cells: Tensor) -> Tensor:
        """What each box's person is, with what is around them: (B, R, H * D).

        Args:
            maps: (B, C, T, H, W), location included.
            cells: (B, R, C, 7, 7), the boxes cut out of the middle of the same map.
        """
        *_, (_, _, query) = self.steps(maps, cells)
        return query

    def steps(self, maps: Tensor, cells: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Layer by layer: its queries Q (B, R, H, D), its keys (B, H, N, D), and its output (B, R, H * D)."""
        keys, values = self.remembered(maps)
        query = self.start(cells)
        for layer, (unit, k, v) in enumerate(zip(self.units, keys, values, strict=True)):
            assert isinstance(unit, Layer)
            asked = unit.projected(query, cells)
            query = unit(asked, k, v).flatten(2)
            yield asked, keys[layer], query

    def remembered(self, maps: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Keys and values of every layer, each (B, H, N, D), computed together."""
        memory = self.memory(maps.flatten(2).transpose(1, 2))  # (B, N, L * 2 * H * D)
        parts = memory.unflatten(-1, (2 * self.layers, self.heads, self.width)).permute(2, 0, 3, 1, 4)
        each = parts.unbind(0)  # 2 L times (B, H, N, D); one unbind, whose gradient is put together in one go
        return each[0::2], each[1::2]

    def start(self, cells: Tensor) -> Tensor | None:
        """What goes into the first layer, (B, R, inputs); None where every unit looks at the box itself."""
        if self.preprocessor is not None:
            return self.preprocessor(cells)[:, :, 0]
        return None if self.high else cells.mean(dim=(3, 4))

    @torch.no_grad()
    def attention(self, maps: Tensor, cells: Tensor) -> Tensor:
        """Where each box looks: (B, R, L, H, T, height, width), a distribution over the cells. For few boxes."""
        found = []
        for asked, keys, _ in self.steps(maps, cells):
            scores = asked.transpose(1, 2) @ keys.transpose(2, 3) / math.sqrt(self.width)  # (B, H, R, N)
            found.append(scores.float().softmax(-1).transpose(1, 2))
        return torch.stack(found, dim=2).unflatten(-1, maps.shape[2:])


def _centred(count: int, like: Tensor) -> Tensor:
    """Positions of `count` cells, relative to their middle, in fractions of them all."""
    return (torch.arange(count, device=like.device, dtype=torch.float32) - (count - 1) / 2).to(like.dtype) / count
