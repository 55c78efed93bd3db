"""The size and look of a person: ten rigid segments from published proportions.

Lengths are fractions of stature (Drillis and Contini, as tabulated in Winter, "Biomechanics and Motor Control of
Human Movement", 2009, fig. 4.1). Each segment has its own frame: origin at the joint nearer the trunk, x forward,
y left and z up when the person stands with hanging arms, so that a resting IMU reads +9.81 on z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.plan import rng
from recorder.world.shapes import Material, Shape, ball, rod

SEGMENTS = ("neck", "body", "larmu", "larmd", "rarmu", "rarmd", "llegu", "llegd", "rlegu", "rlegd")
SIDES = {"l": 1.0, "r": -1.0}
# A held thing is this far before the palm; the hips move back by this much for each unit of lean (balance).
PALM = 0.05
HIPS_BACK = 0.10


@dataclass(frozen=True)
class Build:
    """One participant's body.

    Attributes:
        stature: metres.
        pace: walking speed, m/s.
        haste: factor on the speed of all actions, about 1.
        care: factor on how often a movement is repeated, about 1.
        hand: the better one, ``l`` or ``r``.
        girth: factor on all widths, about 1.
        materials: skin, hair and clothes.
    """

    stature: float
    pace: float
    haste: float
    care: float
    hand: str
    girth: float
    materials: dict[str, Material]

    @property
    def thigh(self) -> float:
        return 0.245 * self.stature

    @property
    def shank(self) -> float:
        return 0.246 * self.stature

    @property
    def ankle(self) -> float:
        return 0.039 * self.stature

    @property
    def trunk(self) -> float:
        """From the hips to the neck."""
        return 0.310 * self.stature

    @property
    def upper_arm(self) -> float:
        return 0.186 * self.stature

    @property
    def forearm(self) -> float:
        """From the elbow to the middle of the palm."""
        return 0.196 * self.stature

    @property
    def pelvis_height(self) -> float:
        """Standing, with knees a little bent."""
        return 0.985 * (self.thigh + self.shank) + self.ankle

    def shoulder(self, side: str) -> np.ndarray:
        """(3,) in the frame of the segment ``body``."""
        return np.array([0.0, SIDES[side] * 0.120 * self.stature, 0.285 * self.stature])

    def rest(self, side: str) -> np.ndarray:
        """(3,) where an idle hand hangs, from the floor under the person."""
        reach = 0.96 * (self.upper_arm + self.forearm)
        shoulder = self.shoulder(side)
        return np.array([0.06, 1.12 * shoulder[1], self.pelvis_height + shoulder[2] - reach])

    def hip(self, side: str) -> np.ndarray:
        """(3,) in the frame of the segment ``body``."""
        return np.array([0.0, SIDES[side] * 0.052 * self.stature, 0.0])


# Where things are worn: segment, position in its frame (metres), and turn. Cameras look down a little, as worn.
def worn_camera(tilt_deg: float, aside_deg: float) -> Rotation:
    """The turn of a camera (x right, y down, z forward) in the frame of the head."""
    level = Rotation.from_matrix(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]))
    return Rotation.from_euler("zy", [aside_deg, tilt_deg], degrees=True) * level


WORN_CAMERAS = {
    "head": (np.array([0.125, 0.0, 0.175]), worn_camera(20.0, 0.0)),
    "eye": (np.array([0.125, 0.030, 0.135]), worn_camera(16.0, -2.0)),
}
CHEST_MICROPHONE = np.array([0.13, 0.03, 0.33])


LEFT_HANDED = 0.25
"""More than the tenth of real people, so that a few participants show both."""


def build(participant: str, prefix: str = "") -> Build:
    """The body of a participant; the same name always gives the same body. `prefix` is of the materials' names."""
    random = rng("body", participant)
    skin = random.choice([(0.85, 0.64, 0.52), (0.65, 0.45, 0.34), (0.42, 0.28, 0.21), (0.92, 0.74, 0.64)])
    hair = random.choice([(0.10, 0.08, 0.07), (0.35, 0.22, 0.12), (0.75, 0.62, 0.35), (0.5, 0.5, 0.5)])
    shirt, trousers = random.uniform(0.25, 0.85, 3), random.uniform(0.12, 0.5, 3)
    paints = {
        "skin": Material("plain", tuple(skin)),
        "hair": Material("cloth", tuple(hair)),
        "shirt": Material("cloth", tuple(shirt)),
        "trousers": Material("cloth", tuple(trousers)),
        "shoe": Material("plain", (0.12, 0.11, 0.12), shine=0.4),
        "eyes": Material("plain", (0.05, 0.05, 0.08), shine=0.8),
    }
    return Build(
        float(random.uniform(1.54, 1.90)),
        float(random.uniform(0.95, 1.40)),
        float(random.uniform(1.0, 1.45)),
        float(random.uniform(0.75, 1.25)),
        "l" if random.random() < LEFT_HANDED else "r",
        float(random.uniform(0.88, 1.18)),
        {prefix + name: paint for name, paint in paints.items()},
    )


