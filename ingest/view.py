"""What one session has for a clip: each kind of the batch contract as one method, arrays and masks from the tables.

What a session says is read once and kept while its clips are asked for; its sensors stay in their files, a minute at a
time. Pictures are the one thing read for each clip.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ingest.anchors import actors, camera, focus
from ingest.ask import ACTIVITY, ATOMIC, ENVIRONMENT, IMU, Ask
from ingest.cache import FrameReader
from ingest.clips import GAZE_REACH_NS, TOLERANCE_NS, degrees
from ingest.film import Video
from ingest.logmel import MELS
from ingest.moments import index_at, values_at
from ingest.opened import Dataset
from ingest.rows import fixed
from ingest.sounds import mel_window, sound_name
from ingest.tables import JOINTS, VECTOR
from ingest.targets import GREY, GROUPS, STEP_NS, Thirds, orientation_at

HELD_NS = 2_000_000_000
"""A room sensor's value counts this long: the slowest gives two a second."""
TRACK_REACH_NS = 75_000_000
BOX_REACH_NS = 150_000_000
"""How far a track's or a box's moment may be from a clip's: they come 10 and 5 times a second."""
TURN_NS = 25_000_000
"""Half of the time over which a turn is measured where the chip's own was not recorded."""

Arrays = dict[str, np.ndarray]


