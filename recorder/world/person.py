"""The person as functions of time: from keys to a smooth skeleton.

The director's keys are straight lines between resting values. Convolving them with a Gaussian makes them
infinitely smooth, with the soft start and stop of real limbs. Feet are placed by a small controller that steps
when the body has left its support; arms and legs follow their end points by two-bone inverse kinematics. The
resulting orientations are kept on a 50 Hz grid and joined by cubic splines of the quaternion, so that angular
velocity and acceleration exist at every instant: what an IMU on the limb would measure is a derivative, not a
difference of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from recorder.world.body import HIPS_BACK, SIDES, Build
from recorder.world.manner import manner
from recorder.world.plan import WorldPlan
from recorder.world.script import Key, Noise, Script

GRID_HZ = 50.0
MARGIN_S = 1.0
# Standard deviation of the Gaussian that rounds each channel's corners, seconds.
SOFT_S = {"root": 0.17, "yaw": 0.15, "lean": 0.15, "drop": 0.15, "ltilt": 0.12, "rtilt": 0.12}
HAND_SOFT_S = 0.08
HEAD_SOFT_S, HEAD_LAG_S = 0.13, 0.16
SWING_S = 0.36
POISE = 0.85
"""Share of its restlessness that a head loses where it is held still: a degree a second is left, as in quiet stance."""


class Turning:
    """A smooth rotation: a cubic spline through unit quaternions, normalised when asked."""

    def __init__(self, grid: np.ndarray, turn: Rotation) -> None:
        quat = turn.as_quat()
        flips = np.cumprod(np.append(1.0, np.sign(np.sum(quat[1:] * quat[:-1], axis=1) + 1e-12)))
        self._spline = CubicSpline(grid, quat * flips[:, None])
        self._rate = self._spline.derivative()

    def __call__(self, t: np.ndarray) -> Rotation:
        """The rotation at times (N,) seconds."""
        return Rotation.from_quat(self._spline(t))

    def gyro(self, t: np.ndarray) -> np.ndarray:
        """(N, 3) angular velocity in the turning frame, rad/s: twice the vector part of conj(q) dq/dt / |q|^2."""
        q, rate = self._spline(t), self._rate(t)
        v, w, dv, dw = q[:, :3], q[:, 3:], rate[:, :3], rate[:, 3:]
        return 2 * (w * dv - dw * v - np.cross(v, dv)) / np.sum(q * q, axis=1, keepdims=True)


@dataclass(frozen=True)
class Feet:
    """Ankle positions (G, 3) and yaws (G,) of both feet on the grid, and when and where each step landed."""

    ankle: dict[str, np.ndarray]
    yaw: dict[str, np.ndarray]
    landings: list[Noise]


def channel(script: Script, name: str, grid: np.ndarray) -> np.ndarray:
    """(G, C) a channel's keys, joined and rounded."""
    return rounded(script.keys[name], SOFT_S.get(name, HAND_SOFT_S), grid)


def rounded(keys: list[Key], soft_s: float, grid: np.ndarray) -> np.ndarray:
    """(G, C) keys joined by straight lines whose corners are rounded by a Gaussian of `soft_s`."""
    times = np.array([t for t, _ in keys])
    values = np.array([value for _, value in keys])
    joined = np.stack([np.interp(grid, times, column) for column in values.T], axis=1)
    return gaussian_filter1d(joined, soft_s * GRID_HZ, axis=0, mode="nearest")


def wander(random: np.random.Generator, count: int, channels: int, soft_s: float, size: float) -> np.ndarray:
    """(count, channels) smooth noise of deviation `size` whose bumps last about `soft_s`."""
    noise = gaussian_filter1d(random.standard_normal((count, channels)), soft_s * GRID_HZ, axis=0)
    return size * noise * np.sqrt(2 * np.sqrt(np.pi) * soft_s * GRID_HZ)


