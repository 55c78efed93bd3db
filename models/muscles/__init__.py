"""Learn from your muscles: a visual representation supervised by gaze and body movement.

Ehsani, Gordon, Nguyen, Mottaghi, Farhadi, "What Can You Learn From Your Muscles? Learning Visual Representation
from Human Interactions", ICLR 2021.

    config      size, objectives, and the presets
    net         the network and its losses' weighted sum
    contrast    momentum contrast: the queue, the keys, the loss
    rebuild     the other visual objective: the picture from its features
    losses      gaze and movement
    data        clips of a dataset, and what is known about them
    reference   the authors' weights by the authors' names

    syncctl train muscles --data dataset --out run --preset tiny --steps 300
"""

from ingest.dataset import GROUPS
from models.muscles.config import PRESETS, Config
from models.muscles.data import open_split, truth
from models.muscles.net import Model
from models.muscles.reference import from_reference

__all__ = ["GROUPS", "PRESETS", "Config", "Model", "from_reference", "open_split", "truth"]
