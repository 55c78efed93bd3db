"""What the person does: activities one after another between the two tones, as far as the time allows.

A phrase is tried on a copy of the stage and taken only if the person could still be back on the mark in time for
the end tone.
"""

from __future__ import annotations

import copy

from firmware_host.errors import ConfigError, unknown_name
from recorder.world.body import Build
from recorder.world.grammar import ACTIVITIES, unfold
from recorder.world.plan import WorldPlan
from recorder.world.scene import BOARD, KIT, Home
from recorder.world.script import Script, Span
from recorder.world.stage import Stage
from recorder.world.steps import play

SETTLE_S = 0.9


def _fits(stage: Stage, deadline: float) -> bool:
    """Whether the person would be back on the mark in time."""
    after = copy.deepcopy(stage)
    after.walk_to("mark")
    return after.t <= deadline


def direct(plan: WorldPlan, home: Home, one: Build) -> Script:
    """The whole session: tone, activities, back to the mark, tone.

    Raises:
        ConfigError: the plan's activity is not one of `ACTIVITIES`.
    """
    if plan.activity is not None and plan.activity not in ACTIVITIES:
        raise ConfigError(unknown_name("activity", plan.activity, ACTIVITIES))
    stage = Stage(plan, home, one)
    stage.look(-1.0, KIT, 0.1)
    stage.t = plan.tone_s["start"] + 1.0 + 0.3
    deadline = plan.tone_s["end"] - SETTLE_S
    last = ""
    while True:
        names = [name for name in ACTIVITIES if name != last]
        last = plan.activity or str(stage.random.choice(names))
        begin = stage.t
        stage, whole = _perform(stage, last, deadline)
        if stage.t > begin:
            stage.script.spans.append(Span("activity", begin, stage.t, last))
        if not whole:
            break
    stage.walk_to("mark")
    stage.look(stage.t - 0.3, KIT, 0.1)
    return stage.script


def _perform(stage: Stage, activity: str, deadline: float) -> tuple[Stage, bool]:
    """Play an activity as far as the time allows; whether it was played to its end."""
    a, b = stage.random.choice(list(BOARD), 2, replace=False)
    for phrase in unfold(activity, {"A": str(a), "B": str(b)}, stage.random):
        trial = copy.deepcopy(stage)
        play(trial, phrase)
        if not _fits(trial, deadline):
            return _while_away(stage, deadline), False
        stage = trial
    return stage, True


def _while_away(stage: Stage, deadline: float) -> Stage:
    """Fill the time that is left with short phrases that fit any activity."""
    while True:
        near = [name for name, (station, slot) in stage.place_of.items() if station == stage.at and slot >= 0]
        short = [[f"get {name}", f"{verb} {name}", f"put {name}"] for name in near for verb in ("inspect", "shake")]
        short += [["look_around"], ["press"], ["bend"]] if stage.at != "mark" else [["look_around"]]
        for pick in stage.random.permutation(len(short)):
            trial = copy.deepcopy(stage)
            play(trial, short[pick])
            if _fits(trial, deadline):
                stage = trial
                break
        else:
            return stage
