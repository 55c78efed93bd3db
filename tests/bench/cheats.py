"""Whether the simulated home can be cheated: what a linear probe makes of too little.

    python -m tests.bench cheats [--quick] [--seed=N]

Every person does every activity, in houses drawn at random. A pair of people at a time is left out of the training, so
that every session is tested once, by a probe that never saw its person. An activity must not be told from a picture's
background, the length of a session, who it is, or the mean of one body sensor (within 5 points of chance), and must be
learnable from what is done with what (a scene graph, at least 70 %). Another seed is other sessions in other houses:
what behaviour was tuned on says little.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np

from recorder.workers import pool
from recorder.world import ACTIVITIES, World, WorldPlan

SECONDS, GRAPH_HZ, SENSOR_HZ = 60.0, 2, 5
PEOPLE, PAIR, LAPS, HOUSES = 6, 2, 2, 11
PICTURE = (160, 90)
STEPS, RATE, DECAY = 400, 0.5, 1e-2
MOST_POINTS, LEAST_GRAPH = 5.0, 70.0


@dataclass(frozen=True)
class Told:
    """What one session gives the probes; `background`, by camera, is of the first lap's alone: pictures cost most."""

    activity: int
    person: int
    means: dict[str, np.ndarray]
    lasted: np.ndarray
    graph: Counter[tuple[str, str]]
    background: dict[str, np.ndarray]


def plans(people: int, laps: int, seed: int) -> list[tuple[WorldPlan, int, int, bool]]:
    """Every person does every activity `laps` times: plan, activity, person, and whether a picture is asked.

    They are sorted by house: to paint one takes longer than to draw it.
    """
    found = []
    for lap in range(laps):
        for who in range(people):
            for k, activity in enumerate(ACTIVITIES):
                own = 100_000 * seed + 1000 * lap + 31 * who + k
                house = np.random.default_rng([seed, lap, who, k]).integers(HOUSES)
                plan = WorldPlan(SECONDS, own, activity, f"p{who:02d}", f"r{house:02d}", *PICTURE)
                found.append((plan, k, who, lap == 0))
    return sorted(found, key=lambda asked: (not asked[-1], asked[0].place))


def told(asked: tuple[WorldPlan, int, int, bool]) -> Told:
    """Live through one session."""
    plan, activity, person, picture = asked
    world = World(plan)
    return Told(
        activity, person, sensor_means(world), lasted(world), graph(world), background(world) if picture else {}
    )


def background(world: World) -> dict[str, np.ndarray]:
    """One picture in mid-session of two cameras, 16 x 9 cells of colour: the head's without what can move, the room's
    without people."""
    t_ns = [world.duration_ns // 2]
    people = [k for k, name in enumerate(world.classes) if name.rpartition("/")[2] in world.segments]
    found = {}
    for camera in ("head", "third"):
        picture = next(iter(world.render(camera, t_ns))).astype(float)
        shown = next(world.annotate(camera, t_ns))[0]
        kept = shown < 2 if camera == "head" else ~np.isin(shown, people)
        picture[~kept] = picture[kept].mean(axis=0) if kept.any() else 0.0
        found[camera] = picture.reshape(9, 10, 16, 10, 3).mean(axis=(1, 3)).ravel()
    world.close()
    return found


def sensor_means(world: World) -> dict[str, np.ndarray]:
    """By body sensor: the means of gravity, and of how fast it turns and is pushed; of a perfect one, well strapped."""
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


def graph(world: World) -> Counter[tuple[str, str]]:
    """How often the person was how to what; places are left out."""
    counts: Counter[tuple[str, str]] = Counter()
    for triples in world.scene_graphs(np.arange(0, world.duration_ns, 10**9 // GRAPH_HZ)):
        for subject, relation, what in triples:
            if subject == world.plan.participant and what in world.home.things:
                counts[relation, what] += 1
    return counts


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


def over_people(x: np.ndarray, y: np.ndarray, who: np.ndarray) -> float:
    """Top-1 of all sessions, each told by a probe that was trained without its person and one more."""
    pairs = [who // PAIR == pair for pair in range(int(who.max()) // PAIR + 1)]
    return float(sum(accuracy(x, y, test) * test.sum() for test in pairs) / len(y))


def features(sessions: list[Told]) -> dict[str, np.ndarray]:
    """By probe, one row a session, or a session with a picture."""
    words = sorted({word for one in sessions for word in one.graph})
    people = 1 + max(one.person for one in sessions)
    return {
        **{
            f"background, {camera} camera": np.array([s.background[camera] for s in sessions if s.background])
            for camera in next(s.background for s in sessions if s.background)
        },
        "session length": np.array([s.lasted for s in sessions]),
        "who it is": np.eye(people)[[s.person for s in sessions]],
        **{f"mean of {name}": np.array([s.means[name] for s in sessions]) for name in sessions[0].means},
        "scene graph": np.log1p([[s.graph[word] for word in words] for s in sessions]),
    }


def main() -> None:
    """Print one line a probe."""
    people, laps = (4, 1) if "--quick" in sys.argv else (PEOPLE, LAPS)
    seed = next((int(a.removeprefix("--seed=")) for a in sys.argv if a.startswith("--seed=")), 0)
    with pool(None) as processes:
        sessions = list(processes.map(told, plans(people, laps, seed), chunksize=8))
    chance = 100 / len(ACTIVITIES)
    print(f"{len(ACTIVITIES)} activities, {people} people, seed {seed}; chance {chance:.1f} %")
    print(f"{'probe':28s} {'top-1':>7s} {'limit':>7s} {'sessions':>9s} {'one is':>7s} {'one sigma of chance':>20s}")
    for name, x in features(sessions).items():
        asked = [s for s in sessions if s.background] if name.startswith("background") else sessions
        y, who = (np.array([getattr(s, what) for s in asked]) for what in ("activity", "person"))
        limit = f">{LEAST_GRAPH:.0f} %" if name == "scene graph" else f"<{chance + MOST_POINTS:.1f} %"
        sigma = np.sqrt(chance * (100 - chance) / len(y))
        top = 100 * over_people(x, y, who)
        print(f"{name:28s} {top:5.1f} % {limit:>7s} {len(y):9d} {100 / len(y):7.2f} {sigma:20.2f}", flush=True)


if __name__ == "__main__":
    main()
