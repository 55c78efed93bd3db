"""HGRNN and LART beside the straightforward ways of computing them. `python -m tests.bench people_speed [--quick]`.

The same weights and the same numbers, one thread. HGRNN: fifty keyframes with two to five persons, against a loop over
frames and persons with a GRU cell for each, and against a padded batch through torch.nn.GRUCell that computes the whole
input product in every iteration. LART: whole transformers over 125 steps of five persons, against attention whose
scores are held for every head and filled by two masks that are repeated for every head, as in the authors' code.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hgrnn.graph import GraphGRU, masked_max
from models.lart.transformer import Attention, Transformer

BATCH, MOST, WIDTH, SCENE, ITERATIONS = 50, 5, 256, 512, 2
STEPS, PEOPLE, LAYERS = 125, 5, 16
SIZES = (512, 16, 64, 512)
"""Width, heads, width of a head, feed-forward."""


def per_person(graph: GraphGRU, person: Tensor, scene: Tensor, valid: Tensor) -> Tensor:
    """The graph RNN frame after frame and person after person."""
    out = torch.zeros(*valid.shape, graph.hidden)
    for frame in range(len(person)):
        there = torch.nonzero(valid[frame]).flatten().tolist()
        states = [torch.zeros(graph.hidden) for _ in there]
        for _ in range(graph.iterations):
            seen = torch.stack(states).amax(0)
            states = [
                _cell(graph, torch.cat([person[frame, i], scene[frame], seen]), h)
                for i, h in zip(there, states, strict=True)
            ]
        for i, h in zip(there, states, strict=True):
            out[frame, i] = h
    return out


def _cell(graph: GraphGRU, a: Tensor, h: Tensor) -> Tensor:
    """Torch's form for one person."""
    reset, keep, new = F.linear(a, graph.weight, graph.bias).chunk(3)
    back_reset, back_keep, back_new = F.linear(h, graph.recurrent, graph.recurrent_bias).chunk(3)
    keep = torch.sigmoid(keep + back_keep)
    return (1 - keep) * torch.tanh(new + torch.sigmoid(reset + back_reset) * back_new) + keep * h


def padded_cell(graph: GraphGRU, cell: nn.GRUCell, person: Tensor, scene: Tensor, valid: Tensor) -> Tensor:
    """The graph RNN through torch's cell over all padded persons."""
    batch, people = valid.shape
    state = torch.zeros(batch * people, graph.hidden)
    for _ in range(graph.iterations):
        seen = masked_max(state.view(batch, people, -1), valid)
        beside = torch.cat([scene, seen], dim=1)[:, None].expand(-1, people, -1)
        state = cell(torch.cat([person, beside], dim=2).flatten(0, 1), state)
    return torch.where(valid[..., None], state.view(batch, people, -1), 0)


class HeldScores(nn.Module):
    """The authors' way to attend, with the weights of an `Attention`."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.own, self.heads = attention, attention.heads

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, M, width), (B, M) bool -> (B, M, width)."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.own.to_qkv(x).chunk(3, dim=-1))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        there = torch.ones_like(seen, dtype=x.dtype)
        both = (there[:, None, :, None] * there[:, None, None, :]).repeat(1, self.heads, 1, 1)
        masked = (~seen)[:, None, None, :].repeat(1, self.heads, seen.shape[1], 1)
        scores[both == 0] = -1e3
        scores[masked] = -1e3
        found = scores.softmax(dim=-1) @ v
        return self.own.to_out(found.transpose(1, 2).flatten(2))


def held(transformer: Transformer) -> Transformer:
    """A transformer with the same weights that holds its scores."""
    other = Transformer(SIZES[0], len(transformer.layers), *SIZES[1:])
    other.load_state_dict(transformer.state_dict())
    for first, _ in other.layers:  # type: ignore[misc]
        first.fn = HeldScores(first.fn)
    return other.eval()


def seconds(work: Callable[[], Tensor], times: int) -> tuple[float, Tensor]:
    """The best CPU time of some runs, after one to warm up, and the answer."""
    answer, best = work(), float("inf")
    for _ in range(times):
        begun = time.process_time()
        answer = work()
        best = min(best, time.process_time() - begun)
    return best, answer


@torch.no_grad()
def relations(times: int) -> None:
    """Print HGRNN's graph RNN three ways."""
    torch.manual_seed(0)
    graph, cell = GraphGRU(WIDTH, SCENE, WIDTH, ITERATIONS, "torch"), nn.GRUCell(2 * WIDTH + SCENE, WIDTH)
    for own, name in (
        ("weight", "weight_ih"),
        ("recurrent", "weight_hh"),
        ("bias", "bias_ih"),
        ("recurrent_bias", "bias_hh"),
    ):
        getattr(cell, name).copy_(getattr(graph, own))
    valid = torch.arange(MOST) < torch.randint(2, MOST + 1, (BATCH, 1))
    person, scene = torch.randn(BATCH, MOST, WIDTH) * valid[..., None], torch.randn(BATCH, SCENE)
    own, answer = seconds(lambda: graph(person, scene, valid), times)
    answer = torch.where(valid[..., None], answer, 0)
    print(f"HGRNN, {BATCH} keyframes, {int(valid.sum())} persons: {1e3 * own:.1f} ms")
    ways: dict[str, Callable[[], Tensor]] = {
        "a loop over persons": lambda: per_person(graph, person, scene, valid),
        "a padded GRUCell": lambda: padded_cell(graph, cell, person, scene, valid),
    }
    for name, way in ways.items():
        spent, other = seconds(way, max(1, times // 3))
        apart = (other - answer).abs().max().item()
        print(f"  {name}: {1e3 * spent:.1f} ms, {spent / own:.1f} times as long, numbers within {apart:.1e}")


@torch.no_grad()
def tracks(times: int, layers: int) -> None:
    """Print LART's transformer two ways."""
    torch.manual_seed(0)
    transformer = Transformer(SIZES[0], layers, *SIZES[1:]).eval()
    other = held(transformer)
    x, seen = torch.randn(1, STEPS * PEOPLE, SIZES[0]), torch.rand(1, STEPS * PEOPLE) > 0.2
    own, answer = seconds(lambda: transformer(x, seen), times)
    spent, held_answer = seconds(lambda: other(x, seen), times)
    apart = (held_answer - answer).abs().max().item()
    print(f"LART, {layers} layers, {STEPS * PEOPLE} tokens: {own:.2f} s")
    print(f"  scores held: {spent:.2f} s, {spent / own:.2f} times as long, numbers within {apart:.1e}")


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    quick = "--quick" in (sys.argv if arguments is None else arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    relations(3 if quick else 10)
    tracks(*((1, 2) if quick else (3, LAYERS)))
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
