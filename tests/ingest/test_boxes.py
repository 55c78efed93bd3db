"""A box that somebody drew is found at every moment at which it holds, as its format says."""

from pathlib import Path

import numpy as np
from planted import SECOND, SIZE, T0, make_session

from ingest import tables
from ingest.ask import Ask
from ingest.boxes import EVERY_NS, labelled_boxes
from ingest.build import build
from ingest.cache import FrameReader
from ingest.labels import cvat
from ingest.labels.label import Label
from ingest.labels.table import row
from ingest.labels.table import write as write_table
from ingest.opened import open_dataset
from ingest.view import SessionView
from recorder.session import Device, Session, Stream

CAMERA = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", (Stream("camera", "video", 0, 15, size=SIZE),))
SESSION = Session(Path("nowhere"), "s", (CAMERA,))
LEFT, RIGHT = (0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.7, 0.4)


def boxed(actor: str, t0_ns: int, t1_ns: int, box=LEFT, tier: str = "person") -> dict:
    return {"source": "mine", **row(Label(tier, t0_ns, t1_ns, tier, actor, box, 0.5))}


def held(labels: list[dict], span_ns: tuple[int, int] = (0, 100 * SECOND)) -> dict[int, list[str]]:
    """Moment -> who is in the picture then."""
    found: dict[int, list[str]] = {}
    for one in labelled_boxes(SESSION, labels, span_ns).to_pylist():
        found.setdefault(one["t_ns"], []).append(one["actor"])
    return found


def test_a_box_holds_from_its_beginning_to_its_end_and_no_moment_forgets_somebody():
    found = held([boxed("ann", 33, 2 * SECOND), boxed("bo", SECOND + 77, SECOND + 78, RIGHT)])
    moments = sorted(found)
    assert (moments[0], moments[-1]) == (33, 2 * SECOND - EVERY_NS)
    assert max(np.diff(moments)) <= EVERY_NS
    assert all("ann" in who for who in found.values())
    assert [t for t, who in found.items() if "bo" in who] == [SECOND + 77]


def test_a_moment_is_a_moment_and_an_action_of_a_boxed_person_is_no_second_box():
    found = held([boxed("ann", 5, 5), boxed("ann", 5, 5, tier="atomic"), boxed("cup", 5, 5, tier="object")])
    assert found == {5: ["ann"]}


def test_of_a_box_that_stands_for_longer_than_the_recording_the_recorded_part_is_told():
    found = held([boxed("ann", -(2**61), 2**61)], (10 * SECOND, 11 * SECOND))
    assert sorted(found) == [10 * SECOND + k * EVERY_NS for k in range(5)]


def test_a_track_of_keyframes_from_cvat_is_asked_at_any_moment_of_a_clip(tmp_path, inline):
    folder = make_session(tmp_path / "s", participant="ann", seconds=2)
    frames_ns = np.arange(30, dtype=np.int64) * SECOND // 15
    corners = 'ytl="0" ybr="54" outside="{}" keyframe="1"'
    (tmp_path / "t.xml").write_text(
        f"""<annotations><version>1.1</version><meta><task><stop_frame>29</stop_frame><original_size>
        <width>{SIZE[0]}</width><height>{SIZE[1]}</height></original_size></task></meta><track id="0" label="person">
        <box frame="3" xtl="0" xbr="48" {corners.format(0)}/><box frame="15" xtl="96" xbr="144" {corners.format(0)}/>
        <box frame="18" xtl="96" xbr="144" {corners.format(1)}/></track></annotations>"""
    )
    labels = [n.at(lambda t: t + T0) for n in cvat.read(tmp_path / "t.xml", frames_ns)]
    still = Label("person", T0, T0 + SECOND, "person", "bo", RIGHT, device="kit-01")
    write_table([*labels, still], folder / "labels" / "cvat.csv")
    out = build([folder], tmp_path / "out", inline).out
    view = SessionView(open_dataset(out), "s", Ask(("boxes",), frames=1, step_ns=1))
    for frame in (3, 7, 11, 15, 17):
        clip = view.clip(FrameReader(), T0 + int(frames_ns[frame]), -1)
        found = {view.people[w]: b for w, b in zip(clip["box_person"], clip["boxes"][clip["box_valid"]], strict=False)}
        left = min(frame - 3, 12) / 12 / 2
        np.testing.assert_allclose(found["0"], [left, 0, left + 0.25, 0.5], atol=1e-6)
        assert ("bo" in found) == (frame < 15)
        if frame < 15:
            np.testing.assert_allclose(found["bo"], RIGHT, atol=1e-6)
    assert not view.clip(FrameReader(), T0 + int(frames_ns[24]), -1)["box_valid"].any()  # it left
    assert set(tables.read(out, "boxes")["source"].to_pylist()) == {"cvat"}
