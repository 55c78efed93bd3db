"""The transformer over tokens of which some must not be looked at.

The authors' code fills scores with -1000 in two cases: unless both tokens are detections, and in the columns of tokens
that were masked at random. Whatever a token without a detection finds is never used: nobody looks at it and no loss is
taken there. So one mask over the *columns* says the same where it matters, the scores are never held (SDPA), and the
numbers are equal.

Names are those of the authors' checkpoints: ``layers.N.0.fn.to_qkv``, ``layers.N.1.fn.net.0``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("pre", "post")


class Attention(nn.Module):
    """Multi-head attention whose heads need not add up to the width."""

    def __init__(self, width: int, heads: int, head: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.to_qkv = nn.Linear(width, 3 * heads * head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * head, width), nn.Dropout(dropout))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, M, width) with `seen` (B, M) bool, the tokens that may be looked at, one or more -> (B, M, width)."""
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, M, head)
        dropped = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None, :], dropout_p=dropped)
        return self.to_out(found.transpose(1, 2).flatten(2))  # (B, M, heads * head) -> (B, M, width)


class FeedForward(nn.Module):
    """Two layers with GELU between."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        first, second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.net = nn.Sequential(first, nn.GELU(), nn.Dropout(dropout), second, nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.net(x)


class Part(nn.Module):
    """A part of a layer with its norm, before it (``pre``, the code) or after the sum (``post``, the paper's text)."""

    def __init__(self, width: int, fn: nn.Module, norm: str, drop_path: float) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width), fn
        self.before, self.drop_path = norm == "pre", drop_path

    def forward(self, x: Tensor, *masks: Tensor) -> Tensor:
        """x + fn(norm(x)), or norm(x + fn(x)); in training the part of a sample is now and then left out."""
        if self.before:
            return x + self._kept(self.fn(self.norm(x), *masks))
        return self.norm(x + self._kept(self.fn(x, *masks)))

    def _kept(self, y: Tensor) -> Tensor:
        """Stochastic depth (Huang et al., 2016): whole samples, scaled so that the mean stays."""
        if not (self.training and self.drop_path):
            return y
        keep = 1 - self.drop_path
        return y * torch.empty_like(y[:, :1, :1]).bernoulli_(keep) / keep


class Layer(nn.ModuleList):
    """Attention, then feed-forward."""

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, M, width), (B, M) bool -> (B, M, width)."""
        attention, feed_forward = self
        return feed_forward(attention(x, seen))


class Transformer(nn.Module):
    """Layers of attention and feed-forward, without a last norm."""

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        head: int,
        hidden: int,
        norm: str = "pre",
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(
                Part(width, fn, norm, drop_path)
                for fn in (Attention(width, heads, head, dropout), FeedForward(width, hidden, dropout))
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, M, width), (B, M) bool -> (B, M, width)."""
        for layer in self.layers:
            x = layer(x, seen)
        return x
