"""The simulated home as one object: ask it anything about any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError, unknown_name
from recorder.world import body, senses, smpl
from recorder.world.acoustics import Acoustics
from recorder.world.behaviour import direct
from recorder.world.gaze import Gaze
from recorder.world.grammar import ACTIVITIES
from recorder.world.manner import manner
from recorder.world.optics import INSTANT, Shutter
from recorder.world.person import Person
from recorder.world.plan import Box, CameraModel, ImuTruth, Label, WorldPlan
from recorder.world.relations import Relations
from recorder.world.render import Pose, Renderer, wxyz
from recorder.world.scene import (
    FIELD_OF_VIEW,
    ROOM_KITS,
    SPEAKER,
    VIEW_OF,
    VIEWS,
    Home,
    camera_model,
    furnish,
    looking,
)
from recorder.world.script import Noise
from recorder.world.sight import Cone, seen_from
from recorder.world.sound import Source, listen, sources
from recorder.world.things import Things
from recorder.world.tracker import Tracker, TrackerFlaws
from recorder.world.truth import bounds, pinhole, surface_points

MICROPHONES = (*ROOM_KITS, "kit-02", "head", "eye")
TAPE_SIGMA_M, TAPE_STEP_M = 0.01, 0.05
CORE, CORE_M = "body", 0.2
"""The segment by which a person is in a room, and its half breadth: whose middle a doorway does not show is hidden."""
SPIN_S = 0.004
"""A camera's turning is reckoned from where it looks so long before and after."""