def walk_feet(one: Build, grid: np.ndarray, root: np.ndarray, yaw: np.ndarray) -> Feet:
    """Step whenever a foot is too far from under the body, one foot at a time."""
    ahead = round((SWING_S + 0.16) * GRID_HZ)
    swing = round(SWING_S * GRID_HZ)
    side_way = np.stack([-np.sin(yaw), np.cos(yaw)], axis=1)
    home = {side: root + SIDES[side] * 0.062 * one.stature * side_way for side in SIDES}
    speed = np.hypot(*np.gradient(root, 1 / GRID_HZ, axis=0).T)
    place = {side: np.append(home[side][0], yaw[0]) for side in SIDES}
    tracks = {side: np.empty((len(grid), 4)) for side in SIDES}
    moving, done, start, goal, last = "", 0, np.zeros(3), np.zeros(3), "l"
    landings: list[Noise] = []
    for g in range(len(grid)):
        if moving:
            done += 1
            s = done / swing
            ease = s**3 * (10 - 15 * s + 6 * s * s)
            place[moving] = start + ease * (goal - start)
            if done == swing:
                at = (float(goal[0]), float(goal[1]), 0.0)
                landings.append(Noise(float(grid[g]), "step", at, float(0.3 + np.hypot(*(goal - start)[:2]))))
                moving, last = "", moving
        if not moving:
            away = {s: _astray(place[s], home[s][g], yaw[g]) for s in SIDES}
            limit = 0.10 if speed[g] > 0.05 else 0.035
            side = max(away, key=lambda s: away[s] - (0.05 if s == last else 0.0))
            if away[side] > limit:
                target = min(g + ahead, len(grid) - 1)
                moving, done, start = side, 0, place[side].copy()
                goal = np.append(home[side][target], yaw[min(g + swing, len(grid) - 1)])
        for side in SIDES:
            lift = 0.09 * np.sin(np.pi * done / swing) ** 2 if side == moving else 0.0
            tracks[side][g] = [*place[side], lift]
    ankle = {s: np.column_stack([tracks[s][:, :2], one.ankle + tracks[s][:, 3]]) for s in SIDES}
    return Feet(ankle, {s: tracks[s][:, 2] for s in SIDES}, landings)


def _astray(place: np.ndarray, home: np.ndarray, yaw: float) -> float:
    """How badly a foot stands, metres (25 degrees of twist count as 10 cm)."""
    return float(np.hypot(*(place[:2] - home)) + 0.23 * abs(place[2] - yaw))