class SessionView:
    """One session of a dataset, as the clips of one `Ask` see it."""

    def __init__(self, dataset: Dataset, session: str, ask: Ask) -> None:
        self.dataset, self.session, self.ask = dataset, session, ask
        self.streams = dataset.streams(session)
        self.participants = dataset.rows.of("sessions", session)["participants"].to_pylist()[0]
        self.focus = focus(self.streams, self.participants)

    def clip(self, reader: FrameReader, t0_ns: int, who: int) -> Arrays:
        """Every key that is asked for, of the clip that starts at `t0_ns`; see `ingest.ask.shapes`."""
        actor = self.focus if who < 0 else self.actors[who]
        moments = t0_ns + np.arange(self.ask.frames, dtype=np.int64) * self.ask.step_ns
        found: Arrays = {}
        for kind in self.ask.kinds:
            if kind in ("ego", "third"):
                found |= self._pictures(reader, kind, moments)
            else:
                found |= getattr(self, f"_{kind}")(moments, actor)
        return found

    def labels(self, t0_ns: int, who: int) -> Arrays:
        """The keys that cost no pictures and no sound."""
        actor = self.focus if who < 0 else self.actors[who]
        moments = t0_ns + np.arange(self.ask.frames, dtype=np.int64) * self.ask.step_ns
        cheap = [k for k in self.ask.kinds if k not in ("ego", "third", "audio", "features")]
        return {key: value for kind in cheap for key, value in getattr(self, f"_{kind}")(moments, actor).items()}

    @cached_property
    def actors(self) -> list[str]:
        """Everybody with a track, in alphabetical order."""
        return actors(self.dataset.rows, self.session)

    @cached_property
    def people(self) -> list[str]:
        """Everybody with a track or a box, in alphabetical order: the numbers of `box_person`."""
        boxed = self.dataset.rows.of("boxes", self.session, ["actor"])["actor"].to_pylist()
        return sorted({*self.actors, *(a for a in boxed if a)})

    def _pictures(self, reader: FrameReader, role: str, moments: np.ndarray) -> Arrays:
        size = self.ask.size
        out = np.zeros((len(moments), 3, size, size), np.uint8)
        valid = np.zeros(len(moments), bool)
        video = self._videos.get(role)
        if video is not None:
            index = index_at(self._frame_times[role], moments, "nearest", TOLERANCE_NS)
            valid = index >= 0
            shown, back = np.unique(index[valid], return_inverse=True)
            frames = reader.read(video, shown.tolist(), (size, size))
            out[valid] = frames.transpose(0, 3, 1, 2)[back]
        return {role: out, f"{role}_valid": valid}

    @cached_property
    def _videos(self) -> dict[str, Video]:
        rows = {role: camera(self.streams, role) for role in ("ego", "third") if self.ask.wants(role)}
        return {
            role: self.dataset.video(self.session, row["device"], size=self.ask.size)
            for role, row in rows.items()
            if row is not None and row["count"]
        }

    @cached_property
    def _frame_times(self) -> dict[str, np.ndarray]:
        rows = {role: camera(self.streams, role) for role in self._videos}
        return {role: self.dataset.frame_times(self.session, row["device"]) for role, row in rows.items() if row}

    def _audio(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        wanted = self.ask.audio_rows
        heard = sorted(
            (s for s in self.streams if s["kind"] == "audio" and s["role"] in ("third", "ego") and s["count"]),
            key=lambda s: (s["role"] != self.ask.audio_role, s["device"]),
        )
        if not heard:
            return {"audio": np.zeros((MELS, wanted), np.float32), "audio_valid": np.zeros(wanted, bool)}
        name = sound_name(self.session, heard[0]["device"])
        mels, valid = mel_window(heard[0], self.dataset.store.read, name, int(moments[0]), wanted)
        return {"audio": mels, "audio_valid": valid}

    def _environment(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        out = np.zeros((len(moments), len(ENVIRONMENT)), np.float32)
        valid = np.zeros(out.shape, bool)
        for device, stream, column, place, mean, std in self._room_channels:
            found = self._around(device, stream, moments, HELD_NS)
            _, values, known = values_at(found.t_ns, found.x[:, column], moments, "hold", HELD_NS)
            known &= np.isfinite(values)
            out[known, place] = (values[known] - mean) / std
            valid[:, place] = known
        return {"environment": out, "environment_valid": valid}

    @cached_property
    def _room_channels(self) -> list[tuple[str, str, int, int, float, float]]:
        """Device, stream and column of each known environment channel, its place, and how it is standardised."""
        channels, found = self.dataset.stats["channels"], {}
        for row in self._sensors("third"):
            track = f"{row['model']}.{row['name'].removeprefix(row['sensor'] + '.')}"
            for column, channel in enumerate(self.dataset.rows.channels(self.session, row["device"], row["name"])):
                known = channels.get(f"{track}.{channel}")
                place = f"{row['model']}.{channel}"
                if place in ENVIRONMENT and place not in found and known:
                    spread = known["std"] or 1.0
                    found[place] = row["device"], row["name"], column, ENVIRONMENT.index(place), known["mean"], spread
        return list(found.values())

    def _thermal(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        out, valid = np.zeros((len(moments), 8, 8), np.float32), np.zeros(len(moments), bool)
        row = next((r for r in self._sensors("third") if r["model"] == "amg8833" and r["rate_hz"] == 480), None)
        if row is not None:
            found = self._around(row["device"], row["name"], moments, HELD_NS)
            _, values, valid = values_at(found.t_ns, found.x, moments, "hold", HELD_NS)
            out = values.reshape(-1, 8, 8)
        return {"thermal": out, "thermal_valid": valid}

    def _imu(self, moments: np.ndarray, actor: str | None) -> Arrays:
        out = np.zeros((len(moments), len(IMU), 9), np.float32)
        worn = {r["sensor"]: r for r in self._worn(actor) if r["name"].endswith(".quaternion")}
        turns = {name: self._orientation(row, moments) for name, row in worn.items()}
        valid = np.zeros((len(moments), len(IMU)), bool)
        for place, (name, parent) in enumerate(IMU.items()):
            if name not in turns or (parent is not None and parent not in turns):
                continue
            q = turns[name][1]
            known = np.isfinite(turns[name]).all(axis=(0, 2))
            if parent is not None:
                known &= np.isfinite(turns[parent][1]).all(axis=1)
            own = Rotation.from_quat(q[known], scalar_first=True)
            base = own if parent is None else Rotation.from_quat(turns[parent][1][known], scalar_first=True)
            local = own if parent is None else base.inv() * own
            before = Rotation.from_quat(turns[name][0][known], scalar_first=True)
            after = Rotation.from_quat(turns[name][2][known], scalar_first=True)
            spin = (before.inv() * after).as_rotvec() * (1e9 / (2 * TURN_NS))
            six = local.as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(-1, 6)
            out[known, place] = np.concatenate([six, spin], axis=1)
            valid[:, place] = known
        return {"imu": out, "imu_valid": valid}

    def _orientation(self, row: dict[str, Any], moments: np.ndarray) -> np.ndarray:
        """(3, T, 4): just before, at and just after each moment; NaN where not measured."""
        found = self._around(row["device"], row["name"], moments, 4 * TURN_NS)
        times = (moments - TURN_NS, moments, moments + TURN_NS)
        return np.stack([orientation_at(found.t_ns, found.x, at) for at in times])

    def _gaze(self, moments: np.ndarray, actor: str | None) -> Arrays:
        t_ns, gaze, _ = self._targets
        known = self.focus == actor
        index = index_at(t_ns, moments, "nearest", GAZE_REACH_NS) if known else np.full(len(moments), -1)
        valid = (index >= 0) & np.isfinite(gaze[index]).all(axis=1) if len(t_ns) else np.zeros(len(moments), bool)
        out = np.zeros((len(moments), 2), np.float32)
        out[valid] = gaze[index[valid]]
        return {"gaze": out, "gaze_valid": valid}

    def _move(self, moments: np.ndarray, actor: str | None) -> Arrays:
        t_ns, _, label = self._targets
        out = np.zeros((len(moments), len(GROUPS)), np.float32)
        valid = np.zeros(out.shape, bool)
        if self.focus == actor and len(t_ns):
            index = index_at(t_ns, moments, "nearest", STEP_NS // 2)
            near = index >= 0
            valid[near] = label[index[near]] != GREY
            out[near] = label[index[near]] == 1
        return {"move": out, "move_valid": valid}

    @cached_property
    def _targets(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the first head camera: (N,) int64 times, (N, 2) gaze, (N, 6) int8 movement labels."""
        rows = self.dataset.rows.of("targets", self.session)
        row = camera(self.streams, "ego")
        mine = np.array(rows["device"].to_pylist(), object) == (row["device"] if row else "")
        gaze = np.stack([rows["gaze_x"].to_numpy(), rows["gaze_y"].to_numpy()], axis=1).astype(np.float32)
        label = movement_labels(degrees(rows), self.dataset.info["thirds_deg"])
        return rows["t_ns"].to_numpy()[mine], gaze[mine], label[mine]

    def _activity(self, moments: np.ndarray, actor: str | None) -> Arrays:
        middle = int(moments[0]) + self.ask.span_ns // 2
        met = [v for v, a, b, who in self._labels.get(ACTIVITY, ()) if a <= middle < b and who in (actor, None)]
        return {"activity": np.array(self._class(ACTIVITY)[met[0]] if met else -1, np.int64)}

    def _atomic(self, moments: np.ndarray, actor: str | None) -> Arrays:
        span = int(moments[0]), int(moments[-1]) + 1
        out = self._acting(span, actor, self._class(ATOMIC))
        return {"atomic": out, "atomic_valid": np.array(ATOMIC in self._labels)}

    def _acting(self, span_ns: tuple[int, int], actor: str | None, place: dict[str, int]) -> np.ndarray:
        """(A,) 1 for each atomic action of an actor that meets a half open span."""
        out = np.zeros(len(place), np.float32)
        for value, a, b, who in self._labels.get(ATOMIC, ()):
            if a < span_ns[1] and (b > span_ns[0] or a == b == span_ns[0]) and who in (actor, None):
                out[place[value]] = 1
        return out

    @cached_property
    def _labels(self) -> dict[str, list[tuple[str, int, int, str | None]]]:
        """Tier -> (value, t0_ns, t1_ns, actor)."""
        found: dict[str, list[tuple[str, int, int, str | None]]] = {}
        for r in self.dataset.rows.of("labels", self.session).to_pylist():
            found.setdefault(r["tier"], []).append((r["value"], r["t0_ns"], r["t1_ns"], r["actor"]))
        return found

    def _class(self, tier: str) -> dict[str, int]:
        return {value: i for i, value in enumerate(self.dataset.info["vocabulary"].get(tier, ()))}

    def _boxes(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        p, place = self.ask.persons, self._class(ATOMIC)
        out = {
            "boxes": np.zeros((p, 4), np.float32),
            "box_valid": np.zeros(p, bool),
            "box_score": np.zeros(p, np.float32),
            "box_actions": np.zeros((p, len(place)), np.float32),
            "box_person": np.zeros(p, np.int64),
        }
        key = int(moments[len(moments) // 2])
        for k, (actor, box, score) in enumerate(self.boxes_at(key)[:p]):
            out["boxes"][k], out["box_score"][k], out["box_valid"][k] = box, score, True
            if actor is not None:
                out["box_person"][k] = self.people.index(actor)
                out["box_actions"][k] = self._acting((key, key + 1), actor, place)
        return out

    def boxes_at(self, at_ns: int) -> list[tuple[str | None, np.ndarray, float]]:
        """Actor, (4,) box and score of everybody in the picture at a moment, the surest first, then by name."""
        t_ns, who, box, score = self._box_table
        if not len(t_ns):
            return []
        nearest = index_at(t_ns, np.array([at_ns]), "nearest", BOX_REACH_NS)[0]
        held = np.flatnonzero(t_ns == t_ns[nearest]) if nearest >= 0 else ()
        return sorted(((who[i], box[i], float(score[i])) for i in held), key=lambda b: (-b[2], b[0] or ""))

    @cached_property
    def _box_table(self) -> tuple[np.ndarray, list[str | None], np.ndarray, np.ndarray]:
        rows, shown = self.dataset.rows.of("boxes", self.session), camera(self.streams, self.ask.view)
        mine = np.flatnonzero(np.array(rows["device"].to_pylist(), object) == (shown["device"] if shown else ""))
        rows = rows.take(mine)
        box = np.stack([rows[c].to_numpy() for c in ("x1", "y1", "x2", "y2")], axis=1)
        return rows["t_ns"].to_numpy(), rows["actor"].to_pylist(), box, rows["score"].to_numpy()

    def _tracks(self, moments: np.ndarray, actor: str | None) -> Arrays:
        n, t, place = self.ask.tracks, len(moments), self._class(ATOMIC)
        out = {
            "tracks": np.zeros((n, t, VECTOR), np.float32),
            "tracks_valid": np.zeros((n, t), bool),
            "tracks_joints": np.zeros((n, t, JOINTS), bool),
            "track_boxes": np.zeros((n, t, 4), np.float32),
            "track_actions": np.zeros((n, t, len(place)), np.float32),
        }
        others = [a for a in self.actors if a != actor]
        first = [actor] if actor in self.actors else []
        if self.ask.features:
            out |= self._appearance([*first, *others][:n], moments)
        for k, who in enumerate([*first, *others][:n]):
            t_ns, vector, measured = self._track_table[who]
            index = index_at(t_ns, moments, "nearest", TRACK_REACH_NS)
            there = index >= 0
            out["tracks"][k, there], out["tracks_joints"][k, there] = vector[index[there]], measured[index[there]]
            out["tracks_valid"][k] = there
            for i in np.flatnonzero(there):
                at = int(moments[i])
                seen = next((box for name, box, _ in self.boxes_at(at) if name == who), None)
                out["track_boxes"][k, i] = 0 if seen is None else seen
                out["track_actions"][k, i] = self._acting((at, at + 1), who, place)
        return out

    @cached_property
    def _track_table(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        rows = self.dataset.rows.of("tracks", self.session)
        who, t_ns = np.array(rows["actor"].to_pylist(), object), rows["t_ns"].to_numpy()
        vector, measured = fixed(rows["vector"]), fixed(rows["measured"])
        return {a: (t_ns[who == a], vector[who == a], measured[who == a]) for a in self.actors}

    def _graph(self, moments: np.ndarray, actor: str | None) -> Arrays:
        info, f = self.dataset.info, self.ask.graph_frames
        place = {name: i for i, name in enumerate(info["objects"])}
        kind = {name: i for i, name in enumerate(info["relations"])}
        out = np.zeros((f, len(place), len(kind)), np.float32)
        at = int(moments[0]) + self.ask.span_ns * (2 * np.arange(f, dtype=np.int64) + 1) // (2 * f)
        for subject, relation, other, a, b in self._relation_rows:
            if subject == actor and b > at[0] and a <= at[-1]:
                out[(at >= a) & (at < b), place[other], kind[relation]] = 1
        return {"graph": out}

    @cached_property
    def _relation_rows(self) -> list[tuple[str, str, str, int, int]]:
        names = ("subject", "relation", "object", "t0_ns", "t1_ns")
        rows = self.dataset.rows.of("relations", self.session, names)
        return list(zip(*(rows[n].to_pylist() for n in names), strict=True))

    def _features(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        ask, (t_ns, who, x) = self.ask, self._feature_table
        key = int(moments[len(moments) // 2])
        at = key + (np.arange(ask.keyframes) - ask.keyframes // 2) * ask.keyframe_step_ns
        out = {
            "scene_features": np.zeros((ask.keyframes, x.shape[1]), np.float32),
            "scene_features_valid": np.zeros(ask.keyframes, bool),
            "person_features": np.zeros((ask.keyframes, ask.persons, x.shape[1]), np.float32),
            "person_features_valid": np.zeros((ask.keyframes, ask.persons), bool),
        }
        first = [actor for actor, _, _ in self.boxes_at(key)]  # in the places that `boxes` gives them
        for k, near in enumerate(index_at(t_ns, at, "nearest", ask.keyframe_step_ns // 2)):
            if near < 0:
                continue
            held = {who[i]: x[i] for i in np.flatnonzero(t_ns == t_ns[near])}
            if None in held:
                out["scene_features"][k], out["scene_features_valid"][k] = held[None], True
            others = sorted(who for who in held if who is not None and who not in first)
            for p, actor in enumerate([*first, *others][: ask.persons]):
                if actor in held and actor is not None:
                    out["person_features"][k, p], out["person_features_valid"][k, p] = held[actor], True
        return out

    def _appearance(self, people: list[str], moments: np.ndarray) -> Arrays:
        t_ns, who, x = self._feature_table
        out = np.zeros((self.ask.tracks, len(moments), x.shape[1]), np.float32)
        valid = np.zeros(out.shape[:2], bool)
        names = np.array(who, object)
        for k, actor in enumerate(people):
            mine = np.flatnonzero(names == actor)
            index = index_at(t_ns[mine], moments, "nearest", self.ask.keyframe_step_ns // 2)
            valid[k] = index >= 0
            out[k, valid[k]] = x[mine[index[valid[k]]]]
        return {"appearance": out, "appearance_valid": valid}

    @cached_property
    def _feature_table(self) -> tuple[np.ndarray, list[str | None], np.ndarray]:
        """(N,) int64 times, whose box (None: the scene), (N, D) float32; of the camera of `view`."""
        rows = self.dataset.rows.of(f"features/{self.ask.features}", self.session)
        shown = camera(self.streams, self.ask.view)
        mine = np.flatnonzero(np.array(rows["device"].to_pylist(), object) == (shown["device"] if shown else ""))
        rows = rows.take(mine)
        return rows["t_ns"].to_numpy(), rows["actor"].to_pylist(), fixed(rows["x"])

    def _sensors(self, role: str) -> list[dict[str, Any]]:
        found = (s for s in self.streams if s["role"] == role and s["kind"] == "sensor" and s["count"])
        return sorted(found, key=lambda s: (s["device"], s["name"]))

    def _worn(self, actor: str | None) -> list[dict[str, Any]]:
        found = (s for s in self.streams if s["kind"] == "sensor" and s["count"] and s["sensor"] in IMU)
        return [s for s in found if s["wearer"] == actor or (s["wearer"] is None and actor == self.focus)]

    def _around(self, device: str, stream: str, moments: np.ndarray, reach_ns: int) -> Any:
        span = int(moments[0]) - reach_ns, int(moments[-1]) + reach_ns + 1
        return self.dataset.rows.series(self.session, device, stream, span, more=1)


def movement_labels(measured: np.ndarray, thirds: dict[str, list[float] | None]) -> np.ndarray:
    """(N, 6) degrees to (N, 6) int8 labels by the thirds of `info.json`."""
    label = np.full(measured.shape, GREY, np.int8)
    for column, group in enumerate(GROUPS):
        limits = thirds[group]
        if limits is not None:
            label[:, column] = Thirds(*limits).label(measured[:, column])
    return label