class World:
    """One session of the simulated home; every answer is a function of the plan and the time alone.

    Times are int64 nanoseconds of world time: 0 is the start, `duration_ns` the end. Building a world takes a
    fraction of a second; the renderer is opened with the first picture.
    """

    segments: tuple[str, ...] = body.SEGMENTS

    def __init__(self, plan: WorldPlan) -> None:
        self.plan = plan
        self.duration_ns = round(plan.duration_s * 1e9)
        self.home: Home = furnish(plan)
        self._prefixes = ("", *(f"{name}/" for name in plan.names[1:]))
        self._builds = [
            manner(plan, prefix).today(body.build(name, prefix))
            for name, prefix in zip(plan.names, self._prefixes, strict=True)
        ]
        self._props, self._scripts = direct(plan, self.home, self._builds)
        self.people = [
            Person(plan, one, script, prefix)
            for one, script, prefix in zip(self._builds, self._scripts, self._prefixes, strict=True)
        ]
        self._things = Things(self.home, self._props, self.people)
        self._gazes = []
        for person, script, prefix in zip(self.people, self._scripts, self._prefixes, strict=True):
            gaze = Gaze(plan, script, person, self._place, prefix)
            person.look(plan.rng(f"head{prefix}"), gaze.wanted(person.grid))
            self._gazes.append(gaze)
        self._person, self._gaze = self.people[0], self._gazes[0]
        self._shapes = {name: thing.shapes for name, thing in self.home.things.items()}
        self._shapes |= dict.fromkeys(self.home.cupboards, self.home.door)
        for one, prefix in zip(self._builds, self._prefixes, strict=True):
            self._shapes |= body.shapes(one, prefix)
        self._clouds = {name: surface_points(shapes) for name, shapes in self._shapes.items()}
        self._renderer: Renderer | None = None

    def _place(self, name: str, t: np.ndarray) -> np.ndarray:
        """(N, 3) where a thing is, or a person's face."""
        if name in self.plan.names:
            return self.people[self.plan.names.index(name)].origin("neck", t) + [0.0, 0.0, 0.10]
        return self._things.pose(name, t)[0]

    # --- cameras ---

    def camera(self, name: str) -> CameraModel:
        """The model of ``third``, another room kit's camera (by the kit's name), ``head`` or ``eye``."""
        if name not in FIELD_OF_VIEW:
            raise ConfigError(unknown_name("camera", name, FIELD_OF_VIEW))
        return camera_model(self.plan, name)

    def camera_pose(self, name: str, t: np.ndarray) -> tuple[np.ndarray, Rotation]:
        """(N, 3) position and world <- camera turn (x right, y down, z forward) at times (N,) seconds."""
        if name in VIEWS:
            at, looks_at = VIEWS[name]
            turn = looking(at, looks_at).as_quat()
            return np.tile(at, (len(t), 1)), Rotation.from_quat(np.tile(turn, (len(t), 1)))
        at, turned = body.WORN_CAMERAS[name]
        return self._person.point("neck", at, t), self._person.turn("neck", t) * turned

    def _pose(self, name: str, t: np.ndarray) -> tuple[np.ndarray, Rotation]:
        prefix, _, part = name.rpartition("/")
        if part in self.segments:
            person = self.people[self._prefixes.index(prefix and f"{prefix}/")]
            return person.origin(part, t), person.turn(part, t)
        return self._things.pose(name, t)

    def poses(self, t_ns: Sequence[int] | np.ndarray) -> dict[str, Pose]:
        """Position (N, 3) and quaternion (N, 4) of every movable body and camera."""
        t = _seconds(t_ns)
        result = {}
        for name in self._shapes:
            at, turn = self._pose(name, t)
            result[name] = (at, wxyz(turn))
        for name in FIELD_OF_VIEW:
            at, turn = self.camera_pose(name, t)
            result[f"camera-{name}"] = (at, wxyz(turn))
        return result

    @property
    def renderer(self) -> Renderer:
        """The renderer, opened at the first use.

        Raises:
            ConfigError: MuJoCo or a GL library is missing.
        """
        if self._renderer is None:
            materials = dict(self.home.materials)
            for one in self._builds:
                materials |= one.materials
            self._renderer = Renderer(self.home, materials, self._shapes, self.plan)
        return self._renderer

    def render(self, camera_name: str, t_ns: Sequence[int], shutter: Shutter = INSTANT) -> Iterator[np.ndarray]:
        """The pictures (H, W, 3) uint8 RGB of one camera at the given times, one after another.

        A time is that of the middle line's middle of exposure.
        """
        camera = self.camera(camera_name).name
        renderer = self.renderer
        times = np.asarray(t_ns, np.int64)
        for start in range(0, len(times), 256):
            block = times[start : start + 256]
            spin = self._spin(camera, block) if shutter != INSTANT else None
            yield from renderer.pictures(self.poses(block), camera, shutter, spin)

    def _spin(self, camera: str, t_ns: np.ndarray) -> np.ndarray:
        """(N, 3) rad/s how fast a camera turns, in its own frame."""
        before, after = (self.camera_pose(camera, _seconds(t_ns) + h)[1] for h in (-SPIN_S, SPIN_S))
        return np.asarray((before.inv() * after).as_rotvec() / (2 * SPIN_S))

    def close(self) -> None:
        """Free the renderer; the next picture opens another."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    # --- sound ---

    @property
    def tone_times_ns(self) -> dict[str, int]:
        """When the first sample of each tone leaves the speaker."""
        return {kind: round(t * 1e9) for kind, t in self.plan.tone_s.items()}

    def microphone_at(self, name: str, t: np.ndarray) -> np.ndarray:
        """(N, 3) where a microphone is at times (N,) seconds."""
        if name not in MICROPHONES:
            raise ConfigError(unknown_name("microphone", name, MICROPHONES))
        if name in ROOM_KITS:
            return np.tile(ROOM_KITS[name], (len(t), 1))
        if name == "kit-02":
            return self._person.point("body", body.CHEST_MICROPHONE, t)
        return self.camera_pose(name, t)[0]

    def sound(self, microphone: str, how: Acoustics | None = None) -> np.ndarray:
        """(N,) float32 at 48 kHz: what one microphone hears; sample n is at world time n / 48000 s.

        `how` is of the house, the usual one where None.
        """
        self.microphone_at(microphone, np.zeros(1))  # a name that is none is refused before much is reckoned
        house, path = self.home.house, lambda t: self.microphone_at(microphone, t)
        return listen(self.plan, house, how or Acoustics(), microphone, path, self._sounds)

    @cached_property
    def _sounds(self) -> list[Source]:
        near = {"radio": "shelf", "hum": "counter"}
        corner = np.array([0.7, 0.5, 0.9])
        ambience = {kind: self.home.stations[name].to_world(corner) for kind, name in near.items()}
        return sources(self.plan, self.noises, ambience)

    @property
    def noises(self) -> list[Noise]:
        """Everything that sounds once: steps, contacts, rustling."""
        once = [noise for script in self._scripts for noise in script.noises]
        return sorted([*once, *(n for person in self.people for n in person.landings)], key=lambda noise: noise.t)

    def tone_distance_m(self, microphone: str) -> float:
        """The way from the speaker to a microphone as a careful person notes it, to 5 cm.

        A tape held while the wearer stands on the mark is good to about a centimetre; the wearer sways and comes
        back to the mark a little elsewhere, which only the sound knows.
        """
        start = np.array([self.plan.tone_s["start"]])
        true_m = float(np.linalg.norm(self.microphone_at(microphone, start)[0] - SPEAKER))
        tape_m = true_m + float(self.plan.rng(f"tape-{microphone}").normal(0.0, TAPE_SIGMA_M))
        return round(round(tape_m / TAPE_STEP_M) * TAPE_STEP_M, 2)

    # --- gaze ---

    def gaze(
        self, t_ns: Sequence[int] | np.ndarray, flaws: TrackerFlaws | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the eye tracker reports; `flaws` are the usual ones where None.

        Returns:
            (N, 2) px in the ``eye`` camera with its errors, NaN where lost; (N,) bool: not lost
            (a blink, or a look outside the picture).
        """
        times = np.asarray(t_ns, np.int64)
        model = self.camera("eye")
        tracker = Tracker(self.plan, flaws or TrackerFlaws())
        xy = self.gaze_truth("eye", times) + np.tan(np.radians(tracker.error_deg(times))) * model.fx
        seen = self._gaze.eyes_open(_seconds(times)) & tracker.sees(_seconds(times))
        valid = seen & np.isfinite(xy[:, 0])
        xy[~valid] = np.nan
        return xy, valid

    def gaze_truth(self, camera: str, t_ns: Sequence[int] | np.ndarray) -> np.ndarray:
        """(N, 2) px: the point that is looked at, in one camera; NaN outside the frame or behind it."""
        t, model = _seconds(t_ns), self.camera(camera)
        eye, turn = self.camera_pose(camera, t)
        px = pinhole(model, turn.inv().apply(self._gaze.point(t) - eye))
        outside = ~((px >= -0.5) & (px < [model.width - 0.5, model.height - 0.5])).all(axis=1)
        px[outside] = np.nan
        return px

    # --- boxes, labels, relations ---

    def boxes(self, camera: str, t_ns: Sequence[int] | np.ndarray) -> list[list[Box]]:
        """Per time, the boxes of the things and of the people but the camera's wearer.

        Also where something stands before them; not where a wall does, unless a doorway shows them.
        """
        t, model = _seconds(t_ns), self.camera(camera)
        eye, turn = self.camera_pose(camera, t)
        groups = [(name, "object", [name]) for name in self._things.names]
        for name, prefix in zip(self.plan.names, self._prefixes, strict=True):
            if prefix or camera in VIEWS:
                groups.append((name, "person", [prefix + segment for segment in self.segments]))
        seen: list[list[Box]] = [[] for _ in t]
        in_sight = self._in_sight(eye, turn, groups, t)
        for number, (name, kind, parts) in enumerate(groups):
            px = np.concatenate([self._projected(part, model, eye, turn, t) for part in parts], axis=1)
            for k, found in enumerate(bounds(name, kind, model, px)):
                if found is not None and in_sight[k, number]:
                    seen[k].append(found)
        return seen

    def _in_sight(
        self, eye: np.ndarray, turn: Rotation, groups: Sequence[tuple[str, str, list[str]]], t: np.ndarray
    ) -> np.ndarray:
        """(N, groups) bool: what no wall hides from a camera."""
        cores = [next((part for part in parts if part.endswith(CORE)), parts[0]) for *_, parts in groups]
        middles = np.stack([self._pose(core, t)[0] for core in cores], axis=1)
        things = (np.linalg.norm(self._clouds[core], axis=1).max() for core in cores)
        radii = np.array([CORE_M if kind == "person" else r for (_, kind, _), r in zip(groups, things, strict=True)])
        house = self.home.house
        rooms = house.rooms_at(middles.reshape(-1, 3)).reshape(middles.shape[:2])
        everywhere = Cone(eye, turn.apply([0.0, 0.0, 1.0]), np.pi)
        return seen_from(everywhere, middles, radii, rooms, house, np.inf)

    def _projected(self, name: str, model: CameraModel, eye: np.ndarray, turn: Rotation, t: np.ndarray) -> np.ndarray:
        """(N, P, 2) px of a body's surface points."""
        at, own = self._pose(name, t)
        back = turn.inv()
        seen = (back * own).as_matrix() @ self._clouds[name].T
        return pinhole(model, np.swapaxes(seen, 1, 2) + back.apply(at - eye)[:, None])

    def labels(self) -> list[Label]:
        """Every activity and atomic action, by start; intervals are half open, atomic ones may overlap."""
        spans = [(s, name) for name, script in zip(self.plan.names, self._scripts, strict=True) for s in script.spans]
        return [
            Label(span.tier, round(span.t0 * 1e9), round(span.t1 * 1e9), span.value, actor)
            for span, actor in sorted(spans, key=lambda s: (s[0].t0, s[0].tier, s[0].value, s[1]))
        ]

    def scene_graph(self, t_ns: int) -> list[tuple[str, str, str]]:
        """(subject, relation, object) at one time; the relations are `relations.RELATIONS`."""
        return next(self.scene_graphs([t_ns]))

    def scene_graphs(self, t_ns: Sequence[int] | np.ndarray) -> Iterator[list[tuple[str, str, str]]]:
        """The same at many times, which costs far less than asking for each."""
        return self._relations.over(_seconds(t_ns))

    def body24(self, t_ns: Sequence[int] | np.ndarray, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(N, 85) what SMPL would be given (`smpl.vector`) of one person, and (N, 24, 3) where the joints are."""
        person, t = self.people[number], _seconds(t_ns)
        return smpl.vector(person, t), smpl.places(person, t)

    def annotate(self, camera: str, t_ns: Sequence[int] | np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Per time, (H, W) uint8 what each pixel shows, an index into `classes`, and (H, W) float32 depth, metres."""
        poses = self.poses(t_ns)
        for index in range(len(t_ns)):
            yield self.renderer.classes(poses, index, camera), self.renderer.depth(poses, index, camera)

    def moved_px(self, camera: str, t_ns: Sequence[int] | np.ndarray) -> np.ndarray:
        """(N, C, 2) px/s how fast the middle of each class's body goes in a picture; NaN for 0 and 1, and behind it."""
        t, model, h = _seconds(t_ns), self.camera(camera), 0.02
        found = np.full((len(t), len(self.classes), 2), np.nan)
        for number, name in enumerate(self._shapes):
            middle = (self._clouds[name].min(axis=0) + self._clouds[name].max(axis=0)) / 2
            ends = []
            for now in (t - h, t + h):
                at, own = self._pose(name, now)
                eye, turn = self.camera_pose(camera, now)
                ends.append(pinhole(model, turn.inv().apply(at + own.apply(middle) - eye)))
            found[:, number + 2] = (ends[1] - ends[0]) / (2 * h)
        return found

    @property
    def classes(self) -> tuple[str, ...]:
        """What a pixel may show: what stands still, a floor one can walk on, a thing, a door, or a part of a person."""
        return ("still", "floor", *self._shapes)

    @cached_property
    def _relations(self) -> Relations:
        return Relations(self.home, self._things, self.plan.names, self.people, self._scripts, self._gazes)

    # --- body and room sensors ---

    def _check(self, segment: str) -> str:
        if segment not in self.segments:
            raise ConfigError(unknown_name("body segment", segment, self.segments))
        return segment

    def orientation(self, segment: str, t_ns: Sequence[int] | np.ndarray) -> np.ndarray:
        """(N, 4) unit quaternion w, x, y, z: world <- the IMU on a segment."""
        return wxyz(self._person.turn(self._check(segment), _seconds(t_ns)))

    def imu(self, segment: str, t_ns: Sequence[int] | np.ndarray) -> ImuTruth:
        """What a perfect BNO055 on a segment reports."""
        t, person = _seconds(t_ns), self._person
        local = senses.mounted(person, self._check(segment))
        return senses.imu(
            lambda at: person.point(segment, local, at), person.turn(segment, t), person.gyro(segment, t), t
        )

    def camera_imu(self, camera: str, t_ns: Sequence[int] | np.ndarray) -> ImuTruth:
        """The same for an IMU inside ``head`` or ``eye``, in the camera's frame (x right, y down, z forward)."""
        if camera not in body.WORN_CAMERAS:
            raise ConfigError(unknown_name("worn camera", camera, body.WORN_CAMERAS))
        t = _seconds(t_ns)
        turned = body.WORN_CAMERAS[camera][1]
        gyro = turned.inv().apply(self._person.gyro("neck", t))
        return senses.imu(lambda at: self.camera_pose(camera, at)[0], self.camera_pose(camera, t)[1], gyro, t)

    def thermal(self, t_ns: Sequence[int] | np.ndarray, kit: str = "kit-01") -> np.ndarray:
        """(N, 64) degC: an AMG8833 (60 degrees, 8x8, row-major from the top left) beside a room kit's camera."""
        return senses.thermal(self.plan, self.home.house, self.people, *_looks(kit), _seconds(t_ns), kit)

    def air(self, t_ns: Sequence[int] | np.ndarray, kit: str = "kit-01") -> np.ndarray:
        """(N, 4): temperature degC, pressure Pa, relative humidity %, gas resistance ohm at a room kit."""
        return senses.air(self.plan, self.home.house, self.people, self.noises, _seconds(t_ns), kit)

    def light(self, t_ns: Sequence[int] | np.ndarray, kit: str = "kit-01") -> np.ndarray:
        """(N, 5) at a room kit: illuminance lux, share of infrared (0 to 1), and green, red, blue lux before it."""
        return senses.light(self.plan, self.home.house, self.people, self.home.lamp, _seconds(t_ns), kit)

    def infrared(self, t_ns: Sequence[int] | np.ndarray, kit: str = "kit-01") -> np.ndarray:
        """(N, 4) pA: an AK9753 beside a room kit's camera, whose sensors look right, down, left and up."""
        return senses.infrared(self.plan, self.home.house, self.people, *_looks(kit), _seconds(t_ns), kit)

    def magnetic(self, t_ns: Sequence[int] | np.ndarray, kit: str = "kit-01") -> np.ndarray:
        """(N, 3) uT at a room kit, in the world's axes."""
        return senses.magnetic(self.plan, self.people, _seconds(t_ns), kit)


def _looks(kit: str) -> tuple[np.ndarray, Rotation]:
    """Where a room kit's camera is, and world <- camera."""
    at, looks_at = VIEWS[VIEW_OF[kit]]
    return at, looking(at, looks_at)


def _seconds(t_ns: Sequence[int] | np.ndarray) -> np.ndarray:
    """(N,) float64 seconds of world time (a session is far shorter than what float64 blurs)."""
    return np.asarray(t_ns, np.int64) / 1e9


__all__ = ["ACTIVITIES", "MICROPHONES", "World"]
