"""The protocol of the paper: what is done when, and the label that follows. Time is told, never waited for."""

import threading
from pathlib import Path

import pytest

from firmware_host.errors import ConfigError, PortError
from ingest.labels import read_labels
from recorder.activities import ACTIVITIES, Task, activity
from recorder.protocol import AFTER_TONE_NS, BEFORE_TONE_NS, TONE_NS, Act, Conductor, Protocol, labels_of, write_rows

S = 1_000_000_000
T0 = 5 * S


def test_a_start_tone_sounds_once_when_every_stream_has_begun():
    protocol = Protocol(T0, tones=True)
    assert protocol.due(T0 + BEFORE_TONE_NS - 1, False) is None
    assert protocol.due(T0 + BEFORE_TONE_NS, False) is Act.START_TONE
    assert protocol.due(T0 + 60 * S, False) is None


def test_the_end_tone_comes_before_the_end_and_is_recorded_whole():
    protocol = Protocol(T0, tones=True)
    protocol.due(T0 + 2 * S, False)
    assert protocol.due(T0 + 30 * S, True) is Act.END_TONE
    assert protocol.due(T0 + 30 * S + TONE_NS, True) is None
    assert protocol.due(T0 + 30 * S + TONE_NS + AFTER_TONE_NS, True) is Act.FINISH
    assert protocol.due(T0 + 99 * S, True) is None


def test_a_recording_of_known_length_ends_with_its_end_tone_inside():
    protocol = Protocol(T0, tones=True, duration_s=20)
    protocol.due(T0 + S, False)
    assert protocol.due(T0 + 18 * S, False) is None
    assert protocol.due(T0 + 20 * S - TONE_NS - AFTER_TONE_NS, False) is Act.END_TONE
    assert protocol.due(T0 + 20 * S, False) is Act.FINISH


@pytest.mark.parametrize("tones", [True, False])
def test_who_stops_before_the_start_tone_hears_none(tones: bool):
    assert Protocol(T0, tones=tones).due(T0 + S // 2, True) is Act.FINISH


class Speaker:
    def __init__(self, broken: bool = False) -> None:
        self.broken, self.done = broken, threading.Event()

    def sound(self, kind: str) -> int:
        self.done.set()
        if self.broken:
            raise PortError("speaker 'default' cannot be opened")
        return {"start": T0 + 2 * S, "end": T0 + 12 * S}[kind]


def conducted(speaker: Speaker) -> list[dict]:
    """The log of a recording of 15 s that was asked to end at 12 s."""
    task = Task(activity("make_bed"), "p07", "bedroom", tones=True)
    conductor, log = Conductor(task, T0, speaker), []

    def write(kind: str, **fields) -> None:
        log.append({"type": kind, **fields})

    for second in range(15):
        conductor.step(T0 + second * S, write)
        for thread in threading.enumerate():
            if thread.name == "tone":
                thread.join(5)
        if second == 5:
            conductor.event(T0 + 5 * S, "the door bell")
        if second == 11:
            conductor.asked.set()
    conductor.step(T0 + 15 * S, write)
    assert conductor.stop.is_set()
    return log


def test_the_label_lasts_from_the_end_of_one_tone_to_the_beginning_of_the_other(tmp_path: Path):
    rows = labels_of(conducted(Speaker()), T0, T0 + 15 * S)
    write_rows(tmp_path / "recorded.csv", rows)
    event, what = sorted(read_labels(tmp_path, "first"), key=lambda r: r["tier"] == "activity")
    assert (what["value"], what["actor"]) == ("make_bed", "p07")
    assert (what["t0_ns"], what["t1_ns"]) == (T0 + 2 * S + TONE_NS, T0 + 12 * S)
    assert (event["value"], event["t0_ns"], event["t1_ns"]) == ("the door bell", T0 + 5 * S, T0 + 5 * S)
    assert "020101" in (tmp_path / "recorded.csv").read_text(), "the ATUS code goes with the label"


def test_a_speaker_that_fails_is_noted_and_costs_nothing_else():
    log = conducted(Speaker(broken=True))
    assert sum(e["type"] == "failure" for e in log) == 2
    (row,) = [r for r in labels_of(log, T0, T0 + 15 * S) if r[0] == "activity"]
    assert row[1:3] == (T0, T0 + 15 * S)


def test_every_activity_has_an_instruction_without_steps_and_a_code():
    for known in ACTIVITIES.values():
        assert known == activity(known.name)
        assert known.instruction.endswith(".")
        assert known.atus
        assert len(known.atus) == 6


def test_an_unknown_activity_is_asked_for_by_its_own_name():
    assert activity("feed_the_cat").instruction == "Feed the cat."
    assert activity("feed_the_cat", atus="020601").atus == "020601"


@pytest.mark.parametrize(
    ("name", "atus"), [("Make bed", None), ("../x", None), ("make_bed", "2"), ("make_bed", "abcdef")]
)
def test_a_name_or_code_that_cannot_be_one_is_refused(name: str, atus: str | None):
    with pytest.raises(ConfigError):
        activity(name, atus=atus)
