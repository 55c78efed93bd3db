"""Oracle scene graphs to a vector: which object stands in which relation to the actor, as annotated.

The HOMAGE paper's appendix B: a matrix of objects x relations, 1 where a relation was annotated in the interval,
flattened into a multi-layer perceptron. Its widths are unpublished; here one hidden layer. It says how far perfect
perception of the scene would go, and is no method by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SceneGraphMLP(nn.Module):
    """Multi-hot relations to features.

    Args:
        objects, relations: classes (HOMAGE: 86 and 29).
        hidden, outputs: widths.
        dropout: between the layers.
    """

    def __init__(
        self, objects: int = 86, relations: int = 29, hidden: int = 256, outputs: int = 256, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(objects * relations, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
        )

    def forward(self, graph: Tensor) -> Tensor:
        """(B, F, objects, relations) of 0 and 1 -> (B, outputs): what held in any of the F frames."""
        held = torch.amax(graph, dim=1).flatten(1)  # (B, objects * relations)
        return self.layers(held.to(next(self.parameters())))
