"""Frame mAP of AVA: who does what where, at one moment a second.

Gu et al., "AVA: A Video Dataset of Spatio-temporally Localized Atomic Visual Actions", CVPR 2018. The truth and the
detections are csv files with a row for each box and class. A detection is right when a true box of its class in its
frame overlaps it by half (intersection over union at least 0.5) and no better-scored detection took that box; a
class's average precision is the area under the envelope of its precision over recall; mAP is the mean over the
classes that occur.

The number depends on the evaluator. The official script keeps the 50 best-scored rows of a frame, all classes
together; others keep all. Here that is the option `cap`, and every result says it.

    rows        csv files and label maps, in and out
    matching    which detections are right, average precision
    breakdown   the same by size of the box, number of people, frequency of the class
    figures     a page that shows them
"""

from __future__ import annotations

from models.ava.matching import OFFICIAL_CAP, Result, evaluate
from models.ava.rows import LabelMap, Rows, detections, read_excluded, read_label_map, read_rows, write_rows

__all__ = [
    "OFFICIAL_CAP",
    "LabelMap",
    "Result",
    "Rows",
    "detections",
    "evaluate",
    "read_excluded",
    "read_label_map",
    "read_rows",
    "write_rows",
]
