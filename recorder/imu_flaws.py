"""What is wrong with worn IMUs: how they sit, where they think north is, what they add and what they cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.plan import ImuTruth

WARM_S = 300.0
"""In this time, nearly two thirds of the way from a table's warmth to a body's."""
WANDER_S = (30.0, 120.0)
"""What bends north on a walk through a home comes and goes in such times."""
WAVES = 3
G_M_S2 = 9.80665


@dataclass(frozen=True)
class ImuFlaws:
    """Of body IMUs.

    Attributes:
        mounting_deg: they sit askew on their segment by this about each axis, one standard deviation.
        heading_deg: their idea of north is wrong by this, one standard deviation,
        heading_wander_deg: and wanders by this as the wearer walks past iron, one standard deviation.
        bias_dps: their gyroscopes turn while they rest by this about each axis, one standard deviation, degrees/s,
        warming_dps: and by this more once they are as warm as the skin.
        range_dps, range_g: they tell no turn that is faster and no push that is harder, on any axis; 0 is no limit.
    """

    mounting_deg: float = 3.0
    heading_deg: float = 2.5
    bias_dps: float = 0.1
    heading_wander_deg: float = 1.0
    warming_dps: float = 0.2
    range_dps: float = 2000.0
    range_g: float = 4.0


@dataclass(frozen=True)
class Mounting:
    """How one IMU sits, thinks of north, and turns at rest.

    Attributes:
        turn: segment <- sensor. north_rad: world as the sensor thinks of it <- world, about the vertical.
        bias_dps, warming_dps: (3,) of the gyroscope, from the beginning and when warm.
        wander_rad: (W, 3) waves of its north: radians, radians/s, phase.
        range_dps, range_m_s2: what its axes can tell.
    """

    turn: Rotation
    north_rad: float
    bias_dps: np.ndarray
    warming_dps: np.ndarray
    wander_rad: np.ndarray
    range_dps: float
    range_m_s2: float

    def north(self, t: np.ndarray) -> Rotation:
        """World as the sensor thinks of it <- world, at times (N,) seconds since it was switched on."""
        size, rate, phase = self.wander_rad.T
        off = self.north_rad + np.sin(t[:, None] * rate + phase) @ size
        return Rotation.from_rotvec(off[:, None] * [0.0, 0.0, 1.0])

    def bias(self, t: np.ndarray) -> np.ndarray:
        """(N, 3) degrees/s that the gyroscope adds."""
        return self.bias_dps + (1 - np.exp(-t[:, None] / WARM_S)) * self.warming_dps


def mounting(flaws: ImuFlaws, random: np.random.Generator) -> Mounting:
    """Draw one."""
    turn = Rotation.from_rotvec(np.radians(random.normal(0, 1, 3) * flaws.mounting_deg))
    north_rad = float(np.radians(random.normal() * flaws.heading_deg))
    bias_dps, warming_dps = random.normal(0, 1, 3) * flaws.bias_dps, random.normal(0, 1, 3) * flaws.warming_dps
    sizes = np.full(WAVES, np.radians(flaws.heading_wander_deg) * np.sqrt(2 / WAVES))
    rates, phases = 2 * np.pi / random.uniform(*WANDER_S, WAVES), random.uniform(0, 2 * np.pi, WAVES)
    return Mounting(
        turn,
        north_rad,
        bias_dps,
        warming_dps,
        np.column_stack([sizes, rates, phases]),
        flaws.range_dps or np.inf,
        flaws.range_g * G_M_S2 or np.inf,
    )


def worn(imu: ImuTruth, how: Mounting, t: np.ndarray) -> ImuTruth:
    """What an IMU reports that sits as it does, at times (N,) seconds since it was switched on.

    Its fusion takes gravity from where it thinks that up is, and what is left of the accelerometer for linear.
    """
    back = how.turn.inv()
    turn = how.north(t) * Rotation.from_quat(imu.orientation, scalar_first=True) * how.turn
    gravity = back.apply(imu.gravity)
    felt = np.clip(back.apply(imu.linear) + gravity, -how.range_m_s2, how.range_m_s2)
    return ImuTruth(
        orientation=turn.as_quat(scalar_first=True),
        gyro=np.clip(back.apply(imu.gyro) + how.bias(t), -how.range_dps, how.range_dps),
        linear=felt - gravity,
        gravity=gravity,
    )
