"""The simulated home: a furnished room, a person who acts in it, and the truth about both.

    world = World(WorldPlan(duration_s=30, seed=1, activity="make_tea"))
    for picture in world.render("head", [0, 500_000_000]): ...
    world.sound("kit-01"); world.imu("rarmd", t_ns); world.labels()

The motion is a pure function of the plan and the time; MuJoCo only draws it.
"""

from recorder.world.plan import Box, CameraModel, ImuTruth, Label, WorldPlan
from recorder.world.scene import ROOM_KITS, VIEW_OF
from recorder.world.world import ACTIVITIES, MICROPHONES, World

__all__ = [
    "ACTIVITIES",
    "MICROPHONES",
    "ROOM_KITS",
    "VIEW_OF",
    "Box",
    "CameraModel",
    "ImuTruth",
    "Label",
    "World",
    "WorldPlan",
]
