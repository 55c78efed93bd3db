"""Video Action Transformer: who does what in the middle of a clip, from the clip around them.

Girdhar, Carreira, Doersch, Zisserman, "Video Action Transformer Network", CVPR 2019. I3D makes a map of the clip; a
proposal network finds people in its middle; each person asks, with attention, all of the map what is relevant to
them, and is given actions and a better box. The I3D head, which sees the inside of the box alone, is there to tell
what the context is worth, and with the paper's Tx+I3D to find the better boxes.

    syncctl train vat --data dataset --out run --preset tiny --steps 300

Shapes at full size (B clips, R boxes), with those of the head in `models.vat.attention`:

    frames        B x 64 x 3 x 400 x 400
    map           B x 832 x 16 x 25 x 25          I3D to Mixed_4f, 697 GFLOP a clip
    proposals     B x 300 x 4                     of 7,500 anchors at step 8 of 16
    Tx            B x R x 256                     3 layers of 2 heads
    I3D head      B x R x 1024
    logits        B x R x 81                      80 actions and background, each a sigmoid
    codes         B x R x 1 x 4                   one box for all classes

Parameters, with 80 actions: 13,897,037 for ``low`` (the paper's 13.9 M), 16,245,693 for ``i3d`` (16.2 M),
14,622,285 for HighRes queries with one preprocessor, 19,256,653 for ``per_unit`` (19.3 M: so the paper has a
preprocessor in each unit; how its later layers use theirs is not said, here it is added to what comes from below).

Where the paper is silent: the middle of 16 steps is the ninth; location is 16 channels of place and 16 of time; the
1x1 convolution of HighRes has no ReLU; boxes of the first stage are learned as TensorFlow's object detection does
(see `models.rpn`), those of the second are drawn 64 a clip among proposals and true boxes, a quarter of them persons;
each class is suppressed for itself at 0.6. The R3D trunks of its table 6 are left out (decision 0012).

Legend: B clips, T steps, R boxes, P true persons, A actions, K box codes of a box, H heads, L layers, D width.
"""

from __future__ import annotations

from models.vat.config import PRESETS, Config
from models.vat.data import completed, open_split, truth
from models.vat.model import Model

__all__ = ["PRESETS", "Config", "Model", "completed", "open_split", "truth"]
