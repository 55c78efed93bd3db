"""Can an activity of the simulated home be told by cheating, and can it be told honestly?

Linear probes, trained on some people and tested on others: on the background of one picture, on the mean of a single
sensor, on how long the activity lasted, on who did it; each must stay near chance. A probe on the scene graph must
not: what was done with what is what makes an activity.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from recorder.world import ACTIVITIES, World, WorldPlan

SECONDS, GRAPH_HZ, SENSOR_HZ = 60.0, 2, 5
PEOPLE, HELD_OUT, LAPS = 6, 2, 2
STEPS, RATE, DECAY = 400, 0.5, 1e-2


def sessions(people: int, laps: int) -> list[World]:
    """Every person does every activity `laps` times, in different houses."""
    plans = [
        WorldPlan(
            SECONDS, 1000 * lap + 31 * who + k, activity, f"p{who:02d}", f"r{(7 * lap + 3 * who + k) % 11:02d}", 160, 90
        )
        for lap in range(laps)
        for who in range(people)
        for k, activity in enumerate(ACTIVITIES)
    ]
    return [World(plan) for plan in plans]


def background(world: World) -> np.ndarray:
    """One picture of the head camera in mid-session without what can move: 16 x 9 cells of colour."""
    t_ns = [world.duration_ns // 2]
    picture = next(world.render("head", t_ns)).astype(float)
    still = next(world.annotate("head", t_ns))[0] < 2
    picture[~still] = picture[still].mean(axis=0) if still.any() else 0.0
    world.close()
    return picture.reshape(9, 10, 16, 10, 3).mean(axis=(1, 3)).ravel()


def sensor_means(world: World) -> dict[str, np.ndarray]:
    """By body sensor: the means of gravity, and of how fast it turns and is pushed."""
    t_ns = np.arange(0, world.duration_ns, 10**9 // SENSOR_HZ)
    found = {}
    for segment in world.segments:
        imu = world.imu(segment, t_ns)
        speeds = [np.linalg.norm(x, axis=1).mean() for x in (imu.gyro, imu.linear)]
        found[segment] = np.array([*imu.gravity.mean(axis=0), *speeds])
    return found


def lasted(world: World) -> np.ndarray:
    """How long the activity was done, and its square."""
    spans = [x.t1_ns - x.t0_ns for x in world.labels() if x.tier == "activity"]
    return np.array([sum(spans), len(spans), sum(spans) ** 2 / 1e10]) / 1e9


def graph(world: World, words: dict[tuple[str, str], int]) -> np.ndarray:
    """How often the person was how to what; places are left out."""
    counts = np.zeros(4000)
    for triples in world.scene_graphs(np.arange(0, world.duration_ns, 10**9 // GRAPH_HZ)):
        for subject, relation, what in triples:
            if subject == world.plan.participant and what in world.home.things:
                counts[words.setdefault((relation, what), len(words))] += 1
    return np.log1p(counts)


def accuracy(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> float:
    """Top-1 on `test` rows of a linear softmax classifier trained on the others by gradient descent."""
    mean, spread = x[~test].mean(axis=0), x[~test].std(axis=0) + 1e-6
    x = np.column_stack([np.clip((x - mean) / spread, -5, 5), np.ones(len(x))])
    x /= np.sqrt(x.shape[1])
    wanted = np.eye(y.max() + 1)[y[~test]]
    weights = np.zeros((x.shape[1], wanted.shape[1]))
    for _ in range(STEPS):
        score = x[~test] @ weights
        chance = np.exp(score - score.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        weights -= RATE * x.shape[1] * (x[~test].T @ (chance - wanted) / len(wanted) + DECAY * weights / x.shape[1])
    return float(np.mean((x[test] @ weights).argmax(axis=1) == y[test]))


def main() -> None:
    """Print one line a probe."""
    people, laps = (4, 1) if "--quick" in sys.argv else (PEOPLE, LAPS)
    worlds = sessions(people, laps)
    y = np.array([ACTIVITIES.index(world.plan.activity or "") for world in worlds])
    who = np.array([int(world.plan.participant[1:]) for world in worlds])
    test = who >= people - min(HELD_OUT, people // 2)
    means, words = [sensor_means(world) for world in worlds], {}
    probes: dict[str, Callable[[], np.ndarray]] = {
        "background of one picture": lambda: np.array([background(world) for world in worlds]),
        "session length": lambda: np.array([lasted(world) for world in worlds]),
        "who it is": lambda: np.eye(people)[who],
        **{f"mean of {s}": lambda s=s: np.array([m[s] for m in means]) for s in worlds[0].segments},
        "scene graph": lambda: np.array([graph(world, words) for world in worlds]),
    }
    chance = 100 / len(ACTIVITIES)
    print(f"{len(worlds)} sessions, {len(ACTIVITIES)} activities, {test.sum()} of unseen people; chance {chance:.1f} %")
    for name, features in probes.items():
        print(f"{name:28s} {100 * accuracy(features(), y, test):5.1f} %", flush=True)


if __name__ == "__main__":
    main()
