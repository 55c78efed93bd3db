"""Who and what is in the picture: boxes, tracks of people, relations to things, and features of trained networks."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ingest.anchors import camera
from ingest.ask import ATOMIC
from ingest.moments import index_at
from ingest.rows import fixed
from ingest.tables import JOINTS, VECTOR
from ingest.view.session import Arrays, SessionRows

TRACK_REACH_NS = 75_000_000
BOX_REACH_NS = 150_000_000
"""How far a track's or a box's moment may be from a clip's: they come 10 and 5 times a second."""


class Seen:
    """The kinds ``boxes``, ``tracks``, ``graph`` and ``features`` of one session."""

    def __init__(self, of: SessionRows) -> None:
        self._of = of

    def boxes(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        p, place = self._of.ask.persons, self._of.classes(ATOMIC)
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
                out["box_person"][k] = self._of.people.index(actor)
                out["box_actions"][k] = self._of.acting((key, key + 1), actor)
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
        rows, shown = self._of.rows("boxes"), camera(self._of.streams, self._of.ask.view)
        mine = np.flatnonzero(np.array(rows["device"].to_pylist(), object) == (shown["device"] if shown else ""))
        rows = rows.take(mine).sort_by("t_ns")  # of several sources, each is in order
        box = np.stack([rows[c].to_numpy() for c in ("x1", "y1", "x2", "y2")], axis=1)
        return rows["t_ns"].to_numpy(), rows["actor"].to_pylist(), box, rows["score"].to_numpy()

    def tracks(self, moments: np.ndarray, actor: str | None) -> Arrays:
        n, t, place = self._of.ask.tracks, len(moments), self._of.classes(ATOMIC)
        out = {
            "tracks": np.zeros((n, t, VECTOR), np.float32),
            "tracks_valid": np.zeros((n, t), bool),
            "tracks_joints": np.zeros((n, t, JOINTS), bool),
            "track_boxes": np.zeros((n, t, 4), np.float32),
            "track_actions": np.zeros((n, t, len(place)), np.float32),
        }
        others = [a for a in self._of.actors if a != actor]
        first = [actor] if actor in self._of.actors else []
        if self._of.ask.features:
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
                out["track_actions"][k, i] = self._of.acting((at, at + 1), who)
        return out

    @cached_property
    def _track_table(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        rows = self._of.rows("tracks").sort_by("t_ns")  # of several sources, each is in order
        who, t_ns = np.array(rows["actor"].to_pylist(), object), rows["t_ns"].to_numpy()
        vector, measured = fixed(rows["vector"]), fixed(rows["measured"])
        return {a: (t_ns[who == a], vector[who == a], measured[who == a]) for a in self._of.actors}

    def graph(self, moments: np.ndarray, actor: str | None) -> Arrays:
        info, f = self._of.info, self._of.ask.graph_frames
        place = {name: i for i, name in enumerate(info["objects"])}
        kind = {name: i for i, name in enumerate(info["relations"])}
        out = np.zeros((f, len(place), len(kind)), np.float32)
        at = int(moments[0]) + self._of.ask.span_ns * (2 * np.arange(f, dtype=np.int64) + 1) // (2 * f)
        for subject, relation, other, a, b in self._relation_rows:
            if subject == actor and b > at[0] and a <= at[-1]:
                out[(at >= a) & (at < b), place[other], kind[relation]] = 1
        return {"graph": out}

    @cached_property
    def _relation_rows(self) -> list[tuple[str, str, str, int, int]]:
        names = ("subject", "relation", "object", "t0_ns", "t1_ns")
        rows = self._of.rows("relations", names)
        return list(zip(*(rows[n].to_pylist() for n in names), strict=True))

    def features(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        ask, (t_ns, who, x) = self._of.ask, self._feature_table
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
        out = np.zeros((self._of.ask.tracks, len(moments), x.shape[1]), np.float32)
        valid = np.zeros(out.shape[:2], bool)
        names = np.array(who, object)
        for k, actor in enumerate(people):
            mine = np.flatnonzero(names == actor)
            index = index_at(t_ns[mine], moments, "nearest", self._of.ask.keyframe_step_ns // 2)
            valid[k] = index >= 0
            out[k, valid[k]] = x[mine[index[valid[k]]]]
        return {"appearance": out, "appearance_valid": valid}

    @cached_property
    def _feature_table(self) -> tuple[np.ndarray, list[str | None], np.ndarray]:
        """(N,) int64 times, whose box (None: the scene), (N, D) float32; of the camera of `view`."""
        rows = self._of.rows(f"features/{self._of.ask.features}")
        shown = camera(self._of.streams, self._of.ask.view)
        mine = np.flatnonzero(np.array(rows["device"].to_pylist(), object) == (shown["device"] if shown else ""))
        rows = rows.take(mine)
        return rows["t_ns"].to_numpy(), rows["actor"].to_pylist(), fixed(rows["x"])