def _limb(length: float, radius: float, material: str) -> Shape:
    """A capsule from a joint straight down."""
    return Shape("capsule", (radius, length / 2), np.array([0.0, 0.0, -length / 2]), material)


def shapes(one: Build, prefix: str = "") -> dict[str, tuple[Shape, ...]]:
    """What each segment looks like; `prefix` is of the segments' and the materials' names."""
    parts = _shapes(one)
    return {
        prefix + name: tuple(replace(shape, material=prefix + shape.material) for shape in solids)
        for name, solids in parts.items()
    }


def _shapes(one: Build) -> dict[str, tuple[Shape, ...]]:
    scale = one.stature / 1.72 * one.girth
    trunk = one.trunk
    result: dict[str, tuple[Shape, ...]] = {
        "neck": (
            _limb(0.02, 0.052 * scale, "skin"),
            ball((0.095, 0.076, 0.118), (0.015, 0, 0.135), "skin"),
            ball((0.098, 0.086, 0.095), (-0.016, 0, 0.170), "hair"),
            ball((0.018, 0.014, 0.022), (0.108, 0, 0.120), "skin"),
            ball((0.012, 0.012, 0.009), (0.096, 0.034, 0.148), "eyes"),
            ball((0.012, 0.012, 0.009), (0.096, -0.034, 0.148), "eyes"),
        ),
        "body": (
            ball((0.115 * scale, 0.185 * scale, 0.22 * scale), (0.005, 0, trunk * 0.72), "shirt"),
            ball((0.110 * scale, 0.158 * scale, 0.21 * scale), (0.005, 0, trunk * 0.36), "shirt"),
            ball((0.115 * scale, 0.170 * scale, 0.13 * scale), (0.0, 0, 0.02), "trousers"),
        ),
    }
    for side, sign in SIDES.items():
        palm = -one.forearm
        result[f"{side}armu"] = (_limb(one.upper_arm, 0.048 * scale, "shirt"),)
        result[f"{side}armd"] = (
            _limb(one.forearm * 0.45, 0.042 * scale, "shirt"),
            _limb(one.forearm * 0.80, 0.034 * scale, "skin"),
            ball((0.042, 0.024, 0.055), (0.0, 0, palm), "skin"),
            rod(0.012, 0.026, (0.032, -sign * 0.02, palm), 0.7, "skin"),
            ball((0.034, 0.014, 0.040), (0.004, 0, palm - 0.062), "skin"),
        )
        result[f"{side}legu"] = (_limb(one.thigh, 0.078 * scale, "trousers"),)
        result[f"{side}legd"] = (
            _limb(one.shank, 0.055 * scale, "trousers"),
            ball((0.130 * scale, 0.048 * scale, 0.045), (0.055, 0, -one.shank - one.ankle + 0.045), "shoe"),
        )
    return result
