"""LART: what a person does, read from its track: the body's pose, its look, and the people beside it, over time.

Rajasegaran, Pavlakos, Kanazawa, Feichtenhofer, Malik, "On the Benefits of 3D Pose and Tracking for Human Action
Recognition", CVPR 2023. A token is a person at a step; a transformer looks over up to five persons and 125 steps and
says for each token what that person does. Detections are missing now and then: those tokens are filled in by a learned
mask, and nobody looks at them. The loss is dense, at every step; the answer for a moment is the mean over twelve.

The authors' code differs from their paper, and the default does what the code does (preset ``paper`` for the other):
heads of 64, not 512 / 16; a feed-forward of 512, not 2048; norms before, not after; positions that are learned; a
branch for joints. Two faults of the code are not followed: its layer-wise decay looks for a name that no layer has,
and its class tokens join after the transformer.

    syncctl train lart --data dataset --out first --preset tiny --set lart.teacher=RUN
    syncctl train lart --data dataset --out second --preset tiny --set lart.start=first --set train.layer_decay=0.9

The first line learns from another run's answers (pseudo-labels), the second goes on with true labels; one may leave
the first out. The paper's arms: ``lart.inputs=pose`` with ``lart.people=1`` or 5, ``appearance``, ``pose/appearance``.

Shapes at full size (B clips, N = 5 persons, T = 125 steps):

    person vectors   B x 5 x 125 x 229       229 -> 229 -> 128
    joints           B x 5 x 125 x 135       135 -> 256 -> 256 -> 128
    appearance       B x 5 x 125 x 2048      2048 -> 512 -> 512 -> 256
    tokens           B x 625 x 512           step by step, the persons of a step side by side
    transformer      B x 625 x 512           16 layers, 16 heads of 64
    logits           B x 5 x 125 x 60

Parameters: the transformer 42,000,384 (as printed in the paper 50,413,568; pose alone 10,506,240); positions
1,280,000; encoders 1,658,686; mask 512; head 30,780; together 44,970,362.

Order and padding: the order of the companions matters only through the track's half of the position. A person without
a detection changes nothing, to the bit. A clip without any detection has an answer that means nothing, but is a number.
"""

from __future__ import annotations

from models.lart.config import PRESETS, Config
from models.lart.data import completed, open_split, truth
from models.lart.model import Model, from_reference

__all__ = ["PRESETS", "Config", "Model", "completed", "from_reference", "open_split", "truth"]
