"""Cooperative compositional action understanding: several streams of a clip, each of which learns from the others.

Rai, Chen, Ji, Desai, Kozuka, Ishizaka, Adeli, Niebles, "Home Action Genome: Cooperative Compositional Action
Understanding", CVPR 2021, sections 4 and 5 and appendix B. Each stream has a tower (`models.ccau.towers`) that can be
used alone; in training the contexts of each pair of streams are drawn together where they are of the same clip
(`models.ccau.losses`), and every tower learns the activity and the atomic actions it is made of.

    syncctl train ccau --data dataset --out run --preset tiny
    syncctl train ccau --data dataset --out ego --preset tiny --set 'ccau.modalities=["ego"]'      # one stream alone
    syncctl train ccau --data dataset --out before --preset tiny --set ccau.stage=predict          # without labels,
    syncctl train ccau --data dataset --out run --preset tiny --set 'ccau.start=["before"]'        # then with them

The defaults do what the authors' code does where the paper differs: dropout 0.75 in the heads (paper 0.5), 448 atomic
classes (453), a focal atomic loss with weight 10, alignment of one vector a clip (the paper writes one a block). Two
things of that code are not followed: its optimiser steps on three of four batches by an inverted test, and its
learning rate waits for a plateau of the validation loss; here it falls along a cosine, so that a resumed run is exact.
"""

from __future__ import annotations

from models.ccau.after import illustrate
from models.ccau.config import PRESETS, Config
from models.ccau.data import completed, open_split, truth
from models.ccau.model import Model
from models.ccau.towers import from_reference

__all__ = ["PRESETS", "Config", "Model", "completed", "from_reference", "illustrate", "open_split", "truth"]
