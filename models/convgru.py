"""A gated recurrent unit over maps, with 1x1 kernels (Ballas et al., ICLR 2016; as the DPC and CCAU codes have it).

Every cell of the map runs the same unit by itself:

    u = sigmoid(Wu [x, h]),  r = sigmoid(Wr [x, h]),  c = tanh(Wc [x, r * h]),  h <- (1 - u) h + u c

The dropped-out state is both the output and what the next step sees. A kernel of one cell makes each gate a matrix,
so the share of the inputs is one product for all steps and gates, and only the share of the state stays in the loop.
Names are the published ones (``cell_list.0.reset_gate.weight``, of shape hidden x (inputs + hidden) x 1 x 1).
256 inputs and 256 hidden have 393,984 parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.reference import load_exactly, without_prefix

GATES = ("reset_gate", "update_gate", "out_gate")
DUPLICATE = "ConvGRUCell_00."
"""The published modules hold their cell twice, under this name and in ``cell_list``."""


class Cell(nn.Module):
    """The three gates; they start orthogonal, with biases of 0."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        for name in GATES:
            gate = nn.Conv2d(inputs + hidden, hidden, 1)
            nn.init.orthogonal_(gate.weight)
            assert gate.bias is not None
            nn.init.zeros_(gate.bias)
            setattr(self, name, gate)


class ConvGRU(nn.Module):
    """One layer.

    Args:
        inputs: channels of the maps.
        hidden: channels of the state.
        dropout: of the state, at each step.
    """

    def __init__(self, inputs: int = 256, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.inputs, self.hidden, self.dropout = inputs, hidden, dropout
        self.cell_list = nn.ModuleList([Cell(inputs, hidden)])

    def forward(self, maps: Tensor, state: Tensor | None = None) -> Tensor:
        """Run over a sequence.

        Args:
            maps: (B, N, inputs, h, w).
            state: (B, hidden, h, w) to start from; zeros where there is none.

        Returns:
            (B, N, hidden, h, w), the state after each step, in (-1, 1) before dropout's scaling.
        """
        batch, steps, _, height, width = maps.shape
        gates = [getattr(self.cell_list[0], name) for name in GATES]
        weights = torch.cat([gate.weight.flatten(1) for gate in gates])  # (3 * hidden, inputs + hidden)
        bias = torch.cat([gate.bias for gate in gates])
        of_input, of_state = weights.split([self.inputs, self.hidden], dim=1)
        of_gates, of_candidate = of_state.split([2 * self.hidden, self.hidden])

        x = maps.permute(1, 0, 3, 4, 2).reshape(steps, -1, self.inputs)  # (N, B*h*w, inputs)
        shares = F.linear(x, of_input, bias)  # (N, B*h*w, 3 * hidden)
        if state is None:
            h = shares.new_zeros(shares.shape[1], self.hidden)
        else:
            h = state.permute(0, 2, 3, 1).reshape(-1, self.hidden)  # (B*h*w, hidden)
        states = []
        for share in shares:
            gate_share, candidate_share = share.split([2 * self.hidden, self.hidden], dim=1)
            reset, update = torch.sigmoid(gate_share + F.linear(h, of_gates)).chunk(2, dim=1)
            candidate = torch.tanh(candidate_share + F.linear(reset * h, of_candidate))
            h = F.dropout(torch.lerp(h, candidate, update), self.dropout, self.training)
            states.append(h)
        return torch.stack(states).view(steps, batch, height, width, self.hidden).permute(1, 0, 4, 2, 3)


def without_duplicate(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names without the second copy of the cell; a file that has only that copy keeps it, renamed."""
    kept = {name: tensor for name, tensor in state_dict.items() if DUPLICATE not in name}
    copies = {n.replace(DUPLICATE, "cell_list.0."): t for n, t in state_dict.items() if DUPLICATE in n}
    return copies | kept


def from_reference(state_dict: Mapping[str, Tensor], **config: object) -> nn.Module:
    """A ConvGRU with the weights of the DPC code's ``agg``; `config` are the constructor's arguments."""
    published = without_duplicate(without_prefix(state_dict))
    return load_exactly(ConvGRU(**config), published, "convgru")  # type: ignore[arg-type]
