"""The graph RNN: every person of a frame is a node, and every node sees the maximum over all of them.

The paper prints two equations of four; the rest is restored from them and from the gated graph networks it cites.
For iterations j = 1 ... K, with weights shared by nodes and iterations and h^(0) = 0:

    x_v = max over all persons, oneself included, of h^(j-1)
    a   = x_p (+) h_c (+) x_v                       (+) joins: person, scene context, the others
    z, r = sigmoid(W a + U h^(j-1))
    g   = tanh(W a + U (r o h^(j-1)))
    h^(j) = (1 - z) o h^(j-1) + z o g

That is the ``classic`` form. ``torch`` is the one of torch.nn.GRUCell, which resets after the product, r o (U h + b),
and calls 1 - z what the classic form calls z; it has a second set of biases. Since h^(0) = 0 the first iteration hears
of others only through h_c; what several others have *together* takes a second one.

All persons of all frames go through one product. The part of `a` that does not change is multiplied once, and x_v,
which a frame's persons share, once a frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELLS = ("classic", "torch")


def masked_max(values: Tensor, valid: Tensor) -> Tensor:
    """The maximum over the persons that are there; 0 where nobody is.

    Args:
        values: (..., P, C); what stands where `valid` is False does not matter, not even NaN.
        valid: (..., P) bool.

    Returns:
        (..., C).
    """
    if not values.shape[-2]:
        return values.sum(dim=-2)
    most = torch.where(valid[..., None], values, -torch.inf).amax(dim=-2)
    return torch.where(valid.any(dim=-1, keepdim=True), most, 0)


class GraphGRU(nn.Module):
    """The graph RNN.

    Args:
        person: width of x_p.
        scene: width of h_c; 0 without a scene.
        hidden: width of h.
        iterations: K.
        cell: ``classic`` or ``torch``.
    """

    def __init__(self, person: int, scene: int, hidden: int, iterations: int, cell: str) -> None:
        super().__init__()
        self.hidden, self.iterations, self.cell = hidden, iterations, cell
        self.weight = nn.Parameter(torch.empty(3 * hidden, person + scene + hidden))  # rows: r, z, g
        self.recurrent = nn.Parameter(torch.empty(3 * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(3 * hidden))
        self.recurrent_bias = nn.Parameter(torch.empty(3 * hidden)) if cell == "torch" else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)  # as torch's own GRU

    def forward(self, person: Tensor, scene: Tensor | None, valid: Tensor) -> Tensor:
        """The persons' states after K iterations.

        Args:
            person: (B, P, D), 0 where `valid` is False.
            scene: (B, S) or None.
            valid: (B, P) bool.

        Returns:
            (B, P, hidden) in (-1, 1).
        """
        known = person.shape[-1]
        fixed = F.linear(person, self.weight[:, :known], self.bias)  # (B, P, 3H), the same in every iteration
        if scene is not None:
            fixed = fixed + F.linear(scene, self.weight[:, known : -self.hidden])[:, None]
        others = self.weight[:, -self.hidden :]
        step = self._classic if self.cell == "classic" else self._torch
        state = step(fixed, None)  # (B, P, H); h^(0) is 0, and so is x_v
        for _ in range(self.iterations - 1):
            seen = F.linear(masked_max(state, valid), others)[:, None]  # (B, 1, 3H)
            state = step(fixed + seen, state)
        return state

    def _classic(self, inputs: Tensor, state: Tensor | None) -> Tensor:
        if state is None:
            _, update, new = inputs.chunk(3, dim=-1)
            return torch.sigmoid(update) * torch.tanh(new)
        twice = 2 * self.hidden
        gates = torch.sigmoid(inputs[..., :twice] + F.linear(state, self.recurrent[:twice]))
        reset, update = gates.chunk(2, dim=-1)
        new = torch.tanh(inputs[..., twice:] + F.linear(reset * state, self.recurrent[twice:]))
        return torch.lerp(state, new, update)

    def _torch(self, inputs: Tensor, state: Tensor | None) -> Tensor:
        bias = self.recurrent_bias
        back = bias.expand_as(inputs) if state is None else F.linear(state, self.recurrent, bias)  # type: ignore[union-attr]
        twice = 2 * self.hidden
        reset, keep = torch.sigmoid(inputs[..., :twice] + back[..., :twice]).chunk(2, dim=-1)
        new = torch.tanh(inputs[..., twice:] + reset * back[..., twice:])
        return (1 - keep) * new if state is None else torch.lerp(new, state, keep)
