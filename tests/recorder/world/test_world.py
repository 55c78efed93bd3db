"""The world as its users see it: the same plan gives the same bytes, and all senses tell one story."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError
from recorder.world import World, WorldPlan, render
from recorder.world.gaze import EYES
from recorder.world.gestures import GESTURES
from recorder.world.relations import RELATIONS
from tests.recorder.world.conftest import times


def grey(world: World, camera: str, t_ns: np.ndarray) -> list[np.ndarray]:
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in world.render(camera, t_ns)]


def turns(quaternions: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(quaternions, -1, axis=1))


# --- determinism ---


def test_the_same_plan_gives_the_same_bytes(world: World, heard: dict[str, np.ndarray]) -> None:
    twin = World(WorldPlan(duration_s=20.0, seed=5, activity="make_tea"))
    t = times(6.0, 7.0, 3.0)
    # The twin is asked in another order: an answer may not depend on what was asked before.
    other_sound = twin.sound("head")
    other = list(twin.render("head", t[::-1]))[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(world.render("head", t), other, strict=True))
    assert np.array_equal(heard["head"], other_sound)
    assert np.array_equal(world.gaze(t)[0], twin.gaze(t)[0], equal_nan=True)
    assert np.array_equal(world.imu("rarmd", t).linear, twin.imu("rarmd", t).linear)
    assert world.labels() == twin.labels()
    twin.close()


@pytest.mark.parametrize("change", [{"seed": 6}, {"participant": "p02"}, {"place": "r02"}, {"activity": "clean_up"}])
def test_every_field_of_the_plan_matters(world: World, change: dict[str, object]) -> None:
    other = World(WorldPlan(**{"duration_s": 20.0, "seed": 5, "activity": "make_tea", **change}))  # type: ignore[arg-type]
    t = times(4.0, 16.0, 10.0)
    assert not np.allclose(world.orientation("body", t), other.orientation("body", t), atol=0.01)


# --- pictures ---


def test_head_and_scene_pictures_match_by_features(world: World) -> None:
    t = times(0.7, 19.5, 0.6)
    sift, matcher, inliers = cv2.SIFT_create(), cv2.BFMatcher(), []
    for head, eye in zip(grey(world, "head", t), grey(world, "eye", t), strict=True):
        a, da = sift.detectAndCompute(eye, None)
        b, db = sift.detectAndCompute(head, None)
        good = [m for m, n in matcher.knnMatch(da, db, k=2) if m.distance < 0.75 * n.distance]
        source = np.array([a[m.queryIdx].pt for m in good], np.float32)
        target = np.array([b[m.trainIdx].pt for m in good], np.float32)
        inliers.append(int(cv2.findHomography(source, target, cv2.RANSAC, 5.0)[1].sum()))
    assert np.median(inliers) >= 150, inliers


def turn_rate_from_flow(before: np.ndarray, after: np.ndarray, focal: float) -> np.ndarray:
    """(3,) rad per frame that best explains the flow of corners (Longuet-Higgins and Prazdny 1980), robustly."""
    corners = cv2.goodFeaturesToTrack(before, 300, 0.01, 7)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)
    height, width = before.shape
    x, y = ((corners[found == 1] - [(width - 1) / 2, (height - 1) / 2]) / focal).T
    flow = ((moved - corners)[found == 1] / focal).T.ravel()
    rows = [[x * y, -(1 + x * x), y], [1 + y * y, -x * y, -x]]
    model = np.concatenate([np.stack(row, axis=1) for row in rows])
    weight = np.ones(len(flow))
    for _ in range(8):
        rate = np.linalg.lstsq(model * weight[:, None], flow * weight, rcond=None)[0]
        weight = 1 / (1 + (np.abs(flow - model @ rate) * focal) ** 2)
    return rate


def test_optical_flow_explains_the_head_gyroscope() -> None:
    world = World(WorldPlan(duration_s=20.0, seed=1, width=320, height=180))
    t = times(3.0, 14.0, 30.0)
    frames, focal = grey(world, "head", t), world.camera("head").fx
    world.close()
    seen = np.degrees([turn_rate_from_flow(a, b, focal) for a, b in itertools.pairwise(frames)]) * 30.0
    gyro = world.camera_imu("head", (t[:-1] + t[1:]) // 2).gyro
    explained = 1 - np.sum((seen - gyro) ** 2, axis=0) / np.sum((gyro - gyro.mean(axis=0)) ** 2, axis=0)
    # What is left is the walking: near the floor it flows like a pitch.
    assert (explained > 0.8).all(), explained


@pytest.mark.parametrize("camera", ["third", "head", "eye"])
def test_boxes_bound_what_is_drawn(world: World, camera: str) -> None:
    t = times(3.0, 17.0, 1.0)
    poses, tight, seen = world.poses(t), 0, 0
    for index, boxes in enumerate(world.boxes(camera, t)):
        drawn = world.renderer.bodies(poses, index, camera)
        for box in boxes:
            parts = world.segments if box.kind == "person" else (box.name,)
            mask = np.isin(drawn, [world.renderer.names.index(part) for part in parts])
            if mask.sum() < 30:
                continue
            y, x = np.nonzero(mask)
            seen += 1
            inside = x.min() > box.x1 - 2 and x.max() < box.x2 + 2 and y.min() > box.y1 - 2 and y.max() < box.y2 + 2
            assert inside, (camera, t[index], box, x.min(), x.max(), y.min(), y.max())
            area = (x.max() - x.min() + 1) * (y.max() - y.min() + 1)
            tight += area > 0.85 * (box.x2 - box.x1) * (box.y2 - box.y1)
    assert seen > 10
    assert tight > 0.5 * seen  # the others are partly hidden


def test_depth_and_classes_put_each_pixel_on_the_thing_it_shows(world: World) -> None:
    """A pixel's ray, as long as its depth says, ends inside what its class says: 3 mm are a third of a pixel."""
    t, model, judged = times(4.0, 16.0, 0.25), world.camera("third"), 0
    eye, turn = world.camera_pose("third", t / 1e9)
    for k, (seen, depth) in enumerate(world.annotate("third", t)):
        floor = seen == 1
        assert floor.mean() > 0.05
        for number, name in enumerate(world.classes[2:], start=2):
            y, x = np.nonzero(seen == number)
            if not len(y):
                continue
            ray = np.column_stack([(x - model.cx) / model.fx, (y - model.cy) / model.fy, np.ones(len(x))])
            points = turn[k].apply(ray * depth[y, x][:, None]) + eye[k]
            at, own = world._pose(name, t[k : k + 1] / 1e9)
            local, cloud = own[0].inv().apply(points - at[0]), world._clouds[name]
            beyond = np.maximum(cloud.min(axis=0) - local, local - cloud.max(axis=0)).max()
            assert beyond < 0.003 + 0.004 * depth[y, x].max(), (name, beyond)
            judged += len(y)
        ray = np.array([(np.nonzero(floor)[1] - model.cx) / model.fx, (np.nonzero(floor)[0] - model.cy) / model.fy])
        height = (turn[k].apply(np.column_stack([*ray, np.ones(floor.sum())]) * depth[floor][:, None]) + eye[k])[:, 2]
        assert np.abs(height).max() < 0.04
    assert judged > 1000


