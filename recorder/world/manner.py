"""How somebody holds the body and moves that day: the same person is stiff or quick, bent or upright, restless or calm.

It is drawn for each session and knows nothing of what is done in it. Without it the mean of one worn sensor would tell
the activity: everybody would stand alike but for the work of the hands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recorder.world.body import SIDES, Build
from recorder.world.grammar import ASIDES
from recorder.world.plan import WorldPlan

TEMPO = (0.65, 1.45)
STOOP_RAD, SINK_M, CHIN_RAD, ELBOW_RAD = (-0.06, 0.26), (0.0, 0.10), (-0.20, 0.20), (-0.45, 1.20)
IDLE_M = ((0.0, 0.20), (0.0, 0.04), (0.0, 0.26))
OTHER_HAND = 0.45
"""How often somebody spares the better hand that day."""
RESTLESS = (0.52, 0.90)
PICKY = 0.45
"""Concentration of the Dirichlet distribution of moods: below 1, so that a session has a few of them."""


@dataclass(frozen=True)
class Manner:
    """One person in one session.

    Attributes:
        tempo: factor on the speed of all that is done.
        stoop: radians the trunk bows more than the work asks for.
        sink: metres the hips are lower.
        chin: radians the head is lower.
        elbows: side -> radians the elbow is lifted outwards, about the line from shoulder to hand.
        idle: side -> (3,) metres from where an idle hand hangs to where it is held: ahead, to the left, up.
        other_hand: whether the better hand is spared.
        restless: how often something else comes between two phrases of an activity.
        moods: of `ASIDES`, how much of that is each; sums to 1.
    """

    tempo: float
    stoop: float
    sink: float
    chin: float
    elbows: dict[str, float]
    idle: dict[str, np.ndarray]
    other_hand: bool
    restless: float
    moods: dict[str, float]

    def today(self, one: Build) -> Build:
        """The body of somebody who moves as fast as that, with that hand."""
        hand = {"l": "r", "r": "l"}[one.hand] if self.other_hand else one.hand
        return replace(one, hand=hand, pace=one.pace * self.tempo**0.7, haste=one.haste * self.tempo)


def manner(plan: WorldPlan, prefix: str = "") -> Manner:
    """Of the participant, or of the guest by the prefix of what is theirs."""
    random = plan.rng(f"manner{prefix}")
    return Manner(
        tempo=float(np.exp(random.uniform(*np.log(TEMPO)))),
        stoop=float(random.uniform(*STOOP_RAD)),
        sink=float(random.uniform(*SINK_M)),
        chin=float(random.uniform(*CHIN_RAD)),
        elbows={side: float(random.uniform(*ELBOW_RAD)) for side in SIDES},
        idle={side: random.uniform(*np.transpose(IDLE_M)) * [1.0, sign, 1.0] for side, sign in SIDES.items()},
        other_hand=bool(random.random() < OTHER_HAND),
        restless=float(random.uniform(*RESTLESS)),
        moods=dict(zip(ASIDES, random.dirichlet(np.full(len(ASIDES), PICKY)).tolist(), strict=True)),
    )