def two_bones(
    start: np.ndarray, end: np.ndarray, upper: float, lower: float, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the middle joint of a limb is, and the end it reaches.

    Args:
        start, end: (G, 3) first joint and wanted end.
        upper, lower: bone lengths; `end` is pulled in where it is out of reach.
        pole: (G, 3) the way the middle joint points.

    Returns:
        (G, 3) middle joint, (G, 3) end.
    """
    way = end - start
    length = np.linalg.norm(way, axis=1, keepdims=True)
    way = way / np.maximum(length, 1e-9)
    # A soft limit: the limb never quite straightens, so the joint angle stays smooth.
    full = 0.998 * (upper + lower)
    soft = 0.03 * full
    excess = np.maximum(length - (full - soft), 0.0)
    length = np.where(excess > 0, full - soft * np.exp(-excess / soft), length)
    length = np.maximum(length, 1.05 * abs(upper - lower) + 0.05)
    along = (upper**2 - lower**2 + length**2) / (2 * length)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    across = pole - np.sum(pole * way, axis=1, keepdims=True) * way
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return start + along * way + aside * across, start + length * way


def elbow_way(arm: np.ndarray, sign: float, lifted: float = 0.0) -> np.ndarray:
    """(G, 3) the way an elbow points for arms along `arm` (G, 3), in the frame the person faces.

    `lifted` turns it outwards about the arm, radians.

    With the hand before the body the elbow points down and out. That direction is carried to any other arm by
    the least rotation, which is undefined only for an arm that points back and up, where no hand goes; a fixed
    direction would make the elbow whirl whenever the arm passes it.
    """
    usual = np.array([1.0, 0.0, -1.0]) / np.sqrt(2)
    out = np.array([-0.6, 0.45 * sign, -0.6])
    arm = arm / np.linalg.norm(arm, axis=1, keepdims=True)
    way = out - (arm @ out / (1.0 + arm @ usual))[:, None] * (arm + usual)
    return np.cos(lifted) * way + np.sin(lifted) * sign * np.cross(arm, way)


def bone_frame(near: np.ndarray, far: np.ndarray, hinge: np.ndarray) -> Rotation:
    """The frame of a bone: z from its far to its near joint, y close to `hinge`."""
    z = near - far
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    y = hinge - np.sum(hinge * z, axis=1, keepdims=True) * z
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return Rotation.from_matrix(np.stack([np.cross(y, z), y, z], axis=2))


class Person:
    """Where every segment is at any time. The head is set last, by `look`, for it follows the gaze."""

    def __init__(self, plan: WorldPlan, one: Build, script: Script, name: str = "") -> None:
        self.one = one
        self._manner = manner(plan, name)
        self._poised = script.poised
        self.grid = np.arange(-MARGIN_S, plan.duration_s + MARGIN_S, 1 / GRID_HZ)
        random = plan.rng(f"sway{name}")
        count = len(self.grid)
        root = channel(script, "root", self.grid) + wander(random, count, 2, 0.6, 0.004)
        yaw = channel(script, "yaw", self.grid)[:, 0]
        self._feet = walk_feet(one, self.grid, root, yaw)
        self._yaw = CubicSpline(self.grid, yaw)
        self._root = CubicSpline(self.grid, root)
        self._tilt = {side: CubicSpline(self.grid, channel(script, f"{side}tilt", self.grid)[:, 0]) for side in SIDES}
        lean = channel(script, "lean", self.grid)[:, 0] + self._manner.stoop
        facing = Rotation.from_euler("z", yaw[:, None])
        sway = wander(random, count, 3, 0.35, 0.012)
        trunk = facing * Rotation.from_euler("YXZ", np.column_stack([lean, sway[:, 0], sway[:, 1]]))
        hips = self._hips(root, facing, lean, channel(script, "drop", self.grid)[:, 0] + self._manner.sink)
        self._pelvis = CubicSpline(self.grid, hips)
        self._turn = {"body": Turning(self.grid, trunk), "neck": Turning(self.grid, facing)}
        self._legs(hips, trunk)
        self._arms(script, root, facing, hips, trunk, random)

    def _hips(self, root: np.ndarray, facing: Rotation, lean: np.ndarray, drop: np.ndarray) -> np.ndarray:
        """(G, 3) as high as the legs allow, moved back when leaning."""
        back = facing.apply(np.column_stack([-HIPS_BACK * np.sin(lean), 0 * lean, 0 * lean]))
        ground = root + back[:, :2]
        reach = 0.992 * (self.one.thigh + self.one.shank)
        height = self.one.pelvis_height - drop
        for side in SIDES:
            hip = ground + facing.apply(self.one.hip(side))[:, :2]
            away = np.linalg.norm(self._feet.ankle[side][:, :2] - hip, axis=1)
            height = np.minimum(height, self._feet.ankle[side][:, 2] + np.sqrt(np.maximum(reach**2 - away**2, 0.1)))
        return np.column_stack([ground, gaussian_filter1d(height, 0.05 * GRID_HZ)])

    def _legs(self, hips: np.ndarray, trunk: Rotation) -> None:
        for side in SIDES:
            hip = hips + trunk.apply(self.one.hip(side))
            yaw = self._feet.yaw[side]
            toes = np.column_stack([np.cos(yaw), np.sin(yaw), 0.15 + 0 * yaw])
            knee, ankle = two_bones(hip, self._feet.ankle[side], self.one.thigh, self.one.shank, toes)
            hinge = np.column_stack([-np.sin(yaw), np.cos(yaw), 0 * yaw])
            self._turn[f"{side}legu"] = self._soft(bone_frame(hip, knee, hinge))
            self._turn[f"{side}legd"] = self._soft(bone_frame(knee, ankle, hinge))

    def _arms(
        self,
        script: Script,
        root: np.ndarray,
        facing: Rotation,
        hips: np.ndarray,
        trunk: Rotation,
        random: np.random.Generator,
    ) -> None:
        idle_height = self.one.pelvis_height + self.one.shoulder("l")[2] - self.one.upper_arm - self.one.forearm
        for side, sign in SIDES.items():
            other = "r" if side == "l" else "l"
            local = channel(script, f"{side}hand", self.grid) + wander(random, len(self.grid), 3, 0.15, 0.003)
            stride = facing.inv().apply(self._feet.ankle[other] - np.column_stack([root, 0 * root[:, 0]]))[:, 0]
            idle = np.exp(-(((local[:, 2] - idle_height) / 0.15) ** 2))
            hanging = np.exp(-np.sum(((local - self.one.rest(side)) / 0.15) ** 2, axis=1))
            local[:, 0] += 0.55 * gaussian_filter1d(stride, 0.06 * GRID_HZ) * idle
            local += hanging[:, None] * self._manner.idle[side]
            hand = np.column_stack([root, 0 * root[:, 0]]) + facing.apply(local)
            shoulder = hips + trunk.apply(self.one.shoulder(side))
            pole = facing.apply(elbow_way(facing.inv().apply(hand - shoulder), sign, self._manner.elbows[side]))
            elbow, palm = two_bones(shoulder, hand, self.one.upper_arm, self.one.forearm, pole)
            across = np.cross(palm - shoulder, pole)
            self._turn[f"{side}armu"] = self._soft(bone_frame(shoulder, elbow, across))
            self._turn[f"{side}armd"] = self._soft(bone_frame(elbow, palm, across))

    def _soft(self, turn: Rotation) -> Turning:
        return Turning(self.grid, turn)

    @property
    def landings(self) -> list[Noise]:
        """The sound of each step."""
        return self._feet.landings

    def look(self, random: np.random.Generator, point: np.ndarray) -> None:
        """Turn the head after the gaze: `point` (G, 3) is what the eyes are for, on the grid.

        The eyes lead; the head follows a little later with about two thirds of the shift and is never quite
        still (Freedman, "Coordination of the eyes and head during visual orienting", Exp. Brain Res. 2008).
        """
        eyes = self.point("body", np.array([0.1, 0.0, self.one.trunk + 0.14]), self.grid)
        way = point - eyes
        yaw = self._yaw(self.grid)
        aside = (np.arctan2(way[:, 1], way[:, 0]) - yaw + np.pi) % (2 * np.pi) - np.pi
        down = np.arctan2(-way[:, 2], np.hypot(way[:, 0], way[:, 1]))
        angles = np.column_stack([0.66 * np.clip(aside, -1.5, 1.5), np.clip(0.70 * down, -0.5, 1.0)])
        count = len(self.grid)
        late = np.maximum(np.arange(count) - round(HEAD_LAG_S * GRID_HZ), 0)
        angles = gaussian_filter1d(angles, HEAD_SOFT_S * GRID_HZ, axis=0)[late]
        restless = wander(random, count, 3, 0.09, 0.008) + wander(random, count, 3, 0.5, 0.03)
        bob = np.gradient(self._pelvis(self.grid)[:, 2], 1 / GRID_HZ)
        calm = np.zeros(count)
        for t0, t1 in self._poised:
            calm[(self.grid > t0) & (self.grid < t1)] = POISE
        restless *= 1 - gaussian_filter1d(calm, HEAD_SOFT_S * GRID_HZ)[:, None]
        turn = np.column_stack([yaw + angles[:, 0], angles[:, 1] + self._manner.chin + 0.12 * bob, 0 * yaw]) + restless
        self._turn["neck"] = Turning(self.grid, Rotation.from_euler("ZYX", turn))

    def turn(self, segment: str, t: np.ndarray) -> Rotation:
        """World <- segment at times (N,) seconds."""
        return self._turn[segment](t)

    def gyro(self, segment: str, t: np.ndarray) -> np.ndarray:
        """(N, 3) rad/s in the segment's frame."""
        return self._turn[segment].gyro(t)

    def origin(self, segment: str, t: np.ndarray) -> np.ndarray:
        """(N, 3) the segment's first joint, metres."""
        pelvis = self._pelvis(t)
        if segment == "body":
            return pelvis
        side, part = segment[0], segment[1:]
        trunk = self.turn("body", t)
        if segment == "neck":
            return pelvis + trunk.apply([0.0, 0.0, self.one.trunk])
        first = pelvis + trunk.apply(self.one.shoulder(side) if part.startswith("arm") else self.one.hip(side))
        if part.endswith("u"):
            return first
        length = self.one.upper_arm if part.startswith("arm") else self.one.thigh
        return first + self.turn(segment[:-1] + "u", t).apply([0.0, 0.0, -length])

    def point(self, segment: str, local: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(N, 3) a point that is fixed to a segment, in the world."""
        return self.origin(segment, t) + self.turn(segment, t).apply(local)

    def palm(self, side: str, t: np.ndarray) -> np.ndarray:
        """(N, 3) the middle of a hand."""
        return self.point(f"{side}armd", np.array([0.0, 0.0, -self.one.forearm]), t)

    def yaw(self, t: np.ndarray) -> np.ndarray:
        """(N,) which way the person faces, radians, unwrapped."""
        return self._yaw(t)

    def tilt(self, side: str, t: np.ndarray) -> np.ndarray:
        """(N,) how far a thing in this hand is tipped forward, radians."""
        return self._tilt[side](t)

    def ground(self, t: np.ndarray) -> np.ndarray:
        """(N, 2) where the person stands."""
        return self._root(t)