def test_nothing_that_is_in_view_is_left_out_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to save time changes no picture: not drawing what is out of view, nor twice what rests."""
    one = World(WorldPlan(duration_s=60.0, seed=1, width=160, height=90, people=2))
    t = times(0.4, 57.0, 0.175)
    chosen = {camera: list(one.render(camera, t)) for camera in ("third", "head")}
    monkeypatch.setattr(render, "VIEWS", {})  # no camera stands still
    monkeypatch.setattr(render, "seen_from", lambda _, middles, *__: np.ones(middles.shape[:2], bool))
    for camera, pictures in chosen.items():
        for picture, whole in zip(pictures, one.render(camera, t), strict=True):
            assert (np.abs(picture.astype(int) - whole).max(axis=2) > 8).sum() < 5
    one.close()


def test_no_drawn_thing_lacks_a_box(world: World) -> None:
    t = times(3.0, 17.0, 1.0)
    poses = world.poses(t)
    for index, boxes in enumerate(world.boxes("head", t)):
        drawn = world.renderer.bodies(poses, index, "head")
        boxed = {box.name for box in boxes}
        for name in world.home.things:
            if (drawn == world.renderer.names.index(name)).sum() > 20:
                assert name in boxed


def test_who_is_drawn_has_a_box_and_who_is_behind_a_wall_has_none() -> None:
    plan = WorldPlan(60.0, 200030, activity="watch_tv", place="r04", people=2, width=320, height=180)
    world, t = World(plan), times(2.0, 58.0, 0.25)
    poses, boxed, unseen, away = world.poses(t), 0, 0, 0
    for index, boxes in enumerate(world.boxes("third", t)):
        drawn = world.renderer.bodies(poses, index, "third")
        held = {box.name for box in boxes}
        here = {who for who, *said in world.scene_graph(t[index]) if said == ["in_room", "living room"]}
        for name, prefix in zip(world.plan.names, world._prefixes, strict=True):
            parts = [world.renderer.names.index(prefix + segment) for segment in world.segments]
            pixels = int(np.isin(drawn, parts).sum())
            assert pixels < 100 or name in held, (t[index], name, pixels)
            boxed += name in held
            unseen += name in held and not pixels
            away += name not in here
    world.close()
    assert away > 5
    assert boxed > 15
    assert not unseen


def test_hands_are_in_the_head_picture_when_they_act(world: World) -> None:
    acts = [
        label for label in world.labels() if label.value.startswith(("pick_up", "put_down", "put_in", "pour", "drink"))
    ]
    assert acts
    middles = np.array([(label.t0_ns + label.t1_ns) // 2 for label in acts])
    poses = world.poses(middles)
    arms = [world.renderer.names.index(name) for name in ("larmd", "rarmd")]
    shown = [np.isin(world.renderer.bodies(poses, k, "head"), arms).sum() for k in range(len(acts))]
    assert np.mean(np.array(shown) > 300) > 0.8, shown


# --- inertial ---


@pytest.mark.parametrize("segment", ["neck", "body", "rarmd", "llegd"])
def test_gyro_integrates_to_orientation(world: World, segment: str) -> None:
    rate = 1000.0
    t = times(3.0, 6.0, rate)
    truth = world.imu(segment, t)
    middle = world.imu(segment, t[:-1] + 500_000)
    turn = turns(truth.orientation)[0]
    for step in np.radians(middle.gyro) / rate:
        turn = turn * Rotation.from_rotvec(step)
    last = turns(truth.orientation[-1:])[0]
    assert np.degrees((turn.inv() * last).magnitude()) < 0.2


@pytest.mark.parametrize("camera", ["head", "eye"])
def test_acceleration_integrates_to_the_way_the_camera_went(world: World, camera: str) -> None:
    rate = 500.0
    t = times(4.0, 5.0, rate)
    truth = world.camera_imu(camera, t)
    acceleration = turns(truth.orientation).apply(truth.linear)
    at = world.camera_pose(camera, t / 1e9)[0]
    speed = (at[1] - at[0]) * rate + np.cumsum(acceleration, axis=0) / rate
    way = np.cumsum(speed, axis=0)[-1] / rate
    assert np.linalg.norm(at[-1] - at[0]) > 0.3  # the person walks here
    np.testing.assert_allclose(way, at[-1] - at[0], atol=0.02)


def test_gravity_points_up_at_rest(world: World) -> None:
    t = times(0.2, 1.4, 50.0)
    for segment in world.segments:
        gravity = world.imu(segment, t).gravity
        np.testing.assert_allclose(np.linalg.norm(gravity, axis=1), 9.81, rtol=1e-9)
        assert (gravity[:, 2] > 3.0).all(), segment  # an idle arm may be held bent


# --- gaze ---


def test_gaze_is_the_truth_with_half_a_degree_of_noise(world: World) -> None:
    t = times(3.0, 17.0, 50.0)
    xy, valid = world.gaze(t)
    truth = world.gaze_truth("eye", t)
    both = valid & np.isfinite(truth[:, 0])
    degrees = np.degrees((xy - truth)[both] / world.camera("eye").fx)
    assert 0.4 < degrees.std() < 0.6
    assert np.isnan(xy[~valid]).all()
    assert 0.75 < valid.mean() < 0.99


def test_gaze_is_on_a_thing_when_the_hand_gets_there() -> None:
    near = []
    for seed in range(8):
        world = World(WorldPlan(duration_s=40.0, seed=seed))
        for label in world.labels():
            if label.value.startswith("reach_"):
                t = np.array([label.t1_ns])
                x, y = world.gaze_truth("head", t)[0]
                middles = [((b.x1 + b.x2) / 2, (b.y1 + b.y2) / 2) for b in world.boxes("head", t)[0]]
                near.append(min(np.hypot(x - u, y - v) for u, v in middles))
    assert len(near) >= 8
    assert np.median(near) < 45


def test_eyes_jump_a_few_times_a_second_and_stay_within_the_head(long: World) -> None:
    t = np.arange(2.5, 57, 0.002)
    speed = np.degrees(np.linalg.norm(np.diff(long._gaze.wanted(t), axis=0), axis=1)) / 0.002
    assert 1.0 < np.count_nonzero(np.diff((speed > 100).astype(int)) == 1) / 54.5 < 4.0
    eyes = long._person.point("neck", EYES, t)
    way = long._person.turn("neck", t).inv().apply(long._gaze.point(t) - eyes)
    aside = np.degrees(np.arctan2(way[:, 1], way[:, 0]))
    assert np.abs(aside).max() < 20.5


# --- labels, relations ---


def test_twenty_activities_are_made_of_sixty_actions_that_they_share(days: list[World]) -> None:
    assert len(days) >= 20
    doers: dict[str, set[str]] = {}
    for world in days:
        labels = [label for label in world.labels() if label.actor == world.plan.participant]
        assert {label.value for label in labels if label.tier == "activity"} == {world.plan.activity}
        assert all(0 <= label.t0_ns < label.t1_ns <= world.duration_ns for label in labels)
        actions = {label.value for label in labels if label.tier == "atomic"}
        assert len(actions) >= 6, f"{world.plan.activity}: on restless days much of it is asides"
        for action in actions:
            doers.setdefault(action, set()).add(world.plan.activity or "")
    assert len(doers) >= 60
    done = [x for world in days for x in world.labels() if x.tier == "atomic" and x.actor == world.plan.participant]
    assert np.mean([len(doers[label.value]) > 1 for label in done]) > 0.75
    assert len(GESTURES) >= 40


def test_actions_overlap(days: list[World]) -> None:
    at_once = 0
    for world in days:
        spans = [x for x in world.labels() if x.tier == "atomic" and x.actor == world.plan.participant]
        whole = [x for x in spans if not x.value.startswith(("carry_", "turn", "reach_"))]
        pairs = itertools.combinations(whole, 2)
        at_once += sum(min(a.t1_ns, b.t1_ns) - max(a.t0_ns, b.t0_ns) > 10**9 for a, b in pairs)
    assert at_once > 20


def test_guests_visit_one_participant_only() -> None:
    """So a split that keeps participants apart keeps everybody apart."""
    guests = {
        p: {WorldPlan(60.0, seed, participant=p, people=2).names[1] for seed in range(20)} for p in ("p01", "p02")
    }
    assert len(guests["p01"]) > 1
    assert not guests["p01"] & guests["p02"]


def test_a_guest_acts_and_both_do_things_together(days: list[World]) -> None:
    together = set()
    for world in days:
        if world.plan.people == 2:
            guest = [label.value for label in world.labels() if label.actor == world.plan.names[1]]
            assert len(guest) > 5
            graph = world.scene_graphs(np.arange(0, world.duration_ns, 5 * 10**8))
            together |= {
                relation
                for triples in graph
                for a, relation, b in triples
                if b in world.plan.names and a in world.plan.names
            }
    assert together >= {"facing", "talking_to", "listening_to", "giving_to", "taking_from"}


def test_twenty_relations_occur_and_all_are_known(days: list[World]) -> None:
    seen = {
        r for world in days[:8] for g in world.scene_graphs(np.arange(0, world.duration_ns, 10**9)) for _, r, _ in g
    }
    assert seen <= set(RELATIONS)
    assert len(seen) >= 20


def test_the_scene_graph_follows_the_hands(long: World) -> None:
    actor, world = long.plan.participant, long
    for label in world.labels():
        if label.value.startswith("pick_up_"):
            relations = world.scene_graph(label.t1_ns)
            held = [thing for who, what, thing in relations if (who, what) == (actor, "holding")]
            assert label.value.removeprefix("pick_up_") in held
            assert len(held) <= 2
            assert not {(thing, "on") for thing in held} & {(a, b) for a, b, _ in relations}
    assert not [r for r in world.scene_graph(world.duration_ns - 1) if r[1] == "holding"]


# --- words for users ---


def test_wrong_names_get_the_nearest_right_one(world: World) -> None:
    with pytest.raises(ConfigError, match="did you mean 'make_tea'"):
        World(WorldPlan(20.0, 1, activity="make_te"))
    with pytest.raises(ConfigError, match="did you mean 'head'"):
        world.camera("heat")
    with pytest.raises(ConfigError, match="did you mean 'rarmu'"):
        world.imu("rarm", [0])
    with pytest.raises(ConfigError, match="did you mean 'kit-01'"):
        world.sound("kit01")
    with pytest.raises(ConfigError, match="too short"):
        WorldPlan(3.0, 1)
