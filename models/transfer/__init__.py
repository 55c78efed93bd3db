"""What a frozen backbone knows: five target tasks on its maps (the Muscles paper, section 5.2 and appendix A.4.2).

config      the task, its classes, the backbone
heads       what is trained on the frozen maps
net         backbone and head
layouts     five plain folder layouts: scene, action, dynamics, walkable, depth
measures    top-1 overall and per class, IoU, RMSE of log depth
home        the simulated home written in those layouts
grid        the paper's tables 1 to 4 as one command

syncctl transfer export sessions --out targets
syncctl train transfer --data targets --out run --preset tiny --set transfer.task=depth --set transfer.backbone=RUN
syncctl transfer grid --data dataset --targets targets --out grid --preset tiny
"""

from models.transfer.config import PRESETS, Config, completed
from models.transfer.layouts import open_split
from models.transfer.measures import truth
from models.transfer.net import Model, from_reference

__all__ = ["PRESETS", "Config", "Model", "completed", "from_reference", "open_split", "truth"]
